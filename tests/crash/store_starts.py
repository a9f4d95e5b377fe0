"""Make the stores from which every death of the matrix starts, and tell all that can be read of one."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pytest_mlrun.errors import ArtifactError, StoreDamagedError
from pytest_mlrun.records.identity import new_id
from pytest_mlrun.records.run import RunEnd, RunRecord, RunStart
from pytest_mlrun.store.bundle_write import export_run
from pytest_mlrun.store.reader import Reader
from pytest_mlrun.store.store import Store
from tests.crash.store_jobs import KILLED, Server, copy_folder, read_trace

BEGUN = "000000ff-0000-7000-8000-000000000001"


@dataclass(frozen=True)
class Action:
    """Something that writes a store: a verb of the server's, and where it starts."""

    verb: str
    start: Path
    facts: Mapping[str, str | int] = field(default_factory=dict)

    def do(self, server: Server, folder: Path, **facts: str | int) -> list[int]:
        return server(self.verb, folder, **self.facts, **facts)


@dataclass(frozen=True)
class Told:
    """What a store says of a run."""

    ended: bool
    row: tuple[object, ...]
    artifacts: Mapping[str, bytes | None]


def run_of(nonce: int) -> str:
    return f"{nonce:08x}-0000-7000-8000-000000000001"


def tell(folder: Path) -> dict[str, Told]:
    """Read everything; an artifact is None where somebody took it away on purpose, a series where it is damaged."""
    reader = Reader(folder / "store")
    found = {}
    runs = reader.runs()
    for run in runs:
        ended = not run.status.startswith("running")
        row = (run.name, run.status if ended else "", run.digest if ended else "", run.params, run.tags, run.metrics)
        series = {name: read_series(reader, run, name) for name in run.series}
        artifacts = {artifact.name: read_artifact(reader, run, artifact.name) for artifact in run.artifacts}
        found[run.run_id] = Told(ended, (*row, series), artifacts)
    assert len(found) == len(runs), "a run is doubled"
    return found


def read_series(reader: Reader, run: RunRecord, name: str) -> list[float] | None:
    try:
        values: list[float] = reader.series(run.run_id, name).values.tolist()
    except StoreDamagedError:
        return None
    return values


def read_artifact(reader: Reader, run: RunRecord, name: str) -> bytes | None:
    try:
        return reader.read_artifact(run, name)
    except ArtifactError:
        return None


def check_between(told: Mapping[str, Told], before: Mapping[str, Told], after: Mapping[str, Told]) -> None:
    """Of each run there is what was there before or what will be: nothing less, nothing else."""
    assert before.keys() <= told.keys() <= before.keys() | after.keys()
    for run_id, now in told.items():
        either = [one[run_id] for one in (before, after) if run_id in one]
        assert now.row in [one.row for one in either]
        for name, content in now.artifacts.items():
            assert content in [one.artifacts.get(name) for one in either]


def kill_at(server: Server, verb: str, folder: Path, step: str, **facts: str | int) -> None:
    """Kill a job at the first time that it reaches a step."""
    rehearsal = copy_folder(folder, folder.with_name(f"{folder.name}-{new_id()}"))
    assert server(verb, rehearsal, **facts) == [0]
    last = read_trace(rehearsal).index(step) + 1
    shutil.rmtree(rehearsal)
    assert server(verb, folder, last=last, **facts) == KILLED


def pin(folder: Path, run_id: str) -> None:
    Store.open(folder / "store").annotate(run_id, tags={"keep": "yes"}, note="", who="ada")


def make_other(server: Server, folder: Path, mine: Path) -> Path:
    """A store that has what the other lacks: runs, the end of a run, tags, and what was collected or left out here."""
    folder.mkdir()
    for nonce in (11, 12):
        assert server("everything", folder, nonce=nonce) == [0]
    pin(folder, run_of(11))
    assert server("gc", folder) == [0]
    bundle = make_bundle(server, folder.with_name("third"), nonce=13)
    assert server("import", folder, other=str(bundle)) == [0]
    store = Store.open(folder / "store")
    writer = store.writer(session_id="s")
    writer.start(RunStart(BEGUN, "s", "crash", "begun", "test_crash.py::test"))
    writer.append(writer.channel(BEGUN, "loss"), 0.5, 0)
    copy = folder.with_name("copy")
    shutil.copytree(store.path, copy, ignore=shutil.ignore_patterns("*.lock"))
    Store.open(copy).recover()
    for path in (copy / "seg").iterdir():
        if BEGUN.encode() in path.read_bytes():
            shutil.copy(path, mine / "store" / "seg")
            shutil.copy(copy / "pts" / path.name, mine / "store" / "pts")
    writer.finish(BEGUN, RunEnd("finished", "passed"))
    writer.close()
    return store.path


def make_bundle(server: Server, folder: Path, *, nonce: int) -> Path:
    """A run without its artifacts, and with a tag that was added later."""
    folder.mkdir(exist_ok=True)
    assert server("everything", folder, nonce=nonce) == [0]
    pin(folder, run_of(nonce))
    bundle = folder / f"{nonce}.mlrun"
    export_run(folder / "store", run_of(nonce), bundle, choice="none")
    return bundle


def make_start(server: Server, folder: Path) -> Path:
    """A store in which compactions, collections and processes that recorded were killed."""
    folder.mkdir()
    for nonce in (1, 2, 3):
        assert server("everything", folder, nonce=nonce) == [0]
        (folder / "trace").write_text("")
    pin(folder, run_of(1))
    kill_at(server, "compact", folder, "install.seg.after-rename")
    assert server("everything", folder, nonce=4) == [0]
    kill_at(server, "gc", folder, "gc.all-taken")
    pin(folder, run_of(4))  # what is aside is wanted after all
    assert server("everything", folder, nonce=7) == [0]
    assert server("work", folder, nonce=5) == [0]  # leaves a log with a run that never ended
    store = folder / "store"
    (store / "tmp" / "compact.seg").write_bytes(b"half a segment")
    series = next((store / "pts").glob("*.arrow"))
    shutil.copy(series, series.with_name(f"{new_id()}.arrow"))  # of a merge that never came to its segment
    return folder


def make_damaged(server: Server, folder: Path, start: Path) -> Path:
    """A store of one segment and its series, both damaged, and of another that is no segment any more."""
    copy_folder(start, folder)
    assert server("heal", folder) == [0]
    (segment,), (series,) = (folder / "store" / "seg").iterdir(), (folder / "store" / "pts").iterdir()
    for path, at in ((segment, segment.read_bytes().rindex(b"run-2")), (series, series.stat().st_size // 2)):
        content = bytearray(path.read_bytes())
        content[at] ^= 1
        path.write_bytes(content)
    assert server("everything", folder, nonce=6) == [0]
    (new,) = set((folder / "store" / "seg").iterdir()) - {segment}
    new.write_bytes(b"?" * new.stat().st_size)
    return folder


def make_actions(server: Server, folder: Path) -> dict[str, Action]:
    """Everything that writes a store, but for what records."""
    start = make_start(server, folder / "start")
    other = make_other(server, folder / "other", start)
    bundle = make_bundle(server, folder / "fourth", nonce=14)
    damaged = make_damaged(server, folder / "damaged", start)
    return {
        "recover": Action("recover", start),
        "compact": Action("compact", start),
        "gc": Action("gc", start),
        "merge": Action("union", start, {"other": str(other)}),
        "import": Action("import", start, {"other": str(bundle)}),
        "annotate": Action("annotate", start),
        "quarantine": Action("quarantine", damaged),
        "quarantine without links": Action("quarantine", damaged, {"no_links": 1}),
    }
