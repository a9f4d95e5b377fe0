"""Processes that run tests beside each other share the cores, unless a person has decided."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pytest_mlrun.pillars.threads import VARIABLES, share_cores, usable_cores


@pytest.fixture(autouse=True)
def limits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note which limits would be set on the libraries of this process, and set none."""
    noted: list[int] = []
    monkeypatch.setattr("pytest_mlrun.pillars.threads._limit_loaded", noted.append)
    return noted


@pytest.mark.parametrize(("cores", "workers", "threads"), [(8, 2, 4), (8, 3, 2), (2, 4, 1), (1, 2, 1)])
def test_each_process_gets_its_share_of_the_cores(cores: int, workers: int, threads: int, limits: list[int]) -> None:
    environ: dict[str, str] = {}

    assert share_cores(workers, environ=environ, cores=cores) == threads
    assert environ == dict.fromkeys(VARIABLES, str(threads))
    assert limits == [threads]


def test_a_process_alone_keeps_the_machine(limits: list[int]) -> None:
    environ: dict[str, str] = {}

    assert share_cores(1, environ=environ, cores=8) is None
    assert (environ, limits) == ({}, [])


@pytest.mark.parametrize("name", VARIABLES)
def test_who_set_a_variable_has_decided(name: str, limits: list[int]) -> None:
    environ = {name: "3"}

    assert share_cores(2, environ=environ, cores=8) is None
    assert (environ, limits) == ({name: "3"}, [])


@pytest.mark.parametrize(("quota", "most"), [("100000 100000", 1), ("50000 100000", 1), ("6400000 100000", 64)])
def test_a_quota_of_the_container_counts(tmp_path: Path, quota: str, most: int) -> None:
    (tmp_path / "cpu.max").write_text(f"{quota}\n")

    assert usable_cores(quota=tmp_path / "cpu.max") == min(most, usable_cores(quota=tmp_path / "none"))


@pytest.mark.parametrize("content", ["max 100000\n", "", "nonsense"])
def test_a_container_without_a_quota_has_all_cores(tmp_path: Path, content: str) -> None:
    (tmp_path / "cpu.max").write_text(content)

    assert usable_cores(quota=tmp_path / "cpu.max") == usable_cores(quota=tmp_path / "none")


def test_pools_that_are_loaded_and_those_that_load_later_are_limited() -> None:
    program = (
        "import numpy, threadpoolctl, types, sys\n"
        "from pytest_mlrun.pillars.threads import share_cores\n"
        "asked = []\n"
        "sys.modules['torch'] = types.SimpleNamespace(set_num_threads=asked.append)\n"
        "before = {pool['num_threads'] for pool in threadpoolctl.threadpool_info()}\n"
        "share_cores(2, cores=2)\n"
        "del sys.modules['torch']\n"
        "import sklearn.ensemble\n"
        "print(asked, {pool['num_threads'] for pool in threadpoolctl.threadpool_info()})\n"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout == "[1] {1}\n"
