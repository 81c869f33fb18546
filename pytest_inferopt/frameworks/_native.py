"""The original, ready to run: which of its methods is timed, with how many threads, and what it answers in full."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_inferopt.domain.artifact import Prediction
from pytest_inferopt.errors import UsageError
from pytest_inferopt.frameworks._parts import final_estimator, has_predict_proba, is_kind, is_multi_output, parts

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_inferopt.domain.artifact import Artifact, Rows, RunOptions

__all__ = ["NativeSession", "as_given", "open_estimator"]

# Where n_jobs=None means all cores, not one.
ALL_CORES = ("XGBModel", "LGBMModel")


@dataclass(frozen=True, eq=False)
class NativeSession:
    """A live model as the engine runs it: a `Session` made of plain callables."""

    call: str
    own_threads: str | None
    run: Callable[[Any], Any]
    prepare: Callable[[Rows], Any]
    predict: Callable[[Rows], Prediction]


def as_given(rows: Rows) -> Rows:
    """The rows themselves: what the original is fed in production."""
    return rows


def open_estimator(artifact: Artifact, options: RunOptions) -> NativeSession:
    """A session of an estimator with scikit-learn's interface; threads are set on a copy."""
    model, own_threads = _with_threads(artifact.model, options.threads)
    call = _timed_method(model, artifact.task)
    return NativeSession(
        call=call,
        own_threads=own_threads,
        run=getattr(model, call),
        prepare=as_given,
        predict=lambda rows: _answer(model, artifact.task, rows),
    )


def _with_threads(model: Any, threads: int | None) -> tuple[Any, str | None]:
    """A copy whose parts all use `threads`, and the settings that this changed, in words."""
    if threads is None:
        return model, None
    changed = []
    for part in parts(model):
        if not hasattr(part.estimator, "n_jobs"):
            continue
        own = part.estimator.n_jobs
        default = "all cores" if is_kind(part.estimator, *ALL_CORES) else 1
        if (default if own is None else own) != threads:
            prefix = f"{part}: " if part.path else ""
            changed.append(f"{prefix}n_jobs={own}" + (", all cores" if own is None and default != 1 else ""))
    if not changed:
        return model, None
    twin = copy.deepcopy(model)
    for part in parts(twin):
        if hasattr(part.estimator, "n_jobs"):
            part.estimator.set_params(n_jobs=threads)
    return twin, ", ".join(dict.fromkeys(changed))


def _timed_method(model: Any, task: str) -> str:
    """The method whose answer the ONNX file gives, so that both do the same work.

    Raises:
        UsageError: there is none.
    """
    if is_kind(final_estimator(model), "NearestNeighbors"):
        return "kneighbors"
    wanted = {
        "classification": ("predict",) if is_multi_output(model) else ("predict_proba", "decision_function", "predict"),
        "outlier": ("decision_function", "predict"),
        "clustering": ("predict_proba", "predict"),
        "transform": ("transform", "predict"),
    }.get(task, ("predict",))
    for name in wanted:
        if hasattr(model, name):
            return name
    raise UsageError(f"{type(model).__name__} answers no new rows: it has no {' and no '.join(wanted)}.")


def _answer(model: Any, task: str, rows: Rows) -> Prediction:
    import numpy as np

    if task == "transform":
        return Prediction(values=_transformed(model, rows))
    answer = np.asarray(model.predict(rows))
    if task in {"regression", "ranking"}:
        return Prediction(values=answer)
    if is_multi_output(model):
        return Prediction(labels=answer)
    if has_predict_proba(model):
        return Prediction(labels=answer, scores=np.asarray(model.predict_proba(rows)), scores_are_probabilities=True)
    if hasattr(model, "decision_function"):
        return Prediction(labels=answer, scores=_by_class(np.asarray(model.decision_function(rows)), task))
    distances = np.asarray(model.transform(rows)) if task == "clustering" and hasattr(model, "transform") else None
    return Prediction(labels=answer, values=distances)


def _transformed(model: Any, rows: Rows) -> Any:
    import numpy as np

    answer = getattr(model, _timed_method(model, "transform"))(rows)
    answer = answer[0] if isinstance(answer, tuple) else answer  # kneighbors: distances, indices
    return np.asarray(answer.toarray() if hasattr(answer, "toarray") else answer)


def _by_class(decision: Any, task: str) -> Any:
    """Decision values as the ONNX file writes them: ``[-d, d]`` for two classes, (N, 1) for outliers."""
    import numpy as np

    if decision.ndim > 1:
        return decision
    return decision.reshape(-1, 1) if task == "outlier" else np.column_stack([-decision, decision])
