"""Ask git what changed between the code of two runs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from pytest_mlrun.cli.console import Console
from pytest_mlrun.cli.source import RunSource
from pytest_mlrun.errors import MlrunError
from pytest_mlrun.pillars.git import Repository, open_repository
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.report.facts import fact

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_PATCH = "code.patch"
_SHORT = 10
_WIDTH = 100


def describe_commits(one: RunRecord, other: RunRecord, console: Console) -> list[str]:
    """Return the lines of ``git diff --stat`` between the commits of two runs, or one that says why there are none.

    Args:
        one: The run compared with.
        other: The run that came of it.
        console: Surroundings; the repository of the current folder is asked first, then those of the runs.
    """
    commits = [str(fact(run, "code.commit") or "") for run in (one, other)]
    if commits[0] == commits[1] or not all(map(_COMMIT.fullmatch, commits)):
        return []
    missing = commits
    for folder in dict.fromkeys((console.folder, *_folders_of((one, other)))):
        repository = open_repository(folder) if folder.is_dir() else ""
        if isinstance(repository, str):
            continue
        missing = [commit for commit in commits if not _has(repository, commit)]
        if not missing:
            width = min(console.width or _WIDTH, _WIDTH) - 4
            options = ("-r", "-M", "--no-ext-diff", "--no-textconv", f"--stat={width}")
            printed = repository.ask("diff-tree", *options, *commits, "--")
            return printed.decode("utf-8", "replace").splitlines()
    named = " and ".join(commit[:_SHORT] for commit in missing)
    return [f"no git diff --stat: no repository here has commit {named}; fetch it, or run this in the repository"]


def describe_patch(run: RunRecord, source: RunSource, console: Console) -> list[str]:
    """Return the lines of ``git apply --stat`` of a run's uncommitted changes; none where it has no patch.

    Args:
        run: The run.
        source: The store.
        console: Surroundings.
    """
    if _PATCH not in [artifact.name for artifact in run.artifacts]:
        return []
    try:
        patch = source.read_artifact(run, _PATCH)
        # In a folder of a repository git would leave out the files of the others; nothing is written.
        printed = Repository(Path(console.folder.anchor), Path(), Path(), "sha1").ask(
            "apply", "--stat", "-", stdin=patch
        )
    except MlrunError as error:
        return [f"its patch cannot be read: {error.headline}"]
    except OSError:
        return ["git is not installed: its patch is not listed"]
    return printed.decode("utf-8", "replace").splitlines()


def _folders_of(runs: Sequence[RunRecord]) -> list[Path]:
    return [Path(str(project)) for run in runs if (project := fact(run, "project"))]


def _has(repository: Repository, commit: str) -> bool:
    try:
        repository.ask("cat-file", "-e", f"{commit}^{{commit}}")
    except MlrunError:
        return False
    return True
