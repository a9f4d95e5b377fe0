"""Make a recorded run again in a fresh process, and say whether the same came out."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from pytest_mlrun.cli.console import Console
from pytest_mlrun.cli.progress import Progress
from pytest_mlrun.cli.refs import find_run
from pytest_mlrun.cli.registries import need_store
from pytest_mlrun.cli.source import find_store, open_reader
from pytest_mlrun.errors import RunNotFoundError, StoreError
from pytest_mlrun.records.names import STORE_FOLDER, name_of_replays
from pytest_mlrun.records.reproduction import Reproduction
from pytest_mlrun.report.reproduction import render_reproduction, reproduction_line

if TYPE_CHECKING:
    from pytest_mlrun.recorder.accounts import Recorded
    from pytest_mlrun.records.project import Project
    from pytest_mlrun.records.run import RunRecord

_BUNDLE = ".mlrun"
_USAGE = 4
_TAIL = 25
_MOST_FILES = 5_000
_NO_SOURCES = frozenset({"node_modules", "build", "dist", "site-packages", "__pycache__"})


@dataclass(frozen=True, slots=True)
class _Ended:
    """What became of the process.

    Attributes:
        pid: Its process id, which its runs have recorded.
        status: Its exit status; None if it took too long.
        output: What it wrote.
    """

    pid: int
    status: int | None
    output: str


def run(args: argparse.Namespace, console: Console) -> int:
    """Run ``pytest-mlrun replay``."""
    from pytest_mlrun.project import find_project
    from pytest_mlrun.recorder.reproducing import refuse_unfit

    project = find_project(console.folder, stop=Path(console.folder.anchor))
    recorded, store = _find(args, console, project)
    refuse_unfit(recorded)
    file, project = _find_file(recorded, project, console)
    ended = _train(args, console, recorded, store, file=file, project=project)
    found = _compare(recorded, store, ended, project)
    if found is None and ended.status == _USAGE and "ERROR: " in ended.output:
        # The test is gone, or its params: pytest was told so by us, in four parts.
        _note_all(_last_error(ended.output), console)
        return 2
    found = found or _failed(recorded, ended)
    _show(found, recorded, args, console)
    if found.replayed_id is None or args.verbose:
        _note_all(ended.output.rstrip().splitlines(), console)
    return found.exit_code


def _find(args: argparse.Namespace, console: Console, project: Project) -> tuple[Recorded, Path]:
    from pytest_mlrun.recorder.accounts import open_exported, take_recorded

    if args.ref.endswith(_BUNDLE):
        return open_exported(console.folder / args.ref), _store_for(args, console, project)
    store = need_store(args.ref, args, console)
    reader = open_reader(args, console)
    return take_recorded(find_run(args.ref, reader, console), reader, where=str(store)), store


def _store_for(args: argparse.Namespace, console: Console, project: Project) -> Path:
    """Return where the replay of an exported run is recorded: the nearest store, or a first one of the project."""
    try:
        return find_store(args, console)
    except StoreError:
        return project.root / STORE_FOLDER


def _find_file(recorded: Recorded, project: Project, console: Console) -> tuple[Path, Project]:
    """Return the file of the run's test, and the project that it belongs to: the nearest, or that of the record."""
    from pytest_mlrun.project import find_project

    path = recorded.run.test.partition("::")[0]
    was = Path(json.loads(recorded.run.context.get("project", '""')) or ".")
    for root in (project.root, was):
        file = (root / path).resolve()
        if file.is_file() and file.is_relative_to(root.resolve()):
            return file, project if root == project.root else find_project(root, stop=root)
    function = recorded.run.test.rpartition("::")[2]
    places = [os.path.relpath(place, console.folder) for place in _places_of(function, project.root)]
    raise RunNotFoundError(
        f"the test of run {recorded.run.short_id} is not where it was: {path}",
        details=tuple(f"{function} is in {place}" for place in places[:3]),
        where=str(project.root),
        next_step=f"name the test: pytest --mlrun --mlrun-replay {recorded.run.short_id} {places[0]}::{function}"
        if places
        else "check out the commit that has it, or stand in the project that it belongs to",
    )


def _places_of(function: str, root: Path) -> Iterator[Path]:
    """Yield the files below a folder that define a function of this name."""
    seen = 0
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in _NO_SOURCES]
        for name in sorted(names):
            if name.endswith(".py") and seen < _MOST_FILES:
                seen += 1
                file = Path(folder) / name
                with suppress(OSError):
                    if f"def {function}(" in file.read_text("utf-8", "replace"):
                        yield file


def _train(
    args: argparse.Namespace, console: Console, recorded: Recorded, store: Path, *, file: Path, project: Project
) -> _Ended:
    from pytest_mlrun.recorder.replay_environment import replay_environment
    from pytest_mlrun.recorder.reproducing import environment_of

    ref = str((console.folder / args.ref).resolve()) if args.ref.endswith(_BUNDLE) else recorded.run.run_id
    command = [sys.executable, "-m", "pytest", str(file), "--mlrun", "--mlrun-replay", ref]
    command += ["--mlrun-store", str(store.resolve())]
    environ = replay_environment(
        recorded.run.context, environment_of(recorded), console.environ, handed_on=project.replay.environment
    )
    with tempfile.TemporaryFile() as out, Progress(console, f"replaying {recorded.run.name}"):
        pid, status = _run(command, environ, console.folder, out, timeout_s=args.timeout)
        out.seek(0)
        return _Ended(pid, status, out.read().decode("utf-8", "replace"))


def _run(
    command: list[str], environ: dict[str, str], folder: Path, out: IO[bytes], *, timeout_s: float | None
) -> tuple[int, int | None]:
    """Run a program; it, and all that it started, is killed if it takes too long or we are interrupted."""
    with subprocess.Popen(
        command, cwd=folder, env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
    ) as process:
        try:
            return process.pid, process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return process.pid, None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)


def _compare(recorded: Recorded, store: Path, ended: _Ended, project: Project) -> Reproduction | None:
    """Return what the process's run shows, or None if it recorded none."""
    from pytest_mlrun.recorder.reproducing import compare_replay
    from pytest_mlrun.store.store import Store

    if not store.exists():
        return None
    opened = Store.open(store)
    opened.recover()
    reader = opened.reader()
    replays = reader.runs(experiment=name_of_replays(recorded.run.experiment))
    ours = [each for each in replays if _is_of(each, recorded, ended.pid)]
    return compare_replay(recorded, ours[-1], reader, project) if ours else None


def _is_of(replayed: RunRecord, recorded: Recorded, pid: int) -> bool:
    pids = replayed.context.get("process.pid") == str(pid)
    return pids and replayed.parent_id is None and recorded.run.run_id in replayed.context.get("replay.of", "")


def _failed(recorded: Recorded, ended: _Ended) -> Reproduction:
    from pytest_mlrun.rules.reproduction import refused

    if ended.status is None:
        return refused(recorded.run, "INCONCLUSIVE", "the replay took longer than --timeout allows")
    if ended.status in {0, _USAGE}:
        return refused(recorded.run, "INCONCLUSIVE", "nothing was trained: the test was skipped")
    if ended.status < 0:
        return refused(recorded.run, "INCONCLUSIVE", f"the replay was killed by signal {-ended.status}")
    return refused(recorded.run, "NOT_REPRODUCIBLE", "pytest could not run the test: what it said stands below")


def _show(found: Reproduction, recorded: Recorded, args: argparse.Namespace, console: Console) -> None:
    if args.json:
        console.write(reproduction_line(found))
        return
    for text, markup in render_reproduction(
        found, recorded.run, width=console.width, verbosity=1 if args.verbose else 0
    ):
        console.write(text, markup)


def _note_all(lines: Sequence[str], console: Console) -> None:
    for line in lines:
        console.note(line)


def _last_error(output: str) -> list[str]:
    lines = output.rstrip().splitlines()
    starts = [at for at, line in enumerate(lines) if line.startswith("ERROR: ")]
    told = lines[starts[-1] :] if starts else lines[-_TAIL:]
    return [line.replace("ERROR: --mlrun-replay: ", "error: ").replace("ERROR: ", "error: ") for line in told]
