"""What models answer, as arrays that can be held against each other: labels, scores and values of N rows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pytest_inferopt.errors import NotMeasuredError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from pytest_inferopt.domain.artifact import Prediction

__all__ = [
    "PARTS",
    "Part",
    "align",
    "check_kinds",
    "classes_of",
    "codes_of",
    "floats_of",
    "is_missing",
    "label_flips",
    "non_finite_rows",
    "part_of",
    "positions_by_key",
    "row_count_of",
    "same_labels",
    "score_columns",
    "without_column_axis",
]

Part = Literal["labels", "scores", "probabilities", "values", "numbers", "any"]
PARTS: tuple[Literal["labels", "scores", "values"], ...] = ("labels", "scores", "values")
MATRIX = 2


def row_count_of(prediction: Prediction) -> int:
    """The number of rows N that a prediction answers."""
    parts = (getattr(prediction, name) for name in PARTS)
    return next((len(part) for part in parts if part is not None), 0)


def part_of(prediction: Prediction, part: Part) -> Any:
    """A part of a prediction; of ``any``, the labels if there are any, else the numbers.

    Raises:
        NotMeasuredError: the model does not answer it.
    """
    found = {
        "labels": prediction.labels,
        "scores": prediction.scores,
        "probabilities": prediction.scores if prediction.scores_are_probabilities else None,
        "values": prediction.values,
        "numbers": prediction.numbers,
        "any": prediction.labels if prediction.labels is not None else prediction.numbers,
    }[part]
    if found is None:
        have = " and ".join(name for name in PARTS if getattr(prediction, name) is not None)
        raise NotMeasuredError(
            f"the metric needs {'labels or numbers' if part == 'any' else part}, the model gives {have or 'nothing'}.",
            "Use a metric of what it gives (labels: accuracy, f1; scores: roc_auc; values: rmse, cosine).",
        )
    return found


def without_column_axis(values: Any) -> Any:
    """An array in which a single column (N, 1) has become (N,)."""
    array = np.asarray(values)
    return array[:, 0] if array.ndim == MATRIX and array.shape[1] == 1 else array


def align(one: Any, other: Any, what: str) -> tuple[Any, Any]:
    """Bring (N,) and (N, 1) together.

    Raises:
        NotMeasuredError: other shapes that differ; broadcasting them would compare every row with every other.
    """
    first, second = without_column_axis(one), without_column_axis(other)
    if first.shape != second.shape:
        raise NotMeasuredError(
            f"{what}: shapes {np.shape(one)} and {np.shape(other)} do not belong together.",
            "Give one target a row, or as many as the model answers.",
        )
    return first, second


def floats_of(values: Any, what: str) -> NDArray[np.float64]:
    """Values as double precision.

    Raises:
        UsageError: they are not numbers.
    """
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise UsageError(
            f"{what} must be numbers for this metric.", "Use a metric of labels, or convert them."
        ) from None


# --- labels -----------------------------------------------------------------------------------------------------


def check_kinds(one: Any, other: Any, what: str) -> None:
    """Refuse to compare texts with numbers: ``"1"`` and ``1`` would be right in no row.

    Raises:
        NotMeasuredError: one holds texts, the other numbers.
    """
    (first, is_text), (second, is_other_text) = _sample(one), _sample(other)
    if is_text != is_other_text:
        raise NotMeasuredError(
            f"{what}: {first!r} ({type(first).__name__}) against {second!r} ({type(second).__name__}), "
            "so that no row could ever be right.",
            "Give y in the type that the model was trained on.",
        )


def _sample(labels: Any) -> tuple[Any, bool]:
    item = np.asarray(labels).ravel()[:1].tolist()[0]
    return item, isinstance(item, str | bytes)


def same_labels(one: Any, other: Any, what: str = "labels") -> NDArray[np.bool_]:
    """Whether each row (N,) has the same label; of several labels a row, whether all of them are.

    Raises:
        NotMeasuredError: shapes or types that do not belong together.
    """
    first, second = align(one, other, what)
    check_kinds(first, second, what)
    same: NDArray[np.bool_] = np.asarray(first == second, dtype=np.bool_)
    every: NDArray[np.bool_] = np.all(same.reshape(len(same), -1), axis=1)
    return every


def label_flips(one: Prediction, other: Prediction) -> int | None:
    """How many rows have another label; None where one of the two gives no labels."""
    if one.labels is None or other.labels is None:
        return None
    return int((~same_labels(one.labels, other.labels, "labels of both models")).sum())


def classes_of(*labels: Any) -> tuple[Any, ...]:
    """The distinct labels of several arrays, sorted if they can be; None is skipped."""
    found = {item for array in labels if array is not None for item in np.asarray(array).ravel().tolist()}
    try:
        return tuple(sorted(found))
    except TypeError:
        return tuple(sorted(found, key=str))


def codes_of(labels: Any, classes: Iterable[Any]) -> NDArray[np.intp]:
    """The position of each label (N,) among the classes; equal numbers of any type are the same label.

    Raises:
        NotMeasuredError: several labels a row, or one that is none of the classes.
    """
    array = without_column_axis(labels)
    if array.ndim != 1:
        raise NotMeasuredError(
            f"labels of shape {array.shape} are several a row, which this metric does not take.",
            "Use accuracy, a scikit-learn scorer such as 'f1_macro', or an own metric.",
        )
    position = {label: index for index, label in enumerate(classes)}
    try:
        return np.array([position[label] for label in array.tolist()], dtype=np.intp)
    except KeyError as error:
        raise NotMeasuredError(f"label {error} is none of the classes {list(position)[:10]!r}.") from None


def positions_by_key(keys: Any) -> list[NDArray[np.intp]]:
    """The rows of each distinct key (N,), keys in order of appearance."""
    items = np.asarray(keys).tolist()
    codes = codes_of(keys, dict.fromkeys(items))
    return np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])


# --- scores -----------------------------------------------------------------------------------------------------


def score_columns(scores: Any, *, are_probabilities: bool) -> NDArray[np.float64]:
    """Scores (N, K), a column per class; a single column is that of the second of two classes."""
    table = np.asarray(scores, dtype=np.float64)
    positive = without_column_axis(table)
    if positive.ndim > 1:
        return table
    return np.column_stack([1 - positive if are_probabilities else -positive, positive])


# --- what is missing --------------------------------------------------------------------------------------------


def non_finite_rows(values: Any) -> NDArray[np.bool_]:
    """Whether each row (N,) has NaN or infinity; texts and integers have none."""
    array = np.asarray(values)
    if array.dtype.kind not in "fc":
        return np.zeros(len(array), dtype=np.bool_)
    bad: NDArray[np.bool_] = np.any(~np.isfinite(array.reshape(len(array), -1)), axis=1)
    return bad


def is_missing(value: Any) -> bool:
    """Whether a label is none: None, NaN, infinity, NaT or pandas' NA."""
    if isinstance(value, float | np.floating):
        return not math.isfinite(value)
    return value is None or type(value).__name__ in {"NAType", "NaTType"}
