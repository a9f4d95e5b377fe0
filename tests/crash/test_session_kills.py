"""Sessions killed at random instants lose nothing that a call returned from, and count every run once."""

from __future__ import annotations

import json
import os
import random
import signal
import struct
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

import pytest_mlrun
from pytest_mlrun.store.reader import Reader
from pytest_mlrun.store.store import Store
from tests.crash import session_child

RUNS = 6
KILLS = 8
TESTS = f"""
import pytest, session_child

@pytest.mark.mlrun(experiment="crash")
@pytest.mark.parametrize("number", range({RUNS}))
def test_train(mlrun, number):
    session_child.train(mlrun, number)
"""
SPAN_S = {
    "launch": 0.3,
    "collection": 0.04,
    "begin": 0.008,
    "logging": 0.008,
    "artifact": 0.003,
    "finish": 0.003,
    "seal": 0.012,
    "recovery": 0.02,
}
"""How long a phase may last: the instant of the kill lies anywhere in it."""
ONCE = {"launch", "collection", "seal", "recovery"}
LETTERS = {letter: phase for phase, letter in session_child.PHASES.items()}


@dataclass
class Told:
    """What the dead process knew of one run."""

    number: int
    points: int = 0
    finished: bool = False
    digest: str | None = None
    best: float | None = None
    artifact: str | None = None


@dataclass
class Crowd:
    """A folder with a store, and everything that its processes were told."""

    folder: Path
    chance: random.Random
    told: dict[str, Told] = field(default_factory=dict)
    landed: Counter[str] = field(default_factory=Counter)
    processes: int = 0

    @property
    def store(self) -> Path:
        return self.folder / ".pytest_mlrun"

    def start(self, *, script: bool, pipe: int) -> subprocess.Popen[str]:
        """Start a session, or a script that records; what it is told goes to files of its own."""
        self.processes += 1
        base = self.folder / f"acks-{self.processes}"
        base.with_suffix(".points").write_bytes(bytes(8 * RUNS))
        environment = session_child.environment() | {"MLRUN_CRASH_ACKS": str(base), "MLRUN_CRASH_PIPE": str(pipe)}
        arguments = (
            [session_child.__file__, "runs", str(self.store), "0", str(RUNS)] if script else list(session_child.PYTEST)
        )
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=environment,
            pass_fds=(pipe,),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def kill_in(self, phase: str, *, script: bool) -> bool:
        """Kill a process at a random instant of a phase; say whether it was still alive."""
        reading, writing = os.pipe()
        occurrence = 1 if phase in ONCE else self.chance.randrange(1, RUNS + 1)
        with self.start(script=script, pipe=writing) as process:
            os.close(writing)
            seen = read_until(reading, b"" if phase == "launch" else session_child.PHASES[phase], occurrence)
            try:
                process.wait(timeout=self.chance.uniform(0, SPAN_S[phase]))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
            process.communicate()
        rest = os.read(reading, 1 << 16)
        os.close(reading)
        self.hear()
        if process.returncode != -signal.SIGKILL:
            return False
        last = (seen + rest)[-1:]
        self.landed[LETTERS[last] if last else "launch"] += 1
        return True

    def heal(self) -> None:
        """Let one session end: it recovers what the others left."""
        reading, writing = os.pipe()
        with self.start(script=False, pipe=writing) as process:
            os.close(writing)
            output, _ = process.communicate(timeout=120)
        os.close(reading)
        assert process.returncode == 0, output
        self.hear()

    def hear(self) -> None:
        """Take in what the last process was told."""
        base = self.folder / f"acks-{self.processes}"
        points = struct.unpack(f"<{RUNS}q", base.with_suffix(".points").read_bytes())
        lines = base.with_suffix(".lines")
        for line in lines.read_text().splitlines() if lines.exists() else []:
            kind, run_id, fact = json.loads(line)
            if kind == "start":
                self.told[run_id] = Told(fact, points[fact])
            elif kind == "metric":
                self.told[run_id].best = fact
            elif kind == "artifact":
                self.told[run_id].artifact = fact
            elif kind == "finish":
                self.told[run_id].finished, self.told[run_id].digest = True, fact

    def check(self, *, healed: bool) -> None:
        """Compare what the store shows with what calls returned from."""
        if not (self.store / "mlrun.json").exists():
            assert self.told == {}
            return
        reader = pytest_mlrun.open_store(self.store)
        runs = reader.runs()
        by_id = {run.run_id: run for run in runs}
        assert len(by_id) == len(runs), "a run is doubled"
        assert set(self.told) <= set(by_id), "a run is lost"
        # Its start was written, but the process died before it could say so.
        assert len(by_id) - len(self.told) <= self.landed.total()
        assert {run.status for run in runs} <= {"finished", "orphaned"} | (set() if healed else {"running"})
        for run_id, told in self.told.items():
            check_run(reader, by_id[run_id], told)


def check_run(reader: Reader, run: pytest_mlrun.RunRecord, told: Told) -> None:
    if told.finished:
        assert (run.status, run.outcome) == ("finished", "passed")
        assert told.digest in {None, run.digest}
    assert run.params["number"] == str(told.number)
    if told.points:
        series = reader.series(run.run_id, "loss")
        # One more point may be there: its call was on the way back when the process died.
        assert told.points <= len(series) <= told.points + 1
        assert series.steps.tolist() == list(range(len(series)))
        assert np.array_equal(series.values, session_child.values_of(told.number, len(series)))
    if told.best is not None:
        assert run.metrics["best"] == told.best
    if told.artifact is not None:
        assert [artifact.digest for artifact in run.artifacts if artifact.name == "note.txt"] == [told.artifact]
        assert reader.read_artifact(run, "note.txt").decode() == session_child.note_of(told.number, run.run_id)


def read_until(pipe: int, letter: bytes, occurrence: int) -> bytes:
    """Read announcements until the wanted one came, or the process is gone."""
    seen = b""
    while letter and seen.count(letter) < occurrence:
        more = os.read(pipe, 1)
        if not more:
            break
        seen += more
    return seen


def phases_in_random_order(chance: random.Random) -> list[str]:
    phases = [phase for phase in SPAN_S if phase != "recovery"]
    chance.shuffle(phases)
    # There must be something to recover.
    phases.insert(chance.randrange(phases.index("logging") + 1, len(phases) + 1), "recovery")
    return phases


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(26))
def test_sessions_killed_at_random_instants_lose_and_double_nothing(tmp_path: Path, seed: int) -> None:
    crowd = Crowd(tmp_path, random.Random(seed))
    (tmp_path / "test_train.py").write_text(TESTS)
    for at, phase in enumerate(phases_in_random_order(crowd.chance), start=1):
        while crowd.landed.total() < at:
            script = phase in {"begin", "logging", "artifact", "finish"} and crowd.chance.random() < 0.4
            crowd.kill_in(phase, script=script)
            crowd.check(healed=False)

    crowd.heal()

    crowd.check(healed=True)
    assert session_child.verify(crowd.store).stdout.startswith("every digest holds")
    assert list((crowd.store / "live").iterdir()) == []
    assert crowd.landed.total() == KILLS


def test_a_kill_between_an_artifact_and_its_object_is_no_damage(tmp_path: Path) -> None:
    script = """
import os, signal, pytest_mlrun
from pytest_mlrun.store.objects import Objects

with pytest_mlrun.record(experiment="crash", store="store") as run:
    run.log_text("kept", "first.txt")
    Objects.publish = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    run.log_text("never published", "second.txt")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=session_child.environment(), check=False, timeout=60
    )
    assert done.returncode == -signal.SIGKILL
    before = session_child.verify(tmp_path / "store")

    (run,) = Store.open(tmp_path / "store").recover()

    assert before.stdout.startswith("every digest holds: 1 run")
    assert [artifact.name for artifact in run.artifacts if artifact.role == "artifact"] == ["first.txt"]
    assert session_child.verify(tmp_path / "store").stdout.startswith("every digest holds: 1 run")
