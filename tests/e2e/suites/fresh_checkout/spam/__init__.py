"""Read mails as word counts."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Mails:
    ids: np.ndarray
    X: np.ndarray
    y: np.ndarray

    def __getitem__(self, rows: slice) -> Mails:
        return Mails(self.ids[rows], self.X[rows], self.y[rows])


def load_mails(path: str | os.PathLike[str]) -> Mails:
    with np.load(path) as arrays:
        return Mails(arrays["ids"], arrays["counts"].astype(float), arrays["is_spam"].astype(int))
