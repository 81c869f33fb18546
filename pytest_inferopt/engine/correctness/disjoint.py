"""Training rows that do not judge: what is calibrated or trained on a row would answer it too well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_inferopt.domain.artifact import Dataset, row_count, take_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_inferopt.domain.artifact import Rows

__all__ = ["without_rows_of"]


def without_rows_of(training: Dataset, judging: Dataset) -> tuple[Dataset, int]:
    """The training rows whose inputs are none of the judging rows', in their order, and how many are left out.

    Rows are the same where all their values are, numbers to the precision of float32.

    Args:
        training: what a technique may calibrate or train on.
        judging: what accuracy is measured on.
    """
    judges = set(_keys(judging.x))
    kept = np.array([at for at, key in enumerate(_keys(training.x)) if key not in judges], dtype=np.intp)
    left_out = training.rows - len(kept)
    if not left_out:
        return training, 0
    y, groups = (None if part is None else take_rows(part, kept) for part in (training.y, training.groups))
    return Dataset(take_rows(training.x, kept), y, groups), left_out


def _keys(rows: Rows) -> Sequence[bytes]:
    """Bytes for each row, the same for the same values."""
    if isinstance(rows, Mapping):
        columns = [_keys(rows[name]) for name in sorted(rows)]
        return [b"\0".join(parts) for parts in zip(*columns, strict=True)]
    if hasattr(rows, "tocsr"):
        sparse = rows.tocsr().sorted_indices()
        return [_key(sparse[at].indices, sparse[at].data) for at in range(row_count(rows))]
    values = np.asarray(rows.to_numpy() if hasattr(rows, "to_numpy") else rows)
    if values.dtype.kind not in "biuf":
        return [repr(_plain(row)).encode("utf-8", "surrogatepass") for row in values]
    return [_key(row.ravel()) for row in values]


def _key(*arrays: Any) -> bytes:
    # Adding zero makes one of the two zeros that float32 has.
    return b"".join(np.asarray(array, dtype=np.float32).tobytes() for array in (part + 0 for part in arrays))


def _plain(row: Any) -> Any:
    """Python's own values, so that 1 and 1.0 of two columns' types are written alike."""
    if isinstance(row, np.ndarray):
        return tuple(_plain(value) for value in row.tolist())
    return float(row) if isinstance(row, int | float) else row
