"""Read bearing spectra and train the network that sorts them."""

from __future__ import annotations

import os
from typing import NamedTuple

import numpy as np
from sklearn.neural_network import MLPClassifier


class Bearings(NamedTuple):
    X_train: np.ndarray
    y_train: np.ndarray
    X_val: np.ndarray
    y_val: np.ndarray


def read(path: str | os.PathLike[str]) -> Bearings:
    with np.load(path) as arrays:
        X, y, is_val = np.log1p(arrays["spectra"]), arrays["worn"], arrays["is_val"]
    return Bearings(X[~is_val], y[~is_val], X[is_val], y[is_val])


def train(bearings: Bearings, seed: int | None, *, epochs: int = 30) -> MLPClassifier:
    """Train for a fixed number of epochs; a seed of None takes numpy's global generator, as older code here does."""
    model = MLPClassifier((16,), learning_rate_init=0.02, random_state=seed)
    for _ in range(epochs):
        model.partial_fit(bearings.X_train, bearings.y_train, classes=np.unique(bearings.y_train))
    return model
