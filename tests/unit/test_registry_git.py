"""What git does to a registry: races, squash merges, cleaning, forks; and what a flipped bit does."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_mlrun.registry import log as registry_log
from pytest_mlrun.registry import promoting
from pytest_mlrun.registry.encoding import decode
from pytest_mlrun.registry.log import path_of, read_log
from tests.unit.registry_desk import Desk


def clone(desk: Desk, folder: Path) -> Desk:
    """Return somebody else's checkout of the remote, with refs of model versions and the store."""
    desk.git("clone", "-q", str(desk.remote), str(folder))
    other = replace(desk, path=folder)
    other.git("fetch", "-q", "origin", "refs/mlrun/*:refs/mlrun/*")
    shutil.copytree(desk.path / ".pytest_mlrun", folder / ".pytest_mlrun")
    return other


def test_of_two_promotions_in_one_checkout_one_is_told_that_it_lost(
    plain: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = registry_log.append
    said: list[tuple[int, str]] = []

    def overtaken(*arguments: object, **named: object) -> object:
        if not said:
            said.append((-1, ""))
            said[0] = plain.promote("churn/2", "champion")
        return append(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(promoting, "append", overtaken)
    code, lost = plain.promote("churn/1", "champion")

    assert said[0][0] == 0
    assert (code, lost.splitlines()[0]) == (1, "error: another event of 'churn' was written in the meantime")
    assert plain.do("models")[1].splitlines()[1].split()[:2] == ["churn/2", "champion"]
    assert plain.do("verify")[0] == 0


def test_of_two_promotions_in_two_checkouts_the_second_to_push_meets_a_conflict_and_runs_again(
    plain: Desk, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = clone(plain, tmp_path_factory.mktemp("other") / "checkout")
    plain.promote("churn/1", "champion")
    plain.commit("promote 1")
    other.promote("churn/2", "champion")
    other.commit("promote 2", push=False)

    with pytest.raises(subprocess.CalledProcessError) as rejected:
        other.push()
    with pytest.raises(subprocess.CalledProcessError) as conflict:
        other.git("pull", "-q", "--no-rebase", "origin", "main")
    other.git("checkout", "--theirs", "mlrun-registry")
    other.commit("take what was first", push=False)
    again = other.promote("churn/2", "champion")
    other.commit("promote 2, again")

    assert "rejected" in rejected.value.stderr
    assert "CONFLICT (add/add): Merge conflict in mlrun-registry/churn/000003.json" in conflict.value.stdout
    assert (again[0], again[1].splitlines()[0]) == (0, "churn@champion is churn/2, churn/1 before")
    assert other.do("verify")[0] == 0


def test_a_conflict_that_was_resolved_by_keeping_both_files_is_found(plain: Desk) -> None:
    plain.promote("churn/1", "champion")
    folder = plain.path / "mlrun-registry" / "churn"
    shutil.copy(folder / "000003.json", folder / "000003~HEAD.json")
    shutil.copy(folder / "000003.json", folder / "000004.json")

    code, out, _ = plain.do("verify")

    assert code == 3
    assert "damaged: event 000004 of 'churn': it calls itself churn 000003" in out.splitlines()
    assert "damaged: 000003~HEAD.json is no event of 'churn': its name is no number" in out.splitlines()


def test_an_event_that_was_taken_out_is_named(plain: Desk) -> None:
    (plain.path / "mlrun-registry" / "churn" / "000001.json").unlink()

    code, out, _ = plain.do("verify")

    assert (code, out.splitlines()[1]) == (3, "damaged: event 000001 of 'churn': it is missing")


def test_the_commit_of_a_version_outlives_a_squash_merge(plain: Desk) -> None:
    plain.git("checkout", "-q", "-b", "idea")
    (plain.path / "model.py").write_text("better = True\n")
    commit = plain.commit("a better model", push=False)
    plain.record("third")
    plain.do("register", "third", "--name", "churn")
    plain.commit("register it", push=False)
    plain.git("push", "-q", "origin", "refs/mlrun/churn-3")
    plain.git("checkout", "-q", "main")
    plain.git("merge", "-q", "--squash", "idea")
    plain.commit("a better model (#1)")
    plain.git("branch", "-D", "idea")

    for folder in (plain.path, plain.remote):
        plain.git("reflog", "expire", "--expire=now", "--all", folder=folder)
        plain.git("gc", "-q", "--prune=now", folder=folder)

    assert plain.git("branch", "--contains", commit) == ""
    assert [plain.git("cat-file", "-t", commit, folder=folder) for folder in (plain.path, plain.remote)] == [
        "commit"
    ] * 2
    assert plain.promote("churn/3", "champion")[0] == 0


def test_cleaning_takes_the_store_and_what_was_not_committed_and_nothing_else(plain: Desk) -> None:
    plain.promote("churn/1", "champion")
    plain.commit("promote 1")
    plain.promote("churn/2", "champion")

    plain.git("clean", "-q", "-ffdx")

    shown, verified = plain.do("show", "churn@champion"), plain.do("verify")
    assert shown[1].splitlines()[0] == "churn/1  ·  champion"
    assert (verified[0], verified[1]) == (0, "the registry holds: 1 model, 3 events, 0 signatures\n")
    assert "2 registered runs not in this store: not compared with its digest" in verified[2]
    assert plain.refs() == ["refs/mlrun/churn-1", "refs/mlrun/churn-2"]
    assert plain.promote("churn/2", "champion")[0] == 0


def test_a_fork_that_makes_itself_its_own_signer_is_found_out_where_its_pull_request_is_checked(
    desk: Desk, tmp_path_factory: pytest.TempPathFactory
) -> None:
    desk.register("first")
    around = tmp_path_factory.mktemp("fork")
    shutil.copytree(desk.remote, around / "remote")
    fork = replace(clone(desk, around / "checkout"), remote=around / "remote")
    fork.git("remote", "set-url", "origin", str(fork.remote))
    (fork.path / "signers").write_text(
        (fork.path / "signers").read_text() + fork.signer("eve", "mlrun-approve-ml-lead")
    )
    fork.commit("I am a lead")
    assert fork.approve("churn/1", key="eve")[0] == 0
    assert fork.promote("churn/1")[0] == 0
    fork.commit("promote my model")

    desk.git("fetch", "-q", str(fork.remote), "main")
    desk.git("checkout", "-q", "--detach", "FETCH_HEAD")
    code, out, _ = desk.do("verify")

    assert code == 3
    assert [line for line in out.splitlines() if line.startswith("damaged")] == [
        "damaged: event 000002 of 'churn': its signers were never on the protected branch",
        "damaged: event 000003 of 'churn': churn/1 is 'production' with 0 of 1 approvals",
    ]


def test_a_signer_who_was_only_on_a_branch_that_was_merged_is_found_out(desk: Desk) -> None:
    desk.register("first")
    desk.git("checkout", "-q", "-b", "eve")
    before = (desk.path / "signers").read_text()
    (desk.path / "signers").write_text(before + desk.signer("eve", "mlrun-approve-ml-lead"))
    desk.commit("add myself", push=False)
    desk.git("update-ref", "refs/remotes/origin/main", "eve")
    assert desk.approve("churn/1", key="eve")[0] == 0
    (desk.path / "signers").write_text(before)
    desk.commit("and take myself out again", push=False)
    desk.git("checkout", "-q", "main")
    desk.git("merge", "-q", "--no-ff", "-m", "a harmless change", "eve")
    desk.git("push", "-q", "origin", "main")

    code, out, _ = desk.do("verify")

    assert code == 3
    assert "damaged: event 000002 of 'churn': its signers were never on the protected branch" in out.splitlines()


def test_a_ref_that_is_missing_here_is_made_when_its_version_is_promoted(plain: Desk) -> None:
    commit = plain.git("rev-parse", "refs/mlrun/churn-1")
    plain.git("update-ref", "-d", "refs/mlrun/churn-1")

    assert plain.promote("churn/1", "champion")[0] == 0
    assert plain.git("rev-parse", "refs/mlrun/churn-1") == commit


def test_another_commit_under_the_ref_of_a_version_is_not_promoted(plain: Desk) -> None:
    plain.commit("something else")
    plain.git("push", "-q", "--force", "origin", "HEAD:refs/mlrun/churn-1")

    code, said = plain.promote("churn/1", "champion")

    assert (code, said.splitlines()[0]) == (
        2,
        f"error: 'origin' keeps another commit than that of churn/1: {plain.git('rev-parse', 'HEAD')[:10]}",
    )


def test_every_bit_that_flips_in_an_event_is_noticed(desk: Desk) -> None:
    desk.register("first")
    desk.approve("churn/1", key="bob")
    desk.promote("churn/1")
    read, unnoticed = 0, []

    for event in read_log(desk.path, "churn").events:
        content = path_of(desk.path, event).read_bytes()
        for bit in range(len(content) * 8):
            flipped = bytearray(content)
            flipped[bit // 8] ^= 1 << bit % 8
            read += 1
            try:
                decode(bytes(flipped), model="churn", number=event.number, prev=event.prev)
            except ValueError:
                continue
            unnoticed.append((event.number, bit))

    assert unnoticed == []
    assert read > 20_000


@pytest.mark.parametrize("number", [1, 2, 3])
def test_verify_names_the_first_broken_event_and_every_other_verb_refuses(number: int, desk: Desk) -> None:
    desk.register("first")
    desk.approve("churn/1", key="bob")
    desk.promote("churn/1")
    path = desk.path / "mlrun-registry" / "churn" / f"{number:06}.json"
    path.write_bytes(path.read_bytes().replace(b"churn", b"chern", 1))

    verified, shown = desk.do("verify"), desk.do("show", "churn/1")

    damaged = [line for line in verified[1].splitlines() if line.startswith("damaged")]
    assert (verified[0], damaged) == (3, [f"damaged: event {number:06} of 'churn': it is not what its digest says"])
    assert (shown[0], shown[2].splitlines()[0]) == (
        3,
        f"error: the registry of 'churn' is damaged at event {number:06}: it is not what its digest says",
    )
