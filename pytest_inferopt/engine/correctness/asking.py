"""Has a model answer all rows, in bites that memory can hold."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_inferopt.domain.artifact import Prediction, Session, row_count, take_rows
from pytest_inferopt.errors import NotMeasuredError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["are_shares", "predict_all"]

PREDICT_ROWS = 1024
ARRAYS = ("labels", "scores", "values")


def predict_all(session: Session, rows: Any, fixed_batch: int | None) -> Prediction:
    """Answer all rows in bites, so that memory does not grow with the table; a fixed batch is filled up and cut."""
    count, bite = row_count(rows), fixed_batch or PREDICT_ROWS
    parts = []
    for first in range(0, count, bite):
        indices = np.arange(first, min(first + bite, count))
        padded = np.resize(indices, bite) if fixed_batch else indices
        parts.append(_cut(session.predict(take_rows(rows, padded)), len(indices)))
    return _joined(parts)


def _cut(answer: Prediction, rows: int) -> Prediction:
    return _each_array(answer, lambda name: getattr(answer, name)[:rows])


def _joined(parts: list[Prediction]) -> Prediction:
    if not parts:
        raise NotMeasuredError("there are no validation rows.", "Give at least ten.")
    return _each_array(parts[0], lambda name: np.concatenate([getattr(part, name) for part in parts]))


def _each_array(answer: Prediction, change: Callable[[str], Any]) -> Prediction:
    """The answer with every array that it has changed."""
    changes: dict[str, Any] = {name: change(name) for name in ARRAYS if getattr(answer, name) is not None}
    return replace(answer, **changes)


def are_shares(scores: Any) -> bool:
    """Whether scores (N, K) can be probabilities: none below 0, each row's sum 1."""
    return bool(np.all(scores >= 0) and np.allclose(scores.sum(axis=1), 1, atol=1e-3))
