"""Make runs, stores that hold them, and consoles that remember what was written."""

from __future__ import annotations

import io
import itertools
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_mlrun.cli.console import Console
from pytest_mlrun.records.run import RunEnd, RunRecord, RunStart
from tests.unit.registry_desk import Desk, begin

NOW_US = 1_790_000_000_000_000
_SESSION = "01900000-0000-7000-8000-00000000beef"
_BLANK = RunRecord(
    run_id="",
    session_id=_SESSION,
    experiment="churn",
    name="run",
    test="tests/test_sweep.py::test_sweep",
    case="",
    attempt=1,
    parent_id=None,
    status="finished",
    outcome="passed",
    cause="",
    cause_detail="",
    error="",
    started_us=0,
    ended_us=0,
    params={},
    metrics={},
    tags={},
    context={},
    artifacts=(),
    gates=(),
    series={},
)


@pytest.fixture
def now_us() -> int:
    return NOW_US


@pytest.fixture
def make_run() -> Callable[..., RunRecord]:
    """Return a function that makes a finished run from the fields that matter to a test."""
    return run_maker()


def run_maker(first: int = 1) -> Callable[..., RunRecord]:
    """Return a function that makes finished runs, numbered."""
    numbers = itertools.count(first)

    def make(name: str = "run", **changes: object) -> RunRecord:
        number = next(numbers)
        started_us = NOW_US - 3_600_000_000 + number * 1_000_000
        fresh = replace(
            _BLANK,
            run_id=f"01900000-0000-7000-8000-{number:012x}",
            name=name,
            started_us=started_us,
            ended_us=started_us + 1_500_000,
        )
        return replace(fresh, **changes)  # type: ignore[arg-type]

    return make


@pytest.fixture
def write_runs(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes runs, and the points of their series, into the store of ``tmp_path``."""

    def write(runs: Sequence[RunRecord], *, curves: Mapping[str, Mapping[str, Sequence[float]]] | None = None) -> Path:
        from pytest_mlrun.store.store import Store

        store = Store.open(tmp_path / ".pytest_mlrun", create=True)
        writer = store.writer(session_id=_SESSION)
        for run in runs:
            writer.start(RunStart(**{name: getattr(run, name) for name in RunStart.__slots__}))
            for name, value in run.metrics.items():
                writer.append(writer.channel(run.run_id, name), value, None)
            for name, values in (curves or {}).get(run.name, {}).items():
                channel = writer.channel(run.run_id, name)
                for step, value in enumerate(values):
                    writer.append(channel, value, step)
            for verdict in run.gates:
                writer.gate(run.run_id, verdict)
            for artifact in run.artifacts:
                writer.artifact(run.run_id, artifact)
            writer.finish(run.run_id, RunEnd(**{name: getattr(run, name) for name in RunEnd.__slots__}))
        writer.close()
        return store.path

    return write


@pytest.fixture
def make_console(tmp_path: Path) -> Callable[..., Console]:
    """Return a function that makes a console whose current folder is ``tmp_path``."""
    return console_maker(tmp_path)


def console_maker(current: Path) -> Callable[..., Console]:
    """Return a function that makes consoles in a folder."""

    def make(
        *,
        width: int | None = None,
        colour: bool = False,
        live: bool = False,
        folder: Path = current,
        environ: Mapping[str, str] | None = None,
    ) -> Console:
        return Console(
            out=io.StringIO(),
            err=io.StringIO(),
            width=width,
            colour=colour,
            live=live,
            folder=folder,
            environ=environ or {},
            now_us=NOW_US,
        )

    return make


@pytest.fixture(scope="session")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders that every desk begins with: making them anew would cost each test a dozen processes."""
    folder = tmp_path_factory.mktemp("desk")
    with pytest.MonkeyPatch.context() as patch:
        _hide_settings(patch, folder)
        begin(folder)
    return folder


@pytest.fixture(scope="session")
def begun_plain(begun: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of a desk without signers and policies that has registered two versions."""
    folder = tmp_path_factory.mktemp("plain")
    with pytest.MonkeyPatch.context() as patch:
        _hide_settings(patch, folder)
        desk = _copy_desk(begun, folder / "project", folder, run_maker())
        (desk.path / "mlrun.toml").write_text("")
        for name in ("first", "second"):
            desk.record(name)
            desk.do("register", name, "--name", "churn", "--note", f"the {name}")
        desk.commit("register two")
    return folder


@pytest.fixture
def desk(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, begun: Path, monkeypatch: pytest.MonkeyPatch
) -> Desk:
    """A repository whose protected branch names two who may sign: ada registers, bob approves as ml-lead."""
    around = tmp_path_factory.mktemp("around")
    _hide_settings(monkeypatch, around)
    return _copy_desk(begun, tmp_path, around, run_maker())


@pytest.fixture
def plain(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, begun_plain: Path, monkeypatch: pytest.MonkeyPatch
) -> Desk:
    """A repository without signers and policies, and two registered versions."""
    around = tmp_path_factory.mktemp("around")
    _hide_settings(monkeypatch, around)
    return _copy_desk(begun_plain, tmp_path, around, run_maker(3))


def _hide_settings(patch: pytest.MonkeyPatch, home: Path) -> None:
    """Keep everybody's own settings of git and ssh out of sight."""
    patch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    patch.setenv("HOME", str(home))


def _copy_desk(source: Path, project: Path, around: Path, make_run: Callable[..., RunRecord]) -> Desk:
    for name in ("remote", "keys"):
        shutil.copytree(source / name, around / name)
    shutil.copytree(source / "project", project, dirs_exist_ok=True)
    config = project / ".git" / "config"
    config.write_text(config.read_text().replace(str(source / "remote"), str(around / "remote")))
    return Desk(project, around / "remote", around / "keys", console_maker(project), make_run)
