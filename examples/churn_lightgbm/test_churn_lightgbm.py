"""Twelve LightGBM runs on synthetic customers, then their winner on rows that did not choose it."""

from __future__ import annotations

import time
from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
import pyarrow.parquet as pq
import pytest

import pytest_mlrun

FEATURES = [
    "contract_months",
    "tenure_months",
    "support_calls",
    "late_payments",
    "fibre",
    "discount_percent",
    "monthly_fee_eur",
    "data_gb",
]
ROUNDS = 80
# Months 1 to 4 train, month 5 chooses, month 6 is kept for the winner.
TRAIN_UNTIL, VAL_MONTH, TEST_MONTH = 4, 5, 6
# The retention team phones everyone above this score. A call costs 12 €; 3 in 10 churners who are called stay a year.
CALL_ABOVE, CALL_EUR, STAYING = 0.3, 12.0, 0.3


@dataclass(frozen=True)
class Customers:
    """Rows of one split."""

    row_ids: np.ndarray
    features: np.ndarray
    churned: np.ndarray
    yearly_fee_eur: np.ndarray


def read_customers(path, first_month, last_month):
    table = pq.read_table(path)
    columns = {name: table[name].to_numpy() for name in table.column_names}
    rows = (columns["month"] >= first_month) & (columns["month"] <= last_month)
    return Customers(
        row_ids=columns["customer_id"][rows],
        features=np.column_stack([columns[name][rows] for name in FEATURES]),
        churned=columns["churned"][rows],
        yearly_fee_eur=12 * columns["monthly_fee_eur"][rows].astype(float),
    )


def retained_revenue(customers, score):
    called = score >= CALL_ABOVE
    return STAYING * customers.yearly_fee_eur[called & (customers.churned == 1)].sum() - CALL_EUR * called.sum()


@pytest.fixture
def splits(mlrun):
    train = read_customers(mlrun.data["churn"], 1, TRAIN_UNTIL)
    val = read_customers(mlrun.data["churn"], VAL_MONTH, VAL_MONTH)
    mlrun.log_split(train=train.row_ids, val=val.row_ids)
    return train, val


@pytest.mark.mlrun(
    experiment="churn-2026q2",
    data="churn",
    seed=42,
    floors={"val_auc": 0.75, "retained_revenue_eur": 30_000},
    primary="val_auc",
)
@pytest.mark.parametrize("scale_pos_weight", [1, 3])
@pytest.mark.parametrize(
    ("learning_rate", "num_leaves"), [(0.01, 16), (0.01, 64), (0.05, 32), (0.1, 32), (0.2, 16), (0.2, 64)]
)
def test_sweep(mlrun, splits, learning_rate, num_leaves, scale_pos_weight):
    train, val = splits
    rows = lgb.Dataset(train.features, train.churned, feature_name=FEATURES)

    began = time.perf_counter()
    model = lgb.train(
        {
            "objective": "binary",
            "metric": ["auc", "binary_logloss"],
            "learning_rate": learning_rate,
            "num_leaves": num_leaves,
            "scale_pos_weight": scale_pos_weight,
            "seed": mlrun.seed,
            "deterministic": True,
            "num_threads": 1,
            "verbose": -1,
        },
        rows,
        ROUNDS,
        valid_sets=[rows.create_valid(val.features, val.churned)],
        valid_names=["val"],
        callbacks=[pytest_mlrun.lightgbm.callback(mlrun)],
    )
    mlrun.log_metric("train_s", time.perf_counter() - began)

    score = model.predict(val.features)
    mlrun.evaluate("val", val.churned, score, metrics=["precision", "recall"], row_ids=val.row_ids, threshold=0.5)
    mlrun.log_metric("retained_revenue_eur", retained_revenue(val, score))
    mlrun.log_fit(model)
    mlrun.log_model(model)


# The leaderboard in mlrun.toml says which run wins: the highest val_auc where val_precision reaches its floor.
@pytest.mark.mlrun_select(experiment="churn-2026q2")
@pytest.mark.mlrun(experiment="churn-2026q2-winner", data="churn", seed=42)
def test_winner_on_fresh_rows(mlrun):
    test = read_customers(mlrun.data["churn"], TEST_MONTH, TEST_MONTH)
    score = mlrun.winner.load_model().predict(test.features)

    mlrun.evaluate("test", test.churned, score, metrics=["roc_auc", "precision", "recall"], row_ids=test.row_ids)
    mlrun.log_metric("retained_revenue_eur", retained_revenue(test, score))
    mlrun.assert_floor({"test_roc_auc": 0.75, "retained_revenue_eur": 30_000})
