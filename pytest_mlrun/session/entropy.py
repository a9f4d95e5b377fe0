"""Notice what fixtures draw without a seed, for every run that uses their values."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_mlrun.pillars.unpinned import Draws
    from pytest_mlrun.recorder.recording import Recording

_DRAWN = pytest.StashKey["dict[str, Draws]"]()


@contextmanager
def noticed_fixture(node: pytest.Item | pytest.Collector, name: str) -> Iterator[None]:
    """Count what a fixture draws while it is set up, and keep that with the node that its value lives as long as.

    Args:
        node: The node of the fixture's scope.
        name: Name of the fixture.
    """
    from pytest_mlrun.pillars.unpinned import Draws, noticed

    draws = Draws()
    node.stash.setdefault(_DRAWN, {})[name] = draws
    with noticed(draws):
        yield


def give_fixture_draws(item: pytest.Item, recording: Recording) -> None:
    """Tell a run what the fixtures drew that its test uses.

    Args:
        item: The test.
        recording: Its run.
    """
    if recording.plan.entropy == "detect":
        used = getattr(item, "fixturenames", ())
        for node in item.listchain():
            found: dict[str, Draws] = node.stash.get(_DRAWN, {})
            recording.drawn.update({name: draws for name, draws in found.items() if name in used})
