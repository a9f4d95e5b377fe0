"""Decide whether a metric meets its floor or ceiling."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import SupportsFloat

from pytest_mlrun.errors import GateFailure, MetricError
from pytest_mlrun.records.verdict import GateKind, Verdict
from pytest_mlrun.rules.arguments import expect_text
from pytest_mlrun.rules.gate_policy import Require, check_require
from pytest_mlrun.rules.gate_words import comparison_line, detail_line, difference_of, interval_of
from pytest_mlrun.rules.over_seeds import ON_THESE_ROWS
from pytest_mlrun.rules.series import check_at
from pytest_mlrun.rules.suggest import did_you_mean

UNCALIBRATED = "UNCALIBRATED: decided by the value alone: no error rate can be stated"
_CROSSED = {"floor": "<", "ceiling": ">"}
_KEPT = {"floor": ">=", "ceiling": "<="}
_BROKEN = {"floor": "floor not met", "ceiling": "ceiling exceeded", "holdout": "held-out rows"}
_COUNTED = "ledger"
_REPRODUCES = "reproduces"


@dataclass(frozen=True, slots=True)
class Gate:
    """A floor or ceiling that was asked for and is not judged yet.

    Attributes:
        kind: ``floor`` or ``ceiling``.
        metric: Name of the metric.
        bound: What it must reach, or must not exceed.
        at: Which value of a series to judge: ``last``, ``best`` or a step.
        primary: Whether the gate counts towards the number that share alpha.
        require: ``value``, ``evidence`` or ``proof``; None for the session's, which is ``value`` unless it releases.
    """

    kind: GateKind
    metric: str
    bound: float
    at: str | int = "last"
    primary: bool = False
    require: Require | None = None

    def __post_init__(self) -> None:
        write = f'mlrun.assert_{self.kind}("auc", 0.9)'
        expect_text(self.metric, what=f"the metric of a {self.kind}", write=write, error=MetricError)
        if isinstance(self.bound, bool) or not _is_finite(self.bound):
            raise MetricError(
                f"the {self.kind} of {self.metric!r} must be a finite number, found {self.bound!r}",
                next_step=f"write the number that {self.metric} must reach",
            )
        check_at(self.at, metric=self.metric)
        check_require(self.require, gate=f"the {self.kind} of {self.metric}")

    def judge(self, value: SupportsFloat) -> Verdict:
        """Decide by the observed value; NaN satisfies nothing.

        Raises:
            MetricError: If the value is not a number.
        """
        observed = _read_number(self.metric, value)
        bound = float(self.bound)
        holds = observed >= bound if self.kind == "floor" else observed <= bound
        reason = ""
        if math.isnan(observed):
            reason = "is NaN, which satisfies no gate"
        elif math.isinf(observed):
            reason = "is infinite"
        return Verdict(
            gate=self.kind,
            metric=self.metric,
            decision="PASS" if holds else "FAIL",
            estimate=observed,
            bound=bound,
            at=str(self.at),
            primary=self.primary,
            reason=reason,
        )


def judge_floor(
    metric: str, value: SupportsFloat, minimum: float, *, at: str | int = "last", primary: bool = False
) -> Verdict:
    """Decide whether ``value`` is at least ``minimum``.

    Raises:
        MetricError: If the bound is not a finite number, or the value not a number.
    """
    return Gate("floor", metric, minimum, at, primary).judge(value)


def judge_ceiling(
    metric: str, value: SupportsFloat, maximum: float, *, at: str | int = "last", primary: bool = False
) -> Verdict:
    """Decide whether ``value`` is at most ``maximum``.

    Raises:
        MetricError: If the bound is not a finite number, or the value not a number.
    """
    return Gate("ceiling", metric, maximum, at, primary).judge(value)


def failure(verdicts: Iterable[Verdict], *, where: str = "") -> GateFailure:
    """Return the one error that reports every broken gate, numbers first.

    Args:
        verdicts: What the gates found; those that hold are left out.
        where: The marker or line that asked for them.

    Raises:
        ValueError: If no gate is broken.
    """
    broken = [verdict for verdict in verdicts if is_broken(verdict)]
    if not broken:
        raise ValueError("no gate is broken")
    if len(broken) == 1:
        headline = _headline(broken[0])
        details = _evidence(broken[0])
    else:
        parts = (f"{_compare(verdict)} ({verdict.gate})" for verdict in broken)
        headline = f"{len(broken)} gates failed: {'; '.join(parts)}"
        details = tuple(line for verdict in broken for line in (verdict_line(verdict), *_evidence(verdict)[-1:]))
    return GateFailure(headline, details=details, where=where, next_step=_next_step(broken))


def is_broken(verdict: Verdict) -> bool:
    """Whether the verdict fails the test: a FAIL, or anything short of proof where proof is required."""
    return verdict.failed or (verdict.require == "proof" and not verdict.passed)


def is_look(verdict: Verdict) -> bool:
    """Whether the verdict was a look at held-out rows."""
    return any(part.startswith("look ") for part in verdict.reason.split("; "))


def verdict_line(verdict: Verdict) -> str:
    """Return one line for a person: decision, gate, claim, numbers, and how far they can be trusted."""
    parts = [
        f"{verdict.decision}  {verdict.metric} {verdict.gate}{_point_of(verdict)}",
        verdict.claim,
        _numbers(verdict),
    ]
    if verdict.gate == _REPRODUCES:
        parts.append(verdict.method)
    elif not verdict.calibrated and verdict.method != _COUNTED:
        parts.append(UNCALIBRATED)
    elif verdict.n is None:
        parts.append(verdict.method)
    return " | ".join(parts)


def verdict_lines(verdict: Verdict) -> list[str]:
    """Return the line of a verdict and, where rows were compared, a second one: how, and what they can show."""
    plain = (verdict.require == "value" and not is_look(verdict)) or verdict.gate == _REPRODUCES
    below = "" if plain else detail_line(verdict)
    return [verdict_line(verdict), f"      {below}"] if below else [verdict_line(verdict)]


def never_logged(metric: str, logged: Iterable[str]) -> MetricError:
    """Return the error for a gate on a metric that the run does not have.

    Args:
        metric: Name that was asked for.
        logged: Names that the run has.
    """
    known = tuple(logged)
    has = ", ".join(known) if known else "no metrics"
    return MetricError(
        f"metric {metric!r} was never logged; this run has: {has}",
        next_step=f"log it before the gate: mlrun.log_metric({metric!r}, value){did_you_mean(metric, known)}",
    )


def show_beside(value: float, bound: float) -> str:
    """Return ``value`` with as many digits as it takes to stand on its side of ``bound``, four at least."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{value:g}"
    digits = 4
    if 1e4 <= abs(value) < 1e15:  # noqa: PLR2004 - four digits of a larger number would need an exponent
        digits = len(str(int(abs(value))))
    for precision in range(digits, 17):
        text = f"{value:.{precision}g}"
        if _order(float(text), bound) == _order(value, bound):
            return text
    return repr(value)


def _read_number(metric: str, value: SupportsFloat) -> float:
    try:
        if isinstance(value, str):
            raise TypeError
        return float(value)
    except (TypeError, ValueError):
        raise MetricError(
            f"metric {metric!r} is {value!r}, not a number", next_step="log one number, such as float(value)"
        ) from None


def _is_finite(bound: object) -> bool:
    try:
        return not isinstance(bound, str) and math.isfinite(bound)  # type: ignore[arg-type]
    except (TypeError, OverflowError):
        return False


def _headline(verdict: Verdict) -> str:
    kind, metric = verdict.gate, verdict.metric
    if kind == _REPRODUCES:
        return f"not reproduced: {_compare(verdict)}"
    if verdict.margin is None:
        if verdict.decision == "INCONCLUSIVE":
            return f"{kind} not proven: {_numbers(verdict)}{_point_of(verdict)}"
        return f"{_BROKEN.get(kind, f'{kind} failed')}: {_compare(verdict)}{_point_of(verdict)}"
    if verdict.estimate is None:
        return f"{metric}: {verdict.reason}"
    word = "worse than its baseline" if verdict.failed else "not proven as good as its baseline"
    return f"{metric} {word}: {difference_of(verdict)}"


def _evidence(verdict: Verdict) -> tuple[str, ...]:
    """Return what stands below the headline of a gate that compared rows."""
    bare = verdict.margin is None and verdict.require == "value" and not is_look(verdict)
    if verdict.gate == _REPRODUCES or bare:
        return ()
    sides = verdict.reason.partition("; ")[0] if verdict.margin is not None and verdict.estimate is not None else ""
    below = detail_line(verdict)
    return tuple(line for line in (sides, below) if line)


def _numbers(verdict: Verdict) -> str:
    if verdict.gate == _REPRODUCES:
        return _compare(verdict)
    if verdict.margin is not None:
        return comparison_line(verdict)
    return f"{_compare(verdict)}{interval_of(verdict)}"


def _compare(verdict: Verdict) -> str:
    if verdict.estimate is None or verdict.bound is None or verdict.gate == _REPRODUCES:
        return f"{verdict.metric} {verdict.reason}".strip()
    if math.isnan(verdict.estimate):
        return f"{verdict.metric} is NaN, {verdict.gate} {_show_bound(verdict.bound)}"
    holds = verdict.estimate >= verdict.bound if verdict.gate == "floor" else verdict.estimate <= verdict.bound
    operators = _KEPT if holds else _CROSSED
    shown = show_beside(verdict.estimate, verdict.bound)
    return f"{verdict.metric} {shown} {operators.get(verdict.gate, 'against')} {_show_bound(verdict.bound)}"


def _show_bound(bound: float) -> str:
    return repr(bound).removesuffix(".0")


def _order(value: float, bound: float) -> int:
    return (value > bound) - (value < bound)


def _point_of(verdict: Verdict) -> str:
    if verdict.at == "last":
        return ""
    return " (best)" if verdict.at == "best" else f" (step {verdict.at})"


def _next_step(broken: Sequence[Verdict]) -> str:
    if all(verdict.gate == _REPRODUCES for verdict in broken):
        return f"see in what they differ: pytest-mlrun diff {(broken[0].baseline_id or '')[-8:]} RUN"
    if any(verdict.estimate is not None and math.isnan(verdict.estimate) for verdict in broken):
        return "find the step where the metric became NaN"
    if any(verdict.reason.startswith("underpowered") for verdict in broken):
        return "evaluate more rows, or ask for less: must_detect, where it is written"
    if all(verdict.decision == "INCONCLUSIVE" for verdict in broken):
        alone = all(verdict.claim == ON_THESE_ROWS for verdict in broken)
        more = "log the metric by run.evaluate(…), whose rows count too" if alone else "evaluate more rows"
        return f'{more}, or write require="value" where no proof is needed'
    if all(verdict.margin is not None for verdict in broken):
        return "improve the model, or change the margin where it is written"
    return "improve the model, or change the bound where it is written"
