"""Make data/customers.csv: synthetic customers."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def main() -> None:
    rng = np.random.default_rng(1)
    X = rng.normal(size=(500, 3)).round(3)
    churned = rng.random(500) < 1 / (1 + np.exp(-(X @ [1.2, -0.8, 0.4] - 0.6)))
    target = Path(__file__).parents[1] / "data" / "customers.csv"
    np.savetxt(
        target,
        np.column_stack([X, churned]),
        fmt=["%.3f"] * 3 + ["%d"],
        delimiter=",",
        header="use,tenure,calls,churned",
        comments="",
    )


if __name__ == "__main__":
    main()
