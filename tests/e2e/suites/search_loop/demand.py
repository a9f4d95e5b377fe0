"""Forecast daily demand with a linear model trained by gradient descent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import SGDRegressor
from sklearn.preprocessing import StandardScaler


class DivergedError(Exception):
    """The weights of a trial left the range of numbers."""


@dataclass(frozen=True)
class Demand:
    X_train: np.ndarray
    y_train: np.ndarray
    X_val: np.ndarray
    y_val: np.ndarray

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Demand:
        table = np.genfromtxt(path, delimiter=",", names=True)
        columns = [table["temperature"], table["temperature"] ** 2, table["weekend"], table["wind"]]
        X, y = np.column_stack(columns), table["demand"]
        scaler = StandardScaler().fit(X[:550])
        return cls(scaler.transform(X[:550]), y[:550], scaler.transform(X[550:]), y[550:])


@dataclass(frozen=True)
class Trial:
    learning_rate: float
    alpha: float


def sample(rng: np.random.Generator, count: int) -> list[Trial]:
    """Draw trials on a logarithmic scale."""
    rates, alphas = 10 ** rng.uniform(-4, -2, count), 10 ** rng.uniform(-6, -2, count)
    return [Trial(float(rate), float(alpha)) for rate, alpha in zip(rates, alphas, strict=True)]


def train(trial: Trial, demand: Demand, seed: int, epochs: int) -> Iterator[tuple[SGDRegressor, float]]:
    """Yield the model and its training error after every epoch."""
    model = SGDRegressor(
        learning_rate="constant", eta0=trial.learning_rate, alpha=trial.alpha, random_state=seed
    )
    for _ in range(epochs):
        model.partial_fit(demand.X_train, demand.y_train)
        rmse = float(np.sqrt(np.mean((model.predict(demand.X_train) - demand.y_train) ** 2)))
        yield model, rmse
        if not rmse < 1e6:
            raise DivergedError(f"training error {rmse:.3g} at learning rate {trial.learning_rate:g}")


def pinball(y: np.ndarray, forecast: np.ndarray, quantile: float) -> float:
    """Loss of a forecast that should be exceeded with probability ``1 - quantile``."""
    error = y - forecast
    return float(np.mean(np.maximum(quantile * error, (quantile - 1) * error)))
