"""LightGBM."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_inferopt.domain.artifact import Artifact, Prediction, RunOptions
from pytest_inferopt.domain.model_file import inspect_model_file, shown_path
from pytest_inferopt.domain.plugins import Framework
from pytest_inferopt.errors import NotMeasuredError, RefusedError, UsageError
from pytest_inferopt.frameworks._boosters import estimator_of_lightgbm, lightgbm_objective
from pytest_inferopt.frameworks._feeds import check_columns_of
from pytest_inferopt.frameworks._files import content_digest, is_pickle, load_pickle, save_pickle
from pytest_inferopt.frameworks._native import NativeSession, as_given, open_estimator
from pytest_inferopt.frameworks._parts import describe_estimator
from pytest_inferopt.frameworks._skl2onnx import Source, convert_estimator, need

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_inferopt.domain.artifact import Rows, Session, Task

__all__ = ["LightGBM"]

TWO = 2
CLASSIFYING = {"binary", "multiclass", "multiclassova"}
RANKING = {"lambdarank", "rank_xendcg"}


class LightGBM(Framework):
    """LightGBM's estimators, and its Booster in a pickle or in LightGBM's own text file."""

    name: ClassVar[str] = "lightgbm"
    needs: ClassVar[tuple[str, ...]] = ("lightgbm",)
    extra: ClassVar[str] = "lightgbm"
    module_roots: ClassVar[tuple[str, ...]] = ("lightgbm",)
    suffixes: ClassVar[tuple[str, ...]] = (".txt",)

    def save(self, model: object, path: Path) -> None:
        """Pickle it: LightGBM's own file would lose an estimator's labels."""
        save_pickle(model, path)

    def load(self, path: Path) -> Artifact:
        """Read LightGBM's own file, which runs no code and gives a Booster, or a pickle.

        Raises:
            NotMeasuredError: the file is damaged.
            RefusedError: it holds something else.
        """
        import lightgbm

        if is_pickle(path):
            model, notes = load_pickle(path)
            if self.owns(model) is None:
                raise RefusedError(f"{shown_path(path)} holds a {type(model).__name__}, not a LightGBM model.")
            return _described(self.name, model, path, notes)
        inspect_model_file(path)
        try:
            booster = lightgbm.Booster(model_file=path)
        except lightgbm.basic.LightGBMError as error:
            raise NotMeasuredError(
                f"{shown_path(path)} cannot be read as a LightGBM model: {error}.",
                "Save it again with booster.save_model('model.txt').",
            ) from error
        return self.describe(booster, path)

    def describe(self, model: Any, path: Path) -> Artifact:
        """The task and the labels; a Booster's by its objective.

        Raises:
            UsageError: it is not fitted.
        """
        return _described(self.name, model, path)

    def check_rows(self, artifact: Artifact, rows: Rows) -> None:
        """Hold the columns against the booster's `feature_name()`."""
        model = artifact.model
        booster = model if _is_booster(model) else model.booster_
        check_columns_of(model, rows, _feature_names(booster, rows))

    def to_onnx(self, artifact: Artifact, path: Path, *, opset: int, samples: Rows) -> Artifact:
        """Convert the trees, with thresholds rounded down to float32."""
        need(self.extra, "skl2onnx", "onnxmltools", "onnx")
        model = artifact.model
        booster = model if _is_booster(model) else model.booster_
        source = Source(
            model=estimator_of_lightgbm(model) if _is_booster(model) else model,
            answer=self.open(artifact, RunOptions(threads=None)).predict,
            names=_feature_names(booster, samples),
            width=booster.num_feature(),
        )
        return convert_estimator(artifact, path, source, opset=opset, samples=samples)

    def open(self, artifact: Artifact, options: RunOptions) -> Session:
        """Run the model; a Booster's threads are an argument of its `predict`."""
        return _open_booster(artifact, options) if _is_booster(artifact.model) else open_estimator(artifact, options)

    def fingerprint(self, model: object) -> str | None:
        """Joblib's hash; a Booster's by its model text."""
        return content_digest(model.model_to_string() if _is_booster(model) else model)  # type: ignore[attr-defined]


def _is_booster(model: object) -> bool:
    return type(model).__name__ == "Booster"


def _feature_names(booster: Any, samples: Rows) -> tuple[str, ...] | None:
    """The columns of the training as the rows call them; None where it had no names.

    LightGBM turns spaces into underscores, and calls the columns of an array ``Column_0`` and so on.
    """
    known = [str(name) for name in booster.feature_name()]
    if known == [f"Column_{number}" for number in range(len(known))]:
        return None
    spelled = {str(name).replace(" ", "_"): str(name) for name in getattr(samples, "columns", ())}
    return tuple(spelled.get(name, name) for name in known)


def _described(name: str, model: Any, path: Path, notes: tuple[str, ...] = ()) -> Artifact:
    if not _is_booster(model):
        return describe_estimator(name, model, path, notes)
    if model.num_trees() == 0:
        raise UsageError("the Booster has no trees.", "Train it first, then hand it over.")
    objective, classes = lightgbm_objective(model)
    if objective in CLASSIFYING:
        return Artifact(name, path, model, "classification", tuple(range(max(classes, TWO))), notes=notes)
    task: Task = "ranking" if objective in RANKING else "regression"
    return Artifact(name, path, model, task, notes=notes)


def _open_booster(artifact: Artifact, options: RunOptions) -> NativeSession:
    booster = artifact.model
    own = booster.params.get("num_threads", 0)
    run = booster.predict if options.threads is None else partial(booster.predict, num_threads=options.threads)
    is_same = options.threads is None or own == options.threads
    return NativeSession(
        call="Booster.predict",
        own_threads=None if is_same else f"num_threads={own or 'all cores'}",
        run=run,
        prepare=as_given,
        predict=lambda rows: _answer(run, artifact, rows),
    )


def _answer(run: Any, artifact: Artifact, rows: Rows) -> Prediction:
    import numpy as np

    answer = np.asarray(run(rows))
    if artifact.classes is None:
        return Prediction(values=answer)
    scores = np.column_stack([1 - answer, answer]) if answer.ndim == 1 else answer
    labels = np.asarray(artifact.classes)[scores.argmax(axis=1)]
    return Prediction(labels=labels, scores=scores, scores_are_probabilities=True)
