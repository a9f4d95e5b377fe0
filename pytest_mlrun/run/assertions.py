"""Build, judge and assert gates on what a run has logged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, cast

from pytest_mlrun.errors import MetricError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from pytest_mlrun.recorder.recording import Recording
    from pytest_mlrun.records.verdict import GateKind, Verdict
    from pytest_mlrun.rules.gate_policy import Require
    from pytest_mlrun.rules.gates import Gate
    from pytest_mlrun.rules.no_regression import Claim, NoRegression
    from pytest_mlrun.rules.reproduces import Reproduces, Tier
    from pytest_mlrun.rules.statistics.seeds import Variance


class Assertions:
    """What a run asserts; the class to use is ``Run``."""

    _recording: Recording

    def floor(self, metric: str, minimum: float, *, at: str | int = "last", require: Require | None = None) -> Gate:
        """Build the gate of ``assert_floor`` without enforcing it."""
        return self._build("floor", metric, minimum, at, require)

    def ceiling(self, metric: str, maximum: float, *, at: str | int = "last", require: Require | None = None) -> Gate:
        """Build the gate of ``assert_ceiling`` without enforcing it."""
        return self._build("ceiling", metric, maximum, at, require)

    def no_regression(
        self,
        metric: str,
        *,
        against: str,
        margin: float,
        claim: Claim = "model",
        groups: ArrayLike | None = None,
        must_detect: float | None = None,
        require: Require | None = None,
        variance: Variance = "conservative",
    ) -> NoRegression:
        """Build the gate of ``assert_no_regression`` without enforcing it."""
        from pytest_mlrun.rules.no_regression import NoRegression

        given = None if groups is None else _as_groups(groups, metric)
        primary = metric == self._recording.plan.primary
        return NoRegression(metric, against, margin, claim, require, must_detect, given, primary, variance)

    def reproduces(
        self,
        ref: str,
        *,
        tier: Tier = "close",
        rtol: float | None = None,
        atol: float | None = None,
        metrics: Iterable[str] | None = None,
        margin: float | None = None,
    ) -> Reproduces:
        """Build the gate of ``assert_reproduces`` without enforcing it."""
        from pytest_mlrun.rules.reproduces import Reproduces

        names = (metrics,) if isinstance(metrics, str) else tuple(metrics or ())
        return Reproduces(ref, tier, rtol, atol, names, margin)

    def judge(self, gate: Gate | NoRegression | Reproduces) -> Verdict:
        """Judge a gate on this run and record the verdict, whatever it is."""
        from pytest_mlrun.rules.arguments import show
        from pytest_mlrun.rules.gates import Gate
        from pytest_mlrun.rules.no_regression import NoRegression
        from pytest_mlrun.rules.reproduces import Reproduces
        from pytest_mlrun.run.gates import judge_gate

        if not isinstance(cast("object", gate), Gate | NoRegression | Reproduces):
            raise MetricError(f"not a gate: {show(gate)}", next_step='write mlrun.floor("auc", 0.9)')
        return judge_gate(self._recording, gate)

    def assert_floor(
        self,
        metric: str | Mapping[str, float],
        minimum: float | None = None,
        *,
        at: str | int = "last",
        require: Require | None = None,
    ) -> Verdict:
        """Fail unless the metric is at least ``minimum``.

        Decides by the observed value, and records the 90 % interval of a metric that ``evaluate`` computed.

        Args:
            metric: Name of the metric; or several with their minimum, all judged before any of them fails the test.
            minimum: Smallest value that passes.
            at: Which value of a series is read: ``last``, ``best``, or a step.
            require: ``value``, the default; ``evidence`` fails only what the rows prove to be below; ``proof`` passes
                only what they prove to be above.

        Returns:
            The verdict (of several gates, the first).

        Raises:
            GateFailure: Naming every gate that failed.
            MetricError: If a metric was never logged.
        """
        __tracebackhide__ = True
        return self.assert_all(
            *(self.floor(name, bound, at=at, require=require) for name, bound in _bounds(metric, minimum))
        )

    def assert_ceiling(
        self,
        metric: str | Mapping[str, float],
        maximum: float | None = None,
        *,
        at: str | int = "last",
        require: Require | None = None,
    ) -> Verdict:
        """Fail unless the metric is at most ``maximum``; see ``assert_floor``."""
        __tracebackhide__ = True
        return self.assert_all(
            *(self.ceiling(name, bound, at=at, require=require) for name, bound in _bounds(metric, maximum))
        )

    def assert_no_regression(
        self,
        metric: str,
        *,
        against: str,
        margin: float,
        claim: Claim = "model",
        groups: ArrayLike | None = None,
        must_detect: float | None = None,
        require: Require | None = None,
        variance: Variance = "conservative",
    ) -> Verdict:
        """Fail if the metric is proven worse than the baseline's by more than ``margin``, on the same rows.

        Args:
            metric: Name of a metric that ``evaluate`` computed, such as ``val_log_loss``.
            against: The baseline: ``churn@production``, the end of a run's id, a run's name, or ``tag:key=value``; of
                several runs the newest that passed, with the params of this run if there is one.
            margin: Drop that does no harm, 0 or more, whichever way the metric goes.
            claim: ``model``: this model on all such rows; ``procedure``: trainings like this one, by ``mlrun.seeds``;
                ``data``: trainings on other data of this kind, by ``mlrun.folds``.
            groups: What each row belongs to, such as a patient; default the groups given to ``evaluate``.
            must_detect: Drop that the rows must be able to show 4 times in 5; fails before looking if they cannot.
            require: ``evidence``, the default; ``proof`` passes only what is proven no worse; ``value`` the numbers.
            variance: Of seeds and rows together: ``conservative``, or ``exact``, which finds more and errs up to 6 %.

        Returns:
            The verdict. One that is INCONCLUSIVE warns, or fails under ``proof``.

        Raises:
            GateFailure: If it is worse, or not proven where proof is required.
            RunNotFoundError: If there is no such baseline.
            MetricError: If a metric was never logged, or the rows or labels are not the same.
        """
        __tracebackhide__ = True
        gate = self.no_regression(
            metric,
            against=against,
            margin=margin,
            claim=claim,
            groups=groups,
            must_detect=must_detect,
            require=require,
            variance=variance,
        )
        return self.assert_all(gate)

    def assert_reproduces(
        self,
        ref: str,
        *,
        tier: Tier = "close",
        rtol: float | None = None,
        atol: float | None = None,
        metrics: Iterable[str] | None = None,
        margin: float | None = None,
    ) -> Verdict:
        """Fail unless this run's metrics are those of a recorded run.

        Args:
            ref: The recorded run: a model version, an exported file, the end of a run's id, a run's name, or
                ``tag:key=value``.
            tier: ``close``: within the tolerance that the distance of the two environments gives; ``bitwise``: every
                bit; ``equivalent``: proven, on the rows that ``evaluate`` kept, to differ by less than ``margin``.
            rtol: For ``close``: largest difference, as a part of the recorded number.
            atol: For ``close``: largest difference, whatever the number.
            metrics: Names of the metrics; default all of the recorded run.
            margin: For ``equivalent``: difference that does no harm.

        Returns:
            The verdict, on the metric that is farthest off.

        Raises:
            GateFailure: If it is another number, or not proven to be the same.
            RunNotFoundError: If there is no such run.
            MetricError: If a metric was never logged, or kept no rows to prove it by.
        """
        __tracebackhide__ = True
        gate = self.reproduces(ref, tier=tier, rtol=rtol, atol=atol, metrics=metrics, margin=margin)
        return self.assert_all(gate)

    def assert_all(self, *gates: Gate | NoRegression | Reproduces) -> Verdict:
        """Judge several gates and fail once, naming every one that failed."""
        __tracebackhide__ = True
        from pytest_mlrun.run.gates import settle

        if not gates:
            raise MetricError("assert_all was given no gate", next_step='write assert_all(mlrun.floor("auc", 0.9))')
        verdicts = [self.judge(gate) for gate in gates]
        settle(verdicts)
        return verdicts[0]

    def _build(self, kind: GateKind, metric: str, bound: float, at: str | int, require: Require | None) -> Gate:
        from pytest_mlrun.rules.gates import Gate

        return Gate(kind, metric, bound, at=at, primary=metric == self._recording.plan.primary, require=require)


def _as_groups(groups: ArrayLike, metric: str) -> NDArray[np.generic]:
    import numpy as np

    from pytest_mlrun.rules.arguments import show

    if isinstance(groups, str) or not isinstance(groups, Iterable):
        raise MetricError(
            f"groups must have one entry a row, found {show(groups)}",
            where=f"the no-regression gate on {metric}",
            next_step="pass the column that says what each row belongs to, such as the patient",
        )
    return np.asarray(groups)


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
