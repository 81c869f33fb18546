"""Results as a DataFrame: the flat table, with a type for each column."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_inferopt.domain.rows import COLUMNS, flat_rows
from pytest_inferopt.errors import MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from pytest_inferopt.domain.result import RunResult

__all__ = ["data_frame"]

TEXTS = {"test_id", "model", "variant", "role", "verdict", "format", "sha256", "metric", "gate", "baseline",
         "baseline_commit", "regression", "cell"}  # fmt: skip
COUNTS = {"size_bytes", "accuracy_rows", "label_flips", "batch_size", "iterations", "base_size_bytes",
          "slowdown_processes", "memory_bytes", "memory_peak_bytes"}  # fmt: skip
TRUTHS = {"is_best"}


def data_frame(results: Iterable[RunResult]) -> pd.DataFrame:
    """A row a model, variant and batch size; what was not measured is missing.

    Texts are ``string``, counts ``Int64``, which may be missing, and all other figures ``float64``.

    Raises:
        MissingDependencyError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingDependencyError("to_pandas needs pandas, not installed here.", "pip install pandas.") from error
    rows = [list(row.values()) for result in results for row in flat_rows(result)]
    table = pd.DataFrame(rows, columns=list(COLUMNS), dtype=object)
    return table.astype({column: _type(column) for column in COLUMNS})


def _type(column: str) -> str:
    if column in TEXTS:
        return "string"
    if column in COUNTS:
        return "Int64"
    return "bool" if column in TRUTHS else "float64"
