"""Reading and writing ONNX files, and what their graphs say about inputs, outputs and task."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_inferopt.domain.artifact import OutputRole, Signature, Task, TensorSpec
from pytest_inferopt.domain.model_file import MAX_PROTOBUF_BYTES, shown_path
from pytest_inferopt.domain.text import printable
from pytest_inferopt.errors import NotMeasuredError, RefusedError
from pytest_inferopt.frameworks._onnx_graphs import MAX_NESTED_GRAPHS, nested_graphs, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["opset_of", "read_classes", "read_model", "read_signature", "read_task", "with_roles", "write_model"]

DTYPES = {"FLOAT": "float32", "DOUBLE": "float64", "STRING": "str"}  # the others are their names in lower case
FLOATS = frozenset({"float16", "bfloat16", "float32", "float64"})
LABEL_DTYPES = frozenset({"int32", "int64", "str"})
LABEL_NAMES = frozenset({"label", "output_label"})
DECISION_NAMES = ("decision", "logit", "score")
DEFAULT_DOMAINS = ("", "ai.onnx")
MATRIX = 2

CLASS_ATTRIBUTES = ("classlabels_int64s", "classlabels_ints", "classlabels_strings")


def read_model(path: Path) -> Any:
    """Parse an ONNX file into a ModelProto; weights in other files stay there.

    Raises:
        NotMeasuredError: the file is damaged, incomplete or nests too many graphs.
    """
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    data = path.read_bytes()
    try:
        model = onnx.ModelProto.FromString(data)
    except DecodeError:
        if nested_graphs(data) > MAX_NESTED_GRAPHS:
            raise NotMeasuredError(
                f"{shown_path(path)} nests more than {MAX_NESTED_GRAPHS} graphs inside one another, "
                "which no ONNX reader takes.",
                "Export the model with fewer nested If, Loop and Scan bodies.",
            ) from None
        raise _damaged(path) from None
    if not (model.ir_version and model.HasField("graph") and model.opset_import and model.graph.output):
        raise _damaged(path)
    return model


def write_model(model: Any, path: Path) -> Path:
    """Write a ModelProto to one file and return its path.

    Raises:
        NotMeasuredError: it is larger than one file can hold.
    """
    if model.ByteSize() > MAX_PROTOBUF_BYTES:
        raise NotMeasuredError(
            f"the model takes {model.ByteSize() / 2**30:.1f} GiB in one file; an ONNX file holds at most 2 GiB.",
            "Use a smaller model.",
        )
    path.write_bytes(model.SerializeToString())
    return path


def opset_of(model: Any) -> int | None:
    """The opset version of the default domain; None where the model uses none of its operators."""
    versions = [opset.version for opset in model.opset_import if opset.domain in DEFAULT_DOMAINS]
    return int(max(versions)) if versions else None


def read_signature(model: Any) -> Signature:
    """The inputs that a caller feeds and the outputs that come back, with what each output means.

    An initializer that is also listed as an input (IR version 3) is not fed. The shape of a tensor of unknown
    rank is ``(None,)``.

    Raises:
        NotMeasuredError: a name is not UTF-8, so it cannot be fed.
        RefusedError: an input or output is not a tensor, as the maps that a ZipMap node gives.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    constants |= {tensor.values.name for tensor in model.graph.sparse_initializer}
    inputs = [_tensor(value, "input") for value in model.graph.input if value.name not in constants]
    outputs = [_tensor(value, "output") for value in model.graph.output]
    return Signature(tuple(inputs), with_roles(outputs))


def read_task(signature: Signature) -> Task:
    """What a model answers, judged by its outputs alone.

    A label or probabilities make a classification, one number a row a regression; all else is a transform. A
    graph does not tell a cluster from a class: where the original is known, its task counts.
    """
    roles = [output.role for output in signature.outputs]
    if "label" in roles or "probabilities" in roles:
        return "classification"
    if roles == ["values"] and _is_column(signature.outputs[0].shape):
        return "regression"
    return "transform"


def read_classes(model: Any, signature: Signature) -> tuple[Any, ...] | None:
    """The labels in the order of the scores' columns, where an ai.onnx.ml classifier gives the label itself."""
    label = next((output for output in signature.outputs if output.role == "label"), None)
    makers = {name: node for node in model.graph.node for name in node.output}
    node = makers.get(label.name) if label else None
    # Exporters put these between the classifier and the output; they change neither the labels nor their order.
    while node is not None and node.op_type in {"Cast", "Identity", "Reshape"}:
        node = makers.pop(next(iter(node.input), ""), None)
    if label is None or node is None or node.domain != "ai.onnx.ml":
        return None
    lists = {attribute.name: attribute.strings or attribute.ints for attribute in node.attribute}
    found = next((lists[name] for name in CLASS_ATTRIBUTES if lists.get(name)), ())
    classes = tuple(text_of(value) if isinstance(value, bytes) else value for value in found)
    wanted = str if label.dtype == "str" else int
    return classes if classes and all(isinstance(value, wanted) for value in classes) else None


def _damaged(path: Path) -> NotMeasuredError:
    return NotMeasuredError(
        f"{shown_path(path)} is damaged or incomplete: it does not parse as an ONNX model.",
        "Download or export the model again.",
    )


def _tensor(value: Any, part: str) -> TensorSpec:
    name = f"{part} '{printable(text_of(value.name))}'"
    if not isinstance(value.name, str):
        raise NotMeasuredError(f"the name of {name} is not UTF-8.", "Export the model again.")
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        raise _not_a_tensor(name, value.type)
    tensor = value.type.tensor_type
    shape = tuple(map(_dimension, tensor.shape.dim)) if tensor.HasField("shape") else (None,)
    return TensorSpec(value.name, _dtype(tensor.elem_type), shape)


def _not_a_tensor(name: str, kind: Any) -> RefusedError:
    maps = kind.WhichOneof("value") == "map_type" or kind.sequence_type.elem_type.WhichOneof("value") == "map_type"
    if maps:
        return RefusedError(
            f"{name} gives a map per row (a ZipMap node), which cannot be compared as an array.",
            "Convert the model with zipmap=False.",
        )
    return RefusedError(f"{name} is not a tensor.", "Export the model with tensors as inputs and outputs.")


def _dtype(element: int) -> str:
    import onnx

    name = str(onnx.TensorProto.DataType.Name(element)) if element in onnx.TensorProto.DataType.values() else "unknown"
    return DTYPES.get(name, name.lower())


def _dimension(dimension: Any) -> int | str | None:
    if dimension.WhichOneof("value") == "dim_value":
        return int(dimension.dim_value)
    return text_of(dimension.dim_param) or None


def with_roles(outputs: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    """The outputs, each with what its name, type and rank say that it means."""
    beside_label = any(map(_is_label, outputs))
    return tuple(replace(output, role=_role(output, beside_label=beside_label)) for output in outputs)


def _is_label(output: TensorSpec) -> bool:
    return output.dtype in LABEL_DTYPES and (output.name in LABEL_NAMES or _is_column(output.shape))


def _role(output: TensorSpec, *, beside_label: bool) -> OutputRole:
    if _is_label(output):
        return "label"
    name = output.name.lower()
    if output.dtype in FLOATS and name.startswith("prob"):
        return "probabilities"
    if output.dtype in FLOATS and beside_label and len(output.shape) == MATRIX:
        return "decision" if name.startswith(DECISION_NAMES) else "probabilities"
    return "values"


def _is_column(shape: tuple[int | str | None, ...]) -> bool:
    """Whether it is one value a row: (N,) or (N, 1)."""
    return len(shape) == 1 or (len(shape) == MATRIX and shape[1] == 1)
