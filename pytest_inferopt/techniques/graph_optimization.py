"""The same computation in fewer nodes."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from pytest_inferopt.domain.artifact import row_count, take_rows
from pytest_inferopt.domain.plugins import Technique
from pytest_inferopt.errors import MissingDependencyError, RefusedError
from pytest_inferopt.techniques._failures import explained
from pytest_inferopt.techniques._graphs import operators_of
from pytest_inferopt.techniques._timing import told_speed

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_inferopt.domain.artifact import Artifact, Workbench

__all__ = ["GraphOptimization"]

Pass = Literal["onnxruntime", "transformers", "onnxslim"]
# Fusions sum in another order; what differs by more is another computation.
TOLERANCE = 1e-4
WATCHED_ROWS = 256
IR_VERSION = 10
LEAVE_OUT = "Leave it out of passes."


class GraphOptimization(Technique):
    """Constants folded and nodes fused, offline; each pass is verified against what went in, and timed beside it.

    onnxruntime does most of this whenever it loads a file: what is left to gain at run time are fusions that it does
    not know, and the time of loading.

    Attributes:
        passes: in this order: ``onnxruntime``, its own; ``transformers``, its tools' fusions for transformer models;
            ``onnxslim``.
        level: onnxruntime's: ``basic`` keeps to standard operators, ``extended`` also fuses into its own.
        model_type: the family whose fusions are tried (transformers).
        num_heads: attention heads (transformers); 0 reads them off the graph, and `hidden_size` likewise.
        hidden_size: the width of its layers.
    """

    name: ClassVar[str] = "graph_optimization"
    needs: ClassVar[tuple[str, ...]] = ("onnx", "onnxruntime")
    extra: ClassVar[str] = "cpu"

    passes: tuple[Pass, ...] = Field(default=("onnxruntime",), min_length=1)
    level: Literal["basic", "extended"] = "extended"
    model_type: Literal["bert", "bert_tf", "gpt2", "vit", "swin", "bart", "t5"] = "bert"
    num_heads: int = Field(default=0, ge=0)
    hidden_size: int = Field(default=0, ge=0)

    @property
    def spoils(self) -> tuple[str, ...]:
        """Onnxruntime's own fused operators have no INT8 form."""
        return ("quantization",) if "onnxruntime" in self.passes and self.level == "extended" else ()

    def gives(self, takes: str) -> str | None:
        """ONNX in, ONNX out."""
        return "onnx" if takes == "onnx" else None

    def apply(self, model: Artifact, bench: Workbench) -> Artifact:
        """Do the passes one after the other.

        Raises:
            MissingDependencyError: a pass's library is not installed.
            NotMeasuredError: a pass fails, or its file does not run.
            RefusedError: a pass changed what is answered.
        """
        notes: list[str] = []
        now = model
        for number, kind in enumerate(self.passes):
            path = bench.folder / f"{number}-{kind}.onnx"
            with explained(f"technique 'graph_optimization': the pass {kind}", LEAVE_OUT):
                self._do(kind, now.path, path)
            after = model.evolve(self.name, path=path, signature=None)
            notes += _judged(kind, now, after, bench)
            now = after
        return model.evolve(self.name, path=now.path, notes=notes)

    def _do(self, kind: Pass, source: Path, target: Path) -> None:
        import onnx

        if kind == "onnxruntime":
            _fold(source, target, self.level)
        elif kind == "transformers":
            self._fuse(source, target)
        else:
            _slim(source, target)
        model = onnx.load(target)
        model.ir_version = min(model.ir_version, IR_VERSION)
        target.write_bytes(model.SerializeToString(deterministic=True))

    def _fuse(self, source: Path, target: Path) -> None:
        from onnxruntime.transformers.optimizer import optimize_model

        fused = optimize_model(
            str(source),
            model_type=self.model_type,
            num_heads=self.num_heads,
            hidden_size=self.hidden_size,
            opt_level=0,
        )
        fused.save_model_to_file(str(target))


def _fold(source: Path, target: Path, level: str) -> None:
    import onnxruntime

    levels = onnxruntime.GraphOptimizationLevel
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = levels.ORT_ENABLE_BASIC if level == "basic" else levels.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(target)
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])


def _slim(source: Path, target: Path) -> None:
    if find_spec("onnxslim") is None:
        raise MissingDependencyError(
            "technique 'graph_optimization': the pass onnxslim needs onnxslim, not installed here.",
            'pip install "pytest-inferopt[slim]".',
        )
    import onnxslim

    onnxslim.slim(str(source), str(target))


def _judged(kind: str, before: Artifact, after: Artifact, bench: Workbench) -> list[str]:
    """Verify a pass and time it; what came of it, as notes."""
    import onnx

    difference = _difference(kind, before, after, bench)
    counts = [sum(operators_of(onnx.load(artifact.path).graph).values()) for artifact in (before, after)]
    told = f"{kind}: {counts[0]} nodes became {counts[1]}; largest relative difference of an output {difference:.1g}"
    speed, slower = told_speed(before, after, bench)
    told = f"{told}; {speed}."
    return [told, f"{kind} made it slower at batch {', '.join(map(str, slower))}."] if slower else [told]


def _difference(kind: str, before: Artifact, after: Artifact, bench: Workbench) -> float:
    """The largest difference of an output, relative to its largest number, over the samples and some training rows.

    Raises:
        RefusedError: it is too large, or an output has another shape, or differs in what is no float.
    """
    import numpy as np

    sessions = [bench.open(artifact) for artifact in (before, after)]
    tables = [bench.samples]
    if bench.training is not None:
        tables.append(take_rows(bench.training.x, np.arange(min(WATCHED_ROWS, row_count(bench.training.x)))))
    worst = 0.0
    for rows in tables:
        answers = [session.run(session.prepare(rows)) for session in sessions]
        for index, (one, other) in enumerate(zip(*answers, strict=True)):
            apart = _apart(np.asarray(one), np.asarray(other))
            if apart > TOLERANCE:
                raise RefusedError(
                    f"technique 'graph_optimization': the pass {kind} changed output {index} by {apart:.1g} of its "
                    "largest number.",
                    LEAVE_OUT,
                )
            worst = max(worst, apart)
    return worst


def _apart(one: Any, other: Any) -> float:
    """The largest difference relative to the largest number; infinite where shapes, types or other values differ."""
    import numpy as np

    if one.shape != other.shape:
        return float(np.inf)
    if one.dtype.kind != "f":
        return 0.0 if np.array_equal(one, other) else float(np.inf)
    first, second = one.astype(np.float64), other.astype(np.float64)
    finite = np.isfinite(first)
    if not np.array_equal(first[~finite], second[~finite], equal_nan=True):
        return float(np.inf)
    largest = np.abs(first[finite]).max(initial=np.finfo(np.float32).tiny)
    return float(np.abs(first[finite] - second[finite]).max(initial=0.0) / largest)
