"""What flows between the nodes of a graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["largest_values"]


def largest_values(model: Any, path: Path, feed: Mapping[str, Any]) -> dict[str, float]:
    """The largest absolute value of every float32 tensor between the nodes, weights included.

    Bodies of loops and branches are not looked into. Values that are not finite count as infinite.

    Args:
        model: an `onnx.ModelProto`; it is not changed.
        path: where a copy with all tensors as outputs is written.
        feed: the inputs.
    """
    import numpy as np
    import onnx
    import onnxruntime

    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    names = _float_tensors(model)
    known = {output.name for output in watched.graph.output}
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in known)
    path.write_bytes(watched.SerializeToString())
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    outputs = session.run(names, dict(feed)) if names else []
    path.unlink()
    found = {name: _largest(array) for name, array in zip(names, outputs, strict=True)}
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            found[tensor.name] = _largest(onnx.numpy_helper.to_array(tensor))
    return {name: float(np.inf) if np.isnan(value) else value for name, value in found.items()}


def _float_tensors(model: Any) -> list[str]:
    import onnx

    inferred = onnx.shape_inference.infer_shapes(model)
    kinds = {value.name: value.type.tensor_type.elem_type for value in inferred.graph.value_info}
    made = [name for node in model.graph.node for name in node.output if name]
    return [name for name in made if kinds.get(name) == onnx.TensorProto.FLOAT]


def _largest(array: Any) -> float:
    import numpy as np

    return float(np.abs(array).max(initial=0.0))
