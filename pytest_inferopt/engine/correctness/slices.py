"""Where a variant lost: the classes, or the quarters of the target, on which it is least right beside the original."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_inferopt.domain.measured import Slice
from pytest_inferopt.domain.text import printable
from pytest_inferopt.engine.correctness.answers import classes_of, same_labels, without_column_axis

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from pytest_inferopt.domain.artifact import Prediction

__all__ = ["slices_of"]

SHOWN_SLICES = 10
QUARTERS = (0.0, 0.25, 0.5, 0.75, 1.0)
NAME_CHARACTERS = 40


def slices_of(original: Prediction, variant: Prediction, target: Any) -> tuple[Slice, ...]:
    """The parts of the rows, the one that lost most first; at most ten, none where nothing divides them.

    Args:
        original: its answers to N rows.
        variant: the variant's to the same.
        target: labels or numbers (N,); None without any.
    """
    if target is None or len(target) == 0:
        return ()
    y = without_column_axis(target)
    if y.ndim != 1:
        return ()
    found = _by_class(original, variant, y) if original.labels is not None else _by_quarter(original, variant, y)
    return tuple(sorted(found, key=lambda part: -part.lost)[:SHOWN_SLICES])


def _by_class(original: Prediction, variant: Prediction, y: NDArray[Any]) -> Iterator[Slice]:
    if variant.labels is None or np.asarray(original.labels).ndim != 1:
        return
    right = [same_labels(y, labels) for labels in (original.labels, variant.labels)]
    for label in classes_of(y):
        rows = y == label
        yield Slice(
            name=f"class {printable(str(label), NAME_CHARACTERS)}",
            rows=int(rows.sum()),
            measure="share right",
            original=float(right[0][rows].mean()),
            variant=float(right[1][rows].mean()),
        )


def _by_quarter(original: Prediction, variant: Prediction, y: NDArray[Any]) -> Iterator[Slice]:
    answers = [None if part is None else without_column_axis(part) for part in (original.values, variant.values)]
    if y.dtype.kind not in "biuf" or any(answer is None or answer.shape != y.shape for answer in answers):
        return
    errors = [np.abs(np.asarray(answer, dtype=np.float64) - y) for answer in answers]
    edges = np.unique(np.quantile(y, QUARTERS))
    for low, high in itertools.pairwise(edges):
        rows = (y >= low) & ((y < high) if high < edges[-1] else (y <= high))
        if rows.any():
            yield Slice(
                name=f"target {low:.4g} to {high:.4g}",
                rows=int(rows.sum()),
                measure="mean absolute error",
                original=float(errors[0][rows].mean()),
                variant=float(errors[1][rows].mean()),
            )
