"""``merge``, ``export``, ``import`` and ``verify FILE`` move runs between stores, and say what they did."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_mlrun.cli import main
from pytest_mlrun.cli.console import Console
from pytest_mlrun.records.run import Artifact, RunRecord, RunStart
from pytest_mlrun.store.store import Store

MakeRun = Callable[..., RunRecord]
WriteRuns = Callable[..., Path]
MakeConsole = Callable[..., Console]


@pytest.fixture
def store(make_run: MakeRun, write_runs: WriteRuns, tmp_path: Path) -> Path:
    """Two runs; the first has a model and labels."""
    objects = Store.open(tmp_path / ".pytest_mlrun", create=True).objects
    artifacts = []
    for name, role, content in (("labels/val.arrow", "labels", b"l" * 1500), ("model.skops", "model", b"model")):
        digest, size_bytes = objects.put_bytes(content)
        artifacts.append(Artifact(name, digest, size_bytes, role=role))
    runs = [make_run("a", metrics={"auc": 0.5}, artifacts=tuple(artifacts)), make_run("b")]
    return write_runs(runs, curves={"a": {"loss": [1.0, 2.0]}})


@pytest.fixture
def call(make_console: MakeConsole) -> Callable[..., tuple[int, str, str]]:
    """Run the program; return exit code and what it wrote to its two streams."""

    def run(*arguments: str) -> tuple[int, str, str]:
        console = make_console()
        code = main(arguments, console=console)
        return code, _text(console.out), _text(console.err)

    return run


Call = Callable[..., tuple[int, str, str]]


def _text(stream: object) -> str:
    assert isinstance(stream, io.StringIO)
    return stream.getvalue()


def test_a_merge_says_what_came_and_the_second_that_nothing_did(store: Path, call: Call, tmp_path: Path) -> None:
    call("tag", "a", "stage=candidate")

    first = call("merge", ".pytest_mlrun", "--into", "all")
    second = call("merge", ".pytest_mlrun", "--into", "all")

    end = f"2 runs in {tmp_path / 'all'}\n"
    assert first == (0, f".pytest_mlrun: 2 runs added, 1 annotation, 2 files of 1.5 kB\n{end}", "")
    assert second == (0, f".pytest_mlrun: 0 runs added, 2 here before\n{end}", "")
    assert call("--store", "all", "verify")[0] == 0
    assert call("--store", "all", "runs", "--json") == call("runs", "--json")


def test_several_stores_are_merged_into_the_nearest(store: Path, call: Call, tmp_path: Path) -> None:
    for number in (1, 2):
        other = Store.open(tmp_path / f"ci-{number}", create=True)
        writer = other.writer(session_id="s")
        run_id = f"01910000-0000-7000-8000-{number:012x}"
        writer.start(RunStart(run_id, "s", "churn", f"ci-{number}", "t"))
        writer.seal()

    code, out, err = call("merge", "ci-1", "ci-2", "--json")

    assert (code, err) == (0, "")
    assert [(json.loads(line)["from"], len(json.loads(line)["added"])) for line in out.splitlines()] == [
        ("ci-1", 1),
        ("ci-2", 1),
    ]
    assert len(Store.open(store).reader().runs()) == 4


def test_a_run_that_has_not_ended_is_named_with_what_to_do(store: Path, call: Call, tmp_path: Path) -> None:
    writer = Store.open(tmp_path / "ci", create=True).writer(session_id="s")
    writer.start(RunStart("01910000-0000-7000-8000-0000000000aa", "s", "churn", "going", "t"))

    going = call("merge", "ci")
    shutil.copytree(tmp_path / "ci", tmp_path / "copy", ignore=shutil.ignore_patterns("*.lock"))
    Store.open(tmp_path / "copy").recover()
    other_way = call("merge", "copy", "--into", "ci")

    assert going == (
        0,
        f"ci: 0 runs added\n2 runs in {store}\n",
        "1 run there not ended, left out. If over: pytest-mlrun --store ci verify --recover\n",
    )
    assert other_way[2] == (
        "not ended here, left as is: 000000aa. If over: pytest-mlrun verify --recover, then merge again\n"
    )
    writer.seal()


def test_what_is_damaged_there_is_named_and_ends_with_3(store: Path, call: Call) -> None:
    run = Store.open(store).reader().find("a")
    path = Store.open(store).objects.path(run.artifacts[0].digest)
    path.unlink()

    code, out, _ = call("merge", ".pytest_mlrun", "--into", "all")

    assert code == 3
    assert out.splitlines()[:2] == [
        ".pytest_mlrun: 1 run added, 1 file of 5 B",
        f"not taken over: {run.short_id}: its artifact 'labels/val.arrow' cannot be read",
    ]


def test_a_contradiction_ends_with_1_and_names_the_run(
    store: Path, call: Call, make_run: MakeRun, tmp_path: Path
) -> None:
    run = Store.open(store).reader().find("b")
    writer = Store.open(tmp_path / "ci", create=True).writer(session_id="s")
    writer.start(RunStart(run.run_id, "s", "other", "b", "t"))
    writer.seal()

    code, out, err = call("merge", "ci")

    assert (code, out) == (1, "")
    assert err == (
        "error: nothing was taken over: 1 run contradicts what is here\n"
        f"  run {run.short_id}  b: they began differently: session_id, experiment, test, started_us\n"
        f"  where: {tmp_path / 'ci'}\n"
        "  next:  see which of the two was changed: pytest-mlrun verify; a run has one record for ever\n"
    )


def test_an_export_says_what_is_in_the_file_and_an_import_what_came(store: Path, call: Call, tmp_path: Path) -> None:
    exported = call("export", "a", "-o", "a.mlrun")
    verified = call("verify", "a.mlrun")
    imported = call("import", "a.mlrun", "--into", "other")
    again = call("import", "a.mlrun", "--into", "other")

    first = f"00000001  a  a.mlrun  {(tmp_path / 'a.mlrun').stat().st_size / 1000:.2f} kB"
    assert exported == (
        0,
        f"{first}\n  with      labels/val.arrow   1.5 kB\n  left out  model.skops           5 B\n",
        "to take them too: --artifact NAME or --all-artifacts\n",
    )
    assert verified == (0, "every digest holds: 00000001  a, 1 series, 1 of 2 artifacts in a.mlrun\n", "")
    assert imported == (
        0,
        "a.mlrun: 1 run added, 1 file of 1.5 kB\n  00000001  a\n  not in the file: model.skops\n",
        "",
    )
    assert again == (0, "a.mlrun: 0 runs added, 1 here before\n  00000001  a\n", "")
    assert call("--store", "other", "show", "a", "--json") == call("show", "a", "--json")
    assert call("--store", "other", "verify")[0] == 0


@pytest.mark.parametrize(
    ("options", "held"),
    [
        ([], ["labels/val.arrow"]),
        (["--artifact", "model.skops"], ["labels/val.arrow", "model.skops"]),
        (["--all-artifacts"], ["labels/val.arrow", "model.skops"]),
        (["--no-artifacts"], []),
    ],
)
@pytest.mark.usefixtures("store")
def test_the_options_choose_the_artifacts(options: list[str], held: list[str], call: Call) -> None:
    code, out, _ = call("export", "a", "-o", "a.mlrun", "--json", *options)

    assert (code, json.loads(out)["artifacts"]) == (0, held)


@pytest.mark.usefixtures("store")
def test_a_changed_file_ends_with_3_and_nothing_is_taken_over(call: Call, tmp_path: Path) -> None:
    call("export", "a", "-o", "a.mlrun")
    call("export", "b", "-o", "b.mlrun")
    content = (tmp_path / "b.mlrun").read_bytes()
    (tmp_path / "b.mlrun").write_bytes(content[:-1])
    refusal = (
        "error: not a bundle as it was exported: its directory is not that of its members, or it is cut short\n"
        f"  where: {tmp_path / 'b.mlrun'}\n"
        "  next:  take the file from where it came, or export the run again\n"
    )

    assert call("import", "a.mlrun", "b.mlrun", "--into", "other") == (3, "", refusal)
    assert not (tmp_path / "other").exists()
    code, out, err = call("verify", "a.mlrun", "b.mlrun")
    assert (code, out[:18], err) == (3, "every digest holds", refusal)
    code, out, err = call("verify", "b.mlrun", "--json")
    assert (code, json.loads(out)["kind"], json.loads(out)["path"], err) == (3, "bundle", str(tmp_path / "b.mlrun"), "")


@pytest.mark.parametrize(
    ("arguments", "headline"),
    [
        (["merge", "nothing"], "there is no run store in nothing"),
        (["merge", ".pytest_mlrun"], "a store cannot be merged with itself"),
        (["merge", "a.mlrun"], "a.mlrun is a file, not a store"),
        (["import", "missing.mlrun"], "the bundle cannot be read: No such file or directory"),
        (["import", ".pytest_mlrun"], "the bundle cannot be read: Is a directory"),
        (["export", "c", "-o", "c.mlrun"], "no run answers to 'c'"),
        (["export", "a", "-o", "x/a.mlrun"], "the bundle cannot be written: No such file or directory"),
        (["export", "a", "-o", "a.mlrun", "--artifact", "x"], "run 00000001 has no artifact 'x'"),
        (["verify", "a.mlrun", "--recover"], "--recover is about a store, not about files"),
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("store")
def test_a_mistake_is_one_clear_error(arguments: list[str], headline: str, call: Call) -> None:
    call("export", "a", "-o", "a.mlrun")

    code, out, err = call(*arguments)

    assert (code, out) == (2, "")
    assert err.splitlines()[0] == f"error: {headline}"
