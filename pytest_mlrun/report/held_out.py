"""Say which looks at held-out rows runs were."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from pytest_mlrun.records.look import LEDGER_FILE
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.report.facts import fact, name_of

_CONTEXT = "holdout."
_SHORT = 4


def describe_looks(run: RunRecord) -> Iterator[tuple[str, str]]:
    """Yield a label and a line for each split of a run that is held out.

    Args:
        run: The run.
    """
    for split, found in _looks(run):
        yield "held out", f"{_tell(split, found)}  ·  scores to one standard error"
        if found.get("trouble"):
            yield "", f"the ledger could not be believed: {found['trouble']}"


def look_lines(runs: Sequence[RunRecord]) -> list[str]:
    """Return a line for each look of a session, and what to do with the ledger.

    Args:
        runs: Of one session.
    """
    lines = [f"{_tell(split, found)}  ({name_of(run)})" for run in runs for split, found in _looks(run)]
    return [*lines, f"commit {LEDGER_FILE}: it counts the looks"] if lines else []


def doubt_lines(runs: Sequence[RunRecord]) -> list[str]:
    """Return a line for each reason for which the ledger could not be believed.

    Args:
        runs: Of one session.
    """
    troubles = dict.fromkeys(str(found["trouble"]) for run in runs for _, found in _looks(run) if "trouble" in found)
    return [f"warning: {LEDGER_FILE} cannot be believed: {trouble}" for trouble in troubles]


def _looks(run: RunRecord) -> Iterator[tuple[str, Mapping[str, object]]]:
    for key in run.context:
        if key.startswith(_CONTEXT):
            yield key.removeprefix(_CONTEXT), cast("Mapping[str, object]", fact(run, key))


def _tell(split: str, found: Mapping[str, object]) -> str:
    short = str(found["rows"]).removeprefix("sha256:")[:_SHORT]
    return f"{split}: look {found['look']} of {found['of']} on holdout {short} (since {found['since']})"
