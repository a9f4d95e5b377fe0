"""Tell which lines drew randomness that no seed holds."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.report.facts import fact

_MOST = 5
_PARTS = 4


def describe_draws(run: RunRecord) -> list[str]:
    """Return the lines of code that drew without a seed in a run, such as ``test_a.py:12 numpy.random.PCG64 x3``.

    Args:
        run: The run.
    """
    return [f"{where} {what}" + (f" x{count}" if count != "1" else "") for where, what, count in _read(run)]


def unpinned_warnings(runs: Sequence[RunRecord]) -> list[str]:
    """Return the lines of the summary: each line of code once, with the number of runs that it concerns.

    Args:
        runs: Runs of one session.
    """
    found: dict[tuple[str, str], int] = {}
    for run in runs:
        for where, what, _ in _read(run):
            found[where, what] = found.get((where, what), 0) + 1
    if not found:
        return []
    told = [f"  {where}  {what}" + (f"  ({count} runs)" if count > 1 else "") for (where, what), count in found.items()]
    more = len(told) - _MOST
    rest = [] if more <= 0 else [f"  and {more} more: pytest-mlrun show RUN"]
    return ["UNPINNED randomness, another in every run: start it from mlrun.seed", *told[:_MOST], *rest]


def _read(run: RunRecord) -> list[tuple[str, str, str]]:
    lines = fact(run, "randomness.unpinned")
    parts = [str(line).rsplit(":", 3) for line in lines] if isinstance(lines, list) else []
    return [(f"{part[0]}:{part[1]}", part[2], part[3]) for part in parts if len(part) == _PARTS]
