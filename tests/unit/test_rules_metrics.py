"""Metrics are scikit-learn's numbers, or an error that says what to pass instead."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
import sklearn.metrics as sk

from pytest_mlrun.errors import MetricError
from pytest_mlrun.rules.metrics import compute_metrics, confusion, is_classification

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

TRUTH = [0, 0, 1, 1]
SCORES = [0.1, 0.4, 0.35, 0.8]
THREE = [0, 1, 2, 0]
PROBABILITIES = [[0.5, 0.3, 0.2], [0.2, 0.5, 0.3], [0.3, 0.6, 0.1], [0.4, 0.3, 0.3]]


def one(
    name: str, y_true: ArrayLike, y_out: ArrayLike, *, threshold: float = 0.5, labels: ArrayLike | None = None
) -> float:
    (value,) = compute_metrics([name], y_true, y_out, threshold=threshold, labels=labels).values()
    return value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        # One of the four pairs of a positive and a negative is the wrong way round.
        ("roc_auc", 0.75),
        ("accuracy", 0.75),
        ("balanced_accuracy", 0.75),
        ("precision", 1.0),
        ("recall", 0.5),
        ("f1", 2 / 3),
        ("brier", (0.1**2 + 0.4**2 + 0.65**2 + 0.2**2) / 4),
        ("log_loss", -np.log([0.9, 0.6, 0.35, 0.8]).mean()),
    ],
)
def test_two_classes_by_hand(name: str, value: float) -> None:
    assert one(name, TRUTH, SCORES) == pytest.approx(value, abs=1e-15)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rmse", (14 / 4) ** 0.5),
        ("mse", 14 / 4),
        ("mae", 6 / 4),
        ("r2", 1 - 14 / 5),
        ("max_error", 3.0),
        ("median_absolute_error", 1.5),
    ],
)
def test_regression_by_hand(name: str, value: float) -> None:
    assert one(name, [1.0, 2.0, 3.0, 4.0], [1.0, 3.0, 5.0, 7.0]) == pytest.approx(value, abs=1e-15)


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("neg_log_loss", "log_loss"),
        ("neg_brier_score", "brier"),
        ("neg_root_mean_squared_error", "rmse"),
        ("neg_mean_absolute_error", "mae"),
        ("neg_mean_squared_error", "mse"),
        ("f1_macro", "f1_macro"),
        ("roc_auc_ovr", "roc_auc_ovr"),
    ],
)
def test_a_scorer_name_of_scikit_learn_gives_the_metric_without_its_sign(spelling: str, name: str) -> None:
    computed = compute_metrics([spelling], TRUTH, SCORES)

    assert list(computed) == [name]
    assert computed[name] > 0


def test_several_metrics_come_in_the_order_asked() -> None:
    assert list(compute_metrics(("rmse", "roc_auc", "accuracy"), TRUTH, SCORES)) == ["rmse", "roc_auc", "accuracy"]


def test_one_name_may_stand_alone() -> None:
    assert compute_metrics("accuracy", TRUTH, SCORES) == {"accuracy": 0.75}


def test_the_threshold_itself_counts_as_positive() -> None:
    assert one("recall", [1, 1], [0.3, 0.29], threshold=0.3) == 0.5


@pytest.mark.parametrize(
    "scores",
    [
        np.array(SCORES),
        np.array(SCORES, dtype=np.float32),
        pa.array(SCORES),
        pa.chunked_array([SCORES[:2], SCORES[2:]]),
        np.array(SCORES).reshape(-1, 1),
        np.array(SCORES, dtype=object),
        tuple(SCORES),
    ],
    ids=["float64", "float32", "arrow", "chunked", "column", "object", "tuple"],
)
def test_scores_may_be_any_array(scores: ArrayLike) -> None:
    assert compute_metrics(["roc_auc", "accuracy"], TRUTH, scores) == {"roc_auc": 0.75, "accuracy": 0.75}


@pytest.mark.parametrize("name", ["roc_auc", "accuracy", "log_loss", "brier", "f1", "average_precision"])
def test_two_columns_are_the_probabilities_of_both_classes(name: str) -> None:
    columns = np.column_stack([1 - np.array(SCORES), SCORES])

    assert one(name, TRUTH, columns) == pytest.approx(one(name, TRUTH, SCORES), abs=1e-15)


@pytest.mark.parametrize(
    "truth",
    [
        ["no", "no", "yes", "yes"],
        [False, False, True, True],
        [-1, -1, 1, 1],
        [1.0, 1.0, 2.0, 2.0],
        pa.array([3, 3, 5, 5]),
    ],
    ids=["text", "bool", "signs", "float", "arrow"],
)
@pytest.mark.parametrize("name", ["roc_auc", "accuracy", "log_loss", "brier", "f1", "precision", "recall"])
def test_the_second_class_in_order_is_the_positive_one(name: str, truth: ArrayLike) -> None:
    assert one(name, truth, SCORES) == pytest.approx(one(name, TRUTH, SCORES), abs=1e-15)


def test_labels_say_which_class_is_positive() -> None:
    truth = ["good", "good", "bad", "bad"]

    assert one("roc_auc", truth, SCORES, labels=["good", "bad"]) == 0.75
    assert one("roc_auc", truth, SCORES) == 0.25


def test_equal_scores_of_minus_and_plus_one_still_rank() -> None:
    found = compute_metrics(["roc_auc", "accuracy"], [-1, 1], [1.0, 1.0])

    assert found == {"roc_auc": 0.5, "accuracy": 0.5}


@pytest.mark.parametrize(
    ("truth", "predicted"),
    [
        ([0, 0, 1, 1], [0, 1, 1, 1]),
        ([0, 0, 1, 1], [False, True, True, True]),
        ([False, False, True, True], [0, 1, 1, 1]),
        ([0, 0, 1, 1], [0.0, 1.0, 1.0, 1.0]),
        ([-1, -1, 1, 1], [-1.0, 1.0, 1.0, 1.0]),
        ([1, 1, 2, 2], [1.0, 2.0, 2.0, 2.0]),
        (["a", "a", "b", "b"], ["a", "b", "b", "b"]),
        (["a", "a", "b", "b"], pa.array(["a", "b", "b", "b"])),
        (np.array(["a", "a", "b", "b"], dtype=object), ["a", "b", "b", "b"]),
    ],
)
def test_predicted_labels_are_counted(truth: ArrayLike, predicted: ArrayLike) -> None:
    found = compute_metrics(["accuracy", "precision", "recall"], truth, predicted)

    assert found == {"accuracy": 0.75, "precision": pytest.approx(2 / 3), "recall": 1.0}


def test_zeros_and_ones_as_real_numbers_are_scores_too() -> None:
    assert one("roc_auc", TRUTH, [0.0, 1.0, 1.0, 1.0]) == 0.75


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("roc_auc", sk.roc_auc_score(THREE, np.array(PROBABILITIES), multi_class="ovr", average="macro")),
        (
            "roc_auc_ovr_weighted",
            sk.roc_auc_score(THREE, np.array(PROBABILITIES), multi_class="ovr", average="weighted"),
        ),
        ("roc_auc_ovo", sk.roc_auc_score(THREE, np.array(PROBABILITIES), multi_class="ovo", average="macro")),
        ("log_loss", sk.log_loss(THREE, np.array(PROBABILITIES))),
        ("brier", (0.38 + 0.38 + 1.26 + 0.54) / 4),
        ("accuracy", 0.75),
        ("balanced_accuracy", 2 / 3),
        ("f1_macro", sk.f1_score(THREE, [0, 1, 1, 0], average="macro", zero_division=0.0)),
        ("precision_weighted", sk.precision_score(THREE, [0, 1, 1, 0], average="weighted", zero_division=0.0)),
        ("recall_micro", 0.75),
        ("matthews_corrcoef", sk.matthews_corrcoef(THREE, [0, 1, 1, 0])),
    ],
)
@pytest.mark.parametrize("names", [[0, 1, 2], ["ape", "bee", "cat"]], ids=["numbers", "text"])
def test_three_classes(name: str, expected: float, names: Sequence[int | str]) -> None:
    truth = [names[place] for place in THREE]

    assert one(name, truth, PROBABILITIES) == pytest.approx(expected, abs=1e-12)


def test_columns_follow_the_labels_given() -> None:
    swapped = np.array(PROBABILITIES)[:, [2, 0, 1]]

    assert one("log_loss", THREE, swapped, labels=[2, 0, 1]) == pytest.approx(one("log_loss", THREE, PROBABILITIES))


def test_a_class_that_a_split_lacks_does_not_shift_the_columns() -> None:
    found = compute_metrics(["accuracy", "log_loss"], [0, 2], [[0.6, 0.3, 0.1], [0.1, 0.1, 0.8]], labels=[0, 1, 2])

    assert found == {"accuracy": 1.0, "log_loss": pytest.approx(-np.log([0.6, 0.8]).mean())}


def test_probabilities_in_single_precision_are_computed_without_a_warning() -> None:
    rows = np.random.default_rng(0).dirichlet(np.ones(7), size=50).astype(np.float32).astype(np.float64)
    truth = np.arange(50) % 7

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = compute_metrics(["log_loss", "roc_auc", "accuracy"], truth, rows)

    assert found["log_loss"] == pytest.approx(-np.log(rows[np.arange(50), truth]).mean(), abs=1e-6)


@pytest.mark.parametrize("name", ["precision", "f1", "recall", "matthews_corrcoef"])
def test_a_division_by_zero_is_zero_and_says_nothing(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        value = one(name, [0, 1], [0.1, 0.2])

    assert value == 0.0


def test_one_class_alone_has_an_accuracy_and_a_log_loss() -> None:
    found = compute_metrics(["accuracy", "log_loss", "brier"], [1, 1], [0.9, 0.4])

    assert found == {
        "accuracy": 0.5,
        "log_loss": pytest.approx(-np.log([0.9, 0.4]).mean()),
        "brier": pytest.approx((0.1**2 + 0.6**2) / 2),
    }


def test_narrow_integers_do_not_wrap_around() -> None:
    assert one("rmse", np.array([200, 0], np.uint8), np.array([0, 200], np.uint8)) == 200.0


def test_regression_may_have_several_outputs() -> None:
    assert one("mae", [[1.0, 2.0], [3.0, 4.0]], [[1.0, 3.0], [3.0, 5.0]]) == 0.5


@pytest.mark.parametrize(
    ("names", "truth", "out", "reason", "cure"),
    [
        ("rocauc", TRUTH, SCORES, "metric 'rocauc' is unknown; did you mean 'roc_auc'?", "log_metric"),
        ("roc_auc", TRUTH, SCORES[:3], "y_true has 4 rows and the predictions have 3", "same rows"),
        ("roc_auc", [], [], "y_true holds no rows", "rows of this split"),
        ("roc_auc", [1, 1], [0.2, 0.3], "roc_auc is undefined: y_true has no 0", "stratify"),
        ("roc_auc", ["a", "a"], ["a", "a"], "roc_auc needs scores, and the predictions are labels", "predict_proba"),
        (
            "log_loss",
            TRUTH,
            TRUTH,
            "log_loss needs scores, and the predictions are labels",
            r"predict_proba\(X\)\[:, 1\]",
        ),
        ("brier", THREE, THREE, "brier needs scores, and the predictions are labels", r"predict_proba\(X\)$"),
        (
            "accuracy",
            TRUTH,
            [0.1, 0.2, 3.2, 0.4],
            r"accuracy needs scores in \[0, 1\], found 3.2 in row 2",
            "predicted",
        ),
        (
            "log_loss",
            TRUTH,
            [0.1, -2, 0.3, 0.4],
            r"log_loss needs scores in \[0, 1\], found -2 in row 1",
            "predict_proba",
        ),
        (
            "roc_auc",
            TRUTH,
            [0.1, np.nan, 0.3, np.nan],
            "the predictions hold 2 NaN, the first in row 1",
            "where they come",
        ),
        ("rmse", [1.0, np.nan], [1.0, 2.0], "y_true holds 1 NaN, the first in row 1", "where they come"),
        ("rmse", [1.0, 2.0], [1.0, np.inf], "the predictions hold 1 infinite values, the first in row 1", "where they"),
        ("accuracy", ["a", None], ["a", "b"], "y_true holds 1 missing values, the first in row 1", "where they come"),
        (
            "accuracy",
            np.array(["a", 1], object),
            ["a", "b"],
            "y_true cannot .*: it mixes numbers with text",
            "one entry a row",
        ),
        ("accuracy", ["a", "b"], [0, 1], "the predictions hold numbers and the classes are text", "encode both alike"),
        ("accuracy", [0, 1], ["a", "b"], "the predictions hold text and the classes are numbers", "encode both alike"),
        ("accuracy", [0.5, 1.7], [0.5, 1.7], "y_true holds real numbers, which are not classes", "rmse"),
        (
            "accuracy",
            THREE,
            [0.1, 0.2, 0.3, 0.4],
            "one score a row needs two classes, found 3: 0, 1, 2",
            "a column each",
        ),
        (
            "accuracy",
            ["a", "a"],
            [0.1, 0.2],
            "one score a row needs two classes, found 1: 'a'",
            "labels=model.classes_",
        ),
        (
            "accuracy",
            TRUTH,
            PROBABILITIES,
            r"the predictions have shape \(4, 3\), but there are 2 classes: 0, 1",
            "labels=",
        ),
        ("f1", THREE, PROBABILITIES, "f1 of 3 classes needs an average", "use f1_macro, f1_weighted or f1_micro"),
        (
            "log_loss",
            [0, 1],
            [[0.5, 0.7], [0.5, 0.5]],
            "row 0 of the predictions is no set of probabilities: its sum is 1.2",
            "1",
        ),
        (
            "log_loss",
            [0, 1],
            [[0.5, 0.5], [-0.5, 1.5]],
            "row 1 of the predictions is no set of probabilities",
            "sum to 1",
        ),
        ("accuracy", [0, 1], [["a", "b"], ["a", "b"]], "the predictions are a table of text", "one class a row"),
        ("accuracy", [[0, 1], [1, 0]], [0, 1], "y_true has more than one column", "one class a row"),
        ("average_precision", THREE, PROBABILITIES, "average_precision needs two classes", "roc_auc"),
        ("r2", [1.0], [1.0], "r2 is undefined for one row", "two rows"),
        ("rmse", ["a", "b"], [1.0, 2.0], "rmse needs numbers, and found text", "accuracy"),
        (
            "rmse",
            [1.0, 2.0],
            [[1.0, 2.0], [3.0, 4.0]],
            r"y_true has shape \(2,\) and the predictions \(2, 2\)",
            "each true",
        ),
        ("rmse", [1.0, 2.0], [[1.0], [1.0, 2.0]], "the predictions cannot be read as an array", "one entry a row"),
    ],
)
def test_what_is_not_defined_is_refused_with_the_cure(
    names: str, truth: ArrayLike, out: ArrayLike, reason: str, cure: str
) -> None:
    with pytest.raises(MetricError, match=reason) as caught:
        compute_metrics([names], truth, out)

    assert re.search(cure, caught.value.next_step)


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ([0, 0], "labels name a class twice: 0, 0"),
        ([1, 2], "y_true holds 0, which is none of the classes 1, 2"),
        (["a", "b"], "y_true holds numbers and the classes are text"),
        ([0, 1, 2], "one score a row needs two classes, found 3"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels: ArrayLike, reason: str) -> None:
    with pytest.raises(MetricError, match=reason):
        compute_metrics(["accuracy"], TRUTH, SCORES, labels=labels)


@pytest.mark.parametrize("threshold", [-0.1, 1.5, float("nan")])
def test_a_threshold_outside_the_scores_is_refused(threshold: float) -> None:
    with pytest.raises(MetricError, match=r"threshold is .*, not in \[0, 1\]"):
        compute_metrics(["accuracy"], TRUTH, SCORES, threshold=threshold)


def test_an_average_may_be_given_for_all_names() -> None:
    found = compute_metrics(["f1", "recall"], THREE, PROBABILITIES, average="macro")

    assert found == {"f1": pytest.approx(5 / 9), "recall": pytest.approx(2 / 3)}


def test_an_unknown_average_is_refused() -> None:
    with pytest.raises(MetricError, match=r"average='marco' is unknown; did you mean 'macro'\?"):
        compute_metrics(["f1"], THREE, PROBABILITIES, average="marco")


def test_numbers_too_large_to_compare_are_refused() -> None:
    with pytest.raises(MetricError, match="r2_score is undefined for these rows"):
        one("r2", [1e308, -1e308], [-1e308, 1e308])


def test_scores_of_any_size_rank() -> None:
    assert one("roc_auc", TRUTH, [-3.0, 2.0, 1.0, 8.0]) == 0.75


# -- confusion ---------------------------------------------------------------------------------------------------------


def test_rows_are_the_truth_and_columns_the_predictions() -> None:
    found = confusion(["no", "no", "yes", "yes"], SCORES)

    assert found is not None
    assert found[0] == ("no", "yes")
    assert found[1].tolist() == [[2, 0], [1, 1]]


def test_the_confusion_of_three_classes_counts_absent_ones_too() -> None:
    found = confusion([0, 2], [[0.6, 0.3, 0.1], [0.1, 0.8, 0.1]], labels=[0, 1, 2])

    assert found is not None
    assert found[0] == (0, 1, 2)
    assert found[1].tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]


def test_a_predicted_class_that_is_never_true_has_its_place() -> None:
    found = confusion(["a", "b"], ["a", "c"])

    assert found is not None
    assert found[0] == ("a", "b", "c")
    assert found[1].tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 0]]


def test_scores_without_a_threshold_have_no_confusion() -> None:
    assert confusion(TRUTH, [-3.0, 2.0, 1.0, 8.0]) is None


@pytest.mark.parametrize(
    ("names", "classes"), [(["rmse", "mae"], False), (["rmse", "roc_auc"], True), (["f1_macro"], True), ([], False)]
)
def test_metrics_about_classes_are_known_by_name(names: list[str], classes: bool) -> None:
    assert is_classification(names) is classes


def test_predicted_labels_follow_the_labels_given() -> None:
    found = confusion(["no", "yes"], ["no", "no"], labels=["yes", "no", "maybe"])

    assert found is not None
    assert found[0] == ("yes", "no", "maybe")
    assert found[1].tolist() == [[0, 1, 0], [0, 1, 0], [0, 0, 0]]
