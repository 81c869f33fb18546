"""Whether a file answers as the original does, and whether the original answers twice alike."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_inferopt.domain.measured import Conversion
from pytest_inferopt.domain.result import Check
from pytest_inferopt.engine.correctness.answers import (
    PARTS,
    align,
    label_flips,
    non_finite_rows,
    row_count_of,
    score_columns,
)
from pytest_inferopt.engine.correctness.disagreements import worst_rows
from pytest_inferopt.errors import NotMeasuredError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_inferopt.domain.artifact import Prediction

__all__ = ["check_comparable", "check_conversion", "check_deterministic", "compare_outputs"]

# What threads and their order of summation do to float32, relative to the largest number of an answer.
REPEAT_TOLERANCE = 1e-6


def check_comparable(original: Prediction, variant: Prediction) -> None:
    """Refuse two predictions that are not of the same rows or not of the same number of classes.

    Raises:
        NotMeasuredError: they are not.
    """
    rows, answered = row_count_of(original), row_count_of(variant)
    if rows != answered:
        raise NotMeasuredError(
            f"the variant answers {answered} rows, the original {rows}.", "Convert with a dynamic batch axis."
        )
    if original.scores is None or variant.scores is None:
        return
    first, second = (score_columns(model.scores, are_probabilities=False).shape for model in (original, variant))
    if first[1:] != second[1:]:
        raise NotMeasuredError(
            f"the variant scores {second[1]} classes, the original {first[1]}.",
            "Convert so that every class keeps its column.",
        )


def compare_outputs(original: Prediction, variant: Prediction, y: Any = None) -> Conversion:
    """Compare the answers of a file with the original's, row by row.

    Values are compared if both answer them, else scores if both are of a kind; of these, the finite ones.

    Args:
        original: its answers.
        variant: the variant's, to the same rows.
        y: the targets, which are shown beside the rows that differ most; None without any.

    Raises:
        NotMeasuredError: other numbers of rows or columns, or labels of another type.
    """
    check_comparable(original, variant)
    compared, one, other = _numbers_in_common(original, variant)
    bad = np.zeros(row_count_of(original), dtype=np.bool_)
    for name in PARTS:
        before, after = getattr(original, name), getattr(variant, name)
        if after is not None:
            bad |= non_finite_rows(after) & ~(np.zeros_like(bad) if before is None else non_finite_rows(before))
    return Conversion(
        rows=bad.size,
        label_flips=label_flips(original, variant),
        max_difference=_max_difference(one, other) if compared else None,
        compared=compared,
        non_finite=int(bad.sum()),
        worst_rows=worst_rows(original, variant, _differences(one, other) if compared else None, y),
    )


def _numbers_in_common(original: Prediction, variant: Prediction) -> tuple[str, Any, Any]:
    """What both answer in numbers, in words and as arrays; nothing where they have nothing in common."""
    if original.values is not None and variant.values is not None:
        return "values", *align(original.values, variant.values, "the values of both models")
    are_probabilities = original.scores_are_probabilities
    same_kind = are_probabilities == variant.scores_are_probabilities
    if original.scores is None or variant.scores is None or not same_kind:
        return "", None, None
    one, other = (score_columns(model.scores, are_probabilities=are_probabilities) for model in (original, variant))
    return "probabilities" if are_probabilities else "decision values", one, other


def _max_difference(one: Any, other: Any) -> float | None:
    """The largest absolute difference of what is finite in both."""
    first, second = (np.asarray(array, dtype=np.float64) for array in (one, other))
    both = np.isfinite(first) & np.isfinite(second)
    return float(np.abs(first[both] - second[both]).max()) if both.any() else None


def _differences(one: Any, other: Any) -> NDArray[np.float64]:
    """The largest absolute difference in each row (N,); infinite where only one of the two is finite."""
    first, second = (np.asarray(array, dtype=np.float64).reshape(len(array), -1) for array in (one, other))
    with np.errstate(invalid="ignore"):
        difference = np.abs(first - second)
    both_bad = ~np.isfinite(first) & ~np.isfinite(second)
    difference = np.where(both_bad, 0.0, np.where(np.isnan(difference), np.inf, difference))
    largest: NDArray[np.float64] = difference.max(axis=1, initial=0.0)
    return largest


def check_conversion(variant: str, conversion: Conversion) -> Check:
    """Judge a conversion: NaN or infinity where the original has none fails; what merely differs is told.

    Args:
        variant: whose conversion it is.
        conversion: as compared.
    """
    if conversion.non_finite:
        return Check(
            kind="conversion",
            variant=variant,
            outcome="failed",
            observed=conversion.non_finite,
            limit=0,
            reason=f"{conversion.non_finite:,} of {conversion.rows:,} rows are NaN or infinite "
            "where the original's are finite.",
            next_step="Keep float32 where numbers grow large: half precision ends at 65,504.",
        )
    parts = []
    if conversion.label_flips is not None:
        parts.append(f"{conversion.label_flips:,} of {conversion.rows:,} labels differ")
    if conversion.max_difference is not None:
        parts.append(f"largest difference of {conversion.compared} {conversion.max_difference:.1g}")
    told = ", ".join(parts) or f"{conversion.rows:,} rows answered, in nothing that the original answers too"
    return Check(
        kind="conversion", variant=variant, outcome="passed", observed=conversion.max_difference, reason=f"{told}."
    )


def check_deterministic(first: Prediction, second: Prediction, what: str) -> None:
    """Hold two answers of one model for the same rows against each other.

    Labels must be the same; numbers may differ by 1e-6 of the largest of them, which threads and their order of
    summation explain.

    Args:
        first: the first answer.
        second: the second answer.
        what: which model, for the message.

    Raises:
        NotMeasuredError: they differ, so that nothing measured of it would hold.
    """
    flips = label_flips(first, second)
    apart = {name: _relative_difference(getattr(first, name), getattr(second, name)) for name in ("scores", "values")}
    worst = max(apart, key=lambda name: apart[name])
    if not flips and apart[worst] <= REPEAT_TOLERANCE:
        return
    seen = f"{flips} labels differ" if flips else f"{worst} differ by {apart[worst]:.1g} of the largest"
    raise NotMeasuredError(
        f"{what} answers differently for the same rows when asked twice: {seen}.",
        "Switch dropout and sampling off (PyTorch: model.eval()), or fix the seed.",
    )


def _relative_difference(first: Any, second: Any) -> float:
    if first is None or second is None:
        return 0.0 if first is second else math.inf
    one, other = (np.asarray(array, dtype=np.float64) for array in align(first, second, "two answers of one model"))
    finite = np.isfinite(one)
    if not np.array_equal(one[~finite], other[~finite], equal_nan=True):
        return math.inf
    largest = np.abs(one, where=finite, out=np.zeros_like(one)).max(initial=np.finfo(np.float64).tiny)
    difference = np.abs(one[finite] - other[finite]).max(initial=0.0) / largest
    return float(difference) if np.isfinite(difference) else math.inf
