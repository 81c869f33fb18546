"""The rows on which a variant and the original differ most, for whoever wants to look at them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_inferopt.domain.measured import Disagreement
from pytest_inferopt.domain.text import printable
from pytest_inferopt.engine.correctness.answers import same_labels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_inferopt.domain.artifact import Prediction

__all__ = ["worst_rows"]

SHOWN_ROWS = 10
LABEL_CHARACTERS = 40


def worst_rows(
    original: Prediction, variant: Prediction, differences: NDArray[np.float64] | None, y: Any = None
) -> tuple[Disagreement, ...]:
    """The rows that differ most: other labels first, then the largest difference; none where all agree.

    Only positions and answers are told, never the rows themselves: they may be nobody's business.

    Args:
        original: its answers to N rows.
        variant: the variant's to the same.
        differences: the largest absolute difference of their numbers in each row (N,); None without numbers.
        y: the targets (N,) or (N, K); None without any.
    """
    flips = _flips(original, variant)
    size = differences if differences is not None else None if flips is None else np.zeros(len(flips))
    if size is None:
        return ()
    if flips is None:
        flips = np.zeros(len(size), dtype=np.bool_)
    finite = np.where(np.isfinite(size), size, np.inf)
    order = np.lexsort((-finite, ~flips))[:SHOWN_ROWS]
    return tuple(
        Disagreement(
            row=int(row),
            expected=None if y is None else _answer(y, row),
            original=_answer(_shown(original), row),
            variant=_answer(_shown(variant), row),
            difference=None if differences is None or not np.isfinite(size[row]) else float(size[row]),
        )
        for row in order
        if flips[row] or size[row]
    )


def _flips(original: Prediction, variant: Prediction) -> NDArray[np.bool_] | None:
    """The rows with another label (N,); None where one of the two has none."""
    if original.labels is None or variant.labels is None:
        return None
    return ~same_labels(original.labels, variant.labels, "labels of both models")


def _shown(answer: Prediction) -> Any:
    """What is shown of an answer: its labels, else its numbers where there is one a row."""
    if answer.labels is not None:
        return answer.labels
    numbers = answer.numbers
    return numbers if numbers is not None and numbers.size == len(numbers) else None


def _answer(answers: Any, row: int) -> str | None:
    if answers is None:
        return None
    value = np.asarray(answers.iloc[row] if hasattr(answers, "iloc") else answers[row]).squeeze()
    text = f"{float(value):.6g}" if value.dtype.kind == "f" and not value.ndim else str(value)
    return printable(text, LABEL_CHARACTERS)
