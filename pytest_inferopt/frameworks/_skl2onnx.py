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
from pytest_inferopt.frameworks._feeds import feed_for
from pytest_inferopt.frameworks._outputs import finish_outputs, prune, specs_of
from pytest_inferopt.frameworks._parts import parts
from pytest_inferopt.frameworks._prepare import conversion_options, prepared, register_libraries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pytest_inferopt.domain.artifact import Artifact, OutputRole, Prediction, Rows, TensorSpec
    from pytest_inferopt.frameworks._feeds import Feed

__all__ = ["Source", "convert_estimator", "need"]

ML_OPSET = 3  # TreeEnsemble* with base values; version 5 replaces the operators that all tools know
NEWEST_OPSET = 21  # what skl2onnx 1.18 to 1.20 are tested with, and onnxruntime 1.20 loads
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
            f"converting needs {', '.join(missing)}, which is not installed",
            hint=f'pip install "pytest-inferopt[{extra}]"',
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
    with _quiet(), _explained(model):
        register_libraries(model)
        proto = _convert(model, feed, written)
    roles = finish_outputs(proto, model, artifact.task, expected)
    prune(proto)
    _stamp(proto, written)
    notes = [_opset_note(proto, opset), *feed.notes, *_answer_notes(proto, artifact, roles)]
    _check_and_save(proto, path)
    signature = Signature(_kept(proto, feed), specs_of(proto.graph.output, roles))
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
            reason = re.sub(r"\s+", " ", str(error)).strip()[:300]
            raise UsageError(f"{type(artifact.model).__name__} itself fails on these rows: {reason}",
                             hint="pass rows of the kind that it was fitted on") from error  # fmt: skip


def _convert(model: Any, feed: Feed, opset: int) -> Any:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType

    types = {"float32": FloatTensorType, "int64": Int64TensorType, "str": StringTensorType}
    twin = prepared(model, feed.positions)
    return to_onnx(
        twin,
        name=type(model).__name__,
        initial_types=[(spec.name, types[spec.dtype](list(spec.shape))) for spec in feed.inputs],
        target_opset={"": opset, "ai.onnx.ml": ML_OPSET},
        options=conversion_options(twin) or None,
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
        reason = re.sub(r"\s+", " ", str(error)).strip()
        reason = re.split(r" It usually means | You may raise | In function ", reason)[0][:300]
        raise RefusedError(
            f"{where} cannot be converted: {reason or type(error).__name__}",
            hint="change or replace this part, or register a converter with skl2onnx.update_registered_converter",
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
    if any(node.domain == "com.microsoft" for node in proto.graph.node):
        notes.append("distances are computed by com.microsoft CDist, which only onnxruntime has")
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
        raise RefusedError(f"the converters wrote an invalid graph: {str(error).splitlines()[0]}",
                           hint="ask for a newer opset, or replace the part that it names") from error  # fmt: skip
    for value in proto.graph.input:
        if value.type.tensor_type.shape.dim[0].HasField("dim_value"):
            raise UsageError(f"the input {value.name!r} takes one number of rows only")
    path.write_bytes(proto.SerializeToString(deterministic=True))
