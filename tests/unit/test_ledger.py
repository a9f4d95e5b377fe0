"""The ledger counts models on held-out rows, and is never believed to say less than it did."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_mlrun.errors import HoldoutSpentError, LedgerError
from pytest_mlrun.records.look import LEDGER_FILE, Look, Standing
from pytest_mlrun.registry.ledger import committed_looks, encode_look, read_ledger, take_look

LOOK = Look(
    data="test",
    snapshot="sha256:aa",
    rows="sha256:bb",
    model="m1",
    run="r1",
    commit="c1",
    gate="evaluate test",
    mode="evaluate",
    verdict="",
    digits=2,
    number=0,
    of=3,
    time="2026-10-02T08:00:00Z",
)


def take(
    folder: Path,
    model: str,
    *,
    committed: Sequence[tuple[str, Look]] = (),
    recorded: Sequence[tuple[str, str]] = (),
    **changes: str,
) -> Standing:
    wanted = replace(LOOK, model=model, **changes)  # type: ignore[arg-type]
    return take_look(folder, wanted, committed=committed, recorded=recorded, nonce=model)


def lines(folder: Path) -> list[bytes]:
    return (folder / LEDGER_FILE).read_bytes().splitlines(keepends=True)


def test_each_new_model_is_a_look_and_the_same_model_again_is_none(tmp_path: Path) -> None:
    numbers = [take(tmp_path, model).look.number for model in ("m1", "m2", "m1", "m2", "m3")]

    assert numbers == [1, 2, 1, 2, 3]
    assert len(lines(tmp_path)) == 3


def test_when_they_are_spent_a_new_model_is_refused_with_the_cure_and_a_known_one_is_not(tmp_path: Path) -> None:
    for model in ("m1", "m2", "m3"):
        take(tmp_path, model)
    before = lines(tmp_path)

    with pytest.raises(HoldoutSpentError, match="'test' are spent: 3 of 3 looks since 2026-10-02") as caught:
        take(tmp_path, "m4")

    assert caught.value.next_step == "hold out fresh rows as [data.test], then: pytest-mlrun data lock test"
    assert take(tmp_path, "m2").look.number == 2
    assert lines(tmp_path) == before


def test_a_part_of_the_snapshot_spends_the_same_looks_and_fresh_rows_start_anew(tmp_path: Path) -> None:
    take(tmp_path, "m1")

    part = take(tmp_path, "m1", rows="sha256:part")
    fresh = take(tmp_path, "m1", rows="sha256:new", snapshot="sha256:new")

    assert (part.look.number, fresh.look.number) == (2, 1)


def test_a_gate_is_a_line_of_its_own_and_no_new_look(tmp_path: Path) -> None:
    take(tmp_path, "m1")

    judged = [take(tmp_path, "m1", gate="floor test_auc", verdict="PASS") for _ in range(2)]

    assert [standing.look.number for standing in judged] == [1, 1]
    assert [json.loads(line)["verdict"] for line in lines(tmp_path)] == ["", "PASS"]


def test_two_branches_merged_by_union_are_believed_and_their_looks_add_up(tmp_path: Path) -> None:
    take(tmp_path, "m0")
    shared = lines(tmp_path)
    take(tmp_path, "m1")
    ours = lines(tmp_path)[1:]
    (tmp_path / LEDGER_FILE).write_bytes(b"".join(shared))
    take(tmp_path, "m2")
    theirs = lines(tmp_path)[1:]

    (tmp_path / LEDGER_FILE).write_bytes(b"".join([*shared, *theirs, *ours]))
    merged = read_ledger((tmp_path / LEDGER_FILE).read_bytes())

    assert (merged.fault, len(merged.heads)) == ("", 2)
    with pytest.raises(HoldoutSpentError, match="3 of 3"):
        take(tmp_path, "m3")


def test_git_merges_the_ledgers_of_two_branches_by_union_and_no_line_is_missed(tmp_path: Path) -> None:
    def git(*arguments: str) -> bytes:
        identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "core.autocrlf=false")
        done = subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True, timeout=60)
        return done.stdout

    def look(model: str) -> Standing:
        committed = committed_looks(git, LEDGER_FILE) if git("rev-list", "--all") else []
        wanted = replace(LOOK, model=model, of=9)
        return take_look(tmp_path, wanted, committed=committed, recorded=(), nonce=model)

    def commit(model: str) -> None:
        look(model)
        git("add", "-A")
        git("commit", "-qm", model)

    git("init", "-q", "-b", "main")
    (tmp_path / ".gitattributes").write_text(f"{LEDGER_FILE} merge=union\n")
    commit("m1")
    git("checkout", "-q", "-b", "other")
    commit("m2")
    git("checkout", "-q", "main")
    commit("m3")

    git("merge", "-q", "--no-edit", "other")
    merged = look("m4")

    assert (merged.trouble, merged.look.number) == ("", 4)
    (tmp_path / LEDGER_FILE).write_bytes(b"".join(line for line in lines(tmp_path) if b'"m2"' not in line))
    assert look("m5").trouble == "a line that others follow is missing"
    (tmp_path / LEDGER_FILE).write_bytes(lines(tmp_path)[0])
    assert (look("m6").trouble, look("m6").look.number) == ("lines that were committed are missing", 9)


def _edit(content: list[bytes]) -> list[bytes]:
    return [content[0].replace(b'"digits":2', b'"digits":4'), *content[1:]]


def _forge(content: list[bytes]) -> list[bytes]:
    return [encode_look(replace(LOOK, model="m9", number=1), after=(), nonce="x"), *content[1:]]


@pytest.mark.parametrize(
    ("change", "trouble"),
    [
        (_edit, "line 1 was edited"),
        (_forge, "a line that others follow is missing"),
        (lambda content: content[1:], "a line that others follow is missing"),
        (lambda content: [content[0], b"<<<<<<< HEAD\n", content[1]], "line 2 is left of a merge: keep both sides"),
        (lambda content: [b"never JSON\n", *content], "line 1 is not what was written"),
    ],
)
def test_an_edited_ledger_counts_as_spent_but_for_the_last_look(tmp_path: Path, change: object, trouble: str) -> None:
    many = replace(LOOK, of=9)
    for model in ("m1", "m2"):
        take_look(tmp_path, replace(many, model=model), committed=(), recorded=(), nonce=model)
    (tmp_path / LEDGER_FILE).write_bytes(b"".join(change(lines(tmp_path))))  # type: ignore[operator]

    found = take_look(tmp_path, replace(many, model="m3"), committed=(), recorded=(), nonce="n")

    assert found.trouble.startswith(trouble)
    assert (found.look.number, found.look.of) == (9, 9)
    with pytest.raises(HoldoutSpentError, match="9 of 9"):
        take_look(tmp_path, replace(many, model="m4"), committed=(), recorded=(), nonce="n")


def test_a_ledger_that_was_committed_and_is_gone_is_the_last_look_and_never_the_first(tmp_path: Path) -> None:
    take(tmp_path, "m1")
    committed = list(read_ledger((tmp_path / LEDGER_FILE).read_bytes()).looks.items())
    (tmp_path / LEDGER_FILE).unlink()

    found = take(tmp_path, "m2", committed=committed)

    assert (found.look.number, found.trouble) == (3, "lines that were committed are missing")


def test_looks_that_only_the_store_knows_are_counted(tmp_path: Path) -> None:
    recorded = [("sha256:bb", "m1"), ("sha256:bb", "m2")]

    assert take(tmp_path, "m2", recorded=recorded).look.number == 2
    assert take(tmp_path, "m3", recorded=recorded).look.number == 3


def test_a_line_that_a_crash_cut_short_is_taken_off_and_told(tmp_path: Path) -> None:
    take(tmp_path, "m1")
    whole = lines(tmp_path)
    (tmp_path / LEDGER_FILE).write_bytes(whole[0] + whole[0][:40])

    found = take(tmp_path, "m2")

    assert (found.repaired, found.trouble, found.look.number) == (True, "", 2)
    assert "cut short" in found.doubts[0]
    assert lines(tmp_path)[0] == whole[0]
    assert read_ledger((tmp_path / LEDGER_FILE).read_bytes()).fault == ""


def test_a_last_line_without_its_line_feed_is_kept(tmp_path: Path) -> None:
    take(tmp_path, "m1")
    (tmp_path / LEDGER_FILE).write_bytes(lines(tmp_path)[0].rstrip(b"\n"))

    found = take(tmp_path, "m2")

    assert (found.repaired, found.trouble, found.look.number) == (False, "", 2)
    assert len(read_ledger((tmp_path / LEDGER_FILE).read_bytes()).looks) == 2


def test_writers_beside_each_other_lose_no_line(tmp_path: Path) -> None:
    numbers: list[int] = []

    def write(model: str) -> None:
        wanted = replace(LOOK, model=model, of=40)
        numbers.append(take_look(tmp_path, wanted, committed=(), recorded=(), nonce=model).look.number)

    threads = [threading.Thread(target=write, args=(f"m{place}",)) for place in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(numbers) == list(range(1, 21))
    ledger = read_ledger((tmp_path / LEDGER_FILE).read_bytes())
    assert (len(ledger.looks), len(ledger.heads), ledger.fault) == (20, 1, "")


def test_a_look_that_cannot_be_counted_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / LEDGER_FILE).mkdir()

    with pytest.raises(LedgerError, match="the ledger of held-out rows cannot be written: Is a directory"):
        take(tmp_path, "m1")
