from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def table(mlrun):
    return np.genfromtxt(mlrun.data["train"], delimiter=",", names=True)
