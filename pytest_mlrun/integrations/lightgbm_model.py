"""Write LightGBM models as their own text, scikit-learn wrappers included, and read them back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_mlrun.integrations.encoded import (
    LIGHTGBM,
    EncodedModel,
    class_name_of,
    is_from,
    plain_settings,
    versions_of,
)

if TYPE_CHECKING:
    from lightgbm import Booster, LGBMModel

_WRAPPERS = ("LGBMClassifier", "LGBMRegressor", "LGBMRanker")
_OWN_LINE = "pytest_mlrun:"
# LightGBM looks for this one at the very end, and its trees stop long before: a line above it is ours to use.
_LAST_LINE = "pandas_categorical:"


def encode(model: Any) -> EncodedModel | None:
    """Return a fitted Booster or wrapper as LightGBM's text, or None of anything that this text cannot hold.

    LightGBM reads the file as it is; one line more says what it needs to come back as the same wrapper.
    """
    name = class_name_of(model)
    if not is_from(model, "lightgbm"):
        return None
    if name == "lightgbm.basic.Booster":
        booster: Booster = model
        own: dict[str, object] | None = {"best_iteration": booster.best_iteration}
    elif name.rpartition(".")[2] in _WRAPPERS and name.startswith("lightgbm.") and hasattr(model, "fitted_"):
        booster = model.booster_
        own = _describe_wrapper(model)
    else:
        return None
    if own is None:
        return None
    head, separator, tail = booster.model_to_string().rpartition(_LAST_LINE)
    content = f"{head}{_OWN_LINE}{json.dumps(own)}\n{separator}{tail}"
    return EncodedModel(content.encode(), LIGHTGBM, name, versions_of("lightgbm", "scikit-learn", "numpy"))


def decode(content: bytes) -> object:
    """Return the Booster, or the wrapper that it came from.

    Raises:
        ValueError: If the text is not a LightGBM model.
    """
    import lightgbm

    text = content.decode()
    try:
        booster = lightgbm.Booster(model_str=text)
    except lightgbm.basic.LightGBMError as error:
        raise ValueError(str(error)) from error
    line = next((line for line in reversed(text.splitlines()) if line.startswith(_OWN_LINE)), None)
    own = {} if line is None else json.loads(line.removeprefix(_OWN_LINE))
    booster.best_iteration = own.get("best_iteration", booster.best_iteration)
    return _restore_wrapper(own, booster) if own.get("wrapper") in _WRAPPERS else booster


def _describe_wrapper(model: LGBMModel) -> dict[str, object] | None:
    classes = getattr(model, "classes_", None)
    attributes = plain_settings(vars(model))
    own = {
        "wrapper": type(model).__name__,
        "best_iteration": model.booster_.best_iteration,
        "attributes": attributes,
        "classes": None if classes is None else [str(classes.dtype), classes.tolist()],
    }
    # Settings that are code, such as an objective of one's own, or class weights by numpy keys, have no JSON form.
    return own if attributes.keys() >= model.get_params().keys() - {"random_state"} else None


def _restore_wrapper(own: Mapping[str, Any], booster: Booster) -> LGBMModel:
    import lightgbm
    import numpy as np
    from sklearn.preprocessing import LabelEncoder

    model: LGBMModel = getattr(lightgbm, str(own["wrapper"]))()
    model.__dict__.update({**own["attributes"], "_Booster": booster})
    if own["classes"] is not None:
        dtype, classes = own["classes"]
        encoder = LabelEncoder().fit(np.array(classes, dtype=dtype))
        codes = encoder.transform(encoder.classes_)
        class_map = dict(zip(encoder.classes_, codes, strict=True))
        model.__dict__.update({"_classes": encoder.classes_, "_le": encoder, "_class_map": class_map})
    return model
