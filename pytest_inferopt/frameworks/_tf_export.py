"""From a TensorFlow model to an ONNX file, by tf2onnx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_inferopt.domain.artifact import row_count, take_rows
from pytest_inferopt.domain.silence import silence
from pytest_inferopt.errors import InferoptError, RefusedError
from pytest_inferopt.frameworks._proving import finished, one_line, prove_outputs, versions_text
from pytest_inferopt.frameworks._tf_names import settle_names

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytest_inferopt.domain.artifact import Rows
    from pytest_inferopt.frameworks._tf_calls import Compiled

__all__ = ["export"]

BATCH = "batch"
NEWEST_OPSET = 18  # what tf2onnx 1.16 and 1.17 write
INSTEAD = "Change the part that it names, or export the model yourself and hand over the ONNX file."


def export(function: Compiled, path: Path, *, opset: int, samples: Rows, name: str) -> tuple[Any, tuple[str, ...]]:
    """Write the file, and prove it: valid, the batch axis free, the model's answers.

    Args:
        function: the compiled model.
        path: where the file goes.
        opset: the wanted opset.
        samples: rows of any number N ≥ 1.
        name: what the model is called, for the message.

    Returns:
        The graph, an `onnx.ModelProto`, and what was written, as notes.

    Raises:
        RefusedError: tf2onnx cannot convert it, or what it wrote answers otherwise.
    """
    import numpy as np

    def ask(count: int) -> tuple[dict[str, Any], dict[str, Any]]:
        feed = function.feed(take_rows(samples, np.resize(np.arange(row_count(samples)), count)))
        arrays = {one: tensor.numpy() for one, tensor in zip(function.names, feed, strict=True)}
        return arrays, function.answer(feed)

    try:
        with silence("tf2onnx", "tensorflow"):
            _convert(function, path, min(opset, NEWEST_OPSET))
        model = finished(path)
        proof = prove_outputs(path, ask)
    except InferoptError as error:
        raise RefusedError(f"{name} cannot be converted: {error.message}", INSTEAD) from error
    # tf2onnx raises whatever its rewriters raise.
    except Exception as error:
        raise RefusedError(
            f"{name} cannot be converted: {type(error).__name__}: {one_line(error)}.", INSTEAD
        ) from error
    return model, (f"converted by tf2onnx: {versions_text(model, opset)}", proof)


def _convert(function: Compiled, path: Path, opset: int) -> None:
    import onnx
    import tf2onnx

    model, _ = tf2onnx.convert.from_function(function.function, input_signature=function.specs, opset=opset)
    _rename_outputs(model.graph, function.outputs)
    settle_names(model.graph)
    # It has the name of the traced function, which the process counts.
    model.graph.doc_string = ""
    for value in (*model.graph.input, *model.graph.output):
        axes = value.type.tensor_type.shape.dim
        if len(axes) and axes[0].WhichOneof("value") != "dim_value":
            axes[0].dim_param = BATCH
    onnx.save(model, path)


def _rename_outputs(graph: Any, names: Sequence[str]) -> None:
    """Give the outputs the model's own names, in place of TensorFlow's ``Identity_1:0``."""
    taken = {name for node in graph.node for name in (*node.input, *node.output)}
    taken |= {value.name for value in graph.input}
    new = {}
    for output, name in zip(graph.output, names, strict=True):
        free = name if name not in taken - {output.name} else f"{name}_out"
        new[output.name] = free
    for node in graph.node:
        node.input[:] = [new.get(name, name) for name in node.input]
        node.output[:] = [new.get(name, name) for name in node.output]
    for output in graph.output:
        output.name = new[output.name]
