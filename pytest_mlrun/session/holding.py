"""Hold the tests that judge a winner back until every other test of an xdist session is done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol


class Node(Protocol):
    """What is asked of xdist's controller of one worker."""

    shutting_down: bool

    def send_runtest_some(self, indices: Sequence[int]) -> None:
        """Put tests at the end of the worker's queue."""
        ...

    def shutdown(self) -> None:
        """Let the worker end when its queue is empty."""
        ...


class HoldingScheduler:
    """Any of xdist's schedulers for all tests but the selections, and the selections after them.

    A worker that waited would hold up what stands behind it in its own queue, perhaps the very test it waits for. So
    nobody waits in a worker. The scheduler inside never hears of the selections, which stand last in the collection;
    the first worker that runs out of work is kept: it is sent a selection, which xdist does not start before it knows
    what comes next. That comes when nothing else is left: all other selections, in their order, and the end.

    Args:
        inner: xdist's own scheduler, or another plugin's.
        announced: Returns the node ids of the selections; asked when the first worker has collected.
        release: Called once, when everything but the selections is done.
    """

    def __init__(self, inner: Any, *, announced: Callable[[], frozenset[str]], release: Callable[[], None]) -> None:
        self._inner = inner
        self._announced = announced
        self._release = release
        self._workers: dict[Node, _Worker] = {}
        self._collected: set[Node] = set()
        self._selections: list[str] | None = None
        self._first = 0
        self._unsent: list[int] = []
        self._sent: list[int] = []
        self._keeper: Node | None = None
        self._scheduled = False
        self._released = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    @property
    def nodes(self) -> list[Node]:
        """The workers."""
        return list(self._workers)

    @property
    def tests_finished(self) -> bool:
        """Whether all workers can be told to end; xdist asks after every event, so that is when it goes on."""
        if not self._selections or self._refused():
            return bool(self._inner.tests_finished)
        if self._scheduled:
            self._go_on()
        return self._released and not self._unsent and len(self._sent) <= 1

    def add_node(self, node: Node) -> None:
        """Take a worker."""
        self._workers[node] = _Worker(node, self._keep_or_end)
        self._inner.add_node(self._workers[node])

    def add_node_collection(self, node: Node, collection: Sequence[str]) -> None:
        """Take what a worker collected, and keep its selections from the scheduler inside."""
        ids = list(collection)
        if self._selections is None:
            selections = self._announced()
            self._first = len(ids)
            while self._first and ids[self._first - 1] in selections:
                self._first -= 1
            self._selections = ids[self._first :]
            self._unsent = list(range(self._first, len(ids)))
        # Where a worker collected other selections, the scheduler inside sees them, and says so.
        same = ids[self._first :] == self._selections
        self._collected.add(node)
        if not (same and self._alone):
            self._inner.add_node_collection(self._workers[node], ids[: self._first] if same else ids)

    def schedule(self) -> None:
        """Distribute the tests, or give a new worker its part."""
        if not self._alone:
            self._inner.schedule()
        self._scheduled = True

    def mark_test_complete(self, node: Node, item_index: int, duration: float = 0) -> None:
        """Take note that a worker has run a test."""
        if self._selections and item_index >= self._first:
            self._sent.remove(item_index)
            return
        self._inner.mark_test_complete(self._workers[node], item_index, duration)

    def mark_test_pending(self, item: str) -> None:
        """Run a test once more, whose worker crashed."""
        if self._selections and item in self._selections:
            self._unsent.insert(0, self._first + self._selections.index(item))
            return
        self._inner.mark_test_pending(item)

    def remove_pending_tests_from_node(self, node: Node, indices: Sequence[int]) -> None:
        """Take tests back that a worker gave up."""
        self._inner.remove_pending_tests_from_node(self._workers[node], indices)

    def remove_node(self, node: Node) -> str | None:
        """Let a worker go.

        Returns:
            The test that it was running, if it crashed.

        Raises:
            KeyError: It is not, or no longer, one of the workers.
        """
        worker = self._workers.pop(node)
        crashed: str | None = self._inner.remove_node(worker) if worker in self._inner.nodes else None
        if node is self._keeper:
            self._keeper = None
            if crashed is None and self._released and self._sent and self._selections:
                crashed = self._selections[self._sent.pop(0) - self._first]
            self._unsent = [*self._sent, *self._unsent]
            self._sent = []
        return crashed

    def _keep_or_end(self, node: Node) -> None:
        """Decide about a worker for which the scheduler inside has nothing more."""
        if node is self._keeper:
            return
        if self._keeper is None and self._unsent and not node.shutting_down:
            self._keeper = node
            self._send(1)
        else:
            node.shutdown()

    def _go_on(self) -> None:
        """Release the selections if everything else is done."""
        if not self._released and self._inner.tests_finished:
            # xdist would end all workers now: their last tests only start when they know that nothing follows.
            for worker in list(self._workers.values()):
                if not worker.shutting_down and worker.node in self._collected:
                    worker.shutdown()
        if self._inner.has_pending:
            return
        if self._keeper is None:
            self._keeper = next((node for node in self._collected if self._is_free(node)), None)
        if self._keeper is None or self._keeper.shutting_down:
            # The session was stopped, or a crashed worker is not replaced yet.
            return
        if not self._released:
            self._released = True
            self._release()
        self._send(len(self._unsent))
        self._keeper.shutdown()

    @property
    def _alone(self) -> bool:
        """Whether there are only selections: xdist's schedulers expect no worker after an empty start."""
        return self._scheduled and self._first == 0

    def _is_free(self, node: Node) -> bool:
        return bool(self._unsent) and node in self._workers and not node.shutting_down

    def _send(self, count: int) -> None:
        if self._keeper is not None and count:
            part, self._unsent = self._unsent[:count], self._unsent[count:]
            self._sent += part
            self._keeper.send_runtest_some(part)

    def _refused(self) -> bool:
        """Whether the scheduler inside gave up, because the workers collected different tests."""
        return self._scheduled and self._first > 0 and not getattr(self._inner, "collection", True)


class _Worker:
    """A worker as the scheduler inside sees it: the end is for us to send."""

    def __init__(self, node: Node, end: Callable[[Node], None]) -> None:
        self.node = node
        self._end = end
        self._ended = False

    def __repr__(self) -> str:
        return repr(self.node)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.node, name)

    @property
    def shutting_down(self) -> bool:
        """Whether it gets no more tests."""
        return self._ended or self.node.shutting_down

    def shutdown(self) -> None:
        """Give it no more tests."""
        self._ended = True
        self._end(self.node)
