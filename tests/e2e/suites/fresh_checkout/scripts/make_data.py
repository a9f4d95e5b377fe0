"""Make data/mails.npz: word counts of synthetic mails."""

from __future__ import annotations

from pathlib import Path

import numpy as np

MAILS, WORDS = 1200, 30


def main() -> None:
    rng = np.random.default_rng(1978)
    is_spam = rng.random(MAILS) < 0.35
    rate = np.where(is_spam[:, None] & (np.arange(WORDS) < 8), 0.9, 0.35)
    counts = rng.poisson(rate).astype(np.uint8)
    target = Path(__file__).parents[1] / "data" / "mails.npz"
    np.savez_compressed(target, counts=counts, is_spam=is_spam, ids=np.arange(MAILS, dtype=np.int16))


if __name__ == "__main__":
    main()
