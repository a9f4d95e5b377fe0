"""Read loan applications and divide them into training and test rows."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import pyarrow.parquet as pq

FEATURES = ("age", "income", "debt", "late_payments", "debt_ratio")


@dataclass(frozen=True)
class Rows:
    ids: np.ndarray
    region: np.ndarray
    X: np.ndarray
    y: np.ndarray

    def where(self, mask: np.ndarray) -> Rows:
        return Rows(self.ids[mask], self.region[mask], self.X[mask], self.y[mask])


@dataclass(frozen=True)
class Applications:
    train: Rows
    test: Rows

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Applications:
        table = pq.read_table(path)
        column = {name: table[name].to_numpy() for name in table.column_names}
        column["debt_ratio"] = column["debt"] / column["income"]
        rows = Rows(
            ids=column["application"],
            region=column["region"],
            X=np.column_stack([column[name] for name in FEATURES]).astype(float),
            y=column["defaulted"].astype(int),
        )
        in_test = rows.ids % 4 == 0
        return cls(train=rows.where(~in_test), test=rows.where(in_test))
