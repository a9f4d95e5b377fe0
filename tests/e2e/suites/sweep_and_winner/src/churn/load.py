"""Read one split of the customer snapshot."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass

import numpy as np

FEATURES = ("tenure", "charges", "calls", "fibre", "contract")


@dataclass(frozen=True)
class Split:
    customers: np.ndarray
    X: np.ndarray
    y: np.ndarray


def load(path: str | os.PathLike[str], split: str) -> Split:
    with open(path, newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split]
    return Split(
        customers=np.array([row["customer"] for row in rows]),
        X=np.array([[float(row[name]) for name in FEATURES] for row in rows]),
        y=np.array([int(row["churned"]) for row in rows]),
    )
