"""Brings what is live in this process to the worker: the model, the rows and the metric become files in its folder."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_inferopt.domain.model_file import inspect_model_file
from pytest_inferopt.engine.store.folder import file_sha256
from pytest_inferopt.errors import InferoptError, NotMeasuredError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import ModuleType

    from pytest_inferopt.domain.artifact import Dataset
    from pytest_inferopt.domain.request import OptimizationRequest
    from pytest_inferopt.registry import Registry

__all__ = ["Cargo", "Subject", "ship"]

PICKLE_PROTOCOL = 5


@dataclass(frozen=True, eq=False)
class Subject:
    """The live things of a request, which no document can carry.

    Attributes:
        model: the model; None if the request names a file or a factory.
        data: the rows that judge; None if the request names a source.
        training: rows to calibrate or train on.
        metric: an own metric, ``fn(y_true, y_pred) -> float``.
        by_value: modules whose classes travel with the model, because the worker cannot import them.
    """

    model: Any = None
    data: Dataset | None = None
    training: Dataset | None = None
    metric: Callable[[Any, Any], float] | None = None
    by_value: Sequence[ModuleType] = ()


@dataclass(frozen=True)
class Cargo:
    """What the worker's `load_model`, `load_data` and `examine_original` are called with.

    Attributes:
        model: the arguments of `load_model`.
        rows: the arguments of `load_data` for the rows that judge.
        training: its arguments for the training rows; None where there are none.
        metric_path: the file of an own metric; None where there is none.
        user_file: the model's file where the user named one.
    """

    model: dict[str, Any]
    rows: dict[str, Any]
    training: dict[str, Any] | None = None
    metric_path: str | None = None
    user_file: Path | None = None


def ship(request: OptimizationRequest, subject: Subject, folder: Path, registry: Registry) -> Cargo:
    """Write what is live into `folder`, where the worker can read it.

    Raises:
        UsageError: there is no model or there are no rows.
        NotMeasuredError: something cannot be pickled, or the model's file is damaged.
    """
    model = _shipped_model(request, subject, folder, registry)
    if subject.data is not None:
        rows = _shipped_rows(subject, subject.data, folder / "rows.pkl")
    elif request.validation_dataset is not None:
        rows = {"spec": request.validation_dataset.model_dump(mode="json")}
    else:
        raise UsageError("there are no validation rows.", "Pass x (and y), or name a validation_dataset.")
    return Cargo(
        model=model,
        rows=rows,
        training=_shipped_training(request, subject, folder),
        metric_path=None if subject.metric is None else str(_pickled(subject, subject.metric, folder / "metric.pkl")),
        user_file=Path(model["path"]) if "trust" in model else None,
    )


def _shipped_model(request: OptimizationRequest, subject: Subject, folder: Path, registry: Registry) -> dict[str, Any]:
    if subject.model is not None:
        framework = registry.owner(subject.model)
        path = folder / f"original{'.onnx' if framework.name == 'onnx' else '.pkl'}"
        with _travelling_by_value(subject.by_value):
            _save(lambda: framework.save(subject.model, path), type(subject.model).__qualname__)
        return {"path": str(path), "framework": framework.name}
    if request.model is None:
        raise UsageError("there is no model.", "Pass a model, or name one: model='models/churn.onnx'.")
    if _is_factory(request.model):
        return {"path": str(folder / "original.pkl"), "factory": request.model}
    inspect_model_file(Path(request.model))
    return {"path": str(Path(request.model).absolute()), "trust": request.trust}


def _shipped_training(request: OptimizationRequest, subject: Subject, folder: Path) -> dict[str, Any] | None:
    if subject.training is not None:
        return _shipped_rows(subject, subject.training, folder / "training.pkl")
    return None if request.training_dataset is None else {"spec": request.training_dataset.model_dump(mode="json")}


def _shipped_rows(subject: Subject, data: Dataset, path: Path) -> dict[str, Any]:
    return {"path": str(_pickled(subject, data, path)), "digest": file_sha256(path)}


def _pickled(subject: Subject, value: Any, path: Path) -> Path:
    import cloudpickle

    with _travelling_by_value(subject.by_value), path.open("wb") as stream:
        _save(lambda: cloudpickle.dump(value, stream, protocol=PICKLE_PROTOCOL), path.stem)
    return path


@contextmanager
def _travelling_by_value(modules: Sequence[ModuleType]) -> Iterator[None]:
    import cloudpickle

    with ExitStack() as stack:
        for module in modules:
            cloudpickle.register_pickle_by_value(module)
            stack.callback(cloudpickle.unregister_pickle_by_value, module)
        yield


def _is_factory(model: str) -> bool:
    """Whether a model's name is ``package.module:function`` and not a path (a drive letter is one character)."""
    module, colon, name = model.rpartition(":")
    return bool(colon) and all(part.isidentifier() for part in (*module.split("."), *name.split(".")))


def _save(write: Callable[[], None], what: str) -> None:
    try:
        write()
    except InferoptError:
        raise
    # Pickling runs the object's own code, which may raise anything.
    except Exception as error:
        raise NotMeasuredError(
            f"{what} cannot be sent to the worker: {type(error).__name__}: {error}",
            "Pass a path or package.module:factory instead of the live object.",
        ) from error
