"""Load a model that a run stored, once its bytes are what was stored."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pytest_mlrun.errors import ArtifactError
from pytest_mlrun.records.run import Artifact, RunRecord
from pytest_mlrun.run.outside import open_store

if TYPE_CHECKING:
    from pytest_mlrun.store.reader import Reader


def load_model(
    run: str | RunRecord,
    name: str = "model",
    *,
    store: str | os.PathLike[str] | Reader | None = None,
    unsafe: bool = False,
    trusted: Sequence[str] = (),
) -> object:
    """Load a model that a run logged: ``pytest_mlrun.load_model("churn-lr0.05")``.

    Its digest is compared first, then every type that loading would touch is audited. Nothing runs code unasked.

    Args:
        run: The run, its name, or the last 8 digits of its id.
        name: What ``log_model`` was given; the suffix may be left out.
        store: Folder of the store, or an open one such as ``mlrun_store``; default as for ``record``.
        unsafe: Whether to load what can run code: a pickle, or types that nobody vouched for.
        trusted: Types of your own that the model may hold, such as ``churn.features.Ratio``.

    Returns:
        The model as it was logged; of a torch module its state dict.

    Raises:
        RunNotFoundError: If no run, or more than one, answers to the name.
        ArtifactError: If the run has no such model, or it may not or cannot be loaded.
        StoreDamagedError: If its bytes are not what was stored.
    """
    from pytest_mlrun.integrations import models

    reader = open_store(store) if store is None or isinstance(store, str | os.PathLike) else store
    record = reader.find(run) if isinstance(run, str) else run
    artifact = find_model(record, name)
    return models.load_model(reader.read_artifact(record, artifact.name), artifact, unsafe=unsafe, trusted=trusted)


def find_model(run: RunRecord, name: str = "model") -> Artifact:
    """Return the entry of a model that the run logged under a name, whatever its suffix.

    Raises:
        ArtifactError: If there is none.
    """
    from pytest_mlrun.integrations.encoded import FORMATS

    logged = [artifact for artifact in run.artifacts if artifact.role == "model"]
    names = {name, *(f"{name}{known.suffix}" for known in FORMATS)}
    for artifact in logged:
        if artifact.name in names:
            return artifact
    raise ArtifactError(
        f"run {run.short_id} logged no model {name!r}",
        details=(f"its models: {', '.join(artifact.name for artifact in logged) or 'none'}",),
        where=f"run {run.name}",
        next_step="log one in the test: mlrun.log_model(model)",
    )
