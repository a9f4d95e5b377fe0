"""What is registered outlives its years, production lineage for ever; only ``gc`` after that takes it."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_mlrun.cli import main
from pytest_mlrun.records.identity import now_us
from pytest_mlrun.store.store import Store
from tests.unit.registry_desk import MODEL, Desk

YEAR_US = 366 * 86_400_000_000
GUARDED = "[aliases.production]\nmin_age = '1h'\n"


def collect(desk: Desk, *, years: float) -> list[str]:
    """Collect so many years from now; return what is said."""
    console = replace(desk.console(folder=desk.path, width=80), now_us=now_us() + round(years * YEAR_US))
    assert main(["gc", "--delete"], console=console) == 0
    assert isinstance(console.out, io.StringIO)
    return console.out.getvalue().splitlines()


def kept(desk: Desk) -> set[str]:
    objects = Store.open(desk.path / ".pytest_mlrun").objects
    return {objects.read(digest).removeprefix(MODEL).decode() for digest in objects}


def test_a_version_that_nobody_uses_keeps_its_model_for_ten_years(plain: Desk) -> None:
    before = collect(plain, years=9.99)
    stayed = kept(plain)
    after = collect(plain, years=10.01)

    assert before[1] == "keep  registered     2      2  39 B  named by a registry"
    assert stayed == {"first", "second"}
    assert after == [
        "        rule                   runs  files  size",
        "delete  registered_years = 10     2      2  39 B  out of use before that",
        "2 files, 39 B, were deleted; 2 runs keep their rows",
        "registries read: mlrun-registry (9 named)",
    ]
    assert kept(plain) == set()


def test_mlrun_toml_says_how_many_years(plain: Desk) -> None:
    (plain.path / "mlrun.toml").write_text("[retention]\nregistered_years = 3\n")

    collect(plain, years=2.99)
    stayed = kept(plain)
    collect(plain, years=3.01)

    assert (stayed, kept(plain)) == ({"first", "second"}, set())


def test_a_version_in_use_or_once_in_production_keeps_its_model_for_ever(plain: Desk) -> None:
    plain.record("third")
    plain.do("register", "third", "--name", "churn")
    plain.promote("churn/1")
    plain.promote("churn/2")

    (plain.path / "mlrun.toml").write_text(GUARDED)
    collect(plain, years=100)
    with_policy = kept(plain)
    (plain.path / "mlrun.toml").write_text("")
    collect(plain, years=100)

    assert with_policy == {"first", "second"}
    assert kept(plain) == {"second"}


def test_the_policy_that_an_alias_had_at_its_promotion_counts_though_it_is_gone(plain: Desk) -> None:
    (plain.path / "mlrun.toml").write_text("[aliases.production]\npredecessors = ['candidate']\n")
    plain.promote("churn/1", "candidate")
    plain.promote("churn/1")
    (plain.path / "mlrun.toml").write_text("")
    plain.promote("churn/2", "candidate")
    plain.promote("churn/2")

    collect(plain, years=100)

    assert kept(plain) == {"first", "second"}


@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: (folder / "000001.json").unlink(),
        lambda folder: (folder / "000002.json").write_text(
            (folder / "000002.json").read_text().replace("the second", "another")
        ),
    ],
    ids=["missing", "changed"],
)
def test_a_model_whose_events_do_not_hold_together_loses_nothing_that_they_name(plain: Desk, harm: object) -> None:
    assert callable(harm)
    harm(plain.path / "mlrun-registry" / "churn")

    collect(plain, years=100)

    assert "second" in kept(plain)


def test_a_version_that_another_file_of_the_registry_names_as_well_stays(plain: Desk) -> None:
    run_id = next(run.run_id for run in Store.open(plain.path / ".pytest_mlrun").reader().runs() if run.name == "first")
    note = Path(plain.path / "mlrun-registry" / "incident.json")
    note.write_text(json.dumps({"evidence of": run_id}))

    collect(plain, years=100)

    assert kept(plain) == {"first"}


def test_a_version_registered_again_under_another_name_starts_its_years_anew(plain: Desk) -> None:
    collect(plain, years=9)
    plain.do("register", "first", "--name", "churn-eu")
    event = json.loads((plain.path / "mlrun-registry" / "churn-eu" / "000001.json").read_text())

    console = replace(plain.console(folder=plain.path), now_us=event["time_us"] + 10 * YEAR_US - 1)
    assert main(["gc", "--delete"], console=console) == 0

    assert kept(plain) == {"first"}
