"""Write the tensors of torch modules and state dicts as safetensors, and read them back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_mlrun.errors import ArtifactError
from pytest_mlrun.integrations.encoded import SAFETENSORS, EncodedModel, class_name_of, is_from, versions_of

if TYPE_CHECKING:
    from torch import Tensor


def encode(model: object) -> EncodedModel | None:
    """Return a module's state dict, or a state dict, as safetensors; None of anything else.

    Raises:
        ArtifactError: If safetensors is not installed.
    """
    state = _state_of(model)
    if state is None:
        return None
    try:
        from safetensors.torch import save
    except ModuleNotFoundError:
        raise ArtifactError(
            f"model {type(model).__name__} needs safetensors to be stored safely",
            where="log_model",
            next_step="pip install 'pytest-mlrun[torch]'",
        ) from None
    kept, same = _without_shared(state)
    name = class_name_of(model)
    content = save(kept, metadata={"class": name, "same": json.dumps(same)})
    return EncodedModel(content, SAFETENSORS, name, versions_of("torch", "safetensors", "numpy"))


def decode(content: bytes) -> object:
    """Return the state dict.

    Raises:
        ValueError: If the bytes are not safetensors.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    same: dict[str, str] = json.loads(header.get("__metadata__", {}).get("same", "{}"))
    return {**tensors, **{name: tensors[kept] for name, kept in same.items()}}


def _state_of(model: Any) -> Mapping[str, Tensor] | None:
    if is_from(model, "torch") and callable(getattr(model, "state_dict", None)):
        state = model.state_dict()
    elif isinstance(model, Mapping):
        state = model
    else:
        return None
    tensors = [is_from(value, "torch") and hasattr(value, "data_ptr") for value in state.values()]
    return state if tensors and all(tensors) else None


def _without_shared(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    # safetensors refuses tensors that share memory, such as tied embeddings: the second name points to the first.
    kept: dict[str, Tensor] = {}
    same: dict[str, str] = {}
    places: dict[tuple[object, ...], str] = {}
    for name, tensor in state.items():
        place = (tensor.device, tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride())
        if tensor.numel() and place in places:
            same[name] = places[place]
        else:
            places[place] = name
            kept[name] = tensor.detach().cpu().contiguous().clone()
    return kept, same
