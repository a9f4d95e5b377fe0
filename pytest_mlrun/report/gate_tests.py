"""Write what the self-test of gates found."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_mlrun.records.gate_test import GateTest
from pytest_mlrun.report.table import Column, clean_text, lay_out, wrap_text
from pytest_mlrun.report.terminal import Line

_COLUMNS = (
    Column("run", cut="middle"),
    Column("gate"),
    Column("metric", cut="end"),
    Column("bound", "right"),
    Column("planted", "right"),
    Column("caught", "right"),
    Column("alarms", "right"),
    Column("finding"),
)


_MOST_RUNS = 3


def render_gate_tests(
    tests: Sequence[GateTest], untested: Sequence[tuple[str, str]] = (), *, verbosity: int, width: int
) -> list[Line]:
    """Return the lines: nothing under ``-q``; what was found; every gate under ``-v``.

    Args:
        tests: Of all gates.
        untested: Name of a run, and a kind of gate of it for which no samples can be drawn.
        verbosity: pytest's.
        width: Terminal columns that a line may take.
    """
    if verbosity < 0:
        return []
    lines = _tested_lines(tests, verbose=verbosity > 0, width=width) if tests else []
    return [*lines, *_untested_lines(untested, width)]


def _tested_lines(tests: Sequence[GateTest], *, verbose: bool, width: int) -> list[Line]:
    found = [test for test in tests if test.problem]
    sampled = max(test.tried for test in tests)
    drawn = f", {sampled} samples of each" if sampled else ""
    head = f"mlrun: {len(tests)} {'gate' if len(tests) == 1 else 'gates'}{drawn}: {_count(tests, found)}"
    lines: list[Line] = [(head, {"bold": True, "red" if found else "green": True})]
    shown = tests if verbose else found
    if shown:
        layout = lay_out(_COLUMNS, [_cells(test) for test in shown], width=width)
        lines += [(text, {}) for text in layout.header]
        lines += [(text, {"red": True} if test.problem else {}) for text, test in zip(layout.rows, shown, strict=True)]
    for test in found:
        told = (f"{test.metric} {test.gate} {test.problem}  ({test.run})", f"next: {test.cure}")
        for text, markup in zip(told, ({"red": True}, {}), strict=True):
            lines += [(line, markup) for line in wrap_text(clean_text(text), width, hanging=6)]
    return lines


def _untested_lines(untested: Sequence[tuple[str, str]], width: int) -> list[Line]:
    if not untested:
        return []
    told = []
    for kind in dict.fromkeys(kind for _, kind in untested):
        runs = list(dict.fromkeys(run for run, its in untested if its == kind))
        more = [f"and {len(runs) - _MOST_RUNS} more"] if len(runs) > _MOST_RUNS else []
        told.append(f"{kind} ({', '.join([*runs[:_MOST_RUNS], *more])})")
    text = f"gates not tested, for which no samples can be drawn: {'; '.join(told)}"
    return [(line, {}) for line in wrap_text(clean_text(text), width, hanging=6)]


def _count(tests: Sequence[GateTest], found: Sequence[GateTest]) -> str:
    working = len(tests) - len(found)
    works = f"{working} {'works' if working == 1 else 'work'}"
    return works if not found else f"{works}, {len(found)} {'does' if len(found) == 1 else 'do'} not"


def _cells(test: GateTest) -> list[str]:
    planted = "-" if test.drop is None else f"{test.drop:.3g}"
    by_value = test.require == "value"
    return [
        test.run,
        test.gate,
        test.metric,
        f"{test.bound:g}",
        "past it" if by_value else planted,
        ("yes" if test.caught else "no") if by_value else f"{test.caught}/{test.tried}" if test.tried else "-",
        "-" if by_value or not test.tried else f"{test.alarms}/{test.tried}",
        test.problem.partition(":")[0] if test.problem else "ok",
    ]
