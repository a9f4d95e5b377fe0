"""Write data/cells.csv once, from the breast cancer data that scikit-learn ships."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer

if __name__ == "__main__":
    cells = load_breast_cancer()
    kept = [index for index, name in enumerate(cells.feature_names) if not name.endswith(" error")]
    header = ",".join([*(cells.feature_names[index].replace(" ", "_") for index in kept), "malignant"])
    table = np.column_stack([cells.data[:, kept], cells.target == 0])
    target = Path(__file__).parent / "data" / "cells.csv"
    np.savetxt(target, table, fmt="%.4g", delimiter=",", header=header, comments="")
