"""A copy of the model that converts as it predicts, where skl2onnx would answer differently, or not at all."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from pytest_inferopt.errors import RefusedError
from pytest_inferopt.frameworks._boosters import (
    adapt_booster,
    booster_trouble,
    is_lightgbm,
    register_lightgbm,
    register_xgboost,
)
from pytest_inferopt.frameworks._parts import Part, has_predict_proba, is_kind, parts
from pytest_inferopt.frameworks._scalers import has_trees, make_exact

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["conversion_options", "prepared", "register_libraries"]

# What a subclass must not change if its parent's converter is to speak for it.
ANSWERS = (
    "predict",
    "predict_proba",
    "predict_log_proba",
    "decision_function",
    "transform",
    "score_samples",
    "kneighbors",
    "_transform",
    "build_preprocessor",
    "build_tokenizer",
    "build_analyzer",
)
SEARCHES = ("BaseSearchCV",)
NEIGHBOURS = ("KNeighborsClassifier", "KNeighborsRegressor")
WANTED = {"zipmap": False, "optim": "cdist", "locale": "C"}


def register_libraries(model: object) -> None:
    """Register the converters of the libraries that the model's parts come from; nothing else is imported."""
    roots = {cls.__module__.partition(".")[0] for part in parts(model) for cls in type(part.estimator).__mro__}
    if "xgboost" in roots:
        register_xgboost()
    if "lightgbm" in roots:
        register_lightgbm()


def prepared(model: Any, positions: Sequence[int] | None, *, in_float64: bool) -> Any:
    """A deep copy to convert.

    Args:
        model: the fitted model, which stays as it is.
        positions: the model's column at each column of the graph.
        in_float64: whether the original's scalers calculate in float64.

    Raises:
        RefusedError: a part that has no converter, or whose converter does not speak for it.
    """
    for part in parts(model):
        if not is_kind(part.estimator, *SEARCHES):
            _check_convertible(part)
    twin = copy.deepcopy(model)
    twin = _without_search(twin)
    _number_columns(twin, positions)
    for part in parts(twin):
        _adapt(part.estimator)
    if has_trees(twin):
        make_exact(twin, in_float64=in_float64)
    return twin


def _without_search(twin: Any) -> Any:
    """The best estimator in the place of its search, in pipelines too; skl2onnx knows GridSearchCV alone."""
    while is_kind(twin, *SEARCHES):
        twin = twin.best_estimator_
    for part in parts(twin):
        if "steps" in vars(part.estimator):
            part.estimator.steps = [(name, _without_search(step)) for name, step in part.estimator.steps]
    return twin


def _check_convertible(part: Part) -> None:
    estimator = part.estimator
    parent = _registered_parent(type(estimator))
    if parent is None:
        raise RefusedError(
            f"{part} has no ONNX converter.", "Replace it, or register one with skl2onnx.update_registered_converter."
        )
    changed = [name for name in ANSWERS if getattr(type(estimator), name, None) is not getattr(parent, name, None)]
    if changed and parent is not type(estimator):
        raise RefusedError(
            f"{part} changes {', '.join(changed)} of {parent.__name__}, whose converter knows nothing of it.",
            "Register one for it with skl2onnx.update_registered_converter.",
        )
    if hasattr(estimator, "get_support") and hasattr(estimator, "predict") and not part.transforms:
        raise RefusedError(
            f"{part} selects columns and predicts, but its converter writes the selection alone.",
            "Convert a pipeline of the selection and of its estimator_.",
        )
    trouble = _known_trouble(estimator)
    if trouble:
        raise RefusedError(f"{part} {trouble[0]}.", trouble[1])
    if part.transforms and _predicts(estimator):
        raise RefusedError(
            f"{part} is used for its transform, but its converter writes what it predicts.",
            "Replace it by a transformer, or take it out of the pipeline.",
        )


def _known_trouble(estimator: Any) -> tuple[str, str] | None:
    """What skl2onnx 1.20 writes wrongly in a way that a few rows need not show: the trouble, and the way out."""
    if is_kind(estimator, "RadiusNeighborsClassifier", "RadiusNeighborsRegressor"):
        return "converts to a graph that fails on rows without neighbours", "Use k neighbours."
    if is_kind(estimator, *NEIGHBOURS) and estimator.weights != "uniform":
        return f"weighs its neighbours by {estimator.weights!r}, which is written wrongly", "Use weights='uniform'."
    if is_kind(estimator, "TunedThresholdClassifierCV"):
        return "is written with a threshold of 0.5, not with the tuned one", "Convert its estimator_ instead."
    if is_kind(estimator, "CalibratedClassifierCV"):
        return _calibration_trouble(estimator)
    if is_kind(estimator, "VotingClassifier") and not all(has_predict_proba(each) for each in estimator.estimators_):
        return (
            "counts votes of members without probabilities, which are written wrongly",
            "Use members that have them.",
        )
    return booster_trouble(estimator)


def _calibration_trouble(estimator: Any) -> tuple[str, str] | None:
    if estimator.method == "isotonic":
        return "is calibrated by isotonic regression, written without its interpolation", "Use method='sigmoid'."
    if any(is_lightgbm(part.estimator) for part in parts(estimator)):
        return "calibrates LightGBM, whose probabilities are written in the place of its sums", "Calibrate XGBoost."
    return None


def _predicts(estimator: Any) -> bool:
    from sklearn.base import is_classifier, is_clusterer, is_outlier_detector, is_regressor

    if any(hasattr(estimator, name) for name in ("steps", "transformers_", "transformer_list", "get_support")):
        return False  # a container, whose parts are looked at one by one, or a selector
    return any(asked(estimator) for asked in (is_classifier, is_regressor, is_clusterer, is_outlier_detector))


def _registered_parent(cls: type) -> type | None:
    """The nearest class of the MRO that skl2onnx has a converter for."""
    from skl2onnx._supported_operators import sklearn_operator_name_map

    return next((parent for parent in cls.__mro__ if parent in sklearn_operator_name_map), None)


def _number_columns(twin: Any, positions: Sequence[int] | None) -> None:
    """Let column transformers take columns by number.

    skl2onnx matches names of columns with names of inputs, which cannot hold spaces.
    """
    outermost = _outermost_column_transformers(twin)
    for part in parts(twin):
        transformer = part.estimator
        if "transformers_" not in vars(transformer):
            continue
        chosen = transformer._transformer_to_input_indices  # noqa: SLF001 - the public list keeps names, masks, slices
        place = {int(at): new for new, at in enumerate(positions or ())} if id(transformer) in outermost else {}
        transformer.transformers_ = [
            (name, step, [place.get(int(at), int(at)) for at in chosen.get(name, [])])
            for name, step, _ in transformer.transformers_
        ]


def _outermost_column_transformers(model: Any) -> set[int]:
    """The identities of the column transformers that see the rows as they come."""
    fitted = vars(model)
    if "transformers_" in fitted:
        return {id(model)}
    if "steps" in fitted:
        first = next((step for _, step in model.steps if hasattr(step, "fit")), None)
        return set() if first is None else _outermost_column_transformers(first)
    return set().union(
        *(_outermost_column_transformers(part.estimator) for part in parts(model) if len(part.path) == 1)
    )


def _adapt(estimator: Any) -> None:
    adapt_booster(estimator)
    parent = _registered_parent(type(estimator))
    if parent is not None and parent is not type(estimator):
        estimator.__class__ = parent  # the converters look classes up exactly
    if is_kind(estimator, "LinearDiscriminantAnalysis") and len(estimator.classes_) == 2:  # noqa: PLR2004
        from sklearn.linear_model import LogisticRegression

        # Two classes: the converter writes softmax(-d, d) where the model answers expit(d), as this class does too.
        estimator.__class__ = LogisticRegression
    if is_kind(estimator, "NearestNeighbors"):
        estimator.radius = None  # both are set by default, and the converter wants one
    if is_kind(estimator, "VotingClassifier"):
        estimator.flatten_transform = False
    labels = vars(estimator).get("classes_")
    if getattr(getattr(labels, "dtype", None), "kind", None) in {"i", "u"}:
        estimator.classes_ = labels.astype("int64")  # int8 labels stay int8 in a graph that declares int64


def conversion_options(twin: Any) -> dict[int, dict[str, Any]]:
    """skl2onnx options of each part, by identity: plain arrays, fast distances, a locale that is everywhere."""
    from skl2onnx._supported_operators import get_model_alias
    from skl2onnx.common._registration import get_converter

    options = {}
    for part in parts(twin):
        allowed = get_converter(get_model_alias(type(part.estimator))).get_allowed_options()
        chosen = {name: value for name, value in WANTED.items() if isinstance(allowed, dict) and name in allowed}
        if "steps" in vars(part.estimator):
            chosen.clear()  # a pipeline hands its options to its last step, whatever that is
        if not _is_fast_distance_right(part.estimator):
            chosen.pop("optim", None)
        options[id(part.estimator)] = chosen  # an empty entry, too, keeps skl2onnx from asking LinearSVC for a ZipMap
    return options


def _is_fast_distance_right(estimator: Any) -> bool:
    """Whether onnxruntime's CDist answers like the original.

    It does where only the ranking of Euclidean distances counts. Distances as such lose digits near zero (an error of
    1e-3 on the wine data), and a Gaussian process amplifies that (a relative error of 0.96 on the diabetes data).
    """
    metric = getattr(estimator, "effective_metric_", None)
    return is_kind(estimator, *NEIGHBOURS) and metric in {"euclidean", "sqeuclidean"}
