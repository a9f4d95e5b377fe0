"""Twelve runs of boosted trees; a run passes where it meets its floors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier


@dataclass(frozen=True)
class Cells:
    """Rows of one split."""

    row_ids: np.ndarray
    features: np.ndarray
    malignant: np.ndarray


@pytest.fixture
def splits(mlrun):
    table = np.genfromtxt(mlrun.data["cells"], delimiter=",", skip_header=1)
    row_ids = np.arange(len(table))
    in_val = row_ids % 4 == 3
    train, val = (Cells(row_ids[rows], table[rows, :-1], table[rows, -1].astype(int)) for rows in (~in_val, in_val))
    mlrun.log_split(train=train.row_ids, val=val.row_ids)
    return train, val


@pytest.mark.mlrun(
    experiment="breast-cancer",
    data="cells",
    seed=42,
    floors={"val_roc_auc": 0.97, "val_recall": 0.85},
    primary="val_roc_auc",
)
@pytest.mark.parametrize("l2_regularization", [0.0, 1.0])
@pytest.mark.parametrize("max_leaf_nodes", [4, 16])
@pytest.mark.parametrize("learning_rate", [0.05, 0.1, 0.2])
def test_sweep(mlrun, splits, learning_rate, max_leaf_nodes, l2_regularization):
    train, val = splits
    model = HistGradientBoostingClassifier(
        learning_rate=learning_rate,
        max_leaf_nodes=max_leaf_nodes,
        l2_regularization=l2_regularization,
        max_iter=60,
        random_state=mlrun.seed,
    ).fit(train.features, train.malignant)

    score = model.predict_proba(val.features)[:, 1]
    mlrun.evaluate(
        "val",
        val.malignant,
        score,
        metrics=["roc_auc", "log_loss", "precision", "recall"],
        row_ids=val.row_ids,
    )
    mlrun.log_model(model)
