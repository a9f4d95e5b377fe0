from __future__ import annotations

import pytest
from churn.load import Split, load


@pytest.fixture
def train(mlrun) -> Split:
    return load(mlrun.data["churn"], "train")


@pytest.fixture
def val(mlrun) -> Split:
    return load(mlrun.data["churn"], "val")
