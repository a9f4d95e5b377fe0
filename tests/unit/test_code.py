"""The code pillar: which commit, which changes, and what is refused."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from pytest_mlrun.errors import CodeError
from pytest_mlrun.pillars import git as git_module
from pytest_mlrun.pillars.code import CodeState, find_code, require_clean
from pytest_mlrun.pillars.patch import Omission

OWN = ("mlrun.lock", "mlrun-registry/", "mlrun-baselines/", "mlrun-ledger.jsonl", ".pytest_mlrun/")


@pytest.fixture(autouse=True)
def isolated_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "protocol.file.allow=always")
    command = ["git", *identity, "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    (root / "services" / "churn").mkdir(parents=True)
    (root / "train.py").write_text("lr = 0.1\n")
    (root / "services" / "churn" / "model.py").write_text("depth = 3\n")
    git(root, "init", "-q", "-b", "main")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "first")
    return root


def test_a_clean_repository_names_its_commit_and_branch(repository: Path) -> None:
    state = find_code(repository, own_files=OWN)

    assert state == CodeState(
        "git", repository, commit=git(repository, "rev-parse", "HEAD"), branch="main", dirty=False
    )
    require_clean(state)


def test_a_change_elsewhere_in_a_monorepo_makes_a_project_dirty(repository: Path) -> None:
    (repository / "train.py").write_text("lr = 0.2\n")

    state = find_code(repository / "services" / "churn", own_files=OWN)

    assert (state.root, state.dirty, state.changed) == (repository, True, ("train.py",))


def test_a_detached_head_has_no_branch(repository: Path) -> None:
    git(repository, "checkout", "-q", "--detach")

    assert find_code(repository, own_files=OWN).branch is None


def test_a_second_work_tree_has_its_own_branch_and_changes(repository: Path, tmp_path: Path) -> None:
    git(repository, "worktree", "add", "-q", "-b", "other", str(tmp_path / "second"))
    (tmp_path / "second" / "new.py").write_text("x = 1\n")

    state = find_code(tmp_path / "second", own_files=OWN)

    assert (state.branch, state.changed, state.commit) == ("other", ("new.py",), git(repository, "rev-parse", "HEAD"))
    assert state.patch is not None
    assert b"+x = 1" in state.patch


def test_a_shallow_clone_is_read_like_any_other(repository: Path, tmp_path: Path) -> None:
    git(repository, "commit", "-q", "--allow-empty", "-m", "second")
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{repository}", "shallow")
    (tmp_path / "shallow" / "train.py").write_text("lr = 0.3\n")

    state = find_code(tmp_path / "shallow", own_files=OWN)

    assert (state.commit, state.changed) == (git(repository, "rev-parse", "HEAD"), ("train.py",))
    assert state.remote == f"file://{repository}"
    assert state.patch is not None


def test_a_repository_without_commits_has_a_patch_and_no_commit(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "main", "new")
    (tmp_path / "new" / "train.py").write_text("lr = 0.1\n")

    state = find_code(tmp_path / "new", own_files=OWN)

    assert (state.commit, state.branch, state.dirty, state.changed) == (None, "main", True, ("train.py",))
    assert state.patch is not None
    assert b"new file mode 100644" in state.patch


def test_a_repository_without_commits_or_files_is_not_clean(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "new")

    state = find_code(tmp_path / "new", own_files=OWN)

    assert state.dirty is False
    with pytest.raises(CodeError, match=r"^clean tree required, but the repository has no commit yet$"):
        _raise_headline(state)


def test_the_plugins_own_files_make_no_tree_dirty_at_any_depth(repository: Path) -> None:
    project = repository / "services" / "churn"
    for folder in (repository, project):
        for name in ("mlrun-registry/churn/000001.json", "mlrun-baselines/a.mlrun", ".pytest_mlrun/seg/1.arrow"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("x")
        (folder / "mlrun.lock").write_text("x")
        (folder / "mlrun-ledger.jsonl").write_text("x")

    state = find_code(project, own_files=OWN)

    assert (state.dirty, state.changed, state.patch) == (False, (), None)


def test_own_files_stay_out_of_the_patch_of_a_dirty_tree(repository: Path) -> None:
    (repository / "mlrun.lock").write_text("digest\n")
    (repository / "new.py").write_text("x = 1\n")

    state = find_code(repository, own_files=OWN)

    assert state.changed == ("new.py",)
    assert state.patch is not None
    assert b"mlrun.lock" not in state.patch


def test_a_file_that_only_begins_like_an_own_file_counts(repository: Path) -> None:
    (repository / "mlrun.lock.py").write_text("x = 1\n")
    (repository / "mlrun-registry").write_text("a file, not the folder\n")

    assert find_code(repository, own_files=OWN).changed == ("mlrun-registry", "mlrun.lock.py")


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_a_change_hidden_from_git_status_is_found(repository: Path, flag: str) -> None:
    git(repository, "update-index", flag, "train.py")
    (repository / "train.py").write_text("lr = 0.7\n")

    state = find_code(repository, own_files=OWN)

    assert state.changed == ("train.py",)
    assert state.patch is not None
    assert b"+lr = 0.7" in state.patch


def test_ignored_files_do_not_count(repository: Path) -> None:
    (repository / ".gitignore").write_text("data/\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "ignore")
    (repository / "data").mkdir()
    (repository / "data" / "a.csv").write_text("1\n")

    assert find_code(repository, own_files=OWN).dirty is False


def test_every_kind_of_change_is_listed_in_order(repository: Path) -> None:
    (repository / "b.py").write_text("staged\n")
    git(repository, "add", "b.py")
    git(repository, "mv", "train.py", "zoo.py")
    (repository / "services" / "churn" / "model.py").unlink()
    (repository / "ünïcode name.py").write_text("x = 1\n")

    changed = find_code(repository, own_files=OWN).changed

    assert changed == ("b.py", "services/churn/model.py", "train.py", "zoo.py", "ünïcode name.py")


def test_a_merge_conflict_is_a_change(repository: Path) -> None:
    git(repository, "checkout", "-q", "-b", "other")
    (repository / "train.py").write_text("lr = 0.2\n")
    git(repository, "commit", "-q", "-am", "other")
    git(repository, "checkout", "-q", "main")
    (repository / "train.py").write_text("lr = 0.3\n")
    git(repository, "commit", "-q", "-am", "main")
    with pytest.raises(subprocess.CalledProcessError):
        git(repository, "merge", "other")

    assert find_code(repository, own_files=OWN).changed == ("train.py",)


@pytest.mark.parametrize(
    ("url", "recorded"),
    [
        ("https://user:tok%40en@example.org/team/churn.git", "https://example.org/team/churn.git"),
        ("https://token@example.org/team/churn.git?access_token=abc", "https://example.org/team/churn.git"),
        ("git@example.org:team/churn.git", "git@example.org:team/churn.git"),
        ("ssh://git@example.org:2222/team/churn.git", "ssh://git@example.org:2222/team/churn.git"),
    ],
)
def test_the_remote_is_recorded_without_credentials(repository: Path, url: str, recorded: str) -> None:
    git(repository, "remote", "add", "origin", url)

    assert find_code(repository, own_files=OWN).remote == recorded


def test_the_branchs_own_remote_comes_before_origin_and_any_other(repository: Path) -> None:
    git(repository, "remote", "add", "aaa", "https://example.org/aaa")
    without_origin = find_code(repository, own_files=OWN).remote
    git(repository, "remote", "add", "origin", "https://example.org/origin")
    with_origin = find_code(repository, own_files=OWN).remote
    git(repository, "remote", "add", "fork", "https://example.org/fork")
    git(repository, "config", "branch.main.remote", "fork")
    with_upstream = find_code(repository, own_files=OWN).remote

    assert (without_origin, with_origin, with_upstream) == (
        "https://example.org/aaa",
        "https://example.org/origin",
        "https://example.org/fork",
    )


def test_variables_of_a_git_hook_do_not_mislead(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "elsewhere" / "index"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path))

    state = find_code(repository, own_files=OWN)

    assert (state.vcs, state.root, state.dirty) == ("git", repository, False)


def test_without_git_the_sources_are_hashed(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "train.py").write_text("lr = 0.1\n")

    before = find_code(tmp_path / "project", own_files=OWN)
    (tmp_path / "project" / "train.py").write_text("lr = 0.2\n")
    after = find_code(tmp_path / "project", own_files=OWN)

    assert (before.vcs, before.reason, before.dirty, before.commit) == ("none", "not a git repository", None, None)
    assert before.tree is not None
    assert re.fullmatch("sha256:[0-9a-f]{64}", before.tree)
    assert before.tree != after.tree


def test_without_the_git_program_the_sources_are_hashed(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repository))

    state = find_code(repository, own_files=OWN)

    assert (state.vcs, state.reason) == ("none", "git is not installed")
    assert state.tree is not None


def test_a_folder_that_the_repository_around_it_ignores_is_not_covered(repository: Path) -> None:
    (repository / ".gitignore").write_text("scratch/\n")
    (repository / "scratch").mkdir()
    (repository / "scratch" / "train.py").write_text("lr = 0.1\n")

    state = find_code(repository / "scratch", own_files=OWN)

    assert (state.vcs, state.reason) == ("none", f"git ignores the folder in the repository {repository}")
    assert state.tree is not None


def test_an_untracked_folder_of_a_repository_is_covered(repository: Path) -> None:
    (repository / "fresh").mkdir()
    (repository / "fresh" / "train.py").write_text("lr = 0.1\n")

    assert find_code(repository / "fresh", own_files=OWN).changed == ("fresh/train.py",)


def test_a_bare_repository_has_no_tree_to_speak_of(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "bare.git")

    state = find_code(tmp_path / "bare.git", own_files=OWN)

    assert (state.vcs, state.reason) == ("none", "the git repository has no work tree")


def test_a_repository_that_git_cannot_open_is_described_in_gits_words(repository: Path) -> None:
    (repository / ".git" / "config").write_text("[broken\n")

    state = find_code(repository, own_files=OWN)

    assert state.vcs == "none"
    assert state.reason.startswith("git says: fatal: bad config line 1")


def test_a_work_tree_whose_path_has_a_line_break_is_not_misread(repository: Path, tmp_path: Path) -> None:
    odd = repository.rename(tmp_path / "two\nlines")

    state = find_code(odd, own_files=OWN)

    assert (state.vcs, state.reason) == ("none", "git names the work tree in a way that cannot be read")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder to another user")
def test_a_repository_of_another_user_is_refused_as_git_refuses_it(repository: Path) -> None:
    for path in (repository, repository / ".git"):
        os.chown(path, 12345, 12345)

    state = find_code(repository, own_files=OWN)

    assert (state.vcs, state.reason) == ("none", "git refuses the repository: its folder belongs to another user")
    with pytest.raises(CodeError, match=r"next:  git config --global --add safe\.directory .*/repository, or say"):
        require_clean(state)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder to another user")
def test_a_safe_directory_said_by_variables_is_respected(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (repository, repository / ".git"):
        os.chown(path, 12345, 12345)
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "safe.directory")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "*")

    assert find_code(repository, own_files=OWN).vcs == "git"


def test_a_broken_repository_is_an_error_that_says_what_to_run(repository: Path) -> None:
    (repository / ".git" / "index").write_bytes(b"not an index")

    with pytest.raises(CodeError, match=r"^git ls-files failed with status 128") as raised:
        find_code(repository, own_files=OWN)

    assert raised.value.where == str(repository)
    assert raised.value.next_step == "run `git status` there and repair what it names"
    assert raised.value.details


def test_a_git_that_does_not_answer_is_an_error(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").write_text("#!/bin/sh\nexec /bin/sleep 30\n")
    (tmp_path / "bin" / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(git_module, "TIMEOUT_S", 0.05)

    with pytest.raises(CodeError, match=r"^git rev-parse did not answer within"):
        find_code(repository, own_files=OWN)


def test_a_dirty_tree_is_refused_with_the_names_of_its_files() -> None:
    state = CodeState("git", Path("/repo"), commit="c", dirty=True, changed=("a.py", "b.py"))

    with pytest.raises(CodeError) as raised:
        require_clean(state)

    assert str(raised.value).splitlines() == [
        "clean tree required, but 2 files changed",
        "  a.py",
        "  b.py",
        "  where: /repo",
        '  next:  commit or stash, or say clean_tree = "record"',
    ]


def test_a_single_changed_file_is_said_in_the_singular() -> None:
    state = CodeState("git", Path("/repo"), commit="c", dirty=True, changed=("a.py",))

    with pytest.raises(CodeError, match=r"^clean tree required, but 1 file changed$"):
        _raise_headline(state)


def test_only_ten_of_many_changed_files_are_named() -> None:
    changed = tuple(f"{number:02}.py" for number in range(12))
    state = CodeState("git", Path("/repo"), commit="c", dirty=True, changed=changed)

    with pytest.raises(CodeError, match="but 12 files changed") as raised:
        require_clean(state)

    assert raised.value.details == (*changed[:10], "… and 2 more")


@pytest.mark.parametrize(
    ("reason", "cure"),
    [
        ("not a git repository", "git init and commit"),
        ("git is not installed", "install git"),
        ("git ignores the folder in the repository /a", "take it out of .gitignore and commit it"),
    ],
)
def test_a_clean_tree_cannot_be_had_without_git(reason: str, cure: str) -> None:
    state = CodeState("none", Path("/folder"), tree="sha256:0", reason=reason)

    with pytest.raises(CodeError) as raised:
        require_clean(state)

    assert str(raised.value).splitlines() == [
        "clean tree required, but there is no git repository",
        f"  {reason}",
        "  where: /folder",
        f'  next:  {cure}, or say clean_tree = "record"',
    ]


def test_the_context_of_a_clean_tree_is_json() -> None:
    state = CodeState("git", Path("/repo"), commit="c0", branch="main", remote="git@h:r", dirty=False)

    assert state.context() == {
        "code.vcs": '"git"',
        "code.commit": '"c0"',
        "code.branch": '"main"',
        "code.remote": '"git@h:r"',
        "code.dirty": "false",
        "code.changed": "0",
        "code.tree": "null",
        "code.patch": "null",
    }


def test_the_context_of_a_dirty_tree_names_patch_and_omissions() -> None:
    omitted = tuple(Omission(f"{number:03}.bin", "large", 7, "ab") for number in range(120))
    state = CodeState("git", Path("/repo"), commit="c0", dirty=True, changed=("a",), patch=b"abc", omitted=omitted)

    context = state.context()

    assert context["code.patch"] == '"sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"'
    assert context["code.patch_omitted_count"] == "120"
    named = json.loads(context["code.patch_omitted"])
    assert len(named) == 100
    assert named[0] == {"path": "000.bin", "reason": "large", "sha256": "ab", "size_bytes": 7}


def test_the_context_without_git_says_why_and_where_hashing_stopped() -> None:
    context = CodeState("none", Path("/f"), tree="sha256:0", reason="not a git repository", note="stopped").context()

    assert context["code.reason"] == '"not a git repository"'
    assert context["code.tree_note"] == '"stopped"'
    assert context["code.dirty"] == "null"


def _raise_headline(state: CodeState) -> None:
    """Raise the headline alone: it must make sense without the lines after it."""
    try:
        require_clean(state)
    except CodeError as error:
        raise CodeError(error.headline) from None
