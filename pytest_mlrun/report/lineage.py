"""Say which run another one goes back to, and whether it was judged on rows that nobody chose it by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.report.facts import fact, name_of

_REUSED = "selection.reused."
_WORDS = {"max": "highest", "min": "lowest"}
_SOURCES = {"session": "its session", "store": "the store"}
_SHORT = 8


def describe_lineage(run: RunRecord) -> Iterator[tuple[str, str]]:
    """Yield a label and a line for each run that this one goes back to.

    Args:
        run: The run.
    """
    origin = fact(run, "branched_from.run")
    if origin is not None:
        yield "branched", _join(f"from {_name_origin(run)}", str(fact(run, "branched_from.digest")))
    if fact(run, "selection.winner") is None:
        return
    able, all_of, source = (fact(run, f"selection.{name}") for name in ("eligible", "candidates", "source"))
    yield "selected", _join(_name_winner(run), _rule_of(run))
    yield "", f"{able} of {_count_runs(all_of)} of {_SOURCES.get(str(source), source)} could win"
    for split, rows, of in _evaluated(run):
        yield "rows", _tell_reused(split, rows, of) if rows else f"none of the {of} rows of {split!r} chose it"
    for split, runs in _worn(run):
        yield "rows", _tell_worn(split, runs)
    if not fact(run, "selection.labels"):
        yield "rows", f"unknown which rows chose it: evaluate did not compute {fact(run, 'selection.by')}"


def branch_lines(runs: Sequence[RunRecord]) -> list[str]:
    """Return the line that says which run a session branched from, if it did.

    Args:
        runs: Of one session.
    """
    branch = next((run for run in runs if "branched_from.run" in run.context), None)
    if branch is None:
        return []
    seed, left_out = fact(branch, "rand.seed"), fact(branch, "branched_from.left_out")
    others = f", {left_out} other experiment{'' if left_out == 1 else 's'} left out" if left_out else ""
    return [f"branched from {_name_origin(branch)}, seed {seed}{others}"]


def selection_lines(runs: Sequence[RunRecord]) -> list[str]:
    """Return a line for each run that was given a winner.

    Args:
        runs: Of one session.
    """
    return [
        f"{name_of(run)} judged {_name_winner(run)}: {_rule_of(run)}, {fact(run, 'selection.eligible')} of "
        f"{_count_runs(fact(run, 'selection.candidates'))} could win"
        for run in runs
        if run.parent_id is None and fact(run, "selection.winner") is not None
    ]


def reuse_warnings(runs: Sequence[RunRecord]) -> list[str]:
    """Return a line for each split whose rows chose a winner, and on which it was judged or its sweep was tested.

    Args:
        runs: Of one session.
    """
    worn = [
        f"warning: {_tell_worn(split, count)}  ({name_of(run)})"
        for run in runs
        if run.parent_id is None
        for split, count in _worn(run)
    ]
    return worn + [
        f"warning: {_tell_reused(split, rows, of)}  ({name_of(run)})"
        for run in runs
        for split, rows, of in _evaluated(run)
        if rows
    ]


def _evaluated(run: RunRecord) -> Iterator[tuple[str, int, int]]:
    for key in run.context:
        if key.startswith(_REUSED):
            found = cast("Mapping[str, int]", fact(run, key))
            yield key.removeprefix(_REUSED), found["rows"], found["of"]


def _worn(run: RunRecord) -> Iterator[tuple[str, int]]:
    yield from cast("Mapping[str, int]", fact(run, "selection.worn") or {}).items()


def _tell_worn(split: str, runs: int) -> str:
    return f"REUSED: these rows chose the winner: the {split}_* metrics of {_count_runs(runs)} are no test results"


def _tell_reused(split: str, rows: int, of: int) -> str:
    whole = f"all {of} rows" if rows == of else f"{rows} of {of} rows"
    return f"REUSED: {whole} of {split!r} chose the winner: its score there is no test result"


def _name_winner(run: RunRecord) -> str:
    return f"{fact(run, 'selection.winner_name')} ({str(fact(run, 'selection.winner'))[-_SHORT:]})"


def _name_origin(run: RunRecord) -> str:
    name, ref, experiment = (fact(run, f"branched_from.{key}") for key in ("name", "run", "experiment"))
    return f"{name} ({str(ref)[-_SHORT:]}) of {experiment}"


def _count_runs(number: object) -> str:
    return "1 run" if number == 1 else f"{number} runs"


def _rule_of(run: RunRecord) -> str:
    where = fact(run, "selection.where")
    goal = str(fact(run, "selection.goal"))
    return f"{_WORDS.get(goal, goal)} {fact(run, 'selection.by')}" + (f" where {where}" if where else "")


def _join(*parts: str) -> str:
    return "  ·  ".join(parts)
