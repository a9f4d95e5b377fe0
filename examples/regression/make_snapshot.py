"""Write data/patients.csv once, from the diabetes data that scikit-learn ships."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes

if __name__ == "__main__":
    patients = load_diabetes(scaled=False)
    header = ",".join([*patients.feature_names, "progression"])
    table = np.column_stack([patients.data, patients.target])
    target = Path(__file__).parent / "data" / "patients.csv"
    np.savetxt(target, table, fmt="%.5g", delimiter=",", header=header, comments="")
