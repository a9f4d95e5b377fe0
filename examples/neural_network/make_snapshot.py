"""Write data/digits.npz once, from the handwritten digits that scikit-learn ships."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

if __name__ == "__main__":
    digits = load_digits()
    target = Path(__file__).parent / "data" / "digits.npz"
    np.savez_compressed(target, pixels=digits.data.astype(np.uint8), digit=digits.target.astype(np.uint8))
