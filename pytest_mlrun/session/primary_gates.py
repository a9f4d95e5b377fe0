"""Count the primary gates of all collected experiments: they share one error rate."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from pytest_mlrun.errors import MlrunError
from pytest_mlrun.items import MARKER_NAME, carries, is_experiment
from pytest_mlrun.session.experiment import read_marker_of

PRIMARY_GATES = pytest.StashKey[int]()


def count_primary_gates(items: Iterable[pytest.Item]) -> int:
    """Return how many runs of these items have a primary metric: a run that tests of a module share counts once.

    Before any item is deselected, and in every worker alike: which tests a person picks must not change what they need.
    """
    nodes: dict[str, pytest.Item | pytest.Collector] = {}
    for item in items:
        if not is_experiment(item) or not carries(item, MARKER_NAME):
            continue
        module = item.getparent(pytest.Module)
        shared = "mlrun" not in getattr(item, "fixturenames", ()) and module is not None
        node = module if shared and module is not None else item
        nodes[node.nodeid] = node
    return sum(_has_primary(node) for node in nodes.values())


def _has_primary(node: pytest.Item | pytest.Collector) -> bool:
    try:
        return bool(read_marker_of(node).primary)
    except MlrunError:
        # The marker is wrong: its test says so when it is run.
        return False
