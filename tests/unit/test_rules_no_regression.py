"""A comparison with a baseline decides rightly, says so in two lines, and refuses what it cannot compare."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from pytest_mlrun.errors import MetricError
from pytest_mlrun.records.project import Goal
from pytest_mlrun.records.verdict import Verdict
from pytest_mlrun.rules import no_regression as engine
from pytest_mlrun.rules.gate_policy import GatePolicy
from pytest_mlrun.rules.gates import failure, verdict_lines
from pytest_mlrun.rules.no_regression import Compared, NoRegression, judge_no_regression
from pytest_mlrun.rules.scored_rows import ScoredRows, align, influence_of
from pytest_mlrun.rules.statistics import auc, student
from pytest_mlrun.rules.statistics.decision import decide
from pytest_mlrun.rules.statistics.sample import Influence, Sample, oriented

N = 2000
METRICS = ("log_loss", "roc_auc", "accuracy")


def scored(metric: str, seed: int = 1, *, noise: float = 0.0, n: int = N) -> ScoredRows:
    """Return rows whose scores are coarse, so that many tie, and worse the more noise they carry."""
    rng = np.random.default_rng(20261130)
    truth = (rng.random(n) < 0.4).astype(np.int64)
    logit = 2.0 * truth - 1 + rng.standard_normal(n)
    logit = logit + noise * np.random.default_rng(seed).standard_normal(n)
    out = np.round(1 / (1 + np.exp(-logit)), 1).clip(0.05, 0.95)
    return ScoredRows(metric, np.arange(n), truth, out)


def compare(
    new: ScoredRows,
    base: ScoredRows,
    margin: float,
    *,
    policy: GatePolicy | None = None,
    **settings: object,
) -> Verdict:
    gate = NoRegression(f"val_{new.metric}", "base", margin, **settings)  # type: ignore[arg-type]
    values = [getattr(influence_of(rows), "value", math.nan) for rows in (new, base)]
    goal: Goal = "min" if new.metric == "log_loss" else "max"
    both = Compared("5a7d12ab", goal, [new], [base], values[0], values[1], "id", "sha256:ab")
    return judge_no_regression(gate, both, policy or GatePolicy())


def decisions() -> dict[str, tuple[str, float, float]]:
    """Return what the engine says of fixed comparisons near their margins: the decision and the interval."""
    found: dict[str, tuple[str, float, float]] = {}
    for metric, margins in (("log_loss", (0.0, 0.044)), ("roc_auc", (0.0, 0.019)), ("accuracy", (0.0, 0.03))):
        for margin in margins:
            verdict = compare(scored(metric, noise=0.5), scored(metric), margin)
            found[f"{metric} {margin}"] = (verdict.decision, verdict.low or 0.0, verdict.high or 0.0)
    few = scored("accuracy", n=40), scored("accuracy", n=40, noise=1.0)
    verdict = compare(few[1], few[0], 0.05)
    found["few"] = (verdict.decision, verdict.low or 0.0, verdict.high or 0.0)
    return found


def unpaired(new: Influence, base: Influence) -> Influence:
    return Influence(new.value - base.value, new.psi + np.roll(-base.psi, 1), new.strata)


def ordinal_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    ranks = np.empty(len(values))
    ranks[np.argsort(values, kind="stable")] = np.arange(1, len(values) + 1)
    return ranks


def two_sided(sample: Sample, bound: float, **settings: object) -> object:
    return decide(sample, bound, **{**settings, "alpha": 0.025})  # type: ignore[arg-type]


MUTANTS: dict[str, tuple[object, str, object]] = {
    "unpaired standard error": (engine, "difference", unpaired),
    "two-sided alpha": (engine, "decide", two_sided),
    "margin with the wrong sign": (engine, "decide", lambda sample, bound, **how: decide(sample, -bound, **how)),
    "direction of the metric ignored": (engine, "oriented", lambda influence, **_: oriented(influence, sign=1)),
    "z for t": (Sample, "freedom", property(lambda _: 1e9)),
    "ties ignored": (auc, "midranks", ordinal_ranks),
    "no skewness correction": (student, "uncorrect", lambda value, _: value),
}


def test_each_comparison_is_decided_as_computed_by_other_means() -> None:
    found = decisions()

    base, new = scored("log_loss"), scored("log_loss", noise=0.5)
    losses = [-np.log(np.where(rows.truth == 1, rows.out, 1 - rows.out)) for rows in (base, new)]
    rows = losses[0] - losses[1]
    middle, reach = rows.mean(), 1.645 * rows.std(ddof=1) / math.sqrt(N)
    assert found["log_loss 0.0"][0] == "FAIL"
    assert found["log_loss 0.0"][1:] == pytest.approx((middle - reach, middle + reach), abs=5e-4)
    assert found["roc_auc 0.0"][0] == found["accuracy 0.0"][0] == "FAIL"


@pytest.mark.parametrize("name", MUTANTS)
def test_an_engine_with_one_mistake_decides_or_measures_otherwise(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = decisions()
    place, attribute, mutant = MUTANTS[name]
    monkeypatch.setattr(place, attribute, mutant)

    wrong = decisions()

    # More than rounding: the decision, or an end of the interval by a fiftieth of its width.
    assert any(
        wrong[case][0] != decision or max(abs(wrong[case][1] - low), abs(wrong[case][2] - high)) > (high - low) / 50
        for case, (decision, low, high) in right.items()
    )


# -- the same rows, or none --------------------------------------------------------------------------------------------


def shuffled(rows: ScoredRows, *, ids: bool) -> ScoredRows:
    order = np.random.default_rng(3).permutation(len(rows))
    moved = rows.take(order)
    return moved if ids else replace(moved, ids=rows.ids)


def test_rows_in_another_order_are_joined_by_their_ids() -> None:
    base, new = scored("roc_auc"), scored("roc_auc", noise=0.5)

    assert compare(shuffled(new, ids=True), base, 0.01).estimate == pytest.approx(compare(new, base, 0.01).estimate)
    assert np.array_equal(align(shuffled(base, ids=True), base, names="").out, base.out)


REFUSED: dict[str, tuple[Callable[[ScoredRows], ScoredRows], str]] = {
    "one side shuffled": (lambda rows: shuffled(rows, ids=False), "rows have another label in the baseline"),
    "other labels": (lambda rows: replace(rows, truth=1 - rows.truth), "2000 of 2000 rows have another label"),
    "other rows": (lambda rows: replace(rows, ids=rows.ids + 1), "the baseline was evaluated on other rows"),
    "fewer rows": (lambda rows: rows.take(np.arange(1999)), "the baseline was evaluated on other rows"),
    "ids of another kind": (lambda rows: replace(rows, ids=rows.ids.astype(str)), "was evaluated on other rows"),
    "repeated ids": (lambda rows: replace(rows, ids=rows.ids // 2), "1000 of 2000 row ids repeat"),
    "other classes": (lambda rows: replace(rows, labels=(1, 0)), "was evaluated with other classes"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_the_same_rows_is_refused_with_the_cure(name: str) -> None:
    change, headline = REFUSED[name]

    with pytest.raises(MetricError, match=headline) as refused:
        compare(scored("roc_auc", noise=0.5), change(scored("roc_auc")), 0.01)

    assert refused.value.headline.startswith("val_roc_auc against 5a7d12ab: ")
    assert refused.value.next_step


def test_repeated_ids_on_both_sides_need_groups() -> None:
    pair = [replace(scored("log_loss", noise=noise), ids=np.arange(N) // 2) for noise in (0.5, 0.0)]

    with pytest.raises(MetricError, match="1000 of 2000 row ids repeat"):
        compare(pair[0], pair[1], 0.0)

    new, base = (replace(rows, groups=np.arange(N) // 2) for rows in pair)
    grouped = compare(new, base, 0.0)
    assert (grouped.decision, grouped.method) == ("FAIL", "paired groups, influence t")


# -- little to go by ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
def test_the_same_predictions_pass_whatever_is_demanded(metric: str) -> None:
    verdict = compare(scored(metric), scored(metric), 0.0, require="proof", must_detect=1e-9)

    assert (verdict.decision, verdict.estimate, verdict.method) == ("PASS", 0.0, "identical predictions")


def test_predictions_that_another_processor_moved_are_the_same() -> None:
    base = scored("roc_auc")

    assert compare(replace(base, out=base.out + 5e-10), base, 0.0).method == "identical predictions"
    assert compare(replace(base, out=base.out + 2e-9 * np.arange(N)), base, 0.0).method != "identical predictions"


def flipped(count: int) -> tuple[ScoredRows, ScoredRows]:
    base = scored("accuracy")
    out = base.out.copy()
    out[:count] = 1 - out[:count]
    return replace(base, out=out), base


def test_few_rows_that_differ_pass_where_even_the_worst_case_fits_the_margin() -> None:
    new, base = flipped(2)

    verdict = compare(new, base, 0.01)

    assert verdict.decision == "PASS"
    assert "2 rows differ, at worst a drop of 0.00314" in verdict.reason


def test_few_rows_that_differ_decide_nothing_where_the_worst_case_does_not_fit() -> None:
    new, base = flipped(2)

    verdict = compare(new, base, 0.003)

    assert verdict.decision == "INCONCLUSIVE"
    assert "rows decide this, 5 are needed" in verdict.reason


def test_a_bare_number_decides_only_where_the_value_is_asked_for() -> None:
    gate = NoRegression("val_gain", "base", 0.1)
    both = Compared("5a7d12ab", "max", [], [], 1.0, 1.2, "id", "sha256:ab")

    assert judge_no_regression(gate, both, GatePolicy()).decision == "INCONCLUSIVE"
    assert judge_no_regression(replace(gate, require="value"), both, GatePolicy()).decision == "FAIL"
    assert judge_no_regression(gate, replace(both, new_value=math.nan), GatePolicy()).decision == "FAIL"
    assert not judge_no_regression(gate, both, GatePolicy()).calibrated


# -- policies ----------------------------------------------------------------------------------------------------------


def test_a_drop_that_the_rows_cannot_show_fails_before_anybody_looks() -> None:
    verdict = compare(scored("accuracy", noise=0.5), scored("accuracy"), 0.01, must_detect=0.015)

    assert (verdict.decision, verdict.estimate, verdict.low, verdict.p) == ("FAIL", None, None, None)
    assert verdict.reason.startswith(
        "underpowered: it must detect a drop of 0.015, and 2,000 rows show only one of 0.0"
    )
    error = failure([verdict])
    assert error.headline.startswith("val_accuracy: underpowered: ")
    assert error.next_step == "evaluate more rows, or ask for less: must_detect, where it is written"


def test_what_the_marker_must_detect_holds_for_its_metric_and_can_be_met() -> None:
    policy = GatePolicy(must_detect={"val_accuracy": 0.5, "val_roc_auc": 1e-6})

    assert compare(scored("accuracy", noise=0.5), scored("accuracy"), 0.2, policy=policy).decision == "PASS"
    assert compare(scored("roc_auc", noise=0.5), scored("roc_auc"), 0.2, policy=policy).decision == "FAIL"


@pytest.mark.parametrize(
    ("written", "policy", "expected"),
    [
        (None, GatePolicy(), "evidence"),
        (None, GatePolicy(release=True), "proof"),
        ("evidence", GatePolicy(release=True), "proof"),
        ("value", GatePolicy(release=True, strict=True), "value"),
        (None, GatePolicy(strict=True), "proof"),
        ("proof", GatePolicy(), "proof"),
    ],
)
def test_a_release_asks_proof_of_all_that_do_not_write_value(
    written: str | None, policy: GatePolicy, expected: str
) -> None:
    verdict = compare(scored("roc_auc", noise=0.5), scored("roc_auc"), 0.2, policy=policy, require=written)

    assert verdict.require == expected


def test_many_gates_make_a_failure_harder_and_never_a_pass() -> None:
    new, base = scored("log_loss", noise=0.5), scored("log_loss")
    middle = compare(new, base, 0.0)
    assert middle.low is not None
    assert middle.high is not None

    barely = -middle.high - 1e-5
    assert compare(new, base, barely).decision == "FAIL"
    many = compare(new, base, barely, policy=GatePolicy(m=12))
    assert (many.decision, many.m) == ("INCONCLUSIVE", 12)
    assert "suspicious, and not significant among 12 gates" in many.reason
    assert compare(new, base, -middle.low + 1e-5, policy=GatePolicy(m=12)).decision == "PASS"


# -- seeds -------------------------------------------------------------------------------------------------------------


def seeds(metric: str, count: int, *, first: int, noise: float) -> list[ScoredRows]:
    return [scored(metric, seed, noise=noise) for seed in range(first, first + count)]


def over_seeds(new: list[ScoredRows], base: list[ScoredRows], margin: float = 0.01) -> Verdict:
    gate = NoRegression("val_log_loss", "base", margin, claim="procedure")
    return judge_no_regression(gate, Compared("5a7d12ab", "min", new, base, 0.5, 0.4, "id", "d"), GatePolicy())


def test_a_procedure_is_judged_over_its_seeds() -> None:
    base = seeds("log_loss", 10, first=50, noise=0.2)

    worse = over_seeds(seeds("log_loss", 2, first=0, noise=1.0), base)
    alike = over_seeds(seeds("log_loss", 3, first=0, noise=0.2), base)

    assert (worse.decision, worse.claim) == ("FAIL", "this procedure")
    assert worse.method == "2 new against 10 stored seeds, rows and seeds"
    assert alike.decision == "PASS"


def test_a_verdict_about_a_procedure_says_whether_rows_or_seeds_are_scarce() -> None:
    both = [seeds("log_loss", 10, first=at, noise=0.2) for at in (0, 50)]
    unsteady = [[scored("log_loss", at + seed, noise=0.1 + 0.8 * (seed % 2)) for seed in range(10)] for at in (0, 50)]

    mixed, steps = (over_seeds(new, base, margin=0.0) for new, base in (both, unsteady))

    assert {mixed.decision, steps.decision} == {"INCONCLUSIVE"}
    assert re.search(r"; rows and seeds weigh alike at n\*=[\d,]+: add rows$", mixed.reason)
    assert re.search(r"; rows and seeds weigh alike at n\*=\d+: add seeds$", steps.reason)


def test_one_new_seed_never_fails_a_procedure() -> None:
    verdict = over_seeds(seeds("log_loss", 1, first=0, noise=1.0), seeds("log_loss", 10, first=50, noise=0.2))

    assert verdict.decision == "INCONCLUSIVE"
    assert "one new seed cannot fail a procedure: train a second" in verdict.reason


def test_too_few_seeds_decide_nothing() -> None:
    verdict = over_seeds(seeds("log_loss", 2, first=0, noise=1.0), seeds("log_loss", 4, first=50, noise=0.2))

    assert (verdict.decision, verdict.low, verdict.p) == ("INCONCLUSIVE", None, None)
    assert "3 seeds on each side are needed, or 10 stored ones" in verdict.reason


# -- words -------------------------------------------------------------------------------------------------------------


def test_a_verdict_is_two_lines_that_say_what_was_compared_and_how() -> None:
    verdict = Verdict(
        gate="no-regression",
        metric="val_roc_auc",
        decision="FAIL",
        calibrated=True,
        method="paired rows, DeLong",
        estimate=-0.04123,
        low=-0.0541,
        high=-0.0279,
        margin=0.01,
        alpha=0.05,
        m=12,
        p=4.1e-05,
        n=5000,
        n_eff=312.4,
        mde=0.0148,
        require="evidence",
        reason="new 0.9031 vs 0.9443 of 5a7d12ab",
    )

    difference = "diff -0.041, 90% CI [-0.054, -0.028], margin 0.01"
    how = (
        "paired rows, DeLong, n=5,000 (312 decide); p(not worse than the margin)=4e-05, x12 gates = 0.0005; "
        "drop flagged 4 times in 5: 0.0148"
    )
    assert verdict_lines(verdict) == [
        f"FAIL  val_roc_auc no-regression | this model | new 0.9031 vs 0.9443 of 5a7d12ab, {difference}",
        f"      {how}",
    ]
    assert str(failure([verdict])).splitlines() == [
        f"val_roc_auc worse than its baseline: {difference}",
        "  new 0.9031 vs 0.9443 of 5a7d12ab",
        f"  {how}",
        "  next:  improve the model, or change the margin where it is written",
    ]


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"margin": -0.1}, "the margin of 'val_auc' must be a number of 0 or more, found -0.1"),
        ({"margin": math.nan}, "must be a number of 0 or more, found nan"),
        ({"margin": "0.1"}, "must be a number of 0 or more, found '0.1'"),
        ({"margin": 0.1, "must_detect": -1}, "the must_detect of 'val_auc' must be a number of 0 or more"),
        ({"margin": 0.1, "claim": "models"}, "claim must be 'model', 'procedure' or 'data', found 'models'"),
        ({"margin": 0.1, "require": "prove"}, "require must be 'value', 'evidence' or 'proof', found 'prove'"),
        ({"margin": 0.1, "against": ""}, "the baseline of a gate must be text, found ''"),
    ],
)
def test_a_gate_that_cannot_be_meant_is_refused_where_it_is_written(settings: dict[str, object], match: str) -> None:
    with pytest.raises(MetricError, match=match):
        NoRegression(**{"metric": "val_auc", "against": "base", **settings})  # type: ignore[arg-type]


@pytest.mark.parametrize(("side", "decision"), [("new", "PASS"), ("base", "FAIL")])
def test_log_loss_decides_nothing_against_rows_that_one_model_alone_calls_impossible(side: str, decision: str) -> None:
    better, worse = scored("log_loss"), scored("log_loss", noise=1.0)
    new, base = (better, worse) if decision == "PASS" else (worse, better)
    bold = new if side == "new" else base
    # Right in that row, so that these rows show nothing of what an error would cost.
    certain = replace(bold, out=np.where(np.arange(N) == 7, bold.truth, bold.out))
    shown = {"new": new, "base": base, side: certain}
    gate, policy = NoRegression("val_log_loss", "base", 0.01), GatePolicy()

    def judge(new: ScoredRows, base: ScoredRows) -> Verdict:
        return judge_no_regression(gate, Compared("base", "min", [new], [base], 0.4, 0.4, "id", "digest"), policy)

    assert judge(new, base).decision == decision
    found = judge(shown["new"], shown["base"])
    assert found.decision == "INCONCLUSIVE"
    assert "calls a class impossible in 1 rows" in found.reason
    both = [replace(each, out=np.where(np.arange(N) == 7, each.truth, each.out)) for each in (new, base)]
    assert judge(both[0], both[1]).decision == decision
