"""Write scikit-learn models with skops, and read them after an audit of every type that they name."""

from __future__ import annotations

import pickle
import zlib
from importlib import import_module
from typing import TYPE_CHECKING
from zipfile import BadZipFile

from pytest_mlrun.errors import ArtifactError
from pytest_mlrun.integrations.encoded import SKOPS, EncodedModel, class_name_of, is_from, versions_of

if TYPE_CHECKING:
    from pytest_mlrun.records.run import Artifact

# Types that a pipeline may hold; reading them parses a model and runs no code of the file's choosing.
_FRAMEWORKS = frozenset(
    {
        "collections.OrderedDict",
        "collections.defaultdict",
        "lightgbm.basic.Booster",
        *(f"lightgbm.sklearn.LGBM{kind}" for kind in ("Classifier", "Regressor", "Ranker")),
        "xgboost.core.Booster",
        *(
            f"xgboost.sklearn.XGB{kind}"
            for kind in ("Classifier", "Regressor", "Ranker", "RFClassifier", "RFRegressor")
        ),
    }
)
# Only classes of these are trusted: a function, such as sklearn.datasets.load_files, would be called on the rows.
_CLASSES_OF = ("sklearn.", "scipy.sparse.", "scipy.stats.")
_FUNCTIONS_OF = ("sklearn.metrics.",)
_CLOSED = frozenset({"tests", "conftest", "__main__", "externals"})
_SHOWN = 5


def encode(model: object) -> EncodedModel | None:
    """Return the model in skops' format, or None where skops is missing or does not know it."""
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
    inner = [root for root in ("lightgbm", "xgboost") if is_from(model, root)]
    libraries = versions_of("skops", "scikit-learn", "numpy", "scipy", *inner)
    return EncodedModel(content, SKOPS, class_name_of(model), libraries)


def decode(content: bytes, artifact: Artifact, *, unsafe: bool, trusted: tuple[str, ...]) -> object:
    """Return the model, if every type that it names is trusted.

    Raises:
        ArtifactError: Naming the types that are not.
        ValueError: If the bytes are not a skops file.
    """
    import skops.io

    try:
        found = skops.io.get_untrusted_types(data=content)
    except (BadZipFile, zlib.error) as error:
        raise ValueError(str(error)) from error
    refused = [] if unsafe else [name for name in found if name not in trusted and not _is_trusted(name)]
    if refused:
        more = [f"and {len(refused) - _SHOWN} more"] if len(refused) > _SHOWN else []
        raise ArtifactError(
            f"model {artifact.name!r} names types that are not trusted",
            details=(*refused[:_SHOWN], *more),
            where=artifact.digest,
            next_step=f"if they are yours: load_model(..., trusted={refused[:_SHOWN]})",
        )
    return skops.io.loads(content, trusted=found)


def _is_trusted(name: str) -> bool:
    if name in _FRAMEWORKS:
        return True
    module, _, attribute = name.rpartition(".")
    if not name.startswith((*_CLASSES_OF, *_FUNCTIONS_OF)) or not _CLOSED.isdisjoint(module.split(".")):
        return False
    try:
        found = getattr(import_module(module), attribute, None)
    except ImportError:
        # skops will say what this version of scikit-learn lacks.
        return False
    # A module also has what it imported, such as os or partial: what counts is where the thing itself is defined.
    homes = _CLASSES_OF if isinstance(found, type) else _FUNCTIONS_OF
    return callable(found) and f"{getattr(found, '__module__', '')}.".startswith(homes)
