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


def render_gate_tests(tests: Sequence[GateTest], *, verbosity: int, width: int) -> list[Line]:
    """Return the lines: nothing under ``-q``; what was found; every gate under ``-v``.

    Args:
        tests: Of all gates.
        verbosity: pytest's.
        width: Terminal columns that a line may take.
    """
    found = [test for test in tests if test.problem]
    if verbosity < 0 or not tests:
        return []
    sampled = max(test.tried for test in tests)
    drawn = f", {sampled} samples of each" if sampled else ""
    head = f"mlrun: {len(tests)} {'gate' if len(tests) == 1 else 'gates'}{drawn}: {_count(tests, found)}"
    lines: list[Line] = [(head, {"bold": True, "red" if found else "green": True})]
    shown = tests if verbosity > 0 else found
    if shown:
        layout = lay_out(_COLUMNS, [_cells(test) for test in shown], width=width)
        lines += [(text, {}) for text in layout.header]
        lines += [(text, {"red": True} if test.problem else {}) for text, test in zip(layout.rows, shown, strict=True)]
    for test in found:
        told = (f"{test.metric} {test.gate} {test.problem}  ({test.run})", f"next: {test.cure}")
        for text, markup in zip(told, ({"red": True}, {}), strict=True):
            lines += [(line, markup) for line in wrap_text(clean_text(text), width, hanging=6)]
    return lines


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
