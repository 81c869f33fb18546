"""INT8 quantization of ONNX files."""

from __future__ import annotations

import warnings
from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from pytest_inferopt.domain.plugins import Technique
from pytest_inferopt.errors import NotMeasuredError

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_inferopt.domain.artifact import Artifact, Workbench

__all__ = ["Quantization"]

# Convolutions are left out on purpose: quantized dynamically they become ConvInteger, which onnxruntime runs
# several times slower than float on x86.
DYNAMIC_OPERATORS = ("MatMul", "Gemm", "LSTM", "Attention")
# What the default operators become: https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
INTEGER_OPERATORS = ("MatMulInteger", "DynamicQuantizeLSTM", "QAttention", "ConvInteger", "MatMulIntegerToFloat")
# Work that has weights or thresholds, so that a reader would expect it to shrink, and no INT8 form.
NO_INT8_FORM = (
    "TreeEnsembleClassifier",
    "TreeEnsembleRegressor",
    "TreeEnsemble",
    "SVMClassifier",
    "SVMRegressor",
    "LinearClassifier",
    "LinearRegressor",
)


class Quantization(Technique):
    """Weights as 8-bit integers: a quarter of the size, and faster where the CPU has integer kernels.

    Attributes:
        method: ``dynamic`` scales the activations while the model runs, and needs no calibration data.
        precision: the type of the weights.
        per_channel: a scale for each output channel instead of one for the whole matrix: closer to the original.
        op_types: the operator types to quantize.
        nodes_to_exclude: names of nodes to leave alone.
        reduce_range: 7-bit weights, against saturation on x86 CPUs without VNNI (onnxruntime#6004); by CPU if None.
    """

    name: ClassVar[str] = "quantization"
    needs: ClassVar[tuple[str, ...]] = ("onnx", "onnxruntime")
    extra: ClassVar[str] = "cpu"

    method: Literal["dynamic"] = "dynamic"
    precision: Literal["int8", "uint8"] = "int8"
    per_channel: bool = True
    op_types: tuple[str, ...] = Field(default=DYNAMIC_OPERATORS, min_length=1)
    nodes_to_exclude: tuple[str, ...] = ()
    reduce_range: bool = False

    def gives(self, takes: str) -> str | None:
        """ONNX in, ONNX out."""
        return "onnx" if takes == "onnx" else None

    def apply(self, model: Artifact, bench: Workbench) -> Artifact:
        """Quantize the constant weights of `op_types`, and count what was and was not.

        A model with nothing to quantize keeps its file, byte for byte, and the notes say so.
        """
        import onnx

        before = _operators(onnx.load(model.path, load_external_data=False).graph)
        wanted = sum(before[kind] for kind in self.op_types)
        if not wanted:
            return model.evolve(self.name, notes=[_nothing_to_do(before, 0, self.op_types)])
        path = bench.folder / "quantized.onnx"
        self._quantize(model.path, path)
        after = _operators(onnx.load(path, load_external_data=False).graph)
        done = sum(after[kind] for kind in INTEGER_OPERATORS) - sum(before[kind] for kind in INTEGER_OPERATORS)
        if not done:
            return model.evolve(self.name, notes=[_nothing_to_do(before, wanted, self.op_types)])
        return model.evolve(self.name, path=path, notes=self._told(before, done, wanted))

    def _quantize(self, source: Path, target: Path) -> None:
        from onnxruntime.quantization import QuantType, quantize_dynamic

        weight_type = QuantType.QInt8 if self.precision == "int8" else QuantType.QUInt8
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                quantize_dynamic(
                    source,
                    target,
                    op_types_to_quantize=list(self.op_types),
                    per_channel=self.per_channel,
                    reduce_range=self.reduce_range,
                    weight_type=weight_type,
                    nodes_to_exclude=list(self.nodes_to_exclude),
                    extra_options={"DefaultTensorType": 1},
                )
            # The quantizer raises whatever its passes raise.
            except Exception as error:
                raise NotMeasuredError(
                    f"technique 'quantization' (dynamic) failed: {type(error).__name__}: {error}",
                    "Leave the operator out (op_types, nodes_to_exclude), or set per_channel=False.",
                ) from error

    def _told(self, before: Counter[str], done: int, wanted: int) -> list[str]:
        how = f"{self.precision} weights, {'per channel' if self.per_channel else 'per tensor'}"
        notes = [f"{done} of {wanted} operators quantized ({how})."]
        if done < wanted:
            notes.append(
                f"{wanted - done} left in float: their weights are not constant, or they are excluded by name."
            )
        left = [kind for kind in ("Conv", *NO_INT8_FORM) if before[kind] and kind not in self.op_types]
        if left:
            counts = ", ".join(f"{before[kind]} {kind}" for kind in left)
            notes.append(f"Left in float on purpose or for want of an INT8 form: {counts}.")
        return notes


def _operators(graph: Any) -> Counter[str]:
    """How often each operator type stands in a graph and in the bodies of its loops and branches."""
    found: Counter[str] = Counter()
    open_graphs = [graph]
    while open_graphs:
        for node in open_graphs.pop().node:
            found[node.op_type] += 1
            open_graphs += [attribute.g for attribute in node.attribute if attribute.HasField("g")]
    return found


def _nothing_to_do(before: Counter[str], wanted: int, op_types: tuple[str, ...]) -> str:
    """Why there is nothing to quantize, and that the file is unchanged."""
    total = sum(before.values())
    without = [kind for kind in NO_INT8_FORM if before[kind]]
    if wanted:
        why = f"none of the {wanted} {'/'.join(kind for kind in op_types if before[kind])} has constant weights"
    elif without:
        why = f"{', '.join(without)} {'has' if len(without) == 1 else 'have'} no INT8 form"
    else:
        why = f"there is no {', '.join(op_types)} among {', '.join(sorted(before))}"
    return f"0 of {total} operators can be quantized: {why}; the file is unchanged."
