"""Many processes that record at once, and many threads, lose nothing; who reads meanwhile sees the store grow."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import pytest_mlrun
from tests.crash import session_child

WRITERS = 8


class Watcher:
    """Read a store again and again, and remember the most that was seen of every run."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._reader = pytest_mlrun.open_store(store)
        self.seen: dict[str, pytest_mlrun.RunRecord] = {}
        self.looks = 0

    def look(self) -> None:
        # One reader keeps what it opened, the other begins anew: both must see everything there is.
        for reader in (self._reader, pytest_mlrun.open_store(self._store)):
            runs = reader.runs()
            now = {run.run_id: run for run in runs}
            assert len(now) == len(runs), "a run is shown twice"
            assert set(self.seen) <= set(now), "a run vanished"
            for run_id, before in self.seen.items():
                check_forward(before, now[run_id])
            self.seen = now
            self.looks += 1
            assert reader.damaged() == ()


def check_forward(before: pytest_mlrun.RunRecord, after: pytest_mlrun.RunRecord) -> None:
    if before.status == "running":
        assert after.status in {"running", "finished"}
        assert set(before.metrics) <= set(after.metrics)
    else:
        assert after == before


@pytest.mark.parametrize("count", [10, pytest.param(200, marks=pytest.mark.slow)])
def test_eight_processes_on_a_new_store_lose_nothing_while_others_read(tmp_path: Path, count: int) -> None:
    store = tmp_path / "store"
    (tmp_path / "mlrun.toml").write_text("")
    writers = [
        subprocess.Popen(
            [sys.executable, session_child.__file__, "short", str(store), str(writer), str(count)],
            cwd=tmp_path,
            env=session_child.environment(),
        )
        for writer in range(WRITERS)
    ]
    while not (store / "mlrun.json").exists() and any(writer.poll() is None for writer in writers):
        pass

    watcher = Watcher(store)
    while any(writer.poll() is None for writer in writers):
        watcher.look()
    watcher.look()

    assert [writer.wait() for writer in writers] == [0] * WRITERS
    runs = pytest_mlrun.open_store(store).runs()
    found = Counter((int(run.params["writer"]), int(run.params["number"]), run.metrics["loss"]) for run in runs)
    assert found == Counter((at, number, at + number / 1000) for at in range(WRITERS) for number in range(count))
    assert {run.status for run in runs} == {"finished"}
    assert watcher.looks > WRITERS
    assert session_child.verify(store).returncode == 0


def test_eight_threads_lose_none_of_ten_thousand_points_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = ("loss", "accuracy", "f1", "grad_norm")
    begin = threading.Barrier(8)

    def work(run: pytest_mlrun.Run, thread: int) -> None:
        begin.wait()
        for step in range(10_000):
            run.log_metric(names[step % 4], thread + step / 16384, step=thread * 10_000 + step)

    with pytest_mlrun.record(experiment="threads", store=tmp_path / "store") as run:
        threads = [threading.Thread(target=work, args=(run, number)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    reader = pytest_mlrun.open_store(tmp_path / "store")
    for at, name in enumerate(names):
        series = reader.series(run.id, name)
        order = np.argsort(series.steps)
        steps = np.array([number for number in range(80_000) if number % 10_000 % 4 == at])
        assert series.steps[order].tolist() == steps.tolist()
        assert np.array_equal(series.values[order], steps // 10_000 + steps % 10_000 / 16384)
    (record,) = reader.runs()
    assert sum(int(text.partition(":")[0]) for text in record.series.values()) == 80_000
