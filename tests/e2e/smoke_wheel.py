"""Prove that the installed wheel records a run; copied away from the sources by .ci/run."""

from __future__ import annotations

import pathlib

import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

import pytest_mlrun

pytestmark = pytest.mark.mlrun(experiment="smoke", seed=7)


@pytest.mark.parametrize("C", [0.1, 1.0])
def test_iris(mlrun: pytest_mlrun.Run, C: float) -> None:  # noqa: N803 - scikit-learn's name
    X, y = load_iris(return_X_y=True)  # noqa: N806 - likewise
    model = LogisticRegression(C=C, max_iter=500, random_state=mlrun.seed).fit(X, y)
    mlrun.evaluate("train", y, model.predict(X), metrics=["accuracy"])
    mlrun.log_model(model)
    mlrun.assert_floor("train_accuracy", 0.9)


def test_the_package_is_the_installed_one() -> None:
    assert "site-packages" in pathlib.Path(pytest_mlrun.__file__).parts
