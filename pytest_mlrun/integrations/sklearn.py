"""Encode fitted scikit-learn models, safely where that is possible."""

from __future__ import annotations

import pickle
from dataclasses import dataclass

from pytest_mlrun.errors import ArtifactError


@dataclass(frozen=True, slots=True)
class EncodedModel:
    """A model as bytes.

    Attributes:
        content: The file's bytes.
        suffix: ``.skops`` or ``.pkl``.
        media_type: MIME type.
        unsafe: Whether reading it can run code.
    """

    content: bytes
    suffix: str
    media_type: str
    unsafe: bool


def encode_model(model: object) -> EncodedModel:
    """Return the model in skops' format, which runs no code when read, else pickled and labelled ``unsafe``.

    Raises:
        ArtifactError: If the model cannot be encoded at all.
    """
    return _encode_skops(model) or _encode_pickle(model)


def _encode_skops(model: object) -> EncodedModel | None:
    try:
        import skops.io
    except ModuleNotFoundError:
        return None
    try:
        content = skops.io.dumps(model)
    except Exception as error:  # skops raises whatever the model's own __getstate__ raises
        if isinstance(error, (TypeError, pickle.PicklingError, AttributeError, ValueError, NotImplementedError)):
            return None
        raise
    return EncodedModel(content, ".skops", "application/vnd.skops", unsafe=False)


def _encode_pickle(model: object) -> EncodedModel:
    try:
        content = pickle.dumps(model, protocol=5)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise ArtifactError(
            f"model {type(model).__name__} cannot be stored: {error}",
            where="log_model",
            next_step="save it with its framework's own function, then log_artifact the file",
        ) from None
    return EncodedModel(content, ".pkl", "application/x-python-pickle", unsafe=True)
