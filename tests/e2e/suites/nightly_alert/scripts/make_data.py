"""Make data/<market>.csv: one night's export of synthetic payments; ``--drift es`` breaks a market's signal."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

ROWS = 700
MARKETS = ("de", "es", "fr")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--drift", choices=MARKETS)
    arguments = parser.parse_args()
    for index, market in enumerate(MARKETS):
        rng = np.random.default_rng([31, index])
        amount, hour, foreign = rng.lognormal(3, 1, ROWS), rng.integers(0, 24, ROWS), rng.integers(0, 2, ROWS)
        signal = 1.4 * (np.log(amount) - 3) + 1.5 * foreign * (hour < 6) - 1.5
        if market == arguments.drift:
            signal = np.full(ROWS, -1.0)
        fraud = rng.random(ROWS) < 1 / (1 + np.exp(-signal))
        table = np.column_stack([amount.round(2), hour, foreign, fraud])
        target = Path(__file__).parents[1] / "data" / f"{market}.csv"
        np.savetxt(
            target,
            table,
            fmt=["%.2f", "%d", "%d", "%d"],
            delimiter=",",
            header="amount,hour,foreign,fraud",
            comments="",
        )


if __name__ == "__main__":
    main()
