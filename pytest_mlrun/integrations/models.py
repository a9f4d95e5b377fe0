"""Choose how a model is written and read: its framework's own format, a safe one, or an explicit pickle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from pytest_mlrun.errors import ArtifactError
from pytest_mlrun.integrations.encoded import FORMATS, SKOPS, EncodedModel, ModelFormat

if TYPE_CHECKING:
    from pytest_mlrun.records.run import Artifact

# The first that knows the model writes it. skops takes nearly everything, so what has a format of its own comes before.
_WRITERS = ("lightgbm_model", "xgboost_model", "torch_model", "onnx", "skops", "pickle")
_READERS = {
    "lightgbm": "lightgbm_model",
    "xgboost": "xgboost_model",
    "safetensors": "torch_model",
    "onnx": "onnx",
    "skops": "skops",
    "pickle": "pickle",
}
_INSTALL = {
    "lightgbm": "pip install 'pytest-mlrun[lightgbm]'",
    "xgboost": "pip install 'pytest-mlrun[xgboost]'",
    "safetensors": "pip install 'pytest-mlrun[torch]'",
    "onnx": "pip install onnx",
    "skops": "pip install 'pytest-mlrun[skops]'",
}


def encode_model(model: object) -> EncodedModel:
    """Return a model in its framework's own format, else in a safe one, else pickled and labelled ``unsafe``.

    Raises:
        ArtifactError: If the model cannot be encoded at all.
    """
    for name in _WRITERS:
        encoded: EncodedModel | None = import_module(f"pytest_mlrun.integrations.{name}").encode(model)
        if encoded is not None:
            return encoded
    raise ArtifactError(
        f"model {type(model).__name__} cannot be stored: no format takes it",
        where="log_model",
        next_step="save it with its framework's own function, then log_artifact the file",
    )


def load_model(content: bytes, artifact: Artifact, *, unsafe: bool = False, trusted: Sequence[str] = ()) -> object:
    """Return the model that an artifact's bytes hold, after an audit of what loading would run.

    Args:
        content: The artifact's bytes, whose digest was compared.
        artifact: Its entry in the record; the media type says the format.
        unsafe: Whether to load what can run code: a pickle, or types that nobody vouched for.
        trusted: Types of the caller's own that a skops file may name, such as ``churn.features.Ratio``.

    Returns:
        The model; of a torch module its state dict, since a file cannot safely hold its class.

    Raises:
        ArtifactError: If the artifact is no model, is unsafe and nobody said that it may be, names a type that is not
            trusted, or cannot be read here.
    """
    found = _format_of(artifact)
    if (found.unsafe or artifact.unsafe) and not unsafe:
        raise ArtifactError(
            f"model {artifact.name!r} is a pickle: loading it runs code",
            where=artifact.digest,
            next_step="if you trust whoever wrote this store: load_model(..., unsafe=True)",
        )
    try:
        reader = import_module(f"pytest_mlrun.integrations.{_READERS[found.name]}")
        if found is SKOPS:
            model: object = reader.decode(content, artifact, unsafe=unsafe, trusted=tuple(trusted))
        else:
            decode: Callable[[bytes], object] = reader.decode
            model = decode(content)
    except ModuleNotFoundError as error:
        raise ArtifactError(
            f"model {artifact.name!r} needs {error.name}, which is not installed",
            where=artifact.media_type,
            next_step=_INSTALL.get(found.name, f"install {error.name}"),
        ) from None
    except (ValueError, TypeError, KeyError, AttributeError, ImportError, RuntimeError, EOFError) as error:
        raise ArtifactError(
            f"model {artifact.name!r} cannot be read here: {type(error).__name__}: {error}".splitlines()[0],
            where=artifact.media_type,
            next_step="install the versions that wrote it, named in the run's context: pytest-mlrun show -v RUN",
        ) from error
    return model


def _format_of(artifact: Artifact) -> ModelFormat:
    for known in FORMATS:
        if artifact.media_type == known.media_type:
            return known
    raise ArtifactError(
        f"artifact {artifact.name!r} is not a model: {artifact.media_type}",
        where=artifact.digest,
        next_step="read its bytes: open_store().read_artifact(run, name)",
    )
