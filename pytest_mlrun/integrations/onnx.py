"""Write and read ONNX models as their protobuf bytes."""

from __future__ import annotations

from pytest_mlrun.integrations.encoded import ONNX, EncodedModel, class_name_of, is_from, versions_of


def encode(model: object) -> EncodedModel | None:
    """Return the bytes of an ``onnx.ModelProto``, or None of anything else."""
    if type(model).__name__ != "ModelProto" or not is_from(model, "onnx"):
        return None
    content: bytes = model.SerializeToString()  # type: ignore[attr-defined]
    return EncodedModel(content, ONNX, class_name_of(model), versions_of("onnx", "skl2onnx", "onnxmltools", "torch"))


def decode(content: bytes) -> object:
    """Return the ``onnx.ModelProto``, checked; files that it names beside itself are not opened."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load_model_from_string(content)
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError) as error:
        raise ValueError(str(error).partition("\n")[0]) from error
    return model
