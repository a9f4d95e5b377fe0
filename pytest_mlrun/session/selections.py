"""Let the tests that judge a winner run when those that it is chosen from are done, in whichever process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_mlrun.recorder.recorder import Recorder
    from pytest_mlrun.session.holding import HoldingScheduler
    from pytest_mlrun.session.troubles import Troubles

STOPPED = "the session stopped before every run was there to choose from"


class Selections:
    """What one process knows about the tests of its session that judge a winner.

    Workers announce them, the controller holds them back and releases them, by way of facts beside the store.

    Args:
        recorder: Of this process.
        held: Whether a controller says when this process may run them.

    Attributes:
        announced: Whether there are any, as far as the controller has heard.
    """

    def __init__(self, recorder: Recorder, *, held: bool) -> None:
        self.announced = False
        self._recorder = recorder
        self._held = held
        # What begins with the session's id is forgotten at its end.
        self._announcement = f"{recorder.session_id}-selections"
        self._release = f"{recorder.session_id}-released"

    def announce(self, node_ids: Sequence[str]) -> None:
        """Tell the controller which tests judge a winner.

        Raises:
            StoreError: If the store refuses.
        """
        self._recorder.shared.put(self._announcement, {"node_ids": list(node_ids)})

    def skip_if_stopped(self) -> None:
        """Skip a test that judges a winner, where it was let go without being released."""
        if self._held and self._recorder.shared.get(self._release) is None:
            pytest.skip(STOPPED)

    def hold(self, scheduler: Any, troubles: Troubles) -> HoldingScheduler:
        """Return a scheduler that distributes the announced tests after all others.

        Args:
            scheduler: The one that distributes the others.
            troubles: Where to say that the store refused the release.
        """
        from pytest_mlrun.session.holding import HoldingScheduler

        def release() -> None:
            with troubles.noting():
                self._recorder.shared.put(self._release, {})

        return HoldingScheduler(scheduler, announced=self._find_announced, release=release)

    def _find_announced(self) -> frozenset[str]:
        if not self._recorder.store_path.exists():
            # No worker announced anything, and nothing may be written yet.
            return frozenset()
        from pytest_mlrun.store.shared import Shared

        found = (Shared(self._recorder.store_path).get(self._announcement) or {}).get("node_ids")
        node_ids = frozenset(map(str, found)) if isinstance(found, list) else frozenset()
        self.announced = bool(node_ids)
        return node_ids
