"""Two networks, trained epoch by epoch, with their learning curves."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.metrics import accuracy_score, log_loss
from sklearn.neural_network import MLPClassifier

EPOCHS = 15
CLASSES = np.arange(10)


@pytest.fixture
def splits(mlrun):
    with np.load(mlrun.data["digits"]) as arrays:
        pixels, digit = arrays["pixels"] / 16.0, arrays["digit"]
    in_val = np.arange(len(digit)) % 4 == 3
    return (pixels[~in_val], digit[~in_val]), (pixels[in_val], digit[in_val])


@pytest.mark.mlrun(experiment="digits", data="digits", seed=3, floors={"val_accuracy": 0.9})
@pytest.mark.parametrize("hidden", [16, 64])
def test_digits(mlrun, splits, hidden):
    (train_pixels, train_digit), (val_pixels, val_digit) = splits
    model = MLPClassifier((hidden,), learning_rate_init=0.01, random_state=mlrun.seed)

    curves = {"train_loss": [], "val_loss": [], "val_accuracy": []}
    for epoch in range(EPOCHS):
        model.partial_fit(train_pixels, train_digit, classes=CLASSES)
        probability = model.predict_proba(val_pixels)
        point = {
            "train_loss": model.loss_,
            "val_loss": log_loss(val_digit, probability, labels=CLASSES),
            "val_accuracy": accuracy_score(val_digit, probability.argmax(axis=1)),
        }
        mlrun.log_metrics(point, step=epoch)
        for name, value in point.items():
            curves[name].append(value)

    mlrun.evaluate("final", val_digit, probability, metrics=["accuracy", "log_loss"])
    mlrun.log_figure(draw(curves), "curves.png")
    mlrun.log_model(model)
    mlrun.assert_ceiling("val_loss", 0.5, at="best")


def draw(curves):
    figure = Figure(figsize=(5, 3), layout="tight")
    axes = figure.subplots()
    for name, values in curves.items():
        axes.plot(values, label=name)
    axes.set(xlabel="epoch")
    axes.legend()
    return figure
