"""Pickle a model, as the last resort, and label it ``unsafe``."""

from __future__ import annotations

import pickle

from pytest_mlrun.errors import ArtifactError
from pytest_mlrun.integrations.encoded import PICKLE, EncodedModel, class_name_of, versions_of


def encode(model: object) -> EncodedModel:
    """Return the model as a pickle.

    Raises:
        ArtifactError: If it cannot be pickled.
    """
    try:
        content = pickle.dumps(model, protocol=5)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise ArtifactError(
            f"model {type(model).__name__} cannot be stored: {error}",
            where="log_model",
            next_step="save it with its framework's own function, then log_artifact the file",
        ) from None
    root = type(model).__module__.partition(".")[0]
    return EncodedModel(content, PICKLE, class_name_of(model), versions_of("numpy", root))


def decode(content: bytes) -> object:
    """Return what a pickle holds. It runs whatever code the pickle names: only on the caller's explicit word."""
    try:
        return pickle.loads(content)  # noqa: S301 - load_model asked for the caller's word first
    except pickle.UnpicklingError as error:
        raise ValueError(str(error)) from error
