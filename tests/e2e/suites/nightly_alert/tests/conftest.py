from __future__ import annotations

import numpy as np
import pytest

from nightly import alert


def pytest_mlrun_run_finished(config, run):
    if run.outcome != "passed":
        alert.append(config.rootpath / "alerts.jsonl", alert.describe(run))


@pytest.fixture
def payments(mlrun, market: str) -> np.ndarray:
    return np.genfromtxt(mlrun.data["payments"] / f"{market}.csv", delimiter=",", names=True)
