"""Build, judge and assert gates on what a run has logged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from pytest_mlrun.errors import GateFailure, MetricError

if TYPE_CHECKING:
    from pytest_mlrun.recorder.recording import Recording
    from pytest_mlrun.records.verdict import GateKind, Verdict
    from pytest_mlrun.rules.gates import Gate


class Assertions:
    """What a run asserts; the class to use is ``Run``."""

    _recording: Recording

    def floor(self, metric: str, minimum: float, *, at: str | int = "last") -> Gate:
        """Build the gate of ``assert_floor`` without enforcing it."""
        return self._build("floor", metric, minimum, at)

    def ceiling(self, metric: str, maximum: float, *, at: str | int = "last") -> Gate:
        """Build the gate of ``assert_ceiling`` without enforcing it."""
        return self._build("ceiling", metric, maximum, at)

    def judge(self, gate: Gate) -> Verdict:
        """Judge a gate on this run and record the verdict, whatever it is."""
        from pytest_mlrun.rules.arguments import show
        from pytest_mlrun.rules.gates import Gate
        from pytest_mlrun.run.gates import judge_gate

        if not isinstance(cast("object", gate), Gate):
            raise MetricError(f"not a gate: {show(gate)}", next_step='write mlrun.floor("auc", 0.9)')
        return judge_gate(self._recording, gate)

    def assert_floor(
        self, metric: str | Mapping[str, float], minimum: float | None = None, *, at: str | int = "last"
    ) -> Verdict:
        """Fail unless the metric is at least ``minimum``.

        Args:
            metric: Name of the metric; or several with their minimum, all judged before any of them fails the test.
            minimum: Smallest value that passes.
            at: Which value of a series is read: ``last``, ``best``, or a step.

        Returns:
            The verdict (of several gates, the first).

        Raises:
            GateFailure: Naming every gate that failed.
            MetricError: If a metric was never logged.
        """
        __tracebackhide__ = True
        return self.assert_all(*(self.floor(name, bound, at=at) for name, bound in _bounds(metric, minimum)))

    def assert_ceiling(
        self, metric: str | Mapping[str, float], maximum: float | None = None, *, at: str | int = "last"
    ) -> Verdict:
        """Fail unless the metric is at most ``maximum``; see ``assert_floor``."""
        __tracebackhide__ = True
        return self.assert_all(*(self.ceiling(name, bound, at=at) for name, bound in _bounds(metric, maximum)))

    def assert_all(self, *gates: Gate) -> Verdict:
        """Judge several gates and fail once, naming every one that failed."""
        __tracebackhide__ = True
        from pytest_mlrun.rules.gates import failure

        if not gates:
            raise MetricError("assert_all was given no gate", next_step='write assert_all(mlrun.floor("auc", 0.9))')
        verdicts = [self.judge(gate) for gate in gates]
        broken = [verdict for verdict in verdicts if not verdict.passed]
        if broken:
            error: GateFailure = failure(broken)
            raise error
        return verdicts[0]

    def _build(self, kind: GateKind, metric: str, bound: float, at: str | int) -> Gate:
        from pytest_mlrun.rules.gates import Gate

        return Gate(kind, metric, bound, at=at, primary=metric == self._recording.plan.primary)


def _bounds(metric: str | Mapping[str, float], bound: float | None) -> list[tuple[str, float]]:
    if isinstance(metric, Mapping):
        if bound is not None or not metric:
            raise MetricError(
                "a gate takes one metric and its bound, or a mapping of them",
                next_step='write assert_floor("auc", 0.9) or assert_floor({"auc": 0.9, "recall": 0.8})',
            )
        return list(metric.items())
    if bound is None:
        raise MetricError(f"the gate on {metric!r} has no bound", next_step=f'write assert_floor("{metric}", 0.9)')
    return [(metric, bound)]
