"""Tell which pytest items concern us, by their fixtures and markers."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

import pytest

RUN_FIXTURES = frozenset({"mlrun", "mlrun_module"})
PIN_FIXTURES = frozenset({"mlrun_seed", "mlrun_data", "mlrun_clean_tree"})
_MARKERS = frozenset({"mlrun", "mlrun_select"})
MARKER_NAME = frozenset({"mlrun"})
SELECT_NAME = frozenset({"mlrun_select"})
_ALL_FIXTURES = RUN_FIXTURES | PIN_FIXTURES | {"mlrun_store"}
SKIPPED = "training experiment: run with --mlrun"
# One for all: making it costs more than everything else that is done for a collected experiment.
SKIP = pytest.mark.skip(reason=SKIPPED)


def concerns_us(metafunc: pytest.Metafunc) -> bool:
    """Whether a test function takes one of our fixtures, or carries our marker."""
    if not _ALL_FIXTURES.isdisjoint(metafunc.fixturenames):
        return True
    return carries(metafunc.definition, _MARKERS)


def carries(node: pytest.Item | pytest.Collector | None, names: frozenset[str]) -> bool:
    """Whether a node, or one above it, carries a marker of one of these names."""
    # Not get_closest_marker, which costs three times as much: this runs for every test of every session.
    while node is not None:
        for mark in node.own_markers:
            if mark.name in names:
                return True
        node = node.parent
    return False


def takes_fixture(item: pytest.Item) -> bool:
    """Whether the item's fixtures include any of ours."""
    return not _ALL_FIXTURES.isdisjoint(getattr(item, "fixturenames", ()))


def is_experiment(item: pytest.Item) -> bool:
    """Whether the item's fixtures include a run."""
    return not RUN_FIXTURES.isdisjoint(getattr(item, "fixturenames", ()))


def selects_winner(item: pytest.Item) -> bool:
    """Whether the item judges the winner of other experiments, and so runs after them."""
    return "mlrun" in getattr(item, "fixturenames", ()) and item.get_closest_marker("mlrun_select") is not None


def uses_pins(item: pytest.Item) -> bool:
    """Whether the item asks for a pin without a run."""
    return not PIN_FIXTURES.isdisjoint(getattr(item, "fixturenames", ()))


def is_refused(item: pytest.Item) -> bool:
    """Whether the item is meant as an experiment and is a ``unittest.TestCase`` method, which cannot be one."""
    unittest = sys.modules.get("unittest")
    # Not item.cls, which looks through all the collectors above: this runs for every test of every session.
    cls = getattr(item.parent, "obj", None)
    if unittest is None or not isinstance(cls, type) or not issubclass(cls, unittest.TestCase):
        return False
    marked = any(is_marked(node) for node in (item, item.getparent(pytest.Class)) if node is not None)
    return marked or is_experiment(item)


def is_marked(node: pytest.Item | pytest.Collector) -> bool:
    """Whether the marker is written on the node itself."""
    return any(mark.name == "mlrun" for mark in node.own_markers)


def only_skipped(reports: Mapping[str, Sequence[object]]) -> bool:
    """Whether nothing ran because all that was selected are experiments, and nobody asked for them.

    Args:
        reports: Outcome to reports, as pytest's terminal reporter keeps them.
    """
    skipped = reports.get("skipped", ())
    ran = any(reports.get(outcome) for outcome in ("passed", "failed", "error", "xfailed", "xpassed"))
    return bool(skipped) and not ran and all(SKIPPED in str(getattr(report, "longrepr", "")) for report in skipped)
