"""A bit that flips on the disk is named by ``verify``, and never becomes a number that somebody reads."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_mlrun.cli import main
from pytest_mlrun.cli.console import Console
from pytest_mlrun.errors import StoreDamagedError
from pytest_mlrun.records.identity import now_us
from pytest_mlrun.records.retention import Fate, Fates
from pytest_mlrun.records.run import Artifact, RunEnd, RunRecord, RunStart
from pytest_mlrun.records.verdict import Verdict
from pytest_mlrun.report.plain import json_line
from pytest_mlrun.store.collection import collect
from pytest_mlrun.store.layout import LogFiles
from pytest_mlrun.store.reader import Reader
from pytest_mlrun.store.store import Store
from pytest_mlrun.store.verify import verify_store


def record_runs(store: Store, *, unfinished: bool) -> LogFiles:
    """Record two runs that finish, and perhaps one that does not; the writer's lock is let go as by a kill."""
    writer = store.writer(session_id="s")
    for number in range(3 if unfinished else 2):
        run_id = f"01920000-0000-7000-8000-{number:012x}"
        start = RunStart(run_id, "s", "churn", f"run-{number}", "test_a.py::test", params={"lr": "0.1", "depth": "3"})
        writer.start(start)
        writer.tags(run_id, {"team": "läufe"})
        staged = store.objects.stage_bytes(b"weights" * 9)
        writer.artifact(run_id, Artifact("model.bin", staged.digest, staged.size_bytes, role="model"))
        store.objects.publish(staged)
        loss, auc = writer.channels(run_id, ("loss", "val_auc"))
        for step in range(40):
            writer.append(loss, 1 / (step + 1), step)
        writer.append(auc, 0.75 + number / 8, None)
        writer.gate(run_id, Verdict("floor", "val_auc", "PASS", calibrated=False, estimate=0.75, bound=0.5))
        if number < 2:
            writer.finish(run_id, RunEnd("finished", "passed"))
    if unfinished:
        writer.close()
    else:
        writer._shut()
        writer._file_lock.release()
    return LogFiles(store.path, writer.log)


@dataclass(frozen=True)
class Told:
    """What the program and the reader say of a store."""

    verified: int
    findings: str
    listed: int
    runs: dict[str, str]
    shown: dict[str, tuple[int, str]]
    series: dict[tuple[str, str], list[tuple[int, float]] | None]


Ask = Callable[[Path], Told]
RUN_IDS = tuple(f"01920000-0000-7000-8000-{number:012x}" for number in range(2))


def call(store: Path, *words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    console = Console(
        out=out, err=err, width=None, colour=False, live=False, folder=store.parent, environ={}, now_us=1 << 50
    )
    code = main(["--store", str(store), *words], console=console)
    return code, out.getvalue(), err.getvalue()


def read_series(reader: Reader, run_id: str, name: str) -> list[tuple[int, float]] | None:
    try:
        series = reader.series(run_id, name)
    except StoreDamagedError:
        return None
    return list(zip(series.steps.tolist(), series.values.tolist(), strict=True))


def ask_program(store: Path) -> Told:
    verified, *findings = call(store, "verify")
    listed, lines, _ = call(store, "runs", "--json")
    runs = {json.loads(line)["run_id"]: line for line in lines.splitlines()}
    return Told(
        verified,
        "".join(findings),
        listed,
        runs,
        {run_id: call(store, "show", run_id, "--json")[:2] for run_id in RUN_IDS},
        {(run_id, "loss"): read_series(Reader(store), run_id, "loss") for run_id in RUN_IDS},
    )


def ask_library(path: Path) -> Told:
    """Ask what the program is asked, in the same order, but not by way of its command line."""
    store = Store.open(path)
    findings = verify_store(store)
    store.recover()
    listing, curves = Reader(path), Reader(path)  # each as new as a program's: one reader remembers what is damaged
    runs = {run.run_id: json_line(run) for run in listing.runs()}
    return Told(
        3 if findings else 0,
        "".join(f"  where: {finding.path}\n" for finding in findings),
        3 if listing.damaged() else 0,
        runs,
        {},
        {(run_id, "loss"): read_series(curves, run_id, "loss") for run_id in RUN_IDS},
    )


def check(truth: Told, told: Told, path: Path) -> None:
    """Nothing differs silently: each answer is the true one, or a refusal."""
    assert told.verified in {0, 3}
    assert told.listed == 3 or told.runs == truth.runs
    if told.verified:
        assert f"  where: {path}\n" in told.findings
    else:
        assert told == truth
    for run_id in RUN_IDS:
        line = told.runs.get(run_id)
        assert line is None or recorded(line) == recorded(truth.runs[run_id])
        code, text = told.shown.get(run_id, (3, ""))
        assert (code, text) == truth.shown.get(run_id) or code == 3
        assert text == "" or recorded(text) == recorded(truth.runs[run_id])
        assert told.series[run_id, "loss"] in (truth.series[run_id, "loss"], None)


def recorded(line: str) -> dict[str, object]:
    """Read what a run recorded, without the tag that was added later: whoever loses that says so by its exit."""
    record: dict[str, object] = json.loads(line)
    record.pop("annotations", None)
    tags = record["tags"]
    assert isinstance(tags, dict)
    tags.pop("checked", None)
    return record


def flips(path: Path, *, every: int) -> Iterator[int]:
    """Flip a bit of every so many bytes, one after the other; afterwards the file is as it was."""
    whole = path.read_bytes()
    path.parent.chmod(0o755)
    path.chmod(0o644)
    for at in range(0, len(whole), every):
        # A new file: readers map the old one.
        path.unlink()
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << at % 8)]) + whole[at + 1 :])
        yield at
    path.unlink()
    path.write_bytes(whole)


def keep_all(runs: Sequence[RunRecord], _: AbstractSet[str]) -> Fates:
    return Fates({run.run_id: Fate("kept", kept=True) for run in runs})


def check_sealed(folder: Path, pattern: str, *, every: int, ask: Ask = ask_program) -> int:
    store = Store.open(folder / "store", create=True)
    record_runs(store, unfinished=False)
    store.recover()
    store.annotate(RUN_IDS[0], tags={"checked": "yes"}, note="looked at", who="Ada")
    store.objects.put_bytes(b"nobody's")
    collect(store.path, keep_all, who="Ada", now_us=now_us(), delete=True)
    truth = ask(store.path)
    assert (truth.verified, truth.listed, len(truth.runs)) == (0, 0, 2)
    (path,) = store.path.glob(pattern)
    noticed = 0
    for _ in flips(path, every=every):
        told = ask(store.path)
        check(truth, told, path)
        noticed += told.verified == 3
    assert ask(store.path) == truth
    return noticed


SEALED = (
    ("mlrun.json", ask_program),
    ("seg/*.arrow", ask_library),
    ("pts/*.arrow", ask_library),
    ("objects/*/*", ask_program),
    ("annotations/*.json", ask_program),
    ("tombstones/*.json", ask_program),
)


@pytest.mark.parametrize(
    ("pattern", "every"), [("mlrun.json", 5), ("seg/*.arrow", 461), ("pts/*.arrow", 89), ("annotations/*.json", 20)]
)
def test_a_flipped_bit_of_a_sealed_file_is_named_and_never_read(tmp_path: Path, pattern: str, every: int) -> None:
    assert check_sealed(tmp_path, pattern, every=every) > 10


def test_a_flipped_bit_of_an_object_is_named(tmp_path: Path) -> None:
    assert check_sealed(tmp_path, "objects/*/*", every=7) == 9


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("pattern", "ask"), SEALED)
def test_every_byte_of_a_sealed_file_is_guarded(memory_path: Path, pattern: str, ask: Ask) -> None:
    assert check_sealed(memory_path, pattern, every=1, ask=ask) > 60


def check_log(folder: Path, *, every: int, ask: Ask = ask_program) -> int:
    """Flip bits of a dead process's log: first it is only looked at, then recovered by the first verb that may."""
    store = Store.open(folder / "store", create=True)
    files = record_runs(store, unfinished=False)
    copy = shutil.copytree(store.path, folder / "copy")
    truth = ask(copy)  # recovers
    noticed = 0
    for _ in flips(files.events, every=every):
        shutil.rmtree(copy)
        shutil.copytree(store.path, copy)
        first, later = ask(copy), ask(copy)  # verify, recover, verify again
        check_recovered(truth, first, later, LogFiles(copy, files.log))
        noticed += first.verified == 3
    return noticed


def check_recovered(truth: Told, first: Told, later: Told, files: LogFiles) -> None:
    if first.verified == 0:
        assert later == truth
        return
    assert f"  where: {files.events}\n" in first.findings
    assert f"  where: {files.damaged}\n" in later.findings
    assert (first.listed, later.verified, later.listed) == (3, 3, 3)
    for run_id in RUN_IDS:
        line = later.runs.get(run_id)
        status = json.loads(line)["status"] if line else "lost"
        # What lost its end is orphaned, with every point; what lost anything else is not shown at all.
        assert line == truth.runs[run_id] or status in {"orphaned", "lost"}
        assert later.series[run_id, "loss"] in (truth.series[run_id, "loss"], None)


def test_a_flipped_bit_of_a_log_is_named_before_and_after_recovery(tmp_path: Path) -> None:
    assert check_log(tmp_path, every=997) > 5


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_byte_of_a_log_is_guarded(memory_path: Path) -> None:
    assert check_log(memory_path, every=13, ask=ask_library) > 300
