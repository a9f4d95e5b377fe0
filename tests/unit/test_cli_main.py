"""The program finds its store, says what is wrong in four parts, and ends with the right code."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import pytest_mlrun
from pytest_mlrun.cli import main
from pytest_mlrun.cli.console import Console, make_console
from pytest_mlrun.cli.progress import Progress
from pytest_mlrun.cli.source import RunSource
from pytest_mlrun.records.run import RunRecord

MakeRun = Callable[..., RunRecord]
WriteRuns = Callable[..., Path]
MakeConsole = Callable[..., Console]
VERBS: tuple[list[str], ...] = (
    [],
    ["runs"],
    ["top"],
    ["show"],
    ["data"],
    ["data", "lock"],
    ["data", "verify"],
    ["register"],
    ["approve"],
    ["promote"],
    ["models"],
    ["history"],
    ["endpoint", "add"],
    ["endpoint", "remove"],
    ["whence"],
    ["fetch"],
    ["verify"],
)


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: "-".join(verb) or "program")
def test_help_is_short(verb: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code = main([*verb, "--help"])

    text = capsys.readouterr().out
    assert code == 0
    assert text.startswith("usage: pytest-mlrun")
    assert len(text.splitlines()) <= (50 if not verb else 30)


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in ([], ["data"])], ids="-".join)
def test_help_has_an_example_of_the_verb(verb: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    main([*verb, "--help"])

    assert f"example: pytest-mlrun {' '.join(verb)}" in capsys.readouterr().out


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"pytest-mlrun {pytest_mlrun.__version__}\n"


@pytest.mark.parametrize("argv", [["--help"], ["top", "--help"], ["--version"]], ids=" ".join)
def test_help_imports_nothing_heavy(argv: list[str]) -> None:
    code = (
        "import sys, pytest_mlrun.cli;"
        f"pytest_mlrun.cli.main({argv!r});"
        "print([n for n in ('numpy', 'pyarrow', 'sklearn', 'filelock', 'pytest') if n in sys.modules], file=sys.stderr)"
    )

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stderr.strip() == "[]"


def test_the_module_runs_as_the_program(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest_mlrun", "runs", "--store", str(tmp_path / "none")]

    found = subprocess.run(command, capture_output=True, text=True, check=False)

    assert found.returncode == 2
    assert found.stderr.startswith("error: there is no run store in none\n")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "the following arguments are required: VERB"),
        (["rnus"], "invalid choice: 'rnus'"),
        (["runs", "--limit", "-3"], "expected a whole number, found '-3'"),
        (["runs", "--exp", "churn"], "unrecognized arguments: --exp churn"),
        (["top"], "the following arguments are required: EXPERIMENT"),
    ],
)
def test_a_command_line_that_cannot_be_meant_ends_with_2(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(argv)

    text = capsys.readouterr().err
    assert code == 2
    assert text.startswith("error: ")
    assert message in text
    assert re.search(r"\n  next:  pytest-mlrun.* --help\n$", text)


def test_without_a_store_the_next_step_is_a_first_run(make_console: MakeConsole, tmp_path: Path) -> None:
    console = make_console()

    code = main(["runs"], console=console)

    assert code == 2
    assert _text(console.err) == (
        "error: no run store found: no .pytest_mlrun here or in a folder above\n"
        f"  where: {tmp_path}\n"
        "  next:  record a first run: pytest --mlrun, or name a store: --store PATH\n"
    )


def test_the_nearest_store_above_is_found(
    make_console: MakeConsole, make_run: MakeRun, write_runs: WriteRuns, tmp_path: Path
) -> None:
    write_runs([make_run("found")])
    deep = tmp_path / "src" / "model"
    deep.mkdir(parents=True)
    console = make_console(folder=deep)

    assert main(["runs"], console=console) == 0
    assert "found" in _text(console.out)


@pytest.mark.parametrize("where", ["before", "after", "environment"])
def test_a_store_can_be_named(
    where: str, make_console: MakeConsole, make_run: MakeRun, write_runs: WriteRuns, tmp_path: Path
) -> None:
    store = write_runs([make_run("found")]).rename(tmp_path / "elsewhere")
    argv = {"before": ["--store", "elsewhere", "runs"], "after": ["runs", "--store", "elsewhere"]}.get(where, ["runs"])
    environ = {"PYTEST_MLRUN_STORE": str(store)} if where == "environment" else {"PYTEST_MLRUN_STORE": "nowhere"}
    console = make_console(environ=environ)

    assert main(argv, console=console) == 0
    assert "found" in _text(console.out)


def test_an_interrupted_program_ends_as_a_shell_would_say(
    make_console: MakeConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> RunSource:
        raise KeyboardInterrupt

    monkeypatch.setattr("pytest_mlrun.cli.runs.open_source", interrupt)
    console = make_console()

    assert main(["runs"], console=console) == 130
    assert _text(console.err) == ""


def test_a_reader_that_leaves_gets_no_traceback(make_run: MakeRun, write_runs: WriteRuns) -> None:
    store = write_runs([make_run("one"), make_run("two")])
    read, write = os.pipe()
    os.close(read)

    command = [sys.executable, "-m", "pytest_mlrun", "--store", str(store), "runs", "--json"]
    found = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)

    assert found.returncode == 141
    assert found.stderr == ""


def test_runs_of_dead_processes_are_recovered_and_counted(make_console: MakeConsole, tmp_path: Path) -> None:
    _leave_run_behind(tmp_path)
    first, second = make_console(), make_console()

    codes = main(["runs"], console=first), main(["runs"], console=second)

    assert codes == (0, 0)
    assert _text(first.err) == "recovered 1 run of processes that died, as orphaned\n"
    assert "orphaned" in _text(first.out)
    assert _text(second.err) == ""


def test_a_store_that_cannot_be_written_is_still_read(
    make_console: MakeConsole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _leave_run_behind(tmp_path)
    monkeypatch.setattr("pytest_mlrun.cli.source.os.access", lambda *_: False)
    console = make_console()

    assert main(["runs"], console=console) == 0
    assert "running" in _text(console.out)
    assert _text(console.err) == ""


def test_a_recovery_that_fails_does_not_stop_the_reading(
    make_console: MakeConsole, make_run: MakeRun, write_runs: WriteRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> tuple[RunRecord, ...]:
        raise pytest_mlrun.StoreWriteError("the run store cannot be written")

    write_runs([make_run("found")])
    monkeypatch.setattr("pytest_mlrun.store.store.Store.recover", refuse)
    console = make_console()

    assert main(["runs"], console=console) == 0
    assert "found" in _text(console.out)


def test_colours_are_for_terminals_that_want_them(
    make_console: MakeConsole, make_run: MakeRun, write_runs: WriteRuns
) -> None:
    write_runs([make_run("bad", outcome="failed", cause="gate")])
    plain, coloured = make_console(), make_console(colour=True)

    main(["runs"], console=plain)
    main(["runs"], console=coloured)

    assert "\x1b" not in _text(plain.out)
    assert "\x1b[31m" in _text(coloured.out)
    assert re.sub(r"\x1b\[[\d;]*m", "", _text(coloured.out)) == _text(plain.out)


def test_an_error_cannot_move_the_cursor(make_console: MakeConsole, make_run: MakeRun, write_runs: WriteRuns) -> None:
    write_runs([make_run()])
    console = make_console()

    assert main(["show", "\x1b[2Jrun"], console=console) == 2
    assert "\x1b" not in _text(console.err)
    assert "\\x1b[2Jrun" in _text(console.err)


def test_a_pipe_is_never_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())

    console = make_console()

    assert console.width is None
    assert not console.colour


def test_progress_appears_after_two_seconds_and_goes_away(make_console: MakeConsole) -> None:
    times = iter([0.0, 1.9, 2.1])
    console = make_console(live=True)
    progress = Progress(console, "hashing", clock=lambda: next(times))
    progress.detail = "churn: 1.2 GB"

    progress.tick()
    early = _text(console.err)
    progress.tick()
    late = _text(console.err)
    progress.__exit__(None, None, None)

    assert early == ""
    assert late == "\rhashing · 2 s · churn: 1.2 GB\x1b[K"
    assert _text(console.err).endswith("\r\x1b[K")


def test_progress_keeps_itself_alive_while_the_work_goes_on(make_console: MakeConsole) -> None:
    ticked = threading.Event()

    def clock() -> float:
        if threading.current_thread() is not threading.main_thread():
            ticked.set()
            return 5.0
        return 0.0

    console = make_console(live=True)

    with Progress(console, "hashing", clock=clock):
        seen = ticked.wait(timeout=30)

    assert seen
    assert _text(console.err).replace("\rhashing · 5 s\x1b[K", "") == "\r\x1b[K"


def test_progress_is_only_for_terminals(make_console: MakeConsole) -> None:
    times = iter([0.0, 99.0])
    console = make_console(live=False)

    with Progress(console, "hashing", clock=lambda: next(times)):
        pass

    assert _text(console.err) == ""


def _leave_run_behind(folder: Path) -> None:
    """Start a run in a process that is killed before it can finish it."""
    code = (
        "import os; from pathlib import Path; from pytest_mlrun.records.run import RunStart;"
        "from pytest_mlrun.store.store import Store;"
        "store = Store.open(Path('.pytest_mlrun'), create=True); writer = store.writer(session_id='s');"
        "writer.start(RunStart('01900000-0000-7000-8000-00000000dead', 's', 'churn', 'left', 't', started_us=1));"
        "os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, check=False)
    assert done.returncode == -9


def _text(stream: object) -> str:
    assert isinstance(stream, io.StringIO)
    return stream.getvalue()
