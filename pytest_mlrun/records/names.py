"""Say how the files, folders and experiments that a user sees are named."""

from __future__ import annotations

STORE_FOLDER = ".pytest_mlrun"
REGISTRY_FOLDER = "mlrun-registry"
BASELINES_FOLDER = "mlrun-baselines"

# Machine-written files that are committed: changing them is not changing the code.
COMMITTED_FILES = ("mlrun.lock", REGISTRY_FOLDER, BASELINES_FOLDER, "mlrun-ledger.jsonl")

MAX_NAME_CHARS = 250
_REPLAYS = "replay/"


def is_name(text: str) -> bool:
    """Whether a text can name an experiment: one line that is not blank."""
    return 0 < len(text.strip()) <= MAX_NAME_CHARS and text.isprintable()


def name_of_replays(experiment: str) -> str:
    """Return the experiment that replays of an experiment's runs are recorded under: no leaderboard counts them."""
    return f"{_REPLAYS}{experiment}"[:MAX_NAME_CHARS]


def name_of_replay(run: str) -> str:
    """Return the name of a run's replay: the run's own goes on meaning what was trained."""
    return f"replay of {run}"[:MAX_NAME_CHARS]
