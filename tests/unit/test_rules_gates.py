"""Floors and ceilings decide by the observed value, and say so in numbers that differ."""

from __future__ import annotations

import math
import pickle
from decimal import Decimal

import numpy as np
import pytest

from pytest_mlrun.errors import GateFailure, MetricError
from pytest_mlrun.records.verdict import Verdict
from pytest_mlrun.rules.gates import (
    Gate,
    failure,
    is_broken,
    judge_ceiling,
    judge_floor,
    never_logged,
    show_beside,
    verdict_line,
)

NOTE = "UNCALIBRATED: decided by the value alone: no error rate can be stated"


@pytest.mark.parametrize(
    ("value", "decision"),
    [
        (0.84, "PASS"),
        (0.83, "PASS"),
        (math.nextafter(0.83, 0), "FAIL"),
        (math.inf, "PASS"),
        (-math.inf, "FAIL"),
        (math.nan, "FAIL"),
        (np.float32(0.84), "PASS"),
        (1, "PASS"),
        (Decimal("0.9"), "PASS"),
    ],
)
def test_a_floor_holds_from_its_bound_upwards(value: float, decision: str) -> None:
    assert judge_floor("auc", value, 0.83).decision == decision


@pytest.mark.parametrize(
    ("value", "decision"),
    [
        (0.4, "PASS"),
        (0.5, "PASS"),
        (math.nextafter(0.5, 1), "FAIL"),
        (-math.inf, "PASS"),
        (math.inf, "FAIL"),
        (math.nan, "FAIL"),
    ],
)
def test_a_ceiling_holds_up_to_its_bound(value: float, decision: str) -> None:
    assert judge_ceiling("log_loss", value, 0.5).decision == decision


def test_a_verdict_says_how_it_was_reached() -> None:
    assert judge_floor("auc", 0.8121, 0.83, at=12, primary=True) == Verdict(
        gate="floor",
        metric="auc",
        decision="FAIL",
        calibrated=False,
        method="value",
        estimate=0.8121,
        bound=0.83,
        at="12",
        primary=True,
    )


@pytest.mark.parametrize(
    ("value", "reason"),
    [(math.nan, "is NaN, which satisfies no gate"), (math.inf, "is infinite"), (-math.inf, "is infinite"), (0.5, "")],
)
def test_a_value_that_is_no_finite_number_is_named(value: float, reason: str) -> None:
    assert judge_ceiling("loss", value, 0.5).reason == reason


@pytest.mark.parametrize("bound", [math.nan, math.inf, -math.inf, True, "0.8", None, [0.8]])
def test_a_bound_that_is_no_finite_number_is_refused(bound: float) -> None:
    with pytest.raises(MetricError, match="the floor of 'auc' must be a finite number, found"):
        Gate("floor", "auc", bound)


@pytest.mark.parametrize("value", ["0.9", None, [0.9]])
def test_a_value_that_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(MetricError, match=r"metric 'auc' is .*, not a number"):
        judge_floor("auc", value, 0.8)


def test_a_gate_judges_like_the_function() -> None:
    gate = Gate("ceiling", "log_loss", 0.5, at="best", primary=True)

    assert gate.judge(0.6) == judge_ceiling("log_loss", 0.6, 0.5, at="best", primary=True)


# -- failures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verdict", "headline"),
    [
        (judge_floor("auc", 0.8121, 0.83), "floor not met: auc 0.8121 < 0.83"),
        (judge_floor("auc", 0.81214567, 0.83), "floor not met: auc 0.8121 < 0.83"),
        (judge_floor("auc", 0.8299999, 0.83), "floor not met: auc 0.8299999 < 0.83"),
        (judge_floor("auc", 0.81, 0.83, at="best"), "floor not met: auc 0.81 < 0.83 (best)"),
        (judge_floor("auc", 0.81, 0.83, at=12), "floor not met: auc 0.81 < 0.83 (step 12)"),
        (judge_floor("auc", math.nan, 0.83), "floor not met: auc is NaN, floor 0.83"),
        (judge_floor("auc", -math.inf, 0.83), "floor not met: auc -inf < 0.83"),
        (judge_ceiling("log_loss", 0.52, 0.5), "ceiling exceeded: log_loss 0.52 > 0.5"),
        (judge_ceiling("latency_ms", 120034.6, 120000), "ceiling exceeded: latency_ms 120035 > 120000"),
        (judge_ceiling("loss", math.inf, 5), "ceiling exceeded: loss inf > 5"),
    ],
)
def test_the_first_line_says_metric_value_and_bound(verdict: Verdict, headline: str) -> None:
    error = failure([verdict])

    assert error.headline == headline
    assert error.details == ()


def test_every_broken_gate_is_in_the_first_line_and_explained_below() -> None:
    verdicts = [
        judge_floor("auc", 0.81, 0.83),
        judge_floor("recall", 0.9, 0.8),
        judge_ceiling("log_loss", 0.52, 0.5),
    ]

    error = failure(verdicts, where="marker of test_gbm")

    assert str(error).splitlines() == [
        "2 gates failed: auc 0.81 < 0.83 (floor); log_loss 0.52 > 0.5 (ceiling)",
        f"  FAIL  auc floor | this model | auc 0.81 < 0.83 | {NOTE}",
        f"  FAIL  log_loss ceiling | this model | log_loss 0.52 > 0.5 | {NOTE}",
        "  where: marker of test_gbm",
        "  next:  improve the model, or change the bound where it is written",
    ]


def test_a_nan_asks_for_its_origin() -> None:
    assert failure([judge_floor("auc", math.nan, 0.8)]).next_step == "find the step where the metric became NaN"


def test_a_failure_is_an_assertion_and_survives_pickling() -> None:
    error = failure([judge_floor("auc", 0.81, 0.83)])

    copy = pickle.loads(pickle.dumps(error))

    assert isinstance(copy, GateFailure)
    assert isinstance(copy, AssertionError)
    assert str(copy) == str(error)


def test_gates_that_hold_make_no_failure() -> None:
    with pytest.raises(ValueError, match="no gate is broken"):
        failure([judge_floor("auc", 0.9, 0.8)])


@pytest.mark.parametrize(
    ("decision", "require", "broken"),
    [
        ("PASS", "value", False),
        ("FAIL", "value", True),
        ("FAIL", "evidence", True),
        ("INCONCLUSIVE", "evidence", False),
        ("INCONCLUSIVE", "proof", True),
        ("PASS", "proof", False),
    ],
)
def test_short_of_proof_is_broken_only_where_proof_is_required(decision: str, require: str, broken: bool) -> None:
    verdict = Verdict(gate="floor", metric="auc", decision=decision, require=require)  # type: ignore[arg-type]

    assert is_broken(verdict) is broken


@pytest.mark.parametrize(
    ("verdict", "line"),
    [
        (judge_floor("accuracy", 0.931, 0.93), f"PASS  accuracy floor | this model | accuracy 0.931 >= 0.93 | {NOTE}"),
        (
            judge_ceiling("loss", 0.4, 0.5, at="best"),
            f"PASS  loss ceiling (best) | this model | loss 0.4 <= 0.5 | {NOTE}",
        ),
        (judge_floor("auc", math.nan, 0.5), f"FAIL  auc floor | this model | auc is NaN, floor 0.5 | {NOTE}"),
    ],
)
def test_a_verdict_line_says_that_a_bare_number_has_no_error_rate(verdict: Verdict, line: str) -> None:
    assert verdict_line(verdict) == line


def test_a_calibrated_verdict_carries_no_such_note() -> None:
    verdict = Verdict("no-regression", "auc", "INCONCLUSIVE", calibrated=True, method="DeLong", reason="too few rows")

    assert verdict_line(verdict) == "INCONCLUSIVE  auc no-regression | this model | auc too few rows | DeLong"


@pytest.mark.parametrize(
    ("logged", "headline"),
    [
        (("acc", "loss"), "metric 'auc' was never logged; this run has: acc, loss"),
        ((), "metric 'auc' was never logged; this run has: no metrics"),
    ],
)
def test_a_metric_that_was_never_logged_is_told_beside_those_that_were(logged: tuple[str, ...], headline: str) -> None:
    assert never_logged("auc", logged).headline == headline


def test_a_metric_that_was_nearly_logged_is_suggested() -> None:
    assert never_logged("roc_auc", ["val_roc_auc"]).next_step.endswith("; did you mean 'val_roc_auc'?")


@pytest.mark.parametrize(
    ("value", "bound", "shown"),
    [
        (0.8121, 0.83, "0.8121"),
        (0.829996, 0.83, "0.829996"),
        (math.nextafter(0.83, 0), 0.83, repr(math.nextafter(0.83, 0))),
        (0.83, 0.83, "0.83"),
        (123456.0, 2.0, "123456"),
        (0.00001234, 1.0, "1.234e-05"),
        (math.nan, 1.0, "NaN"),
        (-math.inf, 1.0, "-inf"),
    ],
)
def test_a_value_is_shown_with_the_digits_that_the_comparison_needs(value: float, bound: float, shown: str) -> None:
    assert show_beside(value, bound) == shown


@pytest.mark.parametrize(("at", "hint"), [("lats", "; did you mean 'last'?"), ("first", ""), (True, "")])
def test_a_gate_on_no_point_of_a_series_is_refused_when_it_is_written(at: str | int, hint: str) -> None:
    with pytest.raises(MetricError) as caught:
        Gate("floor", "auc", 0.9, at=at)

    assert caught.value.headline == f"at={at!r} is not a point of auc{hint}"


def test_scores_of_seeds_alone_are_not_told_to_have_more_rows() -> None:
    alone = Verdict(
        "no-regression",
        "loss",
        "INCONCLUSIVE",
        claim="this procedure, on these rows",
        estimate=0.0,
        margin=0.1,
        require="proof",
    )

    assert failure([alone]).next_step.startswith("log the metric by run.evaluate(…), whose rows count too, or ")
