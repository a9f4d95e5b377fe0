"""Make data/quotes.npz: synthetic insurance quotes."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def main() -> None:
    rng = np.random.default_rng(2)
    features = rng.uniform(0, 1, (400, 4)).astype(np.float32)
    price = 100 + 80 * features[:, 0] + 40 * features[:, 1] * features[:, 2] + rng.normal(0, 5, 400)
    np.savez(
        Path(__file__).parents[1] / "data" / "quotes.npz", features=features, price=price.astype(np.float32)
    )


if __name__ == "__main__":
    main()
