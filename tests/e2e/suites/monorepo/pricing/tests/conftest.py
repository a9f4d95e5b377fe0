from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def table(mlrun_data):
    with np.load(mlrun_data["train"]) as arrays:
        return {name: arrays[name] for name in arrays}
