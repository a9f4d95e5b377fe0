"""Make data/applications.parquet: synthetic loan applications, the same rows on every machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 1600


def main() -> None:
    rng = np.random.default_rng(7)
    income = np.round(rng.lognormal(7.8, 0.4, ROWS), 2)
    debt = np.round(income * rng.beta(2, 5, ROWS), 2)
    age = rng.integers(18, 80, ROWS)
    late = rng.poisson(0.4, ROWS)
    logit = -1.6 + 4.0 * debt / income + 0.9 * late - 0.015 * (age - 40)
    columns = {
        "application": np.arange(100_000, 100_000 + ROWS),
        "region": rng.choice(["north", "south", "west"], ROWS),
        "age": age,
        "income": income,
        "debt": debt,
        "late_payments": late,
        "defaulted": (rng.random(ROWS) < 1 / (1 + np.exp(-logit))).astype(np.int8),
    }
    target = Path(__file__).parents[1] / "data" / "applications.parquet"
    pq.write_table(pa.table(columns), target, compression="zstd")


if __name__ == "__main__":
    main()
