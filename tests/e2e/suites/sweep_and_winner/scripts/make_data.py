"""Make data/churn.csv: synthetic customers, the same bytes on every machine."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

ROWS = 1500


def main() -> None:
    rng = np.random.default_rng(20260401)
    tenure = rng.integers(1, 73, ROWS)
    charges = np.round(rng.uniform(15, 120, ROWS), 2)
    calls = rng.poisson(1.5, ROWS)
    fibre = rng.integers(0, 2, ROWS)
    contract = rng.choice([1, 12, 24], ROWS, p=[0.55, 0.25, 0.2])
    logit = 0.6 - 0.06 * tenure + 0.02 * charges + 0.55 * calls - 0.09 * contract + 0.5 * fibre * (calls > 2)
    churned = (rng.random(ROWS) < 1 / (1 + np.exp(-(logit - 0.8)))).astype(int)
    split = np.repeat(["train", "val", "test"], [900, 300, 300])
    header = ["customer", "split", "tenure", "charges", "calls", "fibre", "contract", "churned"]
    customers = [f"C{number:05d}" for number in range(ROWS)]
    target = Path(__file__).parents[1] / "data" / "churn.csv"
    with target.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(zip(customers, split, tenure, charges, calls, fibre, contract, churned, strict=True))


if __name__ == "__main__":
    main()
