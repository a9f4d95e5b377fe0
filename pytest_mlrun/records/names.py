"""Say how the files, folders and experiments that a user sees are named."""

from __future__ import annotations

STORE_FOLDER = ".pytest_mlrun"
REGISTRY_FOLDER = "mlrun-registry"
BASELINES_FOLDER = "mlrun-baselines"

# Machine-written files that are committed: changing them is not changing the code.
COMMITTED_FILES = ("mlrun.lock", REGISTRY_FOLDER, BASELINES_FOLDER, "mlrun-ledger.jsonl")

MAX_NAME_CHARS = 250


def is_name(text: str) -> bool:
    """Whether a text can name an experiment: one line that is not blank."""
    return 0 < len(text.strip()) <= MAX_NAME_CHARS and text.isprintable()
