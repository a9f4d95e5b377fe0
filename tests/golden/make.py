"""Make a golden store, once for each format and never again: ``python tests/golden/make.py tests/golden/0.1``."""

from __future__ import annotations

import sys
from pathlib import Path
from unittest.mock import patch

from pytest_mlrun.records.run import Artifact, RunEnd, RunStart
from pytest_mlrun.records.verdict import Verdict
from pytest_mlrun.store import writer as writer_module
from pytest_mlrun.store.segment import decode_runs, open_segment, write_segment
from pytest_mlrun.store.store import Store
from pytest_mlrun.store.writer import LogWriter

_POINTS_KEPT = 4_096
"""Bytes of the points file that are kept: the rest of it was never written."""


def _start(writer: LogWriter, number: int, name: str, **fields: object) -> str:
    run_id = f"01a0{number:04x}-0000-7000-8000-{number:012x}"
    start = RunStart(run_id, "01a00000-0000-7000-8000-00000000000a", "golden", name, "tests/test_a.py::test")
    for field, value in fields.items():
        object.__setattr__(start, field, value)
    writer.start(start)
    return run_id


def _log(writer: LogWriter, run_id: str, name: str, values: list[float], *, steps: bool = True) -> None:
    channel = writer.channel(run_id, name)
    for step, value in enumerate(values):
        writer.append(channel, value, step - 1 if steps else None)


def _put(store: Store, writer: LogWriter, run_id: str, name: str, content: bytes) -> None:
    staged = store.objects.stage_bytes(content)
    writer.artifact(run_id, Artifact(name, staged.digest, staged.size_bytes, media_type="text/plain", role="model"))
    store.objects.publish(staged)


def _make_odd_values(store: Store) -> str:
    writer = store.writer(session_id="01a00000-0000-7000-8000-00000000000a")
    run_id = _start(writer, 1, 'läufe \N{ROCKET}[a"b\\c]', params={"lr": "0.1", "model": '{"$callable":"a.b"}'})
    writer.params(run_id, {"späte": "1e-07", "big": str(2**70), "nothing": "null"})
    writer.tags(run_id, {"team": "läufe", "\U0001f600": "after \ue000", "control": 'a\x01\x1f\t\n"\\'})
    writer.context(run_id, {"code.commit": '"0123"', "host.cores": "2"})
    _log(writer, run_id, "loss", [0.5, float("nan"), float("inf"), float("-inf"), -0.0, 5e-324, 1e308])
    _log(writer, run_id, "val_auc", [0.1, 0.2, 0.925], steps=False)
    _log(writer, run_id, "not a number", [float("nan")], steps=False)
    floor = Verdict("floor", "val_auc", "PASS", calibrated=False, estimate=0.925, bound=0.9, n=400, primary=True)
    writer.gate(run_id, floor)
    writer.gate(run_id, Verdict("ceiling", "loss", "FAIL", calibrated=True, estimate=float("nan"), p=0.01, reason="é"))
    _put(store, writer, run_id, "model.txt", b"weights\n")
    _put(store, writer, run_id, "empty.txt", b"")
    writer.finish(run_id, RunEnd("finished", "failed", cause="gate", error="AssertionError: no\n  at all"))
    writer.close()
    return run_id


def _make_orphan(store: Store) -> None:
    writer = store.writer(session_id="01a00000-0000-7000-8000-00000000000a")
    child = _start(writer, 3, "child", parent_id="01a00001-0000-7000-8000-000000000001", attempt=2, case="16-0.1")
    _log(writer, child, "loss", [3.0, 2.0, 1.0])
    orphan = _start(writer, 2, "orphan")
    _log(writer, orphan, "loss", [4.0])
    writer.finish(child, RunEnd("finished", "passed"))
    writer.seal()


def _replace_segments(store: Store) -> None:
    """Join the first segments into one, as a compaction does that is killed before it removes them."""
    paths = sorted((store.path / "seg").glob("*.arrow"))
    opened = [open_segment(path) for path in paths]
    records = [record for segment in opened for batch in segment.batches for record in decode_runs(batch)]
    replaces = [name for segment in opened for name in (segment.id, *segment.facts.replaces)]
    series = [name for segment in opened for name in segment.facts.series]
    write_segment(
        store.path / "seg" / "01a0ffff-0000-7000-8000-000000000001.arrow",
        sorted(records, key=lambda record: record.run_id),
        replaces=tuple(replaces),
        series=tuple(series),
    )


def _make_live(store: Store) -> None:
    writer = store.writer(session_id="01a00000-0000-7000-8000-00000000000b")
    done = _start(writer, 5, "done, not sealed", params={"depth": "3"})
    _log(writer, done, "loss", [1.0, 0.5, float("nan")])
    _log(writer, done, "val_auc", [0.75], steps=False)
    writer.gate(done, Verdict("floor", "val_auc", "PASS", calibrated=False, estimate=0.75, bound=0.5))
    _put(store, writer, done, "model.txt", b"other weights\n")
    writer.finish(done, RunEnd("finished", "passed"))
    under_way = _start(writer, 6, "under way")
    _log(writer, under_way, "loss", [8.0, 4.0, 2.0])
    _log(writer, under_way, "lr", [0.125], steps=False)
    folder = store.path / "live"
    points = (folder / f"{writer.log}.points").read_bytes()[:_POINTS_KEPT]
    events = (folder / f"{writer.log}.arrows").read_bytes()
    log = writer.log
    writer.seal()
    for path in (store.path / "seg" / f"{log}.arrow", store.path / "pts" / f"{log}.arrow"):
        path.unlink()
    folder.mkdir(exist_ok=True)
    (folder / f"{log}.points").write_bytes(points)
    (folder / f"{log}.arrows").write_bytes(events)
    (folder / f"{log}.lock").touch()


def main(folder: Path) -> None:
    """Make the store."""
    # As if on a machine that nobody has: its process can be known neither to live nor to be dead.
    about = {"host": "golden", "boot": "golden", "pid": 1, "session_id": "", "version": "0.1.0"}
    with patch.object(writer_module, "describe_writer", lambda _: about):
        _fill(Store.open(folder, create=True))
    for leftover in (folder / ".gitignore", folder / "create.lock"):
        leftover.unlink(missing_ok=True)


def _fill(store: Store) -> None:
    first = _make_odd_values(store)
    _make_orphan(store)
    _replace_segments(store)
    writer = store.writer(session_id="01a00000-0000-7000-8000-00000000000b")
    writer.finish(_start(writer, 4, "empty"), RunEnd("killed", "error", cause="timeout", cause_detail="after 60 s"))
    writer.close()
    store.annotate(first, tags={"team": "red", "stage": "läuft"}, note="looked at", who="Ada <ada@example.com>")
    store.annotate(first, tags={"team": "blue"}, note="", who="Bob")
    _make_live(store)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
