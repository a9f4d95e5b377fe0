"""Metrics are scikit-learn's numbers, whatever the rows."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_mlrun.rules.metrics import compute_metrics, confusion

rows = st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1, width=32)), min_size=2, max_size=30).filter(
    lambda pairs: len({truth for truth, _ in pairs}) == 2
)


@settings(max_examples=25, deadline=None)
@given(rows, st.sampled_from([0.25, 0.5, 0.75]))
def test_two_classes_agree_with_scikit_learn(pairs: list[tuple[int, float]], threshold: float) -> None:
    truth, scores = np.array([y for y, _ in pairs]), np.array([s for _, s in pairs])
    hard = (scores >= threshold).astype(int)

    found = compute_metrics(
        ["roc_auc", "log_loss", "brier", "accuracy", "f1", "precision", "recall", "f1_macro"],
        truth,
        scores,
        threshold=threshold,
    )

    assert found == {
        "roc_auc": pytest.approx(sk.roc_auc_score(truth, scores)),
        "log_loss": pytest.approx(sk.log_loss(truth, scores)),
        "brier": pytest.approx(sk.brier_score_loss(truth, scores)),
        "accuracy": pytest.approx(sk.accuracy_score(truth, hard)),
        "f1": pytest.approx(sk.f1_score(truth, hard, zero_division=0.0)),
        "precision": pytest.approx(sk.precision_score(truth, hard, zero_division=0.0)),
        "recall": pytest.approx(sk.recall_score(truth, hard, zero_division=0.0)),
        "f1_macro": pytest.approx(sk.f1_score(truth, hard, average="macro", zero_division=0.0)),
    }


@settings(max_examples=25, deadline=None)
@given(rows, st.permutations([("no", "yes"), (False, True), (-1, 1), (3, 8)]))
def test_the_names_of_the_classes_change_nothing(
    pairs: list[tuple[int, float]], names: list[tuple[int, int] | tuple[str, str]]
) -> None:
    truth, scores = [y for y, _ in pairs], [s for _, s in pairs]
    wanted = compute_metrics(["roc_auc", "log_loss", "f1"], truth, scores)
    counts = confusion(truth, scores)

    renamed = [names[0][y] for y in truth]

    assert compute_metrics(["roc_auc", "log_loss", "f1"], renamed, scores) == wanted
    found = confusion(renamed, scores)
    assert found is not None
    assert counts is not None
    assert found[0] == names[0]
    assert found[1].tolist() == counts[1].tolist()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd")), min_size=1, max_size=30))
def test_predicted_labels_agree_with_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    truth, predicted = [y for y, _ in pairs], [p for _, p in pairs]

    found = compute_metrics(["accuracy", "f1_macro", "recall_weighted"], truth, predicted)

    assert found["accuracy"] == pytest.approx(sk.accuracy_score(truth, predicted))
    assert found["f1_macro"] == pytest.approx(sk.f1_score(truth, predicted, average="macro", zero_division=0.0))
    assert found["recall_weighted"] == pytest.approx(
        sk.recall_score(truth, predicted, average="weighted", zero_division=0.0)
    )
    counted = confusion(truth, predicted)
    assert counted is not None
    assert counted[0] == tuple(sorted({*truth, *predicted}))
    places = list(counted[0])
    assert counted[1].tolist() == [[pairs.count((str(row), str(column))) for column in places] for row in places]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.floats(-1e6, 1e6, width=32), st.floats(-1e6, 1e6, width=32)), min_size=2, max_size=20))
def test_regression_agrees_with_scikit_learn(pairs: list[tuple[float, float]]) -> None:
    truth, out = [y for y, _ in pairs], [p for _, p in pairs]

    assert compute_metrics(["rmse", "mae", "r2"], truth, out) == {
        "rmse": pytest.approx(sk.root_mean_squared_error(truth, out)),
        "mae": pytest.approx(sk.mean_absolute_error(truth, out)),
        "r2": pytest.approx(sk.r2_score(truth, out)),
    }
