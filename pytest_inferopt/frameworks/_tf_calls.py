"""A TensorFlow model as one compiled function of named inputs, and what it answers as named arrays."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_inferopt.errors import RefusedError, UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_inferopt.domain.artifact import Rows

__all__ = ["Compiled", "compiled", "is_keras", "tensorflow"]

INPUT, OUTPUT = "input", "output"
SIGNATURE = "serving_default"
TENSORFLOW = "tensorflow"


def tensorflow() -> Any:
    """TensorFlow, imported without its chatter."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tensorflow as tf
    return tf


def is_keras(model: object) -> bool:
    """Whether it is a model of Keras, and not what `tf.saved_model.load` gives."""
    return any(cls.__module__.partition(".")[0] == "keras" for cls in type(model).__mro__)


@dataclass(frozen=True, eq=False)
class Compiled:
    """A model, compiled for rows of one kind.

    Attributes:
        function: a `tf.function` of one tensor an input, in the order of `names`; its batch axis is free.
        names: its inputs.
        specs: their `tf.TensorSpec`s.
        outputs: the names of what it answers, in the order in which TensorFlow flattens it.
    """

    function: Any
    names: tuple[str, ...]
    specs: tuple[Any, ...]
    outputs: tuple[str, ...]

    def feed(self, rows: Rows) -> list[Any]:
        """One tensor an input, each (N, …)."""
        tf = tensorflow()
        return [
            tf.convert_to_tensor(_values(column, spec.dtype.as_numpy_dtype))
            for column, spec in zip(_columns(rows, self.names), self.specs, strict=True)
        ]

    def answer(self, feed: Sequence[Any]) -> dict[str, Any]:
        """What the model answers, as arrays by name."""
        found = tensorflow().nest.flatten(self.function(*feed))
        return {name: tensor.numpy() for name, tensor in zip(self.outputs, found, strict=True)}


def compiled(model: Any, rows: Rows) -> Compiled:
    """Compile a model for rows such as these, of any number.

    Args:
        model: a Keras model, or what `tf.saved_model.load` gives.
        rows: a table (N, …), or a mapping of input names to such.

    Raises:
        UsageError: the rows do not name the model's inputs, or it has none that can be called.
        RefusedError: Keras runs on another backend.
    """
    return _compiled_keras(model, rows) if is_keras(model) else _compiled_signature(model, rows)


def _compiled_keras(model: Any, rows: Rows) -> Compiled:
    tf = tensorflow()
    import keras

    if keras.backend.backend() != TENSORFLOW:
        raise RefusedError(
            f"Keras runs on {keras.backend.backend()} here, and only its TensorFlow backend is converted.",
            "Set KERAS_BACKEND=tensorflow, or hand over an ONNX file.",
        )
    struct = getattr(model, "_inputs_struct", None)
    known = {each.name: each for each in tf.nest.flatten(struct)} if struct is not None else {}
    is_mapping = isinstance(struct, Mapping) or (not known and isinstance(rows, Mapping))
    names = _names(list(struct) if isinstance(struct, Mapping) else list(known), rows, type(model).__name__)
    declared = {name: struct[name] for name in names} if isinstance(struct, Mapping) else known
    specs = tuple(
        tf.TensorSpec((None, *_tail(declared.get(name), column)), _dtype(declared.get(name), column), name=name)
        for name, column in zip(names, _columns(rows, names), strict=True)
    )

    def call(*tensors: Any) -> Any:
        if is_mapping:
            return model(dict(zip(names, tensors, strict=True)), training=False)
        return model(list(tensors) if len(tensors) > 1 else tensors[0], training=False)

    function = tf.function(call, input_signature=list(specs))
    answer = function.get_concrete_function().structured_outputs
    told = getattr(model, "output_names", None)
    return Compiled(function, names, specs, _output_names(answer, told))


def _compiled_signature(model: Any, rows: Rows) -> Compiled:
    signatures = getattr(model, "signatures", {})
    if SIGNATURE not in signatures:
        have = ", ".join(signatures) or "none"
        raise UsageError(
            f"the SavedModel has no signature {SIGNATURE!r}; it has {have}.", "Export it with model.export(folder)."
        )
    tf = tensorflow()
    signature = signatures[SIGNATURE]
    inputs = signature.structured_input_signature[1]
    names = _names(list(inputs), rows, "the SavedModel")
    specs = tuple(tf.TensorSpec(inputs[name].shape, inputs[name].dtype, name=name) for name in names)

    def call(*tensors: Any) -> Any:
        return signature(**dict(zip(names, tensors, strict=True)))

    function = tf.function(call, input_signature=list(specs))
    return Compiled(function, names, specs, tuple(sorted(signature.structured_outputs)))


def _names(known: list[str], rows: Rows, who: str) -> tuple[str, ...]:
    """The inputs in the model's order.

    Raises:
        UsageError: the rows have others.
    """
    if not isinstance(rows, Mapping):
        if len(known) > 1:
            raise UsageError(
                f"{who} takes {', '.join(known)}, but the rows are one table.", "Pass a mapping of these to arrays."
            )
        return tuple(known) or (INPUT,)
    given = list(map(str, rows))
    if not known:
        return tuple(given)
    unknown = next((name for name in given if name not in known), None)
    if unknown is not None:
        raise UsageError(f"{who} has no input {unknown!r};", did_you_mean(unknown, known))
    absent = [name for name in known if name not in given]
    if absent:
        raise UsageError(f"the rows have no {', '.join(map(repr, absent))}, which {who} takes.", f"They have {given}.")
    return tuple(known)


def _columns(rows: Rows, names: Sequence[str]) -> list[Any]:
    return [rows[name] for name in names] if isinstance(rows, Mapping) else [rows]


def _array(column: Any) -> Any:
    import numpy as np

    values = column.toarray() if hasattr(column, "toarray") else column
    array = np.asarray(values.to_numpy() if hasattr(values, "to_numpy") else values)
    if array.dtype.kind not in "biuf":
        raise UsageError(
            f"the rows hold {array.dtype}, which a network cannot take.", "Pass numbers: tokenize or encode them first."
        )
    return array


def _values(column: Any, dtype: Any) -> Any:
    import numpy as np

    return np.ascontiguousarray(_array(column), dtype=dtype)


def _tail(declared: Any, column: Any) -> tuple[int | None, ...]:
    """All axes but the first: as the model declares them, an open one as the rows have it."""
    shape = _array(column).shape[1:]
    told = tuple(declared.shape[1:]) if declared is not None else shape
    return tuple(own if own is not None else given for own, given in zip(told, shape, strict=False)) or shape


def _dtype(declared: Any, column: Any) -> Any:
    """As the model declares it; else the rows', floats in single precision."""
    if declared is not None:
        return declared.dtype
    array = _array(column)
    return "float32" if array.dtype.kind == "f" else str(array.dtype)


def _output_names(answer: Any, told: Sequence[str] | None) -> tuple[str, ...]:
    """Keys of dictionaries; the model's own names where there are as many; else ``output``, ``output_1`` and so on."""
    flat = tensorflow().nest.flatten(answer)
    if isinstance(answer, Mapping) and len(answer) == len(flat):
        return tuple(sorted(map(str, answer)))
    if told and len(told) == len(flat) and len(set(told)) == len(flat):
        return tuple(told)
    return tuple(f"{OUTPUT}_{index}" if index else OUTPUT for index in range(len(flat)))
