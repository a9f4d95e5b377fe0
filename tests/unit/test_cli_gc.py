"""``pytest-mlrun gc`` says what would go and by which rule, and deletes only when told."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_mlrun.cli import main
from pytest_mlrun.cli.console import Console
from pytest_mlrun.records.run import Artifact, RunRecord
from pytest_mlrun.store.store import Store

MakeRun = Callable[..., RunRecord]
WriteRuns = Callable[..., Path]
MakeConsole = Callable[..., Console]
DAY_US = 86_400_000_000


@pytest.fixture
def add(tmp_path: Path, make_run: MakeRun, write_runs: WriteRuns, now_us: int) -> Callable[..., RunRecord]:
    """Return a function that writes a run which ended a year ago and has one artifact."""

    def write(name: str, **changes: object) -> RunRecord:
        store = Store.open(tmp_path / ".pytest_mlrun", create=True)
        digest, size_bytes = store.objects.put_bytes(name.encode())
        ended_us = now_us - 365 * DAY_US
        run = make_run(name, artifacts=(Artifact("model", digest, size_bytes),), started_us=ended_us, ended_us=ended_us)
        write_runs([replace(run, **changes)])  # type: ignore[arg-type]
        return store.reader().find(name)

    return write


def texts(console: Console) -> list[str]:
    assert isinstance(console.out, io.StringIO)
    return console.out.getvalue().splitlines()


def errors(console: Console) -> list[str]:
    assert isinstance(console.err, io.StringIO)
    return console.err.getvalue().splitlines()


def kept(folder: Path) -> set[bytes]:
    objects = Store.open(folder / ".pytest_mlrun").objects
    return {objects.read(digest) for digest in objects}


def test_it_tells_bytes_per_rule_and_deletes_nothing_unasked(
    add: Callable[..., RunRecord], tmp_path: Path, make_console: MakeConsole, now_us: int
) -> None:
    add("an old one")
    add("a recent one", started_us=now_us - DAY_US, ended_us=now_us - DAY_US)
    console = make_console(width=80)

    assert main(["gc"], console=console) == 0

    assert texts(console) == [
        "        rule                   runs  files  size",
        "keep    recent                    1      1  12 B  ended lately",
        "delete  exploratory_days = 90     1      1  10 B  ended before that",
        "1 file, 10 B, would be deleted; 1 run keeps its row",
        "  next:  pytest-mlrun gc --delete",
        "registries read: none found",
    ]
    assert kept(tmp_path) == {b"an old one", b"a recent one"}


def test_told_to_delete_it_deletes_and_verify_and_show_say_so(
    add: Callable[..., RunRecord], tmp_path: Path, make_console: MakeConsole
) -> None:
    add("old")
    console, verified, shown = make_console(), make_console(), make_console()

    codes = main(["gc", "--delete"], console=console), main(["verify"], console=verified)

    assert codes == (0, 0)
    assert texts(console)[2:4] == ["1 file, 3 B, was deleted; 1 run keeps its row", "registries read: none found"]
    assert texts(verified)[1] == "1 artifact collected by gc, each with a tombstone"
    assert kept(tmp_path) == set()
    assert main(["show", "old"], console=shown) == 0
    (line,) = [line for line in texts(shown) if "model" in line]
    assert re.search(r"artifact  COLLECTED \d\d:\d\d:\d\d by \S+@\S+: exploratory_days = 90$", line)


def test_json_is_one_object_a_rule(add: Callable[..., RunRecord], make_console: MakeConsole) -> None:
    add("old")
    console = make_console()

    assert main(["gc", "--json"], console=console) == 0

    assert [json.loads(line) for line in texts(console)] == [
        {"rule": "exploratory_days = 90", "kept": False, "runs": 1, "files": 1, "size_bytes": 3}
    ]


def test_what_a_registry_names_in_a_way_that_is_not_known_stays_for_ever(
    add: Callable[..., RunRecord], tmp_path: Path, make_console: MakeConsole
) -> None:
    by_id, by_digest, _, object_only = add("id"), add("digest"), add("nobody's"), add("object")
    events = tmp_path / "mlrun-registry" / "churn"
    events.mkdir(parents=True)
    (events / "000001.json").write_text(json.dumps({"kind": "new kind", "versions": [{"run_id": by_id.run_id}]}))
    artifact = object_only.artifacts[0].digest
    (events / "000002.json").write_text(json.dumps({"run_digest": by_digest.digest, "objects": {artifact: 1}}))
    console = make_console()

    assert main(["gc", "--delete"], console=console) == 0

    assert kept(tmp_path) == {b"id", b"digest", b"object"}
    assert texts(console)[-1] == "registries read: mlrun-registry (3 named)"


def test_a_registry_that_cannot_be_read_stops_it(
    add: Callable[..., RunRecord], tmp_path: Path, make_console: MakeConsole
) -> None:
    add("old")
    broken = tmp_path / "mlrun-registry" / "churn" / "000001.json"
    broken.parent.mkdir(parents=True)
    broken.write_text("<<<<<<< HEAD")
    console = make_console()

    assert main(["gc", "--delete"], console=console) == 2

    assert errors(console) == [
        "error: gc stopped: a file of the registry cannot be read: it is not JSON",
        "  it may name any run; nothing was deleted",
        f"  where: {broken}",
        "  next:  restore it: git checkout",
    ]
    assert kept(tmp_path) == {b"old"}


def test_the_policy_of_mlrun_toml_counts(
    add: Callable[..., RunRecord], tmp_path: Path, make_console: MakeConsole
) -> None:
    (tmp_path / "mlrun.toml").write_text(
        '[retention]\nexploratory_days = 400\npin = "audit"\n[leaderboard.churn]\nby = "auc"\n'
    )
    add("within 400 days", started_us=1)
    add("long ago", started_us=1, ended_us=1)
    add("best", started_us=1, ended_us=1, metrics={"auc": 0.9})
    pinned = add("pinned", started_us=1, ended_us=1)
    assert main(["tag", pinned.run_id, "audit=2026"], console=make_console()) == 0
    console = make_console()

    assert main(["gc", "--delete"], console=console) == 0

    assert kept(tmp_path) == {b"within 400 days", b"best", b"pinned"}
    assert [line.split()[1] for line in texts(console)[1:5]] == ["pinned", "top", "recent", "exploratory_days"]


def test_a_run_of_a_project_that_is_not_here_stays_until_one_speaks_for_it(
    add: Callable[..., RunRecord], tmp_path: Path, make_console: MakeConsole
) -> None:
    (tmp_path / "mlrun.toml").touch()
    add("old", context={"project": json.dumps("/builds/churn")})
    careful, told = make_console(width=80), make_console()

    main(["gc", "--delete"], console=careful)
    before = kept(tmp_path)
    main(["gc", "--delete", "--project", "."], console=told)

    assert texts(careful)[1].split()[:2] == ["keep", "elsewhere"]
    assert texts(careful)[-2:] == [
        "not here: /builds/churn. What was recorded there is kept, for its registry",
        "  cannot be asked. If the mlrun.toml of a folder speaks for it: --project DIR",
    ]
    assert before == {b"old"}
    assert kept(tmp_path) == set()


def test_damage_ends_with_3(add: Callable[..., RunRecord], tmp_path: Path, make_console: MakeConsole) -> None:
    add("old")
    next((tmp_path / ".pytest_mlrun" / "seg").iterdir()).write_bytes(b"not arrow")
    console = make_console()

    assert main(["gc", "--delete"], console=console) == 3
    assert errors(console)[0].startswith("error: gc stopped: the store is damaged")
