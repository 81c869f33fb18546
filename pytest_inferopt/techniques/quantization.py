"""INT8 quantization of ONNX files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from pytest_inferopt.domain.environment import Environment
from pytest_inferopt.domain.plugins import Technique
from pytest_inferopt.techniques._calibration import LEAST_ROWS, calibration_feeds, calibration_rows
from pytest_inferopt.techniques._graphs import check_node_names, operators_of, table_lookups
from pytest_inferopt.techniques._quantize_dynamic import count_dynamic, quantize_dynamically
from pytest_inferopt.techniques._quantize_static import StaticPlan, count_static, quantize_statically

if TYPE_CHECKING:
    from collections import Counter
    from pathlib import Path

    from pytest_inferopt.domain.artifact import Artifact, Workbench

__all__ = ["Quantization"]

Operator = Literal["MatMul", "Gemm", "LSTM", "Attention", "Conv", "Gather"]
# Convolutions are left out on purpose: quantized dynamically they become ConvInteger, which onnxruntime runs
# several times slower than float on x86. All operators at once ruin what a transformer answers.
DEFAULT_OPERATORS: dict[str, tuple[Operator, ...]] = {
    "dynamic": ("MatMul", "Gemm", "LSTM", "Attention", "Gather"),
    "static": ("Conv", "MatMul", "Gemm", "Gather"),
}
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
STATIC_ONLY = ("calibration_method", "calibration_rows", "quant_format", "activations", "largest_error")


class Quantization(Technique):
    """Weights as 8-bit integers: a quarter of the size, and faster where the CPU has integer kernels.

    Attributes:
        method: ``dynamic`` scales the activations while the model runs, and needs no calibration data; ``static`` fixes
            their ranges beforehand, from training data.
        precision: the type of the weights.
        per_channel: a scale for each output channel instead of one for the whole matrix: closer to the original.
        op_types: the operator types to quantize; if None, MatMul, Gemm and the tables that Gather takes rows out of
            (embeddings), with LSTM and Attention (dynamic) or Conv (static).
        nodes_to_exclude: names of nodes to leave alone.
        reduce_range: 7-bit weights, against saturation on x86 CPUs without VNNI (onnxruntime#6004); by CPU if None.
        calibration_method: how a range is found (static): the extremes, the least loss of information, or all but the
            outermost values.
        calibration_rows: how many rows are used at most (static), the first ones of the training data.
        quant_format: as pairs of QuantizeLinear and DequantizeLinear around float operators, which runtimes fuse, or as
            operators on integers (static).
        activations: their type (static); by CPU if None: uint8 on x86, int8 on Arm.
        largest_error: operators stay in float where 8 bits of what they read or give lose more than this share of a
            row, as the mean of ‖x − q(x)‖ / ‖x‖ over calibration rows (static); a 16th leaves four bits. None
            quantizes all.
    """

    name: ClassVar[str] = "quantization"
    needs: ClassVar[tuple[str, ...]] = ("onnx", "onnxruntime")
    extra: ClassVar[str] = "cpu"

    method: Literal["dynamic", "static"] = "dynamic"
    precision: Literal["int8", "uint8"] = "int8"
    per_channel: bool = True
    op_types: tuple[Operator, ...] | None = Field(default=None, min_length=1)
    nodes_to_exclude: tuple[str, ...] = ()
    reduce_range: bool | None = None
    calibration_method: Literal["minmax", "entropy", "percentile"] = "minmax"
    calibration_rows: int = Field(default=512, ge=LEAST_ROWS, le=1_000_000)
    quant_format: Literal["qdq", "qoperator"] = "qdq"
    activations: Literal["uint8", "int8"] | None = None
    largest_error: float | None = Field(default=1 / 16, gt=0, le=1)

    @model_validator(mode="after")
    def _options_belong_to_the_method(self) -> Quantization:
        if self.method == "dynamic":
            defaults = {name: type(self).model_fields[name].default for name in STATIC_ONLY}
            wrong = next((name for name, default in defaults.items() if getattr(self, name) != default), None)
            if wrong is not None:
                raise ValueError(f'{wrong} goes with method="static"')
        return self

    @property
    def spoils(self) -> tuple[str, ...]:
        """Scales must stay in float32, and no weight is quantized twice."""
        return ("fp16", "quantization")

    def gives(self, takes: str) -> str | None:
        """ONNX in, ONNX out."""
        return "onnx" if takes == "onnx" else None

    def apply(self, model: Artifact, bench: Workbench) -> Artifact:
        """Quantize the constant weights of `op_types`, and count what was and was not.

        A model with nothing to quantize keeps its file, byte for byte, and the notes say so.

        Raises:
            UsageError: a name in `nodes_to_exclude` is no node's.
            NotMeasuredError: onnxruntime's quantizer fails, or calibration rows are missing or unfit.
        """
        import onnx

        # Given as a path, the quantizer would write a file of its own beside the user's.
        source = onnx.load(model.path)
        check_node_names(source.graph, self.nodes_to_exclude)
        before = operators_of(source.graph)
        wanted = self._wanted(before, source)
        if not wanted:
            return model.evolve(self.name, notes=[self._nothing_to_do(before, source)])
        path = bench.folder / "quantized.onnx"
        if self.method == "static":
            spared, notes = self._quantize_statically(model, path, bench)
            done = count_static(path, self._op_types)
        else:
            spared, notes = 0, []
            self._quantize_dynamically(source, path)
            done = count_dynamic(before, path)
        if not done:
            return model.evolve(self.name, notes=[self._nothing_to_do(before, source), *notes])
        return model.evolve(self.name, path=path, notes=[*self._told(before, done, wanted, spared), *notes])

    def _wanted(self, before: Counter[str], source: Any) -> int:
        """How many operators are to be quantized: of Gather only those that read a table."""
        tables = len(table_lookups(source.graph)) if "Gather" in self._op_types else 0
        return sum(before[kind] for kind in self._op_types if kind != "Gather") + tables

    @property
    def _op_types(self) -> tuple[str, ...]:
        return self.op_types or DEFAULT_OPERATORS[self.method]

    @property
    def _is_reduced(self) -> bool:
        """Whether weights have 7 bits: on x86, pairs of products overflow 16 bits where there is no VNNI."""
        here = Environment.here()
        return here.is_x86 and not here.has_integer_dot_product if self.reduce_range is None else self.reduce_range

    @property
    def _activation_type(self) -> str:
        return self.activations or ("uint8" if Environment.here().is_x86 else "int8")

    def _quantize_dynamically(self, source: Any, target: Path) -> None:
        quantize_dynamically(
            source,
            target,
            op_types=self._op_types,
            nodes_to_exclude=self.nodes_to_exclude,
            precision=self.precision,
            per_channel=self.per_channel,
            reduce_range=self._is_reduced,
        )

    def _quantize_statically(self, model: Artifact, target: Path, bench: Workbench) -> tuple[int, list[str]]:
        """Quantize; how many operators were spared for what they would lose, and what is to be told."""
        rows, session = calibration_rows(bench, self.calibration_rows), bench.open(model)
        plan = StaticPlan(
            op_types=self._op_types,
            nodes_to_exclude=self.nodes_to_exclude,
            calibration_method=self.calibration_method,
            quant_format=self.quant_format,
            activations=self._activation_type,
            weights=self.precision,
            per_channel=self.per_channel,
            insists_on_channels="per_channel" in self.model_fields_set,
            reduce_range=self._is_reduced,
            largest_error=self.largest_error,
        )
        spared, notes = quantize_statically(model.path, target, plan, lambda: calibration_feeds(rows, session, model))
        chosen = [f"Activations are {plan.activations}, as {Environment.here().headline} likes them best."]
        return spared, [*(chosen if self.activations is None else []), *notes]

    def _told(self, before: Counter[str], done: int, wanted: int, spared: int) -> list[str]:
        how = f"{self.precision} weights, {'per channel' if self.per_channel else 'per tensor'}"
        if self.method == "static":
            how += f", {self._activation_type} activations, {self.quant_format.upper()}"
        notes = [f"{done} of {wanted} operators quantized ({how})."]
        if done + spared < wanted:
            notes.append(
                f"{wanted - done - spared} left in float: their weights are not constant, they are excluded by name, "
                "or they stand in a loop or branch."
            )
        if self.reduce_range is None and self._is_reduced:
            notes.append("Weights have 7 bits: this CPU has no VNNI, and 8 would saturate.")
        left = [kind for kind in ("Conv", *NO_INT8_FORM) if before[kind] and kind not in self._op_types]
        if left:
            counts = ", ".join(f"{before[kind]} {kind}" for kind in left)
            notes.append(f"Left in float on purpose or for want of an INT8 form: {counts}.")
        return notes

    def _nothing_to_do(self, before: Counter[str], source: Any) -> str:
        """Why there is nothing to quantize, and that the file is unchanged."""
        total = sum(before.values())
        without = [kind for kind in NO_INT8_FORM if before[kind]]
        wanted = [kind for kind in self._op_types if before[kind]]
        if wanted:
            conditions = ["has constant weights"]
            conditions += ["is not excluded by name"] if self.nodes_to_exclude else []
            conditions += ["stands outside of loops and branches"] if total > len(source.graph.node) else []
            count = sum(before[kind] for kind in wanted)
            why = f"none of the {count} {'/'.join(wanted)} {' and '.join(conditions)}"
        elif without:
            why = f"{', '.join(without)} {'has' if len(without) == 1 else 'have'} no INT8 form"
        else:
            why = f"there is no {', '.join(self._op_types)} among {', '.join(sorted(before))}"
        return f"0 of {total} operators can be quantized: {why}; the file is unchanged."
