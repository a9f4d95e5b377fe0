"""``pytest-mlrun verify`` finds every changed byte and names whom it touches."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

from pytest_mlrun.cli import main
from pytest_mlrun.cli.console import Console
from pytest_mlrun.records.run import Artifact, RunRecord

MakeRun = Callable[..., RunRecord]
WriteRuns = Callable[..., Path]
MakeConsole = Callable[..., Console]


def test_an_intact_store_ends_with_0(make_run: MakeRun, write_runs: WriteRuns, make_console: MakeConsole) -> None:
    store = write_runs([make_run("a", metrics={"auc": 0.5}), make_run("b")], curves={"a": {"loss": [1.0, 2.0]}})
    table, plain = make_console(), make_console()

    codes = main(["verify"], console=table), main(["verify", "--json"], console=plain)

    assert codes == (0, 0)
    assert _text(table.out) == f"every digest holds: 2 runs in {store}\n"
    assert _text(plain.out) == ""


def test_a_changed_object_names_its_file_and_every_run_that_has_it(
    make_run: MakeRun, write_runs: WriteRuns, make_console: MakeConsole
) -> None:
    artifact = _store_object(write_runs([]))
    store = write_runs([make_run("a", artifacts=(artifact,)), make_run("b", artifacts=(artifact,)), make_run("c")])
    digest = artifact.digest.removeprefix("sha256:")
    stored = store / "objects" / digest[:2] / digest[2:]
    stored.chmod(0o600)
    stored.write_bytes(b"MODEL")
    table, plain = make_console(), make_console()

    codes = main(["verify"], console=table), main(["verify", "--json"], console=plain)

    lines = _text(table.out).splitlines()
    assert codes == (3, 3)
    assert lines[0].startswith("damaged: object sha256:")
    assert lines[1].startswith(f"  where: {store / 'objects'}")
    assert lines[2:5] == ["  run:   00000001  a", "  run:   00000002  b", "1 finding, 2 runs touched"]
    found = json.loads(_text(plain.out))
    assert list(found) == ["kind", "path", "run_ids", "message"]
    assert found["kind"] == "object"
    assert [run_id[-8:] for run_id in found["run_ids"]] == ["00000001", "00000002"]


def test_a_segment_that_cannot_be_opened_is_found(
    make_run: MakeRun, write_runs: WriteRuns, make_console: MakeConsole
) -> None:
    store = write_runs([make_run("a")])
    segment = next((store / "seg").glob("*.arrow"))
    segment.write_bytes(b"not arrow")
    console = make_console()

    assert main(["verify"], console=console) == 3
    assert f"  where: {segment}\n" in _text(console.out)


def test_verifying_writes_nothing(make_run: MakeRun, write_runs: WriteRuns, make_console: MakeConsole) -> None:
    store = write_runs([make_run("a")])
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*")}

    main(["verify"], console=make_console())

    assert {path: path.stat().st_mtime_ns for path in store.rglob("*")} == before


def _store_object(store_path: Path) -> Artifact:
    from pytest_mlrun.store.store import Store

    digest, size_bytes = Store.open(store_path).objects.put_bytes(b"model")
    return Artifact("model.bin", digest, size_bytes, role="model")


def _text(stream: object) -> str:
    assert isinstance(stream, io.StringIO)
    return stream.getvalue()
