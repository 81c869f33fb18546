"""INT8 quantization of ONNX files."""

from __future__ import annotations

import warnings
from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from pytest_inferopt.domain.plugins import Technique
from pytest_inferopt.errors import NotMeasuredError, UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_inferopt.domain.artifact import Artifact, Workbench

__all__ = ["Quantization"]

# Convolutions are left out on purpose: quantized dynamically they become ConvInteger, which onnxruntime runs
# several times slower than float on x86.
Operator = Literal["MatMul", "Gemm", "LSTM", "Attention", "Conv"]
DYNAMIC_OPERATORS: tuple[Operator, ...] = ("MatMul", "Gemm", "LSTM", "Attention")
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
    op_types: tuple[Operator, ...] = Field(default=DYNAMIC_OPERATORS, min_length=1)
    nodes_to_exclude: tuple[str, ...] = ()
    reduce_range: bool = False

    def gives(self, takes: str) -> str | None:
        """ONNX in, ONNX out."""
        return "onnx" if takes == "onnx" else None

    def apply(self, model: Artifact, bench: Workbench) -> Artifact:
        """Quantize the constant weights of `op_types`, and count what was and was not.

        A model with nothing to quantize keeps its file, byte for byte, and the notes say so.

        Raises:
            UsageError: a name in `nodes_to_exclude` is no node's.
            NotMeasuredError: onnxruntime's quantizer fails.
        """
        import onnx

        # Given as a path, the quantizer would write a file of its own beside the user's.
        source = onnx.load(model.path)
        self._check_names({node.name for node in _nodes(source.graph)})
        before = _operators(source.graph)
        wanted = sum(before[kind] for kind in self.op_types)
        if not wanted:
            return model.evolve(self.name, notes=[self._nothing_to_do(before, source)])
        path = bench.folder / "quantized.onnx"
        self._quantize(source, path)
        after = _operators(onnx.load(path).graph)
        done = sum(after[kind] - before[kind] for kind in INTEGER_OPERATORS)
        if not done:
            return model.evolve(self.name, notes=[self._nothing_to_do(before, source)])
        return model.evolve(self.name, path=path, notes=self._told(before, done, wanted))

    def _check_names(self, known: set[str]) -> None:
        unknown = next((name for name in self.nodes_to_exclude if name not in known), None)
        if unknown is not None:
            raise UsageError(f"nodes_to_exclude: no node is named {unknown!r};", did_you_mean(unknown, known - {""}))

    def _left_alone(self, source: Any) -> list[str]:
        """The names of the nodes to exclude, as onnxruntime finds them; nameless ones among them get a name.

        The quantizer rewrites every Gemm as ``<its name>_MatMul`` and an Add before it looks for MatMul nodes.
        """
        for index, node in enumerate(_nodes(source.graph)):
            node.name = node.name or f"{node.op_type}_{index}_inferopt"
        left = [
            node
            for node in _nodes(source.graph)
            if node.name in self.nodes_to_exclude
            or (node.op_type in {"Gemm", "MatMul"} and node.op_type not in self.op_types)
        ]
        return [f"{node.name}_MatMul" if node.op_type == "Gemm" else node.name for node in left]

    def _quantize(self, source: Any, target: Path) -> None:
        from onnxruntime.quantization import QuantType, quantize_dynamic

        weight_type = QuantType.QInt8 if self.precision == "int8" else QuantType.QUInt8
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                quantize_dynamic(
                    source,
                    target,
                    op_types_to_quantize=sorted({"MatMul" if kind == "Gemm" else kind for kind in self.op_types}),
                    per_channel=self.per_channel,
                    reduce_range=self.reduce_range,
                    weight_type=weight_type,
                    nodes_to_exclude=self._left_alone(source),
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
                f"{wanted - done} left in float: their weights are not constant, they are excluded by name, "
                "or they stand in a loop or branch."
            )
        left = [kind for kind in ("Conv", *NO_INT8_FORM) if before[kind] and kind not in self.op_types]
        if left:
            counts = ", ".join(f"{before[kind]} {kind}" for kind in left)
            notes.append(f"Left in float on purpose or for want of an INT8 form: {counts}.")
        return notes

    def _nothing_to_do(self, before: Counter[str], source: Any) -> str:
        """Why there is nothing to quantize, and that the file is unchanged."""
        total = sum(before.values())
        without = [kind for kind in NO_INT8_FORM if before[kind]]
        wanted = [kind for kind in self.op_types if before[kind]]
        if wanted:
            conditions = ["has constant weights"]
            conditions += ["is not excluded by name"] if self.nodes_to_exclude else []
            conditions += ["stands outside of loops and branches"] if total > len(source.graph.node) else []
            count = sum(before[kind] for kind in wanted)
            why = f"none of the {count} {'/'.join(wanted)} {' and '.join(conditions)}"
        elif without:
            why = f"{', '.join(without)} {'has' if len(without) == 1 else 'have'} no INT8 form"
        else:
            why = f"there is no {', '.join(self.op_types)} among {', '.join(sorted(before))}"
        return f"0 of {total} operators can be quantized: {why}; the file is unchanged."


def _operators(graph: Any) -> Counter[str]:
    return Counter(node.op_type for node in _nodes(graph))


def _nodes(graph: Any) -> Iterator[Any]:
    """The nodes of a graph and of the bodies of its loops and branches."""
    open_graphs = [graph]
    while open_graphs:
        for node in open_graphs.pop().node:
            yield node
            open_graphs += [attribute.g for attribute in node.attribute if attribute.HasField("g")]
