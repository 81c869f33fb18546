"""onnxruntime's static quantizer: activations too are integers, in ranges that were seen on calibration rows."""

from __future__ import annotations

import inspect
import resource
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pytest_inferopt.techniques._failures import explained
from pytest_inferopt.techniques._graphs import count_quantized_tables, name_nodes, nodes_of, table_lookups
from pytest_inferopt.techniques._rounding import Ranges, rounding_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from pathlib import Path

__all__ = ["StaticPlan", "count_static", "quantize_statically"]

BIAS = 2
NAMES_SHOWN = 3
# What only clips or moves numbers stays among integers where what it reads is quantized already: nothing more is lost,
# and no detour through float stands between two products. A Relu disappears in the range of what it clips.
CARRIED = ("Relu", "Clip", "MaxPool", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten")
HINT = "Leave the operator out (op_types, nodes_to_exclude), or set per_channel=False."
KIB_PER_MB = 1_000_000 / 1024
QLINEAR = {"Conv": "QLinearConv", "MatMul": "QLinearMatMul", "Gemm": "QGemm"}


@dataclass(frozen=True)
class StaticPlan:
    """How to quantize.

    Attributes:
        op_types: the operators to quantize.
        nodes_to_exclude: names of nodes to leave alone.
        calibration_method: ``minmax``, ``entropy`` or ``percentile``.
        quant_format: ``qdq`` or ``qoperator``.
        activations: ``uint8`` or ``int8``; `weights` likewise.
        per_channel: a scale for each output channel of the weights.
        insists_on_channels: whether nothing else will do.
        reduce_range: 7-bit weights.
        largest_error: operators stay in float whose inputs lose more of a row; None for none.
    """

    op_types: tuple[str, ...]
    nodes_to_exclude: tuple[str, ...]
    calibration_method: str
    quant_format: str
    activations: str
    weights: str
    per_channel: bool
    insists_on_channels: bool
    reduce_range: bool
    largest_error: float | None


def quantize_statically(
    source: Path, target: Path, plan: StaticPlan, feeds: Callable[[], Iterable[Mapping[str, Any]]]
) -> tuple[int, list[str]]:
    """Prepare, calibrate and quantize.

    The rows are seen a few at a time, and only ranges or histograms are kept of what they give: the calibrators by
    themselves would keep every intermediate tensor (https://github.com/microsoft/onnxruntime/issues/10503).

    Args:
        source: the file.
        target: where the quantized one goes; its folder is used for what lies between.
        plan: how.
        feeds: begins the calibration rows anew.

    Returns:
        How many operators stayed in float for what they would have lost, and what was done on the way, as notes.

    Raises:
        NotMeasuredError: a step fails.
    """
    from onnxruntime.quantization import quantize_static

    notes: list[str] = []
    spared: dict[str, float] = {}
    with explained("technique 'quantization' (static)", HINT):
        prepared, are_fused = _prepared(source, target.with_name("prepared.onnx"), plan)
        if not are_fused:
            notes.append("Nodes were not fused before, because a fusion would take one that is excluded by name.")
        before_kib = _peak_kib()
        if "calibration_cache_path" in inspect.signature(quantize_static).parameters:
            ranges = target.with_name("ranges.json")
            bites, seen = _calibrated(prepared, ranges, plan, feeds())
            how: dict[str, Any] = {"calibration_cache_path": str(ranges)}
            told = f"in {bites:,} bites"
            spared = _spared(prepared, plan, seen, feeds())
        else:
            how = {"calibration_data_reader": _Reader(feeds())}
            told = "at once, as this version of onnxruntime does"
        risen_mb = (_peak_kib() - before_kib) / KIB_PER_MB
        plan = replace(plan, nodes_to_exclude=(*plan.nodes_to_exclude, *spared, *_no_tables(prepared)))
        notes += _quantize_or_fall_back(prepared, target, plan, how)
    if spared:
        notes.append(
            f"{len(spared)} left in float: 8 bits of what they read or give lose up to {max(spared.values()):.0%} of a "
            f"row (largest_error): {_some(list(spared))}."
        )
    notes.append(
        f"Calibrated by {plan.calibration_method} {told}; the process's peak of memory rose by {risen_mb:.0f} MB."
    )
    return len(spared), notes


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more


def _spared(model: Path, plan: StaticPlan, seen: Ranges, feeds: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """The operators that would lose too much, by name, and how much."""
    import onnx

    if plan.largest_error is None:
        return {}
    graph = onnx.load(model).graph
    reading = {
        node.name: [name for name in (*list(node.input)[:2], *node.output) if name in seen]
        for node in graph.node
        if node.op_type in plan.op_types and node.op_type != "Gather" and node.name not in plan.nodes_to_exclude
    }
    watched = {name: seen[name] for names in reading.values() for name in names}
    errors = rounding_errors(model, watched, feeds, is_symmetric=plan.activations == "int8")
    worst = {node: max((errors[name] for name in names), default=0.0) for node, names in reading.items()}
    return {node: error for node, error in worst.items() if error > plan.largest_error}


def _no_tables(model: Path) -> list[str]:
    """The Gather nodes that take something else than rows out of a table."""
    import onnx

    graph = onnx.load(model).graph
    tables = {node.name for node in table_lookups(graph)}
    return [node.name for node in nodes_of(graph) if node.op_type == "Gather" and node.name not in tables]


def _peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _quantize_or_fall_back(model: Path, target: Path, plan: StaticPlan, how: Mapping[str, Any]) -> list[str]:
    """Quantize; with one scale a weight where a scale a channel fails and nobody insists on it.

    Seen with biases whose scale gets too small: ``_adjust_weight_scale_for_int32_bias`` raises ValueError.
    """
    try:
        _quantize(model, target, plan, how)
    except ValueError as error:
        if not plan.per_channel or plan.insists_on_channels:
            raise
        _quantize(model, target, replace(plan, per_channel=False), how)
        reason = " ".join(str(error).split())[:200]
        return [f"Weights have one scale each: a scale a channel failed ({reason})."]
    return []


def count_static(target: Path, op_types: Collection[str]) -> int:
    """How many operators take integers: between a DequantizeLinear each (QDQ), or as operators of their own."""
    import onnx

    graph = onnx.load(target).graph
    dequantized = {name for node in nodes_of(graph) if node.op_type == "DequantizeLinear" for name in node.output}
    own = {QLINEAR[kind] for kind in op_types if kind in QLINEAR}
    products = sum(
        node.op_type in own or (node.op_type in op_types and set(list(node.input)[:2]) <= dequantized)
        for node in nodes_of(graph)
        if node.op_type != "Gather"
    )
    return products + (count_quantized_tables(graph) if "Gather" in op_types else 0)


def _prepared(source: Path, target: Path, plan: StaticPlan) -> tuple[Path, bool]:
    """Infer shapes and fuse what can be; symbolic inference is left out, because it fails on many graphs.

    Returns:
        The file, and whether nodes are fused: not where a fusion takes one that is to be excluded.
    """
    import onnx
    from onnxruntime.quantization.shape_inference import quant_pre_process

    quant_pre_process(str(source), str(target), skip_symbolic_shape=True)
    model = onnx.load(target)
    are_fused = set(plan.nodes_to_exclude) <= {node.name for node in nodes_of(model.graph)}
    if not are_fused:
        quant_pre_process(str(source), str(target), skip_symbolic_shape=True, skip_optimization=True)
        model = onnx.load(target)
    _flatten_biases(model.graph)
    name_nodes(model.graph)
    onnx.save(model, target)
    return target, are_fused


def _flatten_biases(graph: Any) -> None:
    """Make a Gemm's bias (1, N) one of shape (N,), which is added alike.

    The quantizer reads one element a channel off its first axis, and fails on what converters write as a row.
    """
    constants = {tensor.name: tensor for tensor in graph.initializer}
    readers = Counter(name for node in nodes_of(graph) for name in node.input)
    for node in nodes_of(graph):
        bias = constants.get(node.input[BIAS]) if node.op_type == "Gemm" and len(node.input) > BIAS else None
        if bias is not None and readers[bias.name] == 1 and len(bias.dims) > 1 and bias.dims[0] == 1:
            del bias.dims[0]


class _Reader:
    """What a calibrator reads from: as many feeds as it is given."""

    def __init__(self, feeds: Iterable[Mapping[str, Any]]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> Mapping[str, Any] | None:
        return next(self._feeds, None)


def _calibrated(model: Path, cache: Path, plan: StaticPlan, feeds: Iterable[Mapping[str, Any]]) -> tuple[int, Ranges]:
    """Write the ranges of all tensors, and give them and the number of bites in which the rows came."""
    import numpy as np
    from onnxruntime.quantization import calibrate

    calibrator = calibrate.create_calibrator(
        model,
        [*plan.op_types, *CARRIED],
        augmented_model_path=str(cache.with_name("augmented.onnx")),
        calibrate_method=_method(plan),
        extra_options={"symmetric": plan.activations == "int8"},
    )
    count = 0
    for feed in feeds:
        calibrator.collect_data(_Reader([feed]))
        count += 1
    found = calibrator.compute_data()
    calibrate.save_tensors_data(found, cache)
    ends = {name: [float(np.ravel(end)[0]) for end in data.range_value] for name, data in found.items()}
    return count, {name: (low, high) for name, (low, high) in ends.items()}


def _quantize(model: Path, target: Path, plan: StaticPlan, source_of_ranges: Mapping[str, Any]) -> None:
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    types = {"int8": QuantType.QInt8, "uint8": QuantType.QUInt8}
    quantize_static(
        str(model),
        str(target),
        quant_format=QuantFormat.QDQ if plan.quant_format == "qdq" else QuantFormat.QOperator,
        op_types_to_quantize=[*plan.op_types, *CARRIED],
        per_channel=plan.per_channel,
        reduce_range=plan.reduce_range,
        activation_type=types[plan.activations],
        weight_type=types[plan.weights],
        nodes_to_exclude=list(plan.nodes_to_exclude),
        calibrate_method=_method(plan),
        extra_options={"ActivationSymmetric": plan.activations == "int8"},
        **source_of_ranges,
    )


def _method(plan: StaticPlan) -> Any:
    from onnxruntime.quantization import CalibrationMethod

    return {
        "minmax": CalibrationMethod.MinMax,
        "entropy": CalibrationMethod.Entropy,
        "percentile": CalibrationMethod.Percentile,
    }[plan.calibration_method]
