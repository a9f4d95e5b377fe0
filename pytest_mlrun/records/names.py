"""Name the files and folders that a user sees."""

from __future__ import annotations

STORE_FOLDER = ".pytest_mlrun"

# Machine-written files that are committed: changing them is not changing the code.
COMMITTED_FILES = ("mlrun.lock", "mlrun-registry", "mlrun-baselines", "mlrun-ledger.jsonl")
