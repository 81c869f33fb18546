"""XGBoost's model document, read as trees (https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html)."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from pytest_inferopt.errors import RefusedError
from pytest_inferopt.frameworks._forest import Boosted, Forest, as_labels, register_forests

if TYPE_CHECKING:
    from pytest_inferopt.frameworks._forest import Link

__all__ = ["NativeXGBooster", "objective_of", "read_xgboost", "register_xgboost"]

# What `predict` makes of the sums, from src/objective/*.cc.
LINKS: dict[str, Link] = {
    "binary:logistic": "sigmoid",
    "reg:logistic": "sigmoid",
    "multi:softprob": "softmax",
    "multi:softmax": "softmax",
    "count:poisson": "exp",
    "reg:gamma": "exp",
    "reg:tweedie": "exp",
    "survival:cox": "exp",
    "survival:aft": "exp",
    **dict.fromkeys(
        (
            "reg:squarederror",
            "reg:squaredlogerror",
            "reg:absoluteerror",
            "reg:pseudohubererror",
            "reg:quantileerror",
            "reg:expectileerror",
            "rank:pairwise",
            "rank:ndcg",
            "rank:map",
        ),
        "identity",
    ),
}
CLASSIFYING = {"binary:logistic", "multi:softprob", "multi:softmax"}
SPLIT_BY_CATEGORY = 1


class NativeXGBooster:
    """A native Booster as the converters see it; `classes_` are the numbers that its outputs stand for."""

    def __init__(self, booster: Any) -> None:
        self.booster = booster

    def get_booster(self) -> Any:
        """The booster."""
        return self.booster


def register_xgboost() -> None:
    """Teach skl2onnx to convert XGBoost's models."""
    import xgboost

    classes = (
        xgboost.XGBClassifier,
        xgboost.XGBRegressor,
        xgboost.XGBRanker,
        xgboost.XGBRFClassifier,
        xgboost.XGBRFRegressor,
        NativeXGBooster,
    )
    register_forests(classes, read_xgboost)


def objective_of(booster: Any) -> tuple[str, int]:
    """The objective's name and the number of classes (0 where there are none) of a Booster."""
    learner = json.loads(booster.save_config())["learner"]
    return str(learner["objective"]["name"]), int(learner["learner_model_param"]["num_class"])


def read_xgboost(model: Any) -> Boosted:
    """Read a fitted estimator or a `NativeXGBooster`.

    Raises:
        RefusedError: a booster, an objective or a setting whose answers ONNX cannot give.
    """
    import numpy as np

    _check_settings(model)
    booster = model.get_booster()
    learner = json.loads(bytes(booster.save_raw("json")))["learner"]
    objective = learner["objective"]["name"]
    if objective not in LINKS:
        raise RefusedError(
            f"XGBoost's objective {objective!r} has no ONNX form.",
            f"Train with one of these: {', '.join(sorted(LINKS))}.",
        )
    parameters = learner["learner_model_param"]
    classes, targets = int(parameters["num_class"]), int(parameters.get("num_target", 1))
    outputs = max(classes, targets, 1)
    forest = _read_trees(learner["gradient_booster"], _rounds(model))
    base = _margins(parameters["base_score"], LINKS[objective], outputs)
    labels = None
    if objective in CLASSIFYING and not hasattr(model, "predict_proba") and not isinstance(model, NativeXGBooster):
        raise RefusedError(
            f"{type(model).__name__} with the objective {objective!r} is no classifier.",
            "Use XGBClassifier or a regression objective.",
        )
    if objective in CLASSIFYING:
        labels = as_labels(getattr(model, "classes_", np.arange(max(classes, 2))))
    return Boosted(forest, base, LINKS[objective], labels, is_multilabel=labels is not None and targets > 1)


def _check_settings(model: Any) -> None:
    missing = getattr(model, "missing", math.nan)
    if missing is not None and not math.isnan(missing):
        raise RefusedError(
            f"{type(model).__name__}(missing={missing}) reads a number as missing, which ONNX cannot.",
            "Put NaN where values are missing and leave `missing` alone.",
        )
    if callable(getattr(model, "objective", None)):
        raise RefusedError(
            f"{type(model).__name__} has an objective of its own, whose answers the file does not tell.",
            "Train with an objective of XGBoost.",
        )


def _rounds(model: Any) -> int | None:
    """How many boosting rounds predict: those up to the best where an estimator stopped early, None for all."""
    if isinstance(model, NativeXGBooster):  # `Booster.predict` takes all rounds
        return None
    try:
        return int(model.best_iteration) + 1
    except AttributeError:
        return None


def _margins(base_score: str, link: Link, outputs: int) -> tuple[float, ...]:
    """`base_score` as sums before the link; a number up to XGBoost 2, one a class or target from 3 on."""
    document = json.loads(base_score)
    scores = [float(score) for score in (document if isinstance(document, list) else [document])]
    if link == "sigmoid":
        scores = [math.log(score / (1 - score)) for score in scores]
    elif link == "exp":
        scores = [math.log(score) for score in scores]
    return tuple(scores * outputs if len(scores) == 1 else scores)


def _read_trees(gradient_booster: dict[str, Any], rounds: int | None) -> Forest:
    name = gradient_booster["name"]
    if name == "gblinear":
        raise RefusedError(
            "XGBoost's booster 'gblinear' has no trees and no converter.",
            "Train with booster='gbtree', or a linear model of scikit-learn.",
        )
    document = gradient_booster["gbtree"] if name == "dart" else gradient_booster
    model = document["model"]
    if model.get("cats", {}).get("enc"):
        raise RefusedError(
            "XGBoost encodes DataFrame columns of type category inside the model, which ONNX cannot.",
            "Encode them before the model (OrdinalEncoder), and pass the codes.",
        )
    starts = model.get("iteration_indptr")
    count = len(model["trees"]) if rounds is None or starts is None else starts[min(rounds, len(starts) - 1)]
    if count == 0:
        raise RefusedError("the XGBoost model has no trees.", "Train at least one round.")
    weights = gradient_booster["weight_drop"] if name == "dart" else [1.0] * count
    forest = Forest()
    for number in range(count):
        _read_tree(forest, number, model["trees"][number], model["tree_info"][number], weights[number])
    return forest


def _read_tree(forest: Forest, number: int, tree: dict[str, Any], target: int, weight: float) -> None:
    if int(tree["tree_param"]["size_leaf_vector"]) > 1:
        raise RefusedError(
            "trees with a vector in each leaf (multi_strategy='multi_output_tree') have no converter.",
            "Train with multi_strategy='one_output_per_tree'.",
        )
    free = len(tree["left_children"])
    members = _members(tree)
    for node, left in enumerate(tree["left_children"]):
        right, value = tree["right_children"][node], tree["split_conditions"][node]
        feature, missing = tree["split_indices"][node], left if tree["default_left"][node] else right
        if left < 0:
            forest.leaf(number, node, target, value * weight)
        elif tree["split_type"][node] == SPLIT_BY_CATEGORY:
            # Members go right: https://xgboost.readthedocs.io/en/stable/tutorials/categorical.html
            free = forest.member_branch(number, node, feature, members[node], right, left, missing=missing, free=free)
        else:
            forest.branch(number, node, ("BRANCH_LT", feature, value), left, right, missing=missing)


def _members(tree: dict[str, Any]) -> dict[int, list[int]]:
    """The categories of each node that asks for them."""
    spans = zip(tree["categories_nodes"], tree["categories_segments"], tree["categories_sizes"], strict=True)
    return {node: tree["categories"][start : start + size] for node, start, size in spans}
