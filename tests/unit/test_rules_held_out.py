"""Held-out rows and models are known by content, and a score shows no more digits than chance leaves."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_mlrun.errors import DataError
from pytest_mlrun.records.project import DataSource
from pytest_mlrun.records.verdict import Verdict
from pytest_mlrun.rules.held_out import close, data_of, digest_model, digest_rows, round_to, step_of

KNOWN = {
    "churn": DataSource("churn", "c.csv"),
    "test": DataSource("test", "t.csv", role="holdout"),
    "late": DataSource("late", "l.csv", role="holdout"),
}
IDS, TRUTH = np.array([3, 1, 2]), np.array([0, 1, 1])
OUT = np.array([0.25, 0.5, 0.75])


def test_rows_are_the_same_in_any_order_and_type_and_others_with_another_label() -> None:
    shuffled = digest_rows(IDS[::-1].astype(float), TRUTH[::-1].astype(bool))
    named = digest_rows(np.array(["a", "b", "c"]), TRUTH)

    assert digest_rows(IDS, TRUTH) == shuffled
    assert digest_rows(IDS, 1 - TRUTH) != shuffled
    assert named == digest_rows(np.array(["c", "b", "a"], dtype=object), TRUTH[::-1])


def test_a_model_is_the_same_to_six_decimals() -> None:
    digest = digest_model(IDS, TRUTH, OUT)

    assert digest_model(IDS[::-1], TRUTH[::-1], OUT[::-1] + 1e-8) == digest
    assert digest_model(IDS, TRUTH, OUT + 1e-5) != digest
    assert digest_model(IDS, TRUTH, np.array([1, 0, 1])) == digest_model(IDS, TRUTH, np.array([1.0, -0.0, 1.0]))
    assert digest_model(IDS, TRUTH, np.array(["a", "b", "a"])) != digest_model(IDS, TRUTH, np.array(["a", "b", "b"]))


@pytest.mark.parametrize(
    ("split", "given", "used", "found"),
    [
        ("test", None, ["churn"], "test"),
        ("test", None, ["churn", "test"], "test"),
        ("churn", None, ["churn", "test"], None),
        ("val", None, ["churn"], None),
        ("final", None, ["test"], "test"),
        ("val", "churn", ["churn", "test"], None),
        ("final", "late", ["churn", "test", "late"], "late"),
    ],
)
def test_a_split_is_of_the_snapshot_that_is_said_or_has_its_name_or_is_the_only_one(
    split: str, given: str | None, used: list[str], found: str | None
) -> None:
    assert data_of(split, given, used=used, known=KNOWN) == found


def test_rows_of_which_nothing_says_whether_they_are_held_out_are_refused() -> None:
    with pytest.raises(DataError, match=r"evaluate\('val'\): nothing says whether these rows are held out") as caught:
        data_of("val", None, used=["churn", "test"], known=KNOWN)

    assert caught.value.next_step == 'write evaluate("val", …, data="churn"), or data="test" for held-out rows'
    with pytest.raises(DataError, match="data 'chrun' is not in mlrun"):
        data_of("val", "chrun", used=[], known=KNOWN)


@pytest.mark.parametrize(
    ("se", "step"), [(0.012, 0.02), (0.02, 0.02), (0.003, 0.005), (0.0061, 0.01), (3.0, 5.0), (0.0, 0.0)]
)
def test_a_step_is_a_round_number_no_finer_than_the_standard_error(se: float, step: float) -> None:
    assert step_of(se) == step


def test_a_number_is_rounded_to_its_step() -> None:
    assert (round_to(0.8349, 0.02), round_to(0.8349, 0.005), round_to(17.2, 5.0)) == (0.84, 0.835, 15.0)


def test_a_verdict_is_rounded_to_the_side_on_which_it_was_decided() -> None:
    failed = Verdict(gate="floor", metric="a", decision="FAIL", estimate=0.7996, bound=0.8, p=0.03, reason="x")
    over = Verdict(gate="ceiling", metric="a", decision="FAIL", estimate=0.2004, bound=0.2)

    closed = close(failed, 0.01, told="look 1 of 2 on holdout 3f2a (since 2026-10-02)")

    assert (closed.estimate, closed.p, closed.reason) == (
        0.79,
        None,
        "look 1 of 2 on holdout 3f2a (since 2026-10-02); x",
    )
    assert close(over, 0.01, told="").estimate == 0.21


def test_a_difference_is_rounded_to_its_own_standard_error() -> None:
    verdict = Verdict(
        gate="no-regression",
        metric="a",
        decision="PASS",
        estimate=-0.00123,
        low=-0.00442,
        high=0.00183,
        margin=0.01,
        alpha=0.05,
        reason="new 0.4 vs 0.4 of base; more",
    )

    closed = close(verdict, 0.1, told="look 1")

    assert (closed.estimate, closed.low, closed.high) == (-0.002, -0.004, 0.002)
    assert closed.reason == "new 0.4 vs 0.4 of base; look 1; more"
