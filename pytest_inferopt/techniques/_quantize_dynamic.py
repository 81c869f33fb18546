"""onnxruntime's dynamic quantizer: weights as integers in the file, activations scaled while the model runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_inferopt.techniques._failures import explained
from pytest_inferopt.techniques._graphs import count_quantized_tables, name_nodes, nodes_of, operators_of

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Collection, Sequence
    from pathlib import Path

__all__ = ["count_dynamic", "quantize_dynamically"]

HINT = "Leave the operator out (op_types, nodes_to_exclude), or set per_channel=False."
# What the operators become: https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
INTEGER_OPERATORS = ("MatMulInteger", "DynamicQuantizeLSTM", "QAttention", "ConvInteger", "MatMulIntegerToFloat")


def quantize_dynamically(
    source: Any,
    target: Path,
    *,
    op_types: Collection[str],
    nodes_to_exclude: Collection[str],
    precision: str,
    per_channel: bool,
    reduce_range: bool,
) -> None:
    """Quantize the constant weights of `op_types`.

    Args:
        source: an `onnx.ModelProto`; nameless nodes get a name.
        target: where the file goes.
        op_types: the operators to quantize.
        nodes_to_exclude: names of nodes to leave alone.
        precision: ``int8`` or ``uint8``, of the weights.
        per_channel: a scale for each output channel.
        reduce_range: 7-bit weights.

    Raises:
        NotMeasuredError: the quantizer fails.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with explained("technique 'quantization' (dynamic)", HINT):
        quantize_dynamic(
            source,
            target,
            op_types_to_quantize=sorted({"MatMul" if kind == "Gemm" else kind for kind in op_types}),
            per_channel=per_channel,
            reduce_range=reduce_range,
            weight_type=QuantType.QInt8 if precision == "int8" else QuantType.QUInt8,
            nodes_to_exclude=_left_alone(source, op_types, nodes_to_exclude),
            extra_options={"DefaultTensorType": 1},
        )


def count_dynamic(before: Counter[str], target: Path) -> int:
    """How many operators became integer ones."""
    import onnx

    graph = onnx.load(target).graph
    after = operators_of(graph)
    return sum(after[kind] - before[kind] for kind in INTEGER_OPERATORS) + count_quantized_tables(graph)


def _left_alone(source: Any, op_types: Collection[str], nodes_to_exclude: Collection[str]) -> Sequence[str]:
    """The names of the nodes to exclude, as onnxruntime finds them; nameless ones among them get a name.

    The quantizer rewrites every Gemm as ``<its name>_MatMul`` and an Add before it looks for MatMul nodes.
    """
    name_nodes(source.graph)
    left = [
        node
        for node in nodes_of(source.graph)
        if node.name in nodes_to_exclude or (node.op_type in {"Gemm", "MatMul"} and node.op_type not in op_types)
    ]
    return [f"{node.name}_MatMul" if node.op_type == "Gemm" else node.name for node in left]
