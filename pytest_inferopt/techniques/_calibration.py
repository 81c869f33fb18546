"""The rows that a static quantizer sees: enough of them, fit for it, a few at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_inferopt.domain.artifact import row_count, take_rows
from pytest_inferopt.errors import NotMeasuredError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_inferopt.domain.artifact import Artifact, Rows, Session, Workbench

__all__ = ["LEAST_ROWS", "calibration_feeds", "calibration_rows"]

LEAST_ROWS = 100
ROWS_AT_A_TIME = 16
HINT = 'Pass other rows as training data (inferopt_training_data, training_dataset), or use method="dynamic".'


def calibration_rows(bench: Workbench, most: int) -> Rows:
    """The first `most` rows of the training data.

    Raises:
        NotMeasuredError: there are none, or fewer than 100.
    """
    import numpy as np

    given = 0 if bench.training is None else bench.training.rows
    if bench.training is None or given < LEAST_ROWS:
        raise NotMeasuredError(
            f"technique 'quantization' (static): {given:,} calibration rows, needs at least {LEAST_ROWS}.", HINT
        )
    return take_rows(bench.training.x, np.arange(min(given, most)))


def calibration_feeds(rows: Rows, session: Session, model: Artifact) -> Iterator[Mapping[str, Any]]:
    """The rows as feeds of the file's inputs, 16 a feed, or as many as the file insists on.

    Raises:
        NotMeasuredError: a value is NaN or infinite, or all rows are the same.
    """
    import numpy as np

    count, fixed = row_count(rows), _fixed_batch(model)
    size = fixed or ROWS_AT_A_TIME
    first: Mapping[str, Any] | None = None
    varies = False
    for begin in range(0, count, size):
        indices = np.arange(begin, min(begin + size, count))
        feed = session.prepare(take_rows(rows, np.resize(indices, size) if fixed else indices))
        for name, array in feed.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                row = begin + int(np.argwhere(~np.isfinite(array))[0][0])
                raise NotMeasuredError(
                    f"technique 'quantization' (static): calibration row {row} has NaN or infinity in {name!r}.", HINT
                )
        first = feed if first is None else first
        varies = varies or any(bool((array != first[name][:1]).any()) for name, array in feed.items())
        yield feed
    if not varies:
        raise NotMeasuredError(f"technique 'quantization' (static): all {count:,} calibration rows are the same.", HINT)


def _fixed_batch(model: Artifact) -> int | None:
    """The number of rows that the file insists on; None if it takes any."""
    shapes = [spec.shape for spec in model.signature.inputs] if model.signature else []
    return next((int(shape[0]) for shape in shapes if shape and isinstance(shape[0], int)), None)
