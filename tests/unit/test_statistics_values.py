"""The statistics give the numbers that were published, or computed by other means."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from pytest_mlrun.rules.metric_names import parse_metric
from pytest_mlrun.rules.metrics import compute_metrics
from pytest_mlrun.rules.predictions import read_classification
from pytest_mlrun.rules.statistics.auc import auc_influence
from pytest_mlrun.rules.statistics.binomial import exact_interval, exact_p_values, worst_loss
from pytest_mlrun.rules.statistics.decision import decide
from pytest_mlrun.rules.statistics.equivalence import equivalence_p
from pytest_mlrun.rules.statistics.folds import fold_sample
from pytest_mlrun.rules.statistics.influence import classifier_influence, mean_influence, regression_influence
from pytest_mlrun.rules.statistics.jackknife import jackknife
from pytest_mlrun.rules.statistics.many import holm
from pytest_mlrun.rules.statistics.power import detectable, rows_needed
from pytest_mlrun.rules.statistics.sample import Influence, Sample, difference, oriented, summarise
from pytest_mlrun.rules.statistics.seeds import paired_seeds, stored_seeds, two_way, welch_seeds
from pytest_mlrun.rules.statistics.sequential import NOMINAL, critical_value, nominal_level
from pytest_mlrun.rules.statistics.student import correct, interval, p_values, quantile_of, uncorrect

# -- paired rows -------------------------------------------------------------------------------------------------------


def test_the_corrected_interval_is_that_of_published_roc_curves() -> None:
    # pROC's test suite: two curves of 113 patients, of which DeLong's Z is 2.20898.
    delong = 0.0417885847865
    sample = Sample(0.8236788617886 - 0.7313685636856, delong, 1.5477 / math.sqrt(113), 10.7655, 113)

    assert sample.estimate / sample.se == pytest.approx(2.20898359144, abs=1e-9)
    assert interval(sample) == pytest.approx((0.02311, 0.17738), abs=1e-5)
    assert p_values(sample, 0)[1] == pytest.approx(0.01658, abs=1e-5)


def test_the_area_and_its_variance_are_those_of_all_pairs_with_ties_counting_half() -> None:
    rng = np.random.default_rng(7)
    positive = rng.random(90) < 0.4
    scores = rng.integers(0, 6, 90) + positive
    above, below = scores[positive], scores[~positive]
    kernel = (above[:, None] > below) + 0.5 * (above[:, None] == below)
    by_positive, by_negative = kernel.mean(axis=1), kernel.mean(axis=0)

    found = auc_influence(positive, scores.astype(float))

    assert found.value == pytest.approx(float(kernel.mean()), abs=1e-12)
    expected = by_positive.var(ddof=1) / len(above) + by_negative.var(ddof=1) / len(below)
    assert summarise(found).se ** 2 == pytest.approx(float(expected), rel=1e-12)


def test_a_paired_accuracy_difference_is_decided_by_its_discordant_rows() -> None:
    rows = np.concatenate([np.ones(150), -np.ones(86), np.zeros(1600 - 236)])

    sample = summarise(mean_influence(rows))

    assert sample.estimate == pytest.approx(0.04)
    assert sample.se == pytest.approx(0.009552, abs=1e-6)
    assert sample.n_eff == pytest.approx(238.996, abs=1e-3)
    assert interval(sample) == pytest.approx((0.02433, 0.05588), abs=1e-5)


def _cancer_scores(features: slice) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    from sklearn.datasets import load_breast_cancer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows, truth = load_breast_cancer(return_X_y=True)
    rows = rows[:, features]
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows[::2], truth[::2])
    return truth[1::2], model.predict_proba(rows[1::2])[:, 1]


def test_a_model_with_a_third_of_the_features_is_found_worse_on_breast_cancer() -> None:
    truth, base = _cancer_scores(slice(None))
    _, new = _cancer_scores(slice(10))

    def compare(name: str, sign: int) -> Sample:
        metric = parse_metric(name)
        arms = [classifier_influence(metric, read_classification(truth, scores)) for scores in (new, base)]
        first, second = (oriented(arm, sign=sign) for arm in arms if arm is not None)
        return summarise(difference(first, second))

    accuracy, auc, log_loss = compare("accuracy", 1), compare("roc_auc", 1), compare("log_loss", -1)
    assert (accuracy.estimate, accuracy.se) == pytest.approx((-0.03169, 0.01258), abs=1e-3)
    assert accuracy.n_eff == pytest.approx(13.54, abs=1e-2)
    assert interval(accuracy) == pytest.approx((-0.05724, -0.01160), abs=1e-3)
    assert decide(accuracy, 0, min_eff=5).decision == "FAIL"
    assert auc.estimate == pytest.approx(0.975862 - 0.988454, abs=1e-3)
    assert auc.n_eff == pytest.approx(7.84, abs=0.05)
    assert interval(auc) == pytest.approx((-0.02287, -0.00178), abs=1e-3)
    assert (log_loss.estimate, log_loss.n_eff) == pytest.approx((-0.06177, 4.49), abs=0.05)
    assert decide(log_loss, 0, min_eff=5).decision == "INCONCLUSIVE"


@pytest.mark.parametrize("name", ["accuracy", "log_loss", "brier", "f1", "precision", "recall", "roc_auc"])
def test_the_influence_on_a_classifiers_metric_is_its_derivative(name: str) -> None:
    rng = np.random.default_rng(3)
    truth = (rng.random(4000) < 0.3).astype(int)
    scores = (0.3 + 0.2 * truth + 0.25 * rng.standard_normal(4000)).clip(0.01, 0.99)
    metric = parse_metric(name)
    found = read_classification(truth, scores)
    influence = classifier_influence(metric, found)
    assert influence is not None

    def compute(rows: NDArray[np.int64]) -> float:
        return compute_metrics([name], truth[rows], scores[rows])[metric.name]

    assert influence.value == pytest.approx(compute(np.arange(4000)), abs=1e-12)
    assert influence.psi.mean() == pytest.approx(0, abs=1e-12)
    assert influence.psi[:40] == pytest.approx(_left_out(compute, 4000, range(40)), abs=5e-3)


def _left_out(compute: Callable[[NDArray[np.int64]], float], n: int, rows: range) -> list[float]:
    everything = np.arange(n)
    return [(n - 1) * (compute(everything) - compute(np.delete(everything, row))) for row in rows]


@pytest.mark.parametrize("name", ["mae", "mse", "rmse", "r2"])
def test_the_influence_on_a_regressions_metric_is_its_derivative(name: str) -> None:
    rng = np.random.default_rng(4)
    truth = rng.standard_normal(4000)
    out = truth + 0.5 * rng.standard_normal(4000)
    influence = regression_influence(parse_metric(name), truth, out)
    assert influence is not None

    def compute(rows: NDArray[np.int64]) -> float:
        return compute_metrics([name], truth[rows], out[rows])[name]

    assert influence.value == pytest.approx(compute(np.arange(4000)), abs=1e-12)
    assert influence.psi[:40] == pytest.approx(_left_out(compute, 4000, range(40)), abs=2e-2)


def test_a_metric_without_a_closed_form_is_judged_by_leaving_groups_out() -> None:
    values = np.random.default_rng(8).standard_normal(2000)

    found = summarise(jackknife(lambda rows: float(values[rows].mean()), 2000))

    blocks = values.reshape(-1, 50).mean(axis=0)
    assert found.estimate == pytest.approx(values.mean())
    assert (found.se, found.freedom, found.n) == pytest.approx((blocks.std(ddof=1) / 50**0.5, 49, 2000))


def test_rows_of_one_group_count_once() -> None:
    values = np.random.default_rng(5).standard_normal(300)
    once = summarise(mean_influence(values))

    fivefold = summarise(mean_influence(np.repeat(values, 5)), groups=np.repeat(np.arange(300), 5))

    assert (fivefold.se, fivefold.n_eff) == pytest.approx((once.se, once.n_eff))


@pytest.mark.parametrize("skew", [-0.8, -0.1, 0.0, 1e-9, 0.3, 0.8])
def test_the_skewness_correction_is_monotone_and_undone_in_closed_form(skew: float) -> None:
    grid = np.linspace(-20, 20, 401)
    corrected = [correct(float(value), skew) for value in grid]

    assert all(later >= earlier for earlier, later in itertools.pairwise(corrected))
    assert [uncorrect(value, skew) for value in corrected] == pytest.approx(list(grid), abs=1e-6)


# -- shares, folds, seeds ----------------------------------------------------------------------------------------------


def test_an_accuracy_floor_is_exact() -> None:
    assert exact_interval(930, 1000)[0] == pytest.approx(0.9152611, abs=1e-7)
    assert exact_interval(95, 100)[0] == pytest.approx(0.8977466, abs=1e-7)
    assert exact_interval(100, 100) == pytest.approx((0.9704870, 1.0), abs=1e-7)
    assert exact_p_values(930, 1000, 0.9)[1] == pytest.approx(0.00057450, abs=1e-8)
    # The exact McNemar test of 86 against 150 discordant rows.
    assert 2 * exact_p_values(86, 236, 0.5)[0] == pytest.approx(3.7159e-05, abs=1e-9)


def test_rows_that_differ_nowhere_can_still_hide_a_loss_of_three_in_n() -> None:
    assert worst_loss(0, 1000, cap=1.0) == pytest.approx(1 - 0.05 ** (1 / 1000))


def test_equivalence_tests_agree_with_the_published_ones() -> None:
    a, b = np.array([4.0, 7, 8, 6, 3, 2]), np.array([6.0, 8, 7, 10, 11, 9])
    sleep = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
    drug = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])
    paired, welch = paired_seeds(sleep - drug), welch_seeds(sleep, drug)

    assert equivalence_p(stored_seeds(a, b), margin=1) == pytest.approx(0.9650974, abs=1e-7)
    assert equivalence_p(paired_seeds(a - b), margin=0.5) == pytest.approx(0.9548544, abs=1e-7)
    assert paired.estimate / paired.se == pytest.approx(-4.0621277, abs=1e-7)
    assert 2 * p_values(paired, 0)[0] == pytest.approx(0.0028329, abs=1e-7)
    assert (welch.estimate / welch.se, welch.freedom) == pytest.approx((-1.8608135, 17.7765), abs=1e-4)
    assert 2 * p_values(welch, 0)[0] == pytest.approx(0.0793941, abs=1e-7)
    assert equivalence_p(paired, margin=3) == pytest.approx(0.0026556, abs=1e-7)


def test_one_new_training_is_predicted_from_ten_stored_ones() -> None:
    base = np.array([0.90, 0.91, 0.92, 0.93, 0.94, 0.90, 0.91, 0.92, 0.93, 0.94])
    sample = stored_seeds(np.array([0.9]), base)

    low = 1.833113 * math.sqrt(1 + 1 / 10) * base.std(ddof=1)
    assert sample.freedom == 9
    assert sample.estimate - interval(sample)[0] == pytest.approx(low, rel=1e-6)
    assert low == pytest.approx(1.923 * base.std(ddof=1), rel=1e-3)


@pytest.mark.parametrize(
    ("reference", "trimmed", "spread", "least"),
    [
        ([16, 14, 16, 17, 16, 16, 15, 16, 15, 16], 15.75, 0.4330, 15.213),
        ([20, 21, 21, 20, 22, 22, 21, 21, 20, 20], 20.75, 0.6614, 19.929),
    ],
)
def test_the_reference_convergence_points_of_mlperf_come_out(
    reference: list[int], trimmed: float, spread: float, least: float
) -> None:
    kept = np.sort(reference)[1:-1]

    assert (kept.mean(), kept.std()) == pytest.approx((trimmed, spread), abs=1e-4)
    assert kept.mean() - quantile_of(9)(0.95) * kept.std() * math.sqrt(1 / 8 + 1 / 3) == pytest.approx(least, abs=1e-3)


def test_folds_are_not_taken_for_independent_experiments() -> None:
    scores = np.array([0.02, 0.01, -0.01, 0.03, 0, 0.02, 0.01, 0.04, -0.02, 0.01])
    naive, corrected = fold_sample(scores, n_train=10**12, n_test=1), fold_sample(scores, n_train=90, n_test=10)

    assert naive.estimate / naive.se == pytest.approx(1.9411765, abs=1e-6)
    assert 2 * p_values(naive, 0)[1] == pytest.approx(0.0841503, abs=1e-6)
    assert corrected.estimate / corrected.se == pytest.approx(1.3360093, abs=1e-7)
    assert 2 * p_values(corrected, 0)[1] == pytest.approx(0.2143424, abs=1e-7)


def test_repeated_folds_give_scikit_learns_published_comparison() -> None:
    from sklearn.datasets import make_moons
    from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score
    from sklearn.svm import SVC

    rows, truth = make_moons(noise=0.352, random_state=1, n_samples=100)
    folds = RepeatedStratifiedKFold(n_splits=10, n_repeats=10, random_state=0)
    rbf, linear = (
        cross_val_score(SVC(kernel=kernel, random_state=0), rows, truth, scoring="roc_auc", cv=folds)
        for kernel in ("rbf", "linear")
    )

    sample = fold_sample(rbf - linear, n_train=90, n_test=10)

    assert (rbf.mean(), linear.mean()) == pytest.approx((0.940, 0.930), abs=5e-4)
    assert sample.estimate / sample.se == pytest.approx(0.7503127, abs=1e-6)
    assert p_values(sample, 0)[1] == pytest.approx(0.2274230, abs=1e-6)


def test_the_variance_of_seeds_and_rows_is_the_sum_of_both_unless_exact() -> None:
    rng = np.random.default_rng(6)
    arms = [[mean_influence(0.3 * rng.standard_normal(400) + shift) for shift in (0.0, 0.01, 0.02)] for _ in range(2)]
    new, base = arms
    shift = np.mean([each.psi for each in new], axis=0) - np.mean([each.psi for each in base], axis=0)
    spread = [np.var([each.value for each in arm], ddof=1) for arm in arms]
    inside = [np.var([each.psi for each in arm], axis=0, ddof=1).mean() for arm in arms]

    conservative, exact = two_way(new, base), two_way(new, base, variance="exact")

    rows = summarise(Influence(0.0, shift)).se ** 2
    assert conservative.se**2 == pytest.approx(rows + sum(spread) / 3)
    assert exact.se**2 == pytest.approx(max(rows - sum(inside) / 3 / 400, 0) + sum(spread) / 3)


# -- many gates, many looks, power -------------------------------------------------------------------------------------


def test_holm_adjusts_p_values_in_their_order() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@pytest.mark.parametrize(
    ("looks", "stored", "expected"),
    [
        ((1, 2, 3, 5), 10, (2.423, 2.383, 2.351, 2.303)),
        ((1, 2, 3), 10, (2.292, 2.257, 2.229)),
        ((3, 5, 10), 0, (4.821, 2.987, 2.392)),
        ((3, 4, 5, 6), 0, (4.798, 3.455, 2.979, 2.740)),
    ],
)
def test_critical_values_of_several_looks(looks: tuple[int, ...], stored: int, expected: tuple[float, ...]) -> None:
    found = [critical_value(looks, stored=stored, seeds=seeds) for seeds in looks]

    assert found == pytest.approx(expected, abs=0.02)


def test_looks_that_no_table_has_get_their_level_from_a_simulation_that_repeats() -> None:
    more, fewer = nominal_level((1, 2, 3, 5), stored=20), nominal_level((2, 5), stored=10)
    shared = nominal_level((1, 2, 3, 5), stored=10, alpha=0.05 / 12)

    # One look costs nothing, and the first of several costs most where they depend least on each other.
    assert nominal_level((4,), stored=10) == 0.05
    assert more == nominal_level((1, 2, 3, 5), stored=20)
    assert 0.0175 < more < 0.0205 < fewer < 0.05
    assert 0.05 / 12 / 4 < shared < 0.0192 / 12
    # Too rare to be simulated: Bonferroni, which is never too lax.
    assert nominal_level((1, 2, 3, 5), stored=10, alpha=0.0004) == 0.0001


@pytest.mark.parametrize(("looks", "stored"), list(NOMINAL))
def test_the_level_of_each_look_is_what_a_simulation_gives(looks: tuple[int, ...], stored: int) -> None:
    from scipy import special

    count, rng = 200_000, np.random.default_rng(11)
    new = rng.standard_normal((count, max(looks)))
    base = rng.standard_normal((count, stored)) if stored else np.zeros((count, 1))
    centre, squares = base.mean(axis=1), base.var(axis=1) * base.shape[1]
    least = np.ones(count)
    for seeds in looks:
        seen = new[:, :seeds]
        freedom = stored + seeds - 2 if stored else seeds - 1
        pooled = (squares + seen.var(axis=1) * seeds) / freedom
        statistic = (seen.mean(axis=1) - centre) / np.sqrt(pooled * (1 / seeds + (1 / stored if stored else 0)))
        least = np.minimum(least, special.stdtr(freedom, statistic))

    assert float(np.quantile(least, 0.05)) == pytest.approx(NOMINAL[looks, stored], abs=0.0008)


def test_power_is_said_in_standard_errors() -> None:
    sample = Sample(0.0, 0.01, 0.0, 1e9, 1000)

    assert detectable(sample, margin=0.005, alpha=0.05) == pytest.approx(0.005 + 2.4865 * 0.01, abs=1e-5)
    assert rows_needed(sample, distance=0.02) == math.ceil(1000 * (2.48647 * 0.5) ** 2)
    assert rows_needed(sample, distance=0.02, both_sides=True) == math.ceil(1000 * (2.92640 * 0.5) ** 2)
    assert rows_needed(sample, distance=0.0) is None


# -- decisions ---------------------------------------------------------------------------------------------------------


def test_a_decision_follows_the_interval() -> None:
    sample = Sample(-0.02, 0.005, 0.0, 500.0, 1000)

    assert decide(sample, -0.04).decision == "PASS"
    assert decide(sample, -0.03).decision == "PASS"
    assert decide(sample, -0.025).decision == "INCONCLUSIVE"
    assert decide(sample, -0.01).decision == "FAIL"


def test_a_failure_must_hold_among_all_gates_and_says_when_it_does_not() -> None:
    sample = Sample(-0.02, 0.005, 0.0, 500.0, 1000)

    found = decide(sample, -0.01, m=12)

    assert found.decision == "INCONCLUSIVE"
    assert found.reason == "suspicious, and not significant among 12 gates"
    assert decide(Sample(-0.02, 0.005, 0.0, 500.0, 1000), -0.04, m=12).decision == "PASS"


@pytest.mark.parametrize(
    ("estimate", "n", "decision"),
    [(0.0, 1, "PASS"), (-1.0, 50, "FAIL"), (-1.0, 3, "INCONCLUSIVE"), (0.5, 50, "PASS"), (0.5, 3, "INCONCLUSIVE")],
)
def test_rows_that_all_say_the_same_decide_by_their_number(estimate: float, n: int, decision: str) -> None:
    assert decide(summarise(Influence(estimate, np.zeros(n))), 0.0, min_eff=5).decision == decision
