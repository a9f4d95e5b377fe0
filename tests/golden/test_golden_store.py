"""A store of every released format is read for ever, and by a program that knows the format only from its page."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_mlrun.records.run import Artifact, RunEnd, RunStart
from pytest_mlrun.store.reader import Reader
from pytest_mlrun.store.store import Store
from pytest_mlrun.store.verify import verify_store
from pytest_mlrun.store.writer import LogWriter

HERE = Path(__file__).parent
LONG = 65_536 + 3
"""Points of a curve: a row of a series file holds 65 536 of them."""
FORMATS = {"0.1": "f432389cf346031ff6b9fba3a61609d3d9e7a37822d9d6322e257ca27026c265"}


def tree_digest(folder: Path) -> str:
    whole = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        whole.update(
            f"{path.relative_to(folder).as_posix()} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode()
        )
    return whole.hexdigest()


def read_independently(store: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-W", "error", str(HERE / "read_store.py"), str(store)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def as_told(store: Path) -> dict[str, dict[str, Any]]:
    """Say in the independent reader's form what the package reads."""
    reader = Reader(store)
    return {
        run.run_id: {
            "name": run.name,
            "metrics": dict(run.metrics),
            "series": dict(run.series),
            "curves": {name: read_curve(reader, run.run_id, name) for name in run.series},
            "tags": dict(run.tags),
        }
        | ({} if run.status == "running?" else {"digest": run.digest, "status": run.status})
        for run in reader.runs()
    }


def read_curve(reader: Reader, run_id: str, name: str) -> list[list[float]]:
    points = reader.series(run_id, name)
    columns = (points.steps.tolist(), points.times_us.tolist(), points.values.tolist())
    return [list(point) for point in zip(*columns, strict=True)]


def exactly(value: object) -> str:
    return json.dumps(value, sort_keys=True)  # NaN equals NaN, and -0.0 is not 0.0


@pytest.fixture(params=list(FORMATS))
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return Path(shutil.copytree(HERE / str(request.param), tmp_path / "store"))


@pytest.mark.parametrize("version", list(FORMATS))
def test_a_golden_store_is_never_made_again(version: str) -> None:
    assert tree_digest(HERE / version) == FORMATS[version]


def test_an_independent_reader_recomputes_every_digest_and_reads_what_the_package_reads(golden: Path) -> None:
    found = read_independently(golden)

    assert (found.returncode, found.stderr) == (0, "")
    assert exactly(json.loads(found.stdout)) == exactly(as_told(golden))
    assert "pytest_mlrun" not in (HERE / "read_store.py").read_text(encoding="utf-8")


def test_the_independent_reader_reads_curves_of_several_parts_compacted_and_in_a_log(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store", create=True)
    record_curve(store, 0, LONG).seal()
    record_curve(store, 1, 3).seal()
    compaction = store.compact()
    record_curve(store, 2, 3).seal()
    writer = record_curve(store, 3, LONG)

    found = read_independently(store.path)
    told = json.loads(found.stdout)
    writer.close()

    assert compaction is not None
    assert (compaction.before.segments, compaction.after.segments) == (2, 1)
    assert (found.returncode, found.stderr) == (0, "")
    assert [len(run["curves"]["loss"]) for run in told.values()] == [LONG, 3, 3, LONG]
    assert exactly(told) == exactly(as_told(store.path))


def record_curve(store: Store, number: int, points: int) -> LogWriter:
    """Record a run with a curve, and with an artifact that the run let go of."""
    writer = store.writer(session_id="s")
    run_id = f"01920000-0000-7000-8000-{number:012x}"
    writer.start(RunStart(run_id, "s", "golden", f"run-{number}", "test_a.py::test"))
    for name in ("lost", "model"):
        staged = store.objects.stage_bytes(name.encode())
        writer.artifact(run_id, Artifact(name, staged.digest, staged.size_bytes, role="checkpoint"))
        store.objects.publish(staged)
    writer.drop(run_id, "lost")
    loss = writer.channel(run_id, "loss")
    for step in range(points):
        writer.append(loss, step / 7, step)
    writer.append(writer.channel(run_id, "val_auc"), 0.5, None)
    writer.finish(run_id, RunEnd("finished", "passed"))
    return writer


def test_the_package_reads_it_and_finds_it_intact(golden: Path) -> None:
    store = Store.open(golden)
    runs = {run.name.partition(" ")[0]: run for run in store.reader().runs()}

    assert list(verify_store(store)) == []
    assert {name: run.status for name, run in runs.items()} == {
        "läufe": "finished",
        "orphan": "orphaned",
        "child": "finished",
        "empty": "killed",
        "done,": "finished",
        "under": "running?",
    }
    assert math.isnan(runs["läufe"].metrics["not a number"])
    assert (runs["läufe"].tags["team"], runs["läufe"].tags["stage"]) == ("blue", "läuft")
    assert store.reader().read_artifact(runs["läufe"], "model.txt") == b"weights\n"
    assert store.reader().table("gates", columns=["decision"]).num_rows == 3


@pytest.mark.parametrize("pattern", ["seg/01a0ffff*", "pts/*", "live/*.arrows", "annotations/*", "objects/1b/*"])
def test_the_independent_reader_refuses_what_is_not_as_it_was_written(golden: Path, pattern: str) -> None:
    path = next(iter(sorted(golden.glob(pattern))))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(bytes(content))

    assert read_independently(golden).returncode == 1
