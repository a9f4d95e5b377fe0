"""A replay gets what decides results from the record, places and hardware from here, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_mlrun.errors import ConfigError
from pytest_mlrun.project import read_project
from pytest_mlrun.recorder.replay_environment import FRESH, replay_environment, unlike_the_record
from pytest_mlrun.records.reproduction import Tolerance

RECORDED = {"variables": {"OMP_NUM_THREADS": "2", "LC_ALL": "C", "TZ": "UTC", "LD_LIBRARY_PATH": "/theirs"}}
CONTEXT = {"rand.hash_seed": '"7"'}
HERE = {
    "PATH": "/bin",
    "HOME": "/home/ada",
    "LD_LIBRARY_PATH": "/ours",
    "OPENBLAS_CORETYPE": "Haswell",
    "OMP_NUM_THREADS": "8",
    "MKL_NUM_THREADS": "8",
    "TZ": "Asia/Tokyo",
    "PYTHONHASHSEED": "0",
    "PYTEST_ADDOPTS": "-x",
    "AWS_SECRET_ACCESS_KEY": "x",
    "DATA_ROOT": "/mnt",
}


def test_threads_locale_and_hash_seed_are_those_of_the_record_and_places_are_ours() -> None:
    assert replay_environment(CONTEXT, RECORDED, HERE, handed_on=("DATA_ROOT",)) == {
        "PATH": "/bin",
        "HOME": "/home/ada",
        "LD_LIBRARY_PATH": "/ours",
        "OPENBLAS_CORETYPE": "Haswell",
        "OMP_NUM_THREADS": "2",
        "LC_ALL": "C",
        "TZ": "UTC",
        "PYTHONHASHSEED": "7",
        "DATA_ROOT": "/mnt",
        "PYTHONNOUSERSITE": "1",
        FRESH: "1",
    }


def test_a_hash_seed_that_was_not_fixed_stays_so() -> None:
    assert "PYTHONHASHSEED" not in replay_environment({"rand.hash_seed": "null"}, RECORDED, HERE)


def test_a_value_that_was_hidden_when_it_was_recorded_is_not_set() -> None:
    hidden = {"variables": {"NUMBA_CACHE_DIR": "~/cache", "TORCH_HOME": "***"}}

    found = replay_environment(CONTEXT, hidden, {})

    assert found == {"PYTHONHASHSEED": "7", "PYTHONNOUSERSITE": "1", FRESH: "1"}


def test_what_a_process_has_otherwise_is_said() -> None:
    assert unlike_the_record(CONTEXT, RECORDED, HERE) == [
        "LC_ALL is not set, and was C",
        "OMP_NUM_THREADS is 8, and was 2",
        "PYTHONHASHSEED is 0, and was 7",
        "TZ is Asia/Tokyo, and was UTC",
    ]


# -- [replay] ----------------------------------------------------------------------------------------------------------


def test_a_tolerance_holds_for_a_name_before_a_pattern(tmp_path: Path) -> None:
    file = tmp_path / "mlrun.toml"
    file.write_text('[replay.tolerances]\n"val_*" = { rel = 1e-3 }\nval_auc = { abs = 0.5 }\n')

    found = read_project(file).replay.overrides(["val_auc", "val_loss", "loss"])

    assert found == {
        "val_auc": Tolerance(0.0, 0.5, "mlrun.toml"),
        "val_loss": Tolerance(1e-3, 0.0, "mlrun.toml"),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[replay.tolerances.auc]\nrtol = 1", "unknown key 'rtol' in .*; did you mean 'rel'"),
        ("[replay.tolerances.auc]\nrel = -1", "rel must be a number of 0 or more, not -1"),
        ("[replay.tolerances.auc]\nrel = inf", "rel must be a number of 0 or more, not inf"),
        ("[replay.tolerances.auc]\nabs = nan", "abs must be a number of 0 or more, not nan"),
        ("[replay.tolerances]\nauc = {}", "the tolerance of 'auc' says nothing"),
        ("[replay.tolerances]\nauc = 1e-3", "auc must be a section, not 0.001"),
        ("[replay]\npass_env = []", "unknown key 'pass_env' in .*; did you mean 'environment'"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "mlrun.toml"
    file.write_text(text)

    with pytest.raises(ConfigError, match=message):
        read_project(file)
