"""Write XGBoost models as their own JSON, scikit-learn wrappers included, and read them back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pytest_mlrun.integrations.encoded import XGBOOST, EncodedModel, class_name_of, is_from, plain_settings, versions_of

if TYPE_CHECKING:
    from xgboost import Booster, XGBModel

_WRAPPERS = ("XGBClassifier", "XGBRegressor", "XGBRanker", "XGBRFClassifier", "XGBRFRegressor")
_OWN_ATTRIBUTE = "pytest_mlrun"


def encode(model: Any) -> EncodedModel | None:
    """Return a fitted Booster or wrapper as XGBoost's JSON, or None of anything that it cannot hold.

    XGBoost reads the file as it is; one attribute more says which wrapper it came from, with which settings.
    """
    name = class_name_of(model)
    if not is_from(model, "xgboost"):
        return None
    if name == "xgboost.core.Booster":
        booster: Booster = model.copy()
    elif name.rpartition(".")[2] in _WRAPPERS and name.startswith("xgboost."):
        # A copy: an attribute that is set on the caller's own model would stay there.
        booster = model.get_booster().copy()
        own = {"wrapper": type(model).__name__, "params": plain_settings(_given(model))}
        booster.set_attr(**{_OWN_ATTRIBUTE: json.dumps(own)})
    else:
        return None
    content = bytes(booster.save_raw(raw_format="json"))
    libraries = {**versions_of("scikit-learn", "numpy"), "xgboost": _version()}
    return EncodedModel(content, XGBOOST, name, libraries)


def decode(content: bytes) -> object:
    """Return the Booster, or the wrapper that it came from.

    Raises:
        ValueError: If the JSON is not an XGBoost model.
    """
    import xgboost

    json.loads(content)
    booster = xgboost.Booster()
    booster.load_model(bytearray(content))
    text = booster.attr(_OWN_ATTRIBUTE)
    own = {} if text is None else json.loads(text)
    if own.get("wrapper") not in _WRAPPERS:
        return booster
    model: XGBModel = getattr(xgboost, own["wrapper"])(**own["params"])
    model.load_model(bytearray(content))
    model.get_booster().set_attr(**{_OWN_ATTRIBUTE: None})
    return model


def _given(model: XGBModel) -> dict[str, object]:
    # The trees need nothing that was left to XGBoost, or that has no JSON form, to predict.
    return {name: value for name, value in model.get_params().items() if value is not None}


def _version() -> str:
    import xgboost

    # The distribution may be xgboost or xgboost-cpu; the module knows.
    return str(xgboost.__version__)
