"""What an estimator is made of: its parts with their places, its task, its labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_inferopt.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_inferopt.domain.artifact import Artifact, Task

__all__ = [
    "Part",
    "class_labels",
    "column_names",
    "describe_estimator",
    "final_estimator",
    "first_estimators",
    "has_predict_proba",
    "is_kind",
    "is_multi_output",
    "parts",
    "task_of",
]

RANKERS = ("XGBRanker", "LGBMRanker")
MIXTURES = ("BaseMixture",)


@dataclass(frozen=True, eq=False)
class Part:
    """An estimator inside a model.

    Attributes:
        estimator: the fitted estimator.
        path: the names that lead to it, e.g. ``("step 'prep'", "transformer 'num'")``; empty for the model itself.
        transforms: whether only its `transform` is used at this place.
    """

    estimator: Any
    path: tuple[str, ...] = ()
    transforms: bool = False

    def __str__(self) -> str:
        """Where it stands, for a message: ``step 'tfidf' (MyVectorizer)``."""
        name = type(self.estimator).__name__
        return f"{', '.join(self.path)} ({name})" if self.path else name

    def parts(self) -> Iterator[Part]:
        """Itself and all fitted estimators inside it, outermost first."""
        yield self
        for label, child, transforms in _children(self.estimator):
            yield from Part(child, (*self.path, label), transforms or self.transforms).parts()


def parts(model: object) -> Iterator[Part]:
    """All fitted estimators of a model, itself first; unfitted templates and ``passthrough`` are left out."""
    return Part(model).parts()


def _children(owner: Any) -> Iterator[tuple[str, Any, bool]]:
    """The label, estimator and "only transforms" of each fitted estimator that `owner` calls when it predicts."""
    fitted = vars(owner) if hasattr(owner, "__dict__") else {}
    if "steps" in fitted:
        last = len(owner.steps) - 1
        found = [(f"step {name!r}", step, at < last) for at, (name, step) in enumerate(owner.steps)]
    elif "transformers_" in fitted:
        found = [(f"transformer {name!r}", step, True) for name, step, _ in owner.transformers_]
    elif "transformer_list" in fitted:
        found = [(f"transformer {name!r}", step, True) for name, step in owner.transformer_list]
    elif "best_estimator_" in fitted:
        found = [("best_estimator_", owner.best_estimator_, False)]
    elif "regressor_" in fitted:
        found = [("regressor_", owner.regressor_, False)]
    elif "calibrated_classifiers_" in fitted:
        found = [("estimator", each.estimator, False) for each in owner.calibrated_classifiers_]
    elif "estimators_" in fitted:
        found = _members(owner)
    elif "estimator_" in fitted and not hasattr(owner, "get_support"):  # a selector only asked its estimator once
        found = [("estimator_", owner.estimator_, False)]
    else:
        found = []
    yield from ((label, child, transforms) for label, child, transforms in found if hasattr(child, "fit"))


def _members(ensemble: Any) -> list[tuple[str, Any, bool]]:
    """The members of an ensemble, by the names its user gave them where there are any."""
    import numpy as np

    members = list(np.ravel(np.array(ensemble.estimators_, dtype=object)))
    names = [name for name, given in getattr(ensemble, "estimators", None) or [] if given != "drop"]
    labels = [f"estimator {name!r}" for name in names] if len(names) == len(members) else ["estimator"] * len(members)
    found = [(label, member, False) for label, member in zip(labels, members, strict=True)]
    if hasattr(ensemble, "final_estimator_"):
        found.append(("final_estimator_", ensemble.final_estimator_, False))
    return found


def final_estimator(model: Any) -> Any:
    """The estimator that answers: the last step of pipelines, the best of a search, the one behind a threshold."""
    while True:
        if hasattr(model, "best_estimator_"):
            model = model.best_estimator_
        elif hasattr(model, "steps") and hasattr(model.steps[-1][1], "fit"):
            model = model.steps[-1][1]
        else:
            return model


def first_estimators(model: Any, columns: list[int] | None = None) -> Iterator[tuple[Any, list[int] | None]]:
    """The estimators that see the rows as they come, each with the positions of its columns (None: all).

    `columns` are the positions that reach `model`. A column transformer is looked into; what it drops is not seen.
    """
    fitted = vars(model) if hasattr(model, "__dict__") else {}
    if "steps" in fitted:
        first = next((step for _, step in model.steps if hasattr(step, "fit")), None)
        if first is not None:
            yield from first_estimators(first, columns)
    elif "transformers_" in fitted:
        for name, step, _ in model.transformers_:
            seen = list(model._transformer_to_input_indices.get(name, []))  # noqa: SLF001 - names, masks, callables
            if seen and not (isinstance(step, str) and step == "drop"):
                yield from first_estimators(step, seen if columns is None else [columns[at] for at in seen])
    elif "transformer_list" in fitted or "best_estimator_" in fitted or hasattr(model, "named_estimators_"):
        for _, child, _ in _children(model):
            if child is not fitted.get("final_estimator_"):
                yield from first_estimators(child, columns)
    else:
        yield model, columns


def is_kind(estimator: object, *names: str) -> bool:
    """Whether one of the estimator's classes has one of these names; nothing is imported for it."""
    return any(cls.__name__ in names for cls in type(estimator).__mro__)


def has_predict_proba(model: object) -> bool:
    """Whether the model gives probabilities (`SVC` and voting decide that by their settings)."""
    return hasattr(model, "predict_proba")


def task_of(model: object) -> Task:
    """What the model answers, by scikit-learn's own tags and, for rankers and mixtures, by its class."""
    from sklearn.base import is_classifier, is_clusterer, is_outlier_detector, is_regressor

    final = final_estimator(model)
    if is_kind(final, *RANKERS):
        return "ranking"
    if is_classifier(model):
        return "classification"
    if is_outlier_detector(model):
        return "outlier"
    if is_clusterer(model) or is_kind(final, *MIXTURES):
        return "clustering"
    return "regression" if is_regressor(model) else "transform"


def is_multi_output(model: object) -> bool:
    """Whether a classifier answers several labels a row."""
    final = final_estimator(model)
    classes = getattr(model, "classes_", None)
    binarizer = getattr(final, "label_binarizer_", None) or getattr(final, "_label_binarizer", None)
    return (
        (isinstance(classes, list) and len(classes) > 0 and hasattr(classes[0], "shape"))
        or is_kind(final, "MultiOutputClassifier", "ClassifierChain")
        or str(getattr(binarizer, "y_type_", "")).startswith("multilabel")
        or (is_kind(final, "XGBClassifier") and _xgboost_targets(final) > 1)
    )


def _xgboost_targets(classifier: Any) -> int:
    """The number of outputs of a fitted XGBClassifier, whose `classes_` do not tell."""
    import json

    config = json.loads(classifier.get_booster().save_config())
    return int(config["learner"]["learner_model_param"].get("num_target", 1))


def class_labels(model: object) -> tuple[Any, ...] | None:
    """A classifier's labels as Python values, in the order of its probabilities; None for several outputs."""
    classes = getattr(model, "classes_", None)
    if classes is None or is_multi_output(model):
        return None
    return tuple(classes.tolist()) if hasattr(classes, "tolist") else tuple(classes)


def column_names(model: object) -> tuple[str, ...] | None:
    """The names of the columns that the model was fitted on, where it knows them."""
    names = getattr(model, "feature_names_in_", None)
    return None if names is None else tuple(str(name) for name in names)


def describe_estimator(artifact_format: str, model: Any, path: Path, notes: tuple[str, ...] = ()) -> Artifact:
    """The artifact of a fitted estimator with scikit-learn's interface.

    Raises:
        UsageError: it is not an estimator, or not fitted.
    """
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    from pytest_inferopt.domain.artifact import Artifact

    name = type(model).__name__
    try:
        check_is_fitted(model)
    except NotFittedError as error:
        raise UsageError(f"{name} is not fitted.", "Call fit first, then hand the model over.") from error
    except TypeError as error:
        detail = " ".join(str(error).split()).rstrip(".")
        raise UsageError(f"{name} is not an estimator: {detail}.", "Hand over a fitted estimator.") from error
    task = task_of(model)
    classes = class_labels(model) if task == "classification" else None
    return Artifact(format=artifact_format, path=path, model=model, task=task, classes=classes, notes=notes)
