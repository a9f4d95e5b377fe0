"""Write data/synthetic_churn.parquet once: customers who never were, drawn from a fixed seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SEED = 20260331
MONTHS, CUSTOMERS_A_MONTH = 6, 2000


def draw_customers(rng):
    count = MONTHS * CUSTOMERS_A_MONTH
    contract_months = rng.choice([1, 12, 24], size=count, p=[0.5, 0.3, 0.2])
    tenure_months = np.minimum(rng.geometric(1 / 26, size=count), 120)
    support_calls = rng.poisson(1.1, size=count)
    late_payments = rng.binomial(6, 0.12, size=count)
    fibre = rng.random(count) < 0.4
    discount_percent = rng.choice([0, 10, 20], size=count, p=[0.7, 0.2, 0.1])
    monthly_fee_eur = np.round(22 + 18 * fibre + rng.gamma(2.0, 5.0, size=count), 2)
    data_gb = np.round(rng.gamma(2.0, 9.0 + 9.0 * fibre, size=count), 1)

    paid = monthly_fee_eur * (1 - discount_percent / 100)
    tendency = (
        -2.6
        + 1.5 * (contract_months == 1)
        - 0.9 * (contract_months == 24)
        - 0.035 * np.minimum(tenure_months, 48)
        + 0.55 * support_calls
        + 0.5 * late_payments
        + 0.05 * (paid - 35)
        + 1.1 * (fibre & (data_gb < 15))
    )
    churned = rng.random(count) < 1 / (1 + np.exp(-tendency))
    return {
        "customer_id": np.arange(count, dtype=np.int32),
        "month": np.repeat(np.arange(1, MONTHS + 1, dtype=np.int8), CUSTOMERS_A_MONTH),
        "contract_months": contract_months.astype(np.int8),
        "tenure_months": tenure_months.astype(np.int16),
        "support_calls": support_calls.astype(np.int8),
        "late_payments": late_payments.astype(np.int8),
        "fibre": fibre.astype(np.int8),
        "discount_percent": discount_percent.astype(np.int8),
        "monthly_fee_eur": monthly_fee_eur.astype(np.float32),
        "data_gb": data_gb.astype(np.float32),
        "churned": churned.astype(np.int8),
    }


if __name__ == "__main__":
    target = Path(__file__).parent / "data" / "synthetic_churn.parquet"
    target.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table(draw_customers(np.random.default_rng(SEED))), target, compression="zstd")
