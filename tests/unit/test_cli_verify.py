"""``pytest-mlrun verify`` finds every changed byte and names whom it touches."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_mlrun.cli import main
from pytest_mlrun.cli.console import Console
from pytest_mlrun.records.run import Artifact, RunRecord, RunStart

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


def test_runs_of_another_boot_are_doubtful_until_a_person_recovers_them(
    make_run: MakeRun, write_runs: WriteRuns, make_console: MakeConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_runs([make_run("done")])
    run_id = leave_run(path)
    monkeypatch.setattr("pytest_mlrun.store.view.find_boot_id", lambda: "another boot")
    monkeypatch.setattr("pytest_mlrun.store.recovery.find_boot_id", lambda: "another boot")
    doubt = "1 run is of another boot or machine (running?). If over: pytest-mlrun verify --recover\n"
    listed, shown, plain, recovered, again = (make_console() for _ in range(5))

    codes = [
        main(["runs"], console=listed),
        main(["show", "left", "--json"], console=shown),
        main(["verify"], console=plain),
        main(["verify", "--recover"], console=recovered),
        main(["verify", "--recover"], console=again),
    ]

    assert codes == [0, 0, 0, 0, 0]
    assert (_text(listed.err), _text(shown.err), _text(plain.err)) == (doubt, doubt, "")
    assert _text(recovered.err) == f"recovered: {run_id[-8:]}  left  orphaned\n1 run recovered\n"
    assert _text(again.err) == "0 runs recovered\n"
    assert json.loads(_text(shown.out))["status"] == "running?"
    final = make_console()
    assert main(["runs", "--status", "orphaned", "--json"], console=final) == 0
    assert json.loads(_text(final.out))["metrics"] == {"loss": 0.25}
    assert _text(final.err) == ""


def test_recovering_keeps_what_was_found_damaged(
    make_run: MakeRun, write_runs: WriteRuns, make_console: MakeConsole
) -> None:
    path = write_runs([])
    leave_run(path)
    (log,) = (path / "live").glob("*.arrows")
    content = log.read_bytes()
    log.write_bytes(content.replace(b'"name":"left"', b'"name":"lost"'))
    console = make_console()

    code = main(["verify", "--recover"], console=console)

    assert code == 3
    assert f"  where: {log}\n" in _text(console.out)
    assert [kept.name for kept in (path / "damaged").iterdir()] == [log.name]


def test_a_run_shown_out_of_a_damaged_store_may_not_be_the_one_that_was_meant(
    make_run: MakeRun, write_runs: WriteRuns, make_console: MakeConsole
) -> None:
    first, second = make_run("daily"), make_run("daily")
    path = write_runs([second])
    (segment,) = (path / "seg").iterdir()
    write_runs([first])
    segment.write_bytes(segment.read_bytes().replace(b"daily", b"dailx"))
    by_name, by_id, lost = make_console(), make_console(), make_console()

    codes = [
        main(["show", "daily"], console=by_name),
        main(["show", first.run_id], console=by_id),
        main(["show", second.run_id], console=lost),
    ]

    assert codes == [3, 0, 3]  # an id is that of one run, whatever else is damaged
    warning = f"warning: not everything is shown: {segment} is damaged. See: pytest-mlrun verify\n"
    assert (_text(by_name.err), _text(by_id.err)) == (warning, "")
    assert _text(lost.err) == (
        f"error: run {second.run_id[-8:]} is not what was recorded\n"
        f"  where: {segment}\n  next:  see: pytest-mlrun verify\n"
    )


def test_a_damaged_segment_is_put_aside_when_a_person_asks_for_it(
    make_run: MakeRun, write_runs: WriteRuns, make_console: MakeConsole
) -> None:
    path = write_runs([make_run("kept", started_us=1), make_run("lost", started_us=2)])
    (segment,) = (path / "seg").iterdir()
    segment.write_bytes(segment.read_bytes().replace(b"lost", b"lusd"))
    aside = path / "damaged" / "seg" / segment.name
    plain, asked, again, listed = (make_console() for _ in range(4))

    codes = [
        main(["verify"], console=plain),
        main(["verify", "--quarantine"], console=asked),
        main(["verify", "--quarantine"], console=again),
        main(["runs", "--json"], console=listed),
    ]

    assert codes == [3, 3, 3, 3]
    hint = "         or put damaged files aside, and keep what is intact: pytest-mlrun verify --quarantine\n"
    assert _text(plain.out).endswith(hint)
    assert hint not in _text(asked.out)
    assert _text(asked.err) == (
        f"put aside: {aside}\n  was:   {segment}\n  lost:  run 00000002\n"
        "1 file put aside; what is intact of it stays where it was\n"
        "  next:  copy the file from a copy of the store to where it was, then remove what was put aside\n"
    )
    assert _text(again.err) == "nothing to put aside: every segment and series file is whole\n"
    assert _text(again.out) == (
        f"damaged: a damaged segment was put aside: 1 run is lost\n  where: {aside}\n  run:   00000002\n"
        "1 finding, 1 run touched\n"
        "  next:  restore the files above from a copy of the store; all other runs stay readable\n"
        "         whole copies of files put aside belong in seg/ or pts/; then empty damaged/\n"
        "         if a merge brought their runs since, merge that copy of the store instead\n"
    )
    assert [json.loads(line)["name"] for line in _text(listed.out).splitlines()] == ["kept"]


def leave_run(path: Path) -> str:
    """Leave an unfinished run, as a machine does that stops."""
    from pytest_mlrun.store.store import Store

    run_id = "01910000-0000-7000-8000-0000000000aa"
    writer = Store.open(path).writer(session_id="s")
    writer.start(RunStart(run_id, "s", "churn", "left", "t"))
    writer.append(writer.channel(run_id, "loss"), 0.25, 1)
    writer.close()
    return run_id


def _store_object(store_path: Path) -> Artifact:
    from pytest_mlrun.store.store import Store

    digest, size_bytes = Store.open(store_path).objects.put_bytes(b"model")
    return Artifact("model.bin", digest, size_bytes, role="model")


def _text(stream: object) -> str:
    assert isinstance(stream, io.StringIO)
    return stream.getvalue()
