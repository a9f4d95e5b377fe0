"""Compare what a store shows with what the processes that wrote it were told."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path

from pytest_mlrun.records.identity import now_us
from pytest_mlrun.records.retention import Fates, Retention
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.rules.retention import Scope, decide
from pytest_mlrun.store.collection import collect
from pytest_mlrun.store.files import Steps
from pytest_mlrun.store.reader import Reader
from pytest_mlrun.store.store import Store
from pytest_mlrun.store.verify import verify_store

KILLED = [-9]
DIED = 9
"""How a process ends that leaves at once."""
REFUSED = 10
"""How a process ends that was told, in our words, that the store cannot be written."""
Server = Callable[..., list[int]]

_ROOT = Path(__file__).parents[2]
_YEAR_US = 365 * 86_400_000_000


@contextmanager
def run_server(module: str = "store_child") -> Iterator[Server]:
    """Start the process that forks one child a job, and give what sends it jobs."""
    command = [sys.executable, "-m", f"tests.crash.{module}", str(os.getpid())]
    # Not measured: a killed process leaves a coverage file that spoils the others when they are combined.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=_ROOT
    ) as process:
        stdin, stdout = process.stdin, process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("the server has no pipes")

        def send(verb: str, folder: Path, **facts: str | int) -> list[int]:
            job = {"store": str(folder / "store"), "acks": str(folder / "acks"), "trace": str(folder / "trace")}
            stdin.write(json.dumps({"verb": verb, **job, **facts}) + "\n")
            stdin.flush()
            codes: list[int] = json.loads(stdout.readline())
            return codes

        yield send
        stdin.close()
        process.wait(timeout=30)


def collect_a_year_later(root: Path, *, steps: Steps) -> None:
    """Delete what nobody pins and no process writes, as if all that has ended had ended a year ago."""

    def decide_then(runs: Sequence[RunRecord], live: AbstractSet[str]) -> Fates:
        return decide([Scope(runs, Retention(), {})], reachable=set(), live=live, now_us=now_us() + _YEAR_US)

    collect(root, decide_then, who="ada@laptop", now_us=now_us(), delete=True, steps=steps)


def read_acks(folder: Path) -> list[list[object]]:
    path = folder / "acks"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def read_trace(folder: Path) -> list[str]:
    return (folder / "trace").read_text().splitlines()


def check_acks(folder: Path, runs: list[RunRecord]) -> None:
    """Compare what the store shows with what calls returned from."""
    reader = Reader(folder / "store")
    by_id = {run.run_id: run for run in runs}
    assert len(by_id) == len(runs), "a run is doubled"
    points: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for kind, run_id, *facts in read_acks(folder):
        run = by_id[str(run_id)]
        if kind == "param":
            assert run.params[str(facts[0])] == facts[1]
        elif kind == "metric":
            assert run.metrics[str(facts[0])] == facts[1]
        elif kind == "finish":
            assert (run.status, run.digest) == ("finished", facts[0])
        elif kind == "artifact":
            assert reader.read_artifact(run, str(facts[0])) == str(facts[1]).encode()
        elif kind == "point":
            points.setdefault((str(run_id), str(facts[0])), []).append((int(str(facts[1])), float(str(facts[2]))))
    for (run_id, name), expected in points.items():
        series = reader.series(run_id, name)
        found = list(zip(series.steps.tolist(), series.values.tolist(), strict=True))
        # One more point may be there: its call was on the way back when the process died.
        assert found[: len(expected)] == expected
        assert len(found) <= len(expected) + 1


def check_recovered(folder: Path) -> None:
    store = Store.open(folder / "store")
    store.recover()

    runs = store.reader().runs()

    check_acks(folder, runs)
    assert {run.status for run in runs} <= {"finished", "orphaned"}
    assert list((folder / "store" / "live").iterdir()) == []
    assert list((folder / "store" / "tmp").glob("*.seg")) == []
    assert list(verify_store(store)) == []
    assert store.recover() == ()


def steps_worth_a_kill(trace: list[str]) -> list[int]:
    """Choose the first and last occurrence of every step, counted from 1."""
    first = {step: at for at, step in reversed(list(enumerate(trace, start=1)))}
    last = {step: at for at, step in enumerate(trace, start=1)}
    return sorted({*first.values(), *last.values()})


def copy_folder(source: Path, target: Path) -> Path:
    shutil.copytree(source, target)
    (target / "trace").write_text("")
    return target
