"""The bridge to skl2onnx that scikit-learn, XGBoost and LightGBM share."""

from __future__ import annotations

import re
import traceback
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_inferopt.domain.artifact import Signature
from pytest_inferopt.errors import InferoptError, MissingDependencyError, RefusedError, UsageError
from pytest_inferopt.frameworks._feeds import feed_for, is_frame
from pytest_inferopt.frameworks._outputs import finish_outputs, prune, specs_of
from pytest_inferopt.frameworks._parts import parts
from pytest_inferopt.frameworks._prepare import conversion_options, prepared, register_libraries
from pytest_inferopt.frameworks._proof import prove

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pytest_inferopt.domain.artifact import Artifact, OutputRole, Prediction, Rows, TensorSpec
    from pytest_inferopt.frameworks._feeds import Feed

__all__ = ["Source", "convert_estimator", "need"]

ML_OPSET = 3  # TreeEnsemble* with base values; version 5 replaces the operators that all tools know
NEWEST_OPSET = 21  # what skl2onnx 1.18 to 1.20 are tested with, and onnxruntime 1.20 loads
CHANGE = "Change or replace this part, or register a converter with skl2onnx.update_registered_converter."
IR_VERSION = 10  # onnxruntime 1.20 loads it; onnx writes its own newest


def need(extra: str, *modules: str) -> None:
    """Raise the sentence for a library that is not installed.

    Raises:
        MissingDependencyError: one of `modules` cannot be imported; the hint names the extra.
    """
    from importlib.util import find_spec

    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise MissingDependencyError(
            f"converting needs {', '.join(missing)}, which is not installed.",
            f'pip install "pytest-inferopt[{extra}]"',
        )


@dataclass(frozen=True, eq=False)
class Source:
    """What is converted.

    Attributes:
        model: the estimator, or a native booster's wrapper.
        answer: what the original answers to rows.
        names: the columns that it was fitted on, where it knows them.
        width: their number, where it knows it.
    """

    model: Any
    answer: Callable[[Rows], Prediction]
    names: tuple[str, ...] | None
    width: int | None


def convert_estimator(artifact: Artifact, path: Path, source: Source, *, opset: int, samples: Rows) -> Artifact:
    """Convert a fitted estimator to an ONNX file at `path`; see `Framework.to_onnx`.

    Raises:
        RefusedError: a part cannot be converted; the message names it.
        UsageError: the rows do not fit the model.
    """
    model = source.model
    feed = feed_for(model, samples, names=source.names, width=source.width)
    expected = _answered(artifact, source.answer, samples)
    written = min(opset, NEWEST_OPSET)
    with _quiet():
        register_libraries(model)
        proto = _convert(model, feed, written, in_float64=not _is_float32(samples))
    roles = finish_outputs(proto, model, artifact.task, expected)
    prune(proto)
    _stamp(proto, written)
    _check_and_save(proto, path)
    signature = Signature(_kept(proto, feed), specs_of(proto.graph.output, roles))
    unproved = prove(type(artifact.model).__name__, path, signature, samples, expected)
    notes = [_opset_note(proto, opset), *feed.notes, *_answer_notes(proto, artifact, roles), *unproved]
    return artifact.evolve("onnx_conversion", notes=notes, format="onnx", path=path, model=None, signature=signature)


def _answered(artifact: Artifact, answer: Callable[[Rows], Prediction], samples: Rows) -> Prediction:
    """The original's answer to the samples.

    Raises:
        UsageError: it takes no such rows.
    """
    with _quiet():
        try:
            return answer(samples)
        except Exception as error:
            reason = " ".join(str(error).split())[:300].rstrip(".")
            raise UsageError(
                f"{type(artifact.model).__name__} itself fails on these rows: {reason}.",
                "Pass rows of the kind that it was fitted on.",
            ) from error


def _is_float32(rows: Rows) -> bool:
    dtypes = list(rows.dtypes) if is_frame(rows) else [getattr(rows, "dtype", None)]
    return all(str(dtype) == "float32" for dtype in dtypes)


def _convert(model: Any, feed: Feed, opset: int, *, in_float64: bool) -> Any:
    from skl2onnx import to_onnx
    from skl2onnx.common import data_types

    types = {
        "float32": data_types.FloatTensorType,
        "float64": data_types.DoubleTensorType,
        "int64": data_types.Int64TensorType,
        "str": data_types.StringTensorType,
    }
    twin = prepared(model, feed.positions, in_float64=in_float64)
    with _explained(model):
        return to_onnx(
            twin,
            name=type(model).__name__,
            initial_types=[(spec.name, types[spec.dtype](list(spec.shape))) for spec in feed.inputs],
            target_opset={"": opset, "ai.onnx.ml": ML_OPSET},
            options=conversion_options(twin),
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the converters' own deprecations and advice from a test suite that turns warnings into errors."""
    with warnings.catch_warnings():
        for category in (DeprecationWarning, PendingDeprecationWarning, FutureWarning, UserWarning, RuntimeWarning):
            warnings.filterwarnings("ignore", category=category)
        yield


@contextmanager
def _explained(model: Any) -> Iterator[None]:
    """Turn a converter's exception into a refusal that names the part it was working on.

    The converters raise whatever they meet (assertions, KeyError, NotImplementedError), never with the part's name.
    """
    try:
        yield
    except InferoptError:
        raise
    except Exception as error:
        places = {type(part.estimator): str(part) for part in parts(model)}
        guilty = [type(each) for frame, _ in traceback.walk_tb(error.__traceback__) for each in _converting(frame)]
        where = next((places[cls] for cls in reversed(guilty) if cls in places), type(model).__name__)
        reason = " ".join(str(error).split())
        reason = re.split(r" It usually means | You may raise | In function ", reason)[0][:300].rstrip(".")
        raise RefusedError(
            f"{where} cannot be converted: {reason or type(error).__name__}.",
            "Ask for a newer opset." if "opset" in reason else CHANGE,
        ) from error


def _converting(frame: Any) -> list[Any]:
    """The estimators that a frame of skl2onnx works on."""
    operator, model = frame.f_locals.get("operator"), frame.f_locals.get("model")
    return [each for each in (model, getattr(operator, "raw_operator", None)) if each is not None]


def _kept(proto: Any, feed: Feed) -> tuple[TensorSpec, ...]:
    names = {value.name for value in proto.graph.input}
    return tuple(spec for spec in feed.inputs if spec.name in names)


def _stamp(proto: Any, opset: int) -> None:
    """State the versions the nodes were written for, and an IR version that today's runtimes load."""
    imports = {entry.domain: entry for entry in proto.opset_import}
    if "" in imports:
        imports[""].version = opset
    proto.ir_version = min(proto.ir_version, IR_VERSION)


def _opset_note(proto: Any, wanted: int) -> str:
    versions = {entry.domain: entry.version for entry in proto.opset_import}
    written = versions.pop("", wanted)
    others = "".join(f", {domain} {version}" for domain, version in sorted(versions.items()))
    asked = "" if written == wanted else f" instead of {wanted}, which skl2onnx does not write"
    return f"opset {written}{asked}{others}, IR {proto.ir_version}"


def _answer_notes(proto: Any, artifact: Artifact, roles: tuple[OutputRole, ...]) -> list[str]:
    notes = []
    own = sorted({node.op_type for node in proto.graph.node if node.domain == "com.microsoft"})
    if own:
        notes.append(f"only onnxruntime has the operator {' and '.join(own)}")
    if artifact.task == "classification" and roles == ("label",):
        notes.append("only labels are written: the model has several outputs, or no scores")
    if artifact.classes is not None and any(isinstance(label, bool | float) for label in artifact.classes):
        notes.append("labels are written as integers")
    return notes


def _check_and_save(proto: Any, path: Path) -> None:
    import onnx

    try:
        onnx.checker.check_model(proto)
    except onnx.checker.ValidationError as error:
        raise RefusedError(
            f"the converters wrote an invalid graph: {str(error).splitlines()[0]}.",
            "Ask for a newer opset, or replace the part that it names.",
        ) from error
    for value in proto.graph.input:
        if value.type.tensor_type.shape.dim[0].HasField("dim_value"):
            raise UsageError(f"the input {value.name!r} takes one number of rows only.")
    path.write_bytes(proto.SerializeToString(deterministic=True))
