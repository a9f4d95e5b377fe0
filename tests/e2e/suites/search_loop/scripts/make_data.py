"""Make data/demand.csv: two synthetic years of daily electricity demand."""

from __future__ import annotations

from pathlib import Path

import numpy as np

DAYS = 730


def main() -> None:
    rng = np.random.default_rng(1882)
    day = np.arange(DAYS)
    temperature = 11 - 9 * np.cos(2 * np.pi * day / 365) + rng.normal(0, 2.5, DAYS)
    weekend = (day % 7 >= 5).astype(int)
    wind = rng.weibull(2, DAYS) * 7
    demand = 52 - 7 * weekend + 0.035 * (temperature - 17) ** 2 - 0.25 * wind + rng.normal(0, 1.2, DAYS)
    table = np.column_stack([day, temperature.round(2), weekend, wind.round(2), demand.round(3)])
    target = Path(__file__).parents[1] / "data" / "demand.csv"
    np.savetxt(
        target,
        table,
        fmt=["%d", "%.2f", "%d", "%.2f", "%.3f"],
        delimiter=",",
        header="day,temperature,weekend,wind,demand",
        comments="",
    )


if __name__ == "__main__":
    main()
