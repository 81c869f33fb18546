"""Runs ONNX files with onnxruntime."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_inferopt.domain.artifact import OperatorTime, Prediction, RunOptions, Signature, TensorSpec, row_count
from pytest_inferopt.domain.plugins import Runtime
from pytest_inferopt.domain.predictions import by_role
from pytest_inferopt.errors import NotMeasuredError, RefusedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_inferopt.domain.artifact import Artifact, Rows

__all__ = ["OnnxRuntime"]

PROFILE_WARMUP = 5
KERNEL_TIME = "_kernel_time"
US_PER_MS = 1000

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "dml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
}
# https://onnxruntime.ai/docs/api/python/ names tensors by these; the right side is NumPy's name.
DTYPES = {
    "float": "float32",
    "double": "float64",
    "float16": "float16",
    "bfloat16": "bfloat16",
    "int8": "int8",
    "int16": "int16",
    "int32": "int32",
    "int64": "int64",
    "uint8": "uint8",
    "uint16": "uint16",
    "uint32": "uint32",
    "uint64": "uint64",
    "bool": "bool",
    "string": "str",
}


class OnnxRuntime(Runtime):
    """Runs ONNX files; threads and provider are set explicitly and asserted, never left to a fall-back."""

    name: ClassVar[str] = "onnxruntime"
    needs: ClassVar[tuple[str, ...]] = ("onnxruntime",)
    extra: ClassVar[str] = "cpu"
    formats: ClassVar[tuple[str, ...]] = ("onnx",)

    def inspect(self, artifact: Artifact) -> Artifact:
        """The artifact with the signature that its session states."""
        if artifact.signature is not None:
            return artifact
        session = _load(artifact, RunOptions())
        return replace(
            artifact,
            signature=Signature(
                tuple(_spec(node, "input") for node in session.get_inputs()),
                tuple(_spec(node, "output") for node in session.get_outputs()),
            ),
        )

    def open(self, artifact: Artifact, options: RunOptions) -> OrtSession:
        """Load the file with `options.threads` intra-op threads and no spinning.

        An idle session that spins burns the core that the other arm runs on.

        Raises:
            NotMeasuredError: the runtime refuses the file; its own words, the node named.
            UsageError: the provider is not known, or not in the installed build.
        """
        return OrtSession(artifact=self.inspect(artifact), session=_load(artifact, options))

    def profile(
        self, artifact: Artifact, options: RunOptions, rows: Rows, *, calls: int, folder: Path
    ) -> tuple[OperatorTime, ...]:
        """The mean time of each node as onnxruntime's profiler tells it, which counts whole microseconds.

        Source: https://onnxruntime.ai/docs/performance/tune-performance/profiling-tools.html
        """
        described = self.inspect(artifact)
        session = _load(artifact, options, profile_prefix=folder / "profile")
        ready = OrtSession(artifact=described, session=session)
        feed = ready.prepare(rows)
        for _ in range(PROFILE_WARMUP + calls):
            ready.run(feed)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
        return _operator_times(events, calls)


@dataclass(frozen=True, eq=False)
class OrtSession:
    """An ONNX file that is ready to run."""

    artifact: Artifact
    session: Any
    call: str = "InferenceSession.run"
    own_threads: str | None = None

    @cached_property
    def run(self) -> Callable[[Any], Any]:
        """`InferenceSession.run` itself, bound to all outputs; outputs are on the host when it returns."""
        return partial(self.session.run, [spec.name for spec in self._signature.outputs])

    def prepare(self, rows: Rows) -> dict[str, Any]:
        """Build the feed: every input by name, as a contiguous array of the type the graph states."""
        inputs = self._signature.inputs
        named = rows if _is_named(rows, inputs) else None
        return {spec.name: _array(named[spec.name] if named is not None else rows, spec) for spec in inputs}

    def predict(self, rows: Rows) -> Prediction:
        """Run the rows at once and read the outputs by their roles."""
        feed = self.prepare(rows)
        try:
            outputs = self.run(feed)
        # onnxruntime raises classes of its C++ side that share no public base.
        except Exception as error:
            raise explain_run(error, self.artifact, rows) from error
        return by_role(outputs, self._signature.outputs)

    @property
    def _signature(self) -> Signature:
        signature = self.artifact.signature
        assert signature is not None  # noqa: S101 - `open` inspects every artifact
        return signature


def explain_run(error: Exception, artifact: Artifact, rows: Rows) -> NotMeasuredError:
    """What a failed run means: a fixed batch axis is named as such, everything else in the runtime's own words."""
    fixed = [spec for spec in artifact.signature.inputs if not spec.is_batch_dynamic] if artifact.signature else []
    count = row_count(rows)
    if fixed and fixed[0].shape and fixed[0].shape[0] != count:
        return NotMeasuredError(
            f"batch size {count} failed: input {fixed[0].name!r} was exported with fixed batch {fixed[0].shape[0]}.",
            f"Export with a dynamic batch axis, or set batch_sizes=[{fixed[0].shape[0]}].",
        )
    return NotMeasuredError(f"onnxruntime could not run {artifact.path.name}: {_one_line(error, artifact.path)}")


def _operator_times(events: list[dict[str, Any]], calls: int) -> tuple[OperatorTime, ...]:
    """The nodes of a trace, each with the mean of its last `calls` runs, in the order in which they first ran."""
    seen: dict[tuple[str, str], list[int]] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(KERNEL_TIME):
            node = (event["name"].removesuffix(KERNEL_TIME), event.get("args", {}).get("op_name", ""))
            seen.setdefault(node, []).append(event["dur"])
    return tuple(
        OperatorTime(name, op_type, sum(durations[-calls:]) / calls / US_PER_MS)
        for (name, op_type), durations in seen.items()
    )


def _load(artifact: Artifact, options: RunOptions, *, profile_prefix: Path | None = None) -> Any:
    import onnxruntime as ort

    provider = _provider(options.provider)
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = options.threads or 0
    settings.inter_op_num_threads = 1
    settings.log_severity_level = 4
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    settings.add_session_config_entry("session.inter_op.allow_spinning", "0")
    if profile_prefix is not None:
        settings.enable_profiling = True
        settings.profile_file_prefix = os.fspath(profile_prefix)
    try:
        session = ort.InferenceSession(os.fspath(artifact.path), settings, providers=[provider])
    except Exception as error:
        raise NotMeasuredError(
            f"onnxruntime {ort.__version__} cannot load {artifact.path.name}: {_one_line(error, artifact.path)}",
            "Write an opset and operators that this runtime knows, or install a newer onnxruntime.",
        ) from error
    if session.get_providers()[0] != provider:
        raise NotMeasuredError(
            f"provider {provider} was asked for, the session runs on {session.get_providers()[0]}.",
            "Check the driver and the libraries of the provider; nothing is measured on another one instead.",
        )
    return session


def _provider(name: str) -> str:
    import onnxruntime as ort

    provider = PROVIDERS.get(name.lower(), name)
    available = ort.get_available_providers()
    if provider not in available:
        short = [key for key, value in PROVIDERS.items() if value in available]
        raise UsageError(
            f"provider {name!r} is not in this build of onnxruntime, which has {', '.join(available)}.",
            f"Install the runtime that brings it, or use one of: {', '.join(short)}.",
        )
    return provider


def _spec(node: Any, side: str) -> TensorSpec:
    kind = node.type.removeprefix("tensor(").removesuffix(")")
    if not node.type.startswith("tensor("):
        raise RefusedError(
            f"{side} {node.name!r} is a {node.type}, not a tensor.",
            "Export the model with plain tensors (for scikit-learn: options={'zipmap': False}).",
        )
    shape = tuple(axis if isinstance(axis, int | str) else None for axis in node.shape or ())
    return TensorSpec(node.name, DTYPES.get(kind, kind), shape)


def _is_named(rows: Rows, inputs: tuple[TensorSpec, ...]) -> bool:
    """Whether the rows are a mapping of input name to array; a DataFrame is not, its columns stand in the specs."""
    if not isinstance(rows, Mapping):
        return False
    absent = [spec.name for spec in inputs if spec.name not in rows]
    if absent:
        raise UsageError(
            f"the rows have no input {', '.join(map(repr, absent))}; they have {', '.join(map(repr, rows))}."
        )
    unknown = sorted(set(rows) - {spec.name for spec in inputs})
    if unknown:
        raise UsageError(f"the rows have {', '.join(map(repr, unknown))}, which is no input of the model.")
    return True


def _array(rows: Rows, spec: TensorSpec) -> Any:
    """One input's array from a table, in the type and rank that the graph states."""
    import numpy as np

    if spec.columns is not None and hasattr(rows, "columns"):
        absent = [column for column in spec.columns if column not in rows.columns]
        if absent:
            raise UsageError(
                f"the rows have no column {', '.join(map(repr, absent))}, which input {spec.name!r} takes."
            )
        rows = _selected(rows, spec.columns)
    if hasattr(rows, "toarray"):
        rows = rows.toarray()
    if spec.dtype == "str":
        array = np.asarray(rows, dtype=object)
    else:
        values = np.asarray(rows.to_numpy() if hasattr(rows, "to_numpy") else rows)
        if values.dtype.kind == "f" and "int" in spec.dtype:
            raise UsageError(
                f"input {spec.name!r} takes {spec.dtype}, the rows are {values.dtype}: fractions would be cut off.",
                f"Pass them as {spec.dtype}.",
            )
        try:
            array = np.ascontiguousarray(values, dtype=spec.dtype)
        except (TypeError, ValueError) as error:
            raise UsageError(f"input {spec.name!r} takes {spec.dtype}, the rows do not fit: {error}") from error
    return array.reshape(-1, 1) if array.ndim == 1 and len(spec.shape) == 2 else array  # noqa: PLR2004 - rank


def _selected(rows: Any, columns: tuple[str, ...]) -> Any:
    """These columns of a DataFrame, in this order; one by one where it is one, which is twenty times faster."""
    if len(columns) == 1:
        return rows[columns[0]]
    return rows if tuple(rows.columns) == columns else rows[list(columns)]


def _one_line(error: Exception, path: Path) -> str:
    return " ".join(str(error).replace(str(path), path.name).split())[:500]
