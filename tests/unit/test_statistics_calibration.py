"""At the boundary a gate errs as often as it says: simulations with fixed seeds and counted errors."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from pytest_mlrun.rules.statistics.auc import auc_influence
from pytest_mlrun.rules.statistics.decision import decide
from pytest_mlrun.rules.statistics.influence import mean_influence
from pytest_mlrun.rules.statistics.sample import Influence, Sample, difference, summarise
from pytest_mlrun.rules.statistics.seeds import one_way, stored_seeds, two_way, welch_seeds
from pytest_mlrun.rules.statistics.sequential import critical_value, nominal_level

SLOW = pytest.mark.slow
SIZES = (pytest.param(200, marks=SLOW), 500, pytest.param(2000, marks=SLOW))
Rng = np.random.Generator
TRIALS = 2_000
FEWEST, MOST = 69, 133
"""99.9 % limits of 5 % of 2,000."""


def _phi(value: float) -> float:
    return 0.5 * (1 + math.erf(value / math.sqrt(2)))


AUC_DROP = _phi(1 / math.sqrt(2)) - _phi(1.2 / math.sqrt(2))


def _two_curves(rng: Rng, n: int) -> Sample:
    positive = rng.random(n) < 0.5
    shared = rng.standard_normal(n)
    base = 1.2 * positive + shared
    new = positive + 0.9 * shared + math.sqrt(0.19) * rng.standard_normal(n)
    return summarise(difference(auc_influence(positive, new), auc_influence(positive, base)))


def _two_classifiers(rng: Rng, n: int) -> Sample:
    # Both right, only the base, only the new one, neither.
    cell = rng.choice(4, size=n, p=[0.86, 0.04, 0.03, 0.07])
    new, base = np.isin(cell, [0, 2]).astype(float), np.isin(cell, [0, 1]).astype(float)
    return summarise(difference(mean_influence(new), mean_influence(base)))


def _skewed_losses(rng: Rng, n: int) -> Sample:
    return summarise(mean_influence(-(rng.exponential(size=n) ** 2 - 2) * 0.02 - 0.005))


def _count(draw: Callable[[Rng, int], Sample], n: int, bound: float, *, seed: int) -> tuple[int, int]:
    rng = np.random.default_rng(seed)
    found = [decide(draw(rng, n), bound, min_eff=5).decision for _ in range(TRIALS)]
    return found.count("FAIL"), found.count("PASS")


@pytest.mark.parametrize("n", SIZES)
def test_two_curves_at_the_margin_fail_and_pass_in_one_of_twenty(n: int) -> None:
    failed, passed = _count(_two_curves, n, AUC_DROP, seed=20261123)

    assert pytest.approx(-0.04168, abs=1e-5) == AUC_DROP
    assert FEWEST <= failed <= MOST
    assert FEWEST <= passed <= MOST


@pytest.mark.parametrize("n", SIZES)
def test_two_classifiers_at_the_margin_fail_and_pass_in_one_of_twenty(n: int) -> None:
    failed, passed = _count(_two_classifiers, n, -0.01, seed=20261124)

    assert FEWEST <= failed <= MOST
    assert FEWEST <= passed <= MOST


@pytest.mark.parametrize("n", SIZES)
def test_skewed_losses_at_the_margin_err_no_more_than_they_say(n: int) -> None:
    failed, passed = _count(_skewed_losses, n, -0.005, seed=20261125)

    assert failed <= 154
    assert passed <= 154


@pytest.mark.parametrize(
    ("n", "power"), [pytest.param(200, 0.8305, marks=SLOW), (500, 0.9935), pytest.param(2000, 1.0, marks=SLOW)]
)
def test_a_drop_in_the_area_is_found(n: int, power: float) -> None:
    failed, _ = _count(_two_curves, n, 0.0, seed=20261123)

    assert failed / TRIALS == pytest.approx(power, abs=0.03)


def _arm(rng: Rng, rows: NDArray[np.float64], seeds: int, level: float) -> list[Influence]:
    return [
        mean_influence(rows + level + 0.005 * rng.standard_normal() + 0.2 * rng.standard_normal(len(rows)))
        for _ in range(seeds)
    ]


def test_seeds_and_rows_together_err_no_more_than_they_say() -> None:
    rng = np.random.default_rng(20261126)
    found = []
    for _ in range(TRIALS):
        new_rows, base_rows = 0.3 * rng.standard_normal((2, 500))
        sample = two_way(_arm(rng, new_rows, 3, -0.01), _arm(rng, base_rows, 3, 0.0))
        found.append(decide(sample, -0.01).decision)

    assert found.count("FAIL") <= MOST
    assert found.count("PASS") <= MOST


@SLOW
def test_four_looks_at_new_seeds_err_as_often_as_one() -> None:
    rng = np.random.default_rng(20261127)
    looks, trials = (1, 2, 3, 5), 20_000
    critical = {seeds: critical_value(looks, stored=10, seeds=seeds) for seeds in looks}
    failed = passed = trained = 0
    for _ in range(trials):
        base, new = rng.standard_normal(10), rng.standard_normal(5)
        for seeds in looks:
            sample = stored_seeds(new[:seeds], base)
            trained += seeds - max((look for look in looks if look < seeds), default=0)
            if abs(sample.estimate / sample.se) > critical[seeds]:
                failed += sample.estimate < 0
                passed += sample.estimate > 0
                break

    assert 900 <= failed <= 1103
    assert 900 <= passed <= 1103
    assert trained / trials == pytest.approx(4.745, abs=0.03)


def test_two_hundred_sessions_with_nothing_wrong_are_red_at_the_stated_rate() -> None:
    rng, red = np.random.default_rng(20261128), 0
    for _ in range(200):
        decisions = []
        for _ in range(36):
            rows = 0.3 * rng.standard_normal(500)
            decisions.append(decide(summarise(mean_influence(rows)), 0.0, min_eff=5, m=36).decision)
        red += "FAIL" in decisions

    assert red <= 21


@SLOW
@pytest.mark.parametrize("stored", [3, 5, 9])
def test_looks_against_few_stored_seeds_err_no_more_than_they_say(stored: int) -> None:
    rng, trials = np.random.default_rng(20261129), 10_000
    level = nominal_level((3, 5, 10), stored=0)
    found = {"PASS": 0, "FAIL": 0, "INCONCLUSIVE": 0}
    for _ in range(trials):
        base, new = rng.standard_normal(stored), rng.standard_normal(10)
        decisions = (decide(welch_seeds(new[:seeds], base), 0.0, alpha=level).decision for seeds in (3, 5, 10))
        found[next((one for one in decisions if one != "INCONCLUSIVE"), "INCONCLUSIVE")] += 1

    # 99.9 % limit of 5 % of the trials.
    assert max(found["PASS"], found["FAIL"]) <= 568, found


@SLOW
def test_looks_at_the_mean_of_seeds_on_shared_rows_err_no_more_than_they_say() -> None:
    rng = np.random.default_rng(20261130)
    level = nominal_level((3, 5, 10), stored=0)
    found = {"PASS": 0, "FAIL": 0, "INCONCLUSIVE": 0}
    for _ in range(TRIALS):
        arm = _arm(rng, 0.3 * rng.standard_normal(500), 10, 0.0)
        decisions = (decide(one_way(arm[:seeds]), 0.0, min_eff=5, alpha=level).decision for seeds in (3, 5, 10))
        found[next((one for one in decisions if one != "INCONCLUSIVE"), "INCONCLUSIVE")] += 1

    assert max(found["PASS"], found["FAIL"]) <= MOST, found
