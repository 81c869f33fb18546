"""LightGBM's model text (version 4), read as trees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_inferopt.errors import RefusedError
from pytest_inferopt.frameworks._forest import Boosted, Forest, as_labels, floor_float32, register_forests

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_inferopt.frameworks._forest import Link

__all__ = ["NativeLGBooster", "objective_of", "read_lightgbm", "register_lightgbm"]

# What `predict` makes of the sums, from src/objective/*.hpp (ConvertOutput).
LINKS: dict[str, Link] = {
    "binary": "sigmoid",
    "multiclass": "softmax",
    "multiclassova": "sigmoid",
    "cross_entropy": "sigmoid",
    "poisson": "exp",
    "gamma": "exp",
    "tweedie": "exp",
    **dict.fromkeys(
        ("regression", "regression_l1", "huber", "fair", "quantile", "mape", "lambdarank", "rank_xendcg"), "identity"
    ),
}
CLASSIFYING = {"binary", "multiclass", "multiclassova"}
# Bits of `decision_type`, include/LightGBM/tree.h.
CATEGORICAL, DEFAULT_LEFT, MISSING_SHIFT = 1, 2, 2
MISSING_ZERO, MISSING_NAN = 1, 2
WORD = 32


class NativeLGBooster:
    """A native Booster as the converters see it."""

    def __init__(self, booster: Any) -> None:
        self.booster_ = booster


def register_lightgbm() -> None:
    """Teach skl2onnx to convert LightGBM's models."""
    import lightgbm

    classes = (lightgbm.LGBMClassifier, lightgbm.LGBMRegressor, lightgbm.LGBMRanker, NativeLGBooster)
    register_forests(classes, read_lightgbm)


def _blocks(booster: Any) -> Iterator[dict[str, str]]:
    """The model text as ``key=value`` blocks: the header, then one block a tree; rounds after the best are left out."""
    text = booster.model_to_string().split("\nend of trees")[0]
    for block in text.split("\nTree="):
        yield dict(line.split("=", 1) if "=" in line else (line, "") for line in block.splitlines())


def objective_of(booster: Any) -> tuple[str, int]:
    """The objective's name (empty for one of the user's own) and the number of classes of a Booster."""
    header = next(_blocks(booster))
    return header.get("objective", "").partition(" ")[0], int(header["num_class"])


def read_lightgbm(model: Any) -> Boosted:
    """Read a fitted estimator or a `NativeLGBooster`.

    Raises:
        RefusedError: an objective or a setting whose answers ONNX cannot give.
    """
    import numpy as np

    header, *trees = _blocks(model.booster_)
    objective, *settings = header.get("objective", "").split(" ")
    if objective not in LINKS or "sqrt" in settings:
        shown = header.get("objective") or "of your own"
        raise RefusedError(
            f"LightGBM's objective {shown!r} has no ONNX form.", f"Train with one of these: {', '.join(sorted(LINKS))}."
        )
    if callable(getattr(model, "objective", None)):
        raise RefusedError(f"{type(model).__name__} has an objective of its own.", "Use one of LightGBM's.")
    if getattr(model.booster_, "pandas_categorical", None):
        raise RefusedError(
            "LightGBM encodes DataFrame columns of type category inside the model, which ONNX cannot.",
            "Encode them before the model (OrdinalEncoder), and pass the codes.",
        )
    outputs = int(header["num_tree_per_iteration"])
    steepness = next((float(each.partition(":")[2]) for each in settings if each.startswith("sigmoid:")), 1.0)
    weight = steepness if LINKS[objective] == "sigmoid" else 1.0
    if "average_output" in header:  # boosting="rf"
        weight *= outputs / max(len(trees), 1)
    labels = None
    if objective in CLASSIFYING:
        if not hasattr(model, "predict_proba") and not isinstance(model, NativeLGBooster):
            raise RefusedError(
                f"{type(model).__name__} with the objective {objective!r} is no classifier.",
                "Use LGBMClassifier or a regression objective.",
            )
        labels = as_labels(getattr(model, "classes_", np.arange(max(outputs, 2))))
    forest = Forest()
    for number, tree in enumerate(trees):
        _read_tree(forest, number, tree, number % outputs, weight)
    return Boosted(forest, (0.0,) * outputs, LINKS[objective], labels)


def _numbers(tree: dict[str, str], key: str) -> list[float]:
    return [float(entry) for entry in tree.get(key, "").split()]


def _integers(tree: dict[str, str], key: str) -> list[int]:
    return [int(entry) for entry in tree.get(key, "").split()]


def _read_tree(forest: Forest, number: int, tree: dict[str, str], target: int, weight: float) -> None:
    """Add one tree: its splits are nodes 0 … S-1, leaf number l is node S+l, chains follow."""
    if int(tree.get("is_linear", "0")):
        raise RefusedError("LightGBM's linear trees have no ONNX form.", "Train with linear_tree=False.")
    values = _numbers(tree, "leaf_value")
    lefts, rights = _integers(tree, "left_child"), _integers(tree, "right_child")
    features, thresholds = _integers(tree, "split_feature"), _numbers(tree, "threshold")
    decisions = _integers(tree, "decision_type")
    splits = len(lefts)
    free = splits + len(values)
    for node in range(splits):
        yes, no = (child if child >= 0 else splits + ~child for child in (lefts[node], rights[node]))
        if decisions[node] & CATEGORICAL:
            members = _members(tree, int(thresholds[node])) or [-1]
            free = forest.member_branch(number, node, features[node], members, yes, no, missing=no, free=free)
        else:
            free = _numeric(forest, number, node, (features[node], thresholds[node]), (yes, no), decisions[node], free)
    for leaf, value in enumerate(values):
        forest.leaf(number, splits + leaf, target, value * weight)


def _numeric(
    forest: Forest,
    tree: int,
    node: int,
    test: tuple[int, float],
    children: tuple[int, int],
    decision: int,
    free: int,
) -> int:
    """Add ``x <= threshold`` with LightGBM's three ways of missing; gives the first node number not in use."""
    feature, threshold = test
    yes, no = children
    of_zero = yes if threshold >= 0 else no
    default = yes if decision & DEFAULT_LEFT else no
    how = decision >> MISSING_SHIFT & 3
    missing = of_zero if how not in (MISSING_ZERO, MISSING_NAN) else default  # with "none", NaN is read as zero
    if how == MISSING_ZERO and default != of_zero:
        forest.branch(tree, node, ("BRANCH_EQ", feature, 0.0), default, free, missing=default)
        node, free = free, free + 1
    forest.branch(tree, node, ("BRANCH_LEQ", feature, floor_float32(threshold)), yes, no, missing=missing)
    return free


def _members(tree: dict[str, str], index: int) -> list[int]:
    """The categories of one split, from a bit set of 32-bit words."""
    bounds, words = _integers(tree, "cat_boundaries"), _integers(tree, "cat_threshold")
    chosen = words[bounds[index] : bounds[index + 1]]
    return [WORD * at + bit for at, word in enumerate(chosen) for bit in range(WORD) if word >> bit & 1]
