"""Make data/bearings.npz: synthetic vibration spectra of healthy and worn bearings."""

from __future__ import annotations

from pathlib import Path

import numpy as np

ROWS, BANDS = 320, 12


def main() -> None:
    rng = np.random.default_rng(99)
    worn = rng.integers(0, 3, ROWS)
    spectra = rng.gamma(2.0, 1.0, (ROWS, BANDS))
    for level in (1, 2):
        spectra[worn == level, 3 * level : 3 * level + 3] += 1.5
    spectra = np.round(spectra, 3).astype(np.float32)
    target = Path(__file__).parents[1] / "data" / "bearings.npz"
    np.savez(target, spectra=spectra, worn=worn.astype(np.int8), is_val=np.arange(ROWS) % 3 == 0)


if __name__ == "__main__":
    main()
