"""Prepare the test session: pytester, and libraries that survive its module snapshots."""

from __future__ import annotations

# numpy and pyarrow cannot be imported twice in one process: pytester's in-process runs put sys.modules back to what it
# was before them, so whatever they import first would be imported again by the next one.
import numpy as np
import pyarrow as pa
import sklearn.ensemble

pytest_plugins = ["pytester"]

__all__ = ["np", "pa", "sklearn"]
