"""A floor shows how far chance could have moved its value, and proves what it is asked to prove."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from pytest_mlrun.rules.bound_evidence import judge_bound
from pytest_mlrun.rules.gate_policy import GatePolicy
from pytest_mlrun.rules.gates import Gate, verdict_lines
from pytest_mlrun.rules.scored_rows import ScoredRows


def hits(right: int, n: int) -> ScoredRows:
    truth = np.arange(n) % 2
    return ScoredRows("accuracy", np.arange(n), truth, np.where(np.arange(n) < right, truth, 1 - truth))


@pytest.mark.parametrize(
    ("right", "bound", "decision"),
    [(930, 0.9152, "PASS"), (930, 0.9153, "INCONCLUSIVE"), (930, 0.95, "FAIL"), (1000, 0.997, "PASS")],
)
def test_an_accuracy_floor_is_proven_by_its_exact_limit(right: int, bound: float, decision: str) -> None:
    gate = Gate("floor", "test_accuracy", bound, require="proof")

    verdict = judge_bound(gate, right / 1000, hits(right, 1000), GatePolicy())

    assert (verdict.decision, verdict.calibrated, verdict.n) == (decision, True, 1000)
    if right == 930:
        assert verdict.low == pytest.approx(0.9152611, abs=1e-7)


@pytest.mark.parametrize(("kind", "decision"), [("floor", "FAIL"), ("ceiling", "PASS")])
def test_a_ceiling_is_a_floor_turned_round(kind: Literal["floor", "ceiling"], decision: str) -> None:
    gate = Gate(kind, "test_accuracy", 0.95, require="evidence")

    verdict = judge_bound(gate, 0.93, hits(930, 1000), GatePolicy())

    assert verdict.decision == decision
    assert (verdict.low, verdict.high) == pytest.approx((0.9152611, 0.9428), abs=1e-3)


def test_by_value_an_interval_is_shown_and_decides_nothing() -> None:
    verdict = judge_bound(Gate("floor", "test_accuracy", 0.92), 0.93, hits(930, 1000), GatePolicy())

    assert (verdict.decision, verdict.calibrated, verdict.method) == ("PASS", False, "value")
    assert "test_accuracy 0.93 >= 0.92, 90% CI [0.915, 0.943]" in verdict_lines(verdict)[0]


def test_no_interval_is_shown_where_a_handful_of_rows_decide() -> None:
    truth = np.arange(200) % 2
    out = np.where(truth == 1, 0.99, 0.01)
    out[:2] = 1 - out[:2]
    rows = ScoredRows("log_loss", np.arange(200), truth, out)

    shown = judge_bound(Gate("ceiling", "test_log_loss", 0.2), 0.1, rows, GatePolicy())
    asked = judge_bound(Gate("ceiling", "test_log_loss", 0.2, require="evidence"), 0.1, rows, GatePolicy())

    assert (shown.decision, shown.low, shown.high) == ("PASS", None, None)
    assert (asked.decision, asked.reason.split(",")[0]) == ("INCONCLUSIVE", "only 2.0 rows decide this")


def test_a_metric_without_a_closed_form_is_judged_by_the_jackknife_only_where_it_decides() -> None:
    rng = np.random.default_rng(2)
    truth = rng.integers(0, 3, 3000)
    out = np.where(rng.random(3000) < 0.8, truth, (truth + 1) % 3)
    rows = ScoredRows("f1_macro", np.arange(3000), truth, out)

    shown = judge_bound(Gate("floor", "test_f1_macro", 0.7), 0.8, rows, GatePolicy())
    proven = judge_bound(Gate("floor", "test_f1_macro", 0.7), 0.8, rows, GatePolicy(release=True))

    assert (shown.method, shown.low) == ("value", None)
    assert (proven.decision, proven.method) == ("PASS", "rows, jackknife t")
