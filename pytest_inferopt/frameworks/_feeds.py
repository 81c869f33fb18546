"""How rows become the inputs of a graph: one matrix where all columns share a type, else one input a column."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_inferopt.domain.artifact import TensorSpec
from pytest_inferopt.errors import UsageError
from pytest_inferopt.frameworks._parts import first_estimators, is_kind
from pytest_inferopt.frameworks._scalers import has_trees, is_arithmetic

if TYPE_CHECKING:
    from pytest_inferopt.domain.artifact import Rows

__all__ = ["Feed", "arrays_for", "feed_for", "is_frame"]

# They compare values for equality, so that the codes of a category must not pass through a float.
ENCODERS = ("OneHotEncoder", "OrdinalEncoder", "TargetEncoder")
# Names that converters give to outputs; an input of the same name makes an invalid graph.
TAKEN = {"label", "probabilities", "scores", "variable", "values", "output_label", "output_probability", "index"}


@dataclass(frozen=True)
class Feed:
    """The inputs of a graph.

    Attributes:
        inputs: in the graph's order.
        positions: the model's column at each graph column, over all inputs; None where there are no columns (texts).
        notes: what a user should know about them.
    """

    inputs: tuple[TensorSpec, ...]
    positions: tuple[int, ...] | None = None
    notes: tuple[str, ...] = ()


def is_frame(rows: Rows) -> bool:
    """Whether the rows are a pandas DataFrame; pandas is not imported for it."""
    return hasattr(rows, "iloc") and hasattr(rows, "columns")


def feed_for(model: Any, rows: Rows, *, names: tuple[str, ...] | None, width: int | None) -> Feed:
    """Decide the graph's inputs from a few rows.

    Args:
        model: the fitted model.
        rows: a DataFrame, an array (N, F), a sparse matrix or a list of N texts.
        names: the columns that the model was fitted on, where it knows them.
        width: the number F of columns that the model was fitted on, where it knows it.

    Raises:
        UsageError: the rows do not fit the model, or hold what a tensor cannot.
    """
    if isinstance(rows, Mapping):
        raise UsageError("a mapping of arrays does not fit a model of one table.", "Pass a DataFrame or an array.")
    if is_frame(rows):
        return _feed_of_frame(model, rows, names)
    if hasattr(rows, "tocsr"):
        _check_width(rows.shape[1], width)
        note = f"the rows are a sparse matrix and are fed dense, {rows.shape[1]} float32 columns"
        return _matrix("float32", rows.shape[1], None, (note,))
    return _feed_of_array(model, rows, width)


def check_columns_of(model: Any, rows: Rows, names: tuple[str, ...] | None) -> None:
    """Hold a DataFrame's columns against those that the model was fitted on; see `Framework.check_rows`."""
    if is_frame(rows) and names is not None:
        by_name = all(positions is not None for _, positions in first_estimators(model))
        _check_columns([str(name) for name in rows.columns], names, by_name=by_name)


def arrays_for(inputs: tuple[TensorSpec, ...], rows: Rows) -> dict[str, Any]:
    """The rows as the inputs' arrays, by name."""
    import numpy as np

    arrays = {}
    for spec in inputs:
        part = rows[list(spec.columns)] if spec.columns is not None and is_frame(rows) else rows
        part = part.toarray() if hasattr(part, "toarray") else part
        array = np.asarray(part, dtype=object if spec.dtype == "str" else spec.dtype)
        arrays[spec.name] = array.reshape(-1, 1) if array.ndim == 1 else array
    return arrays


def _feed_of_array(model: Any, rows: Rows, width: int | None) -> Feed:
    import numpy as np

    values = np.asarray(rows)
    if values.ndim == 1 and _kind_of(values) == "str":
        return Feed((TensorSpec("text", "str", (None, 1)),))
    if values.ndim != 2:  # noqa: PLR2004
        raise UsageError(f"the rows are {values.ndim}-dimensional, {values.shape}; a table (N, F) is needed.")
    _check_width(values.shape[1], width)
    kind = _kind_of(values.ravel())
    if kind not in {"int", "float", "str"}:
        raise UsageError(f"the array holds {kind}, which an ONNX input cannot.", "Pass a DataFrame of typed columns.")
    encoded = any(is_kind(first, *ENCODERS) for first, _ in first_estimators(model))
    floats = _float_type(model, [values.dtype])
    dtype = _dtype(kind, floats, encoded=encoded)
    return _matrix(dtype, values.shape[1], None, _narrowed([values.dtype], floats))


def _feed_of_frame(model: Any, rows: Any, names: tuple[str, ...] | None) -> Feed:
    columns = [str(name) for name in rows.columns]
    firsts = list(first_estimators(model))
    by_name = all(positions is not None for _, positions in firsts)
    if names is not None:
        _check_columns(columns, names, by_name=by_name)
        columns = list(names)
    used = [at for at in range(len(columns)) if any(seen is None or at in seen for _, seen in firsts)]
    floats = _float_type(
        model, [rows.dtypes.iloc[list(rows.columns).index(columns[at])] for at in used] if names else rows.dtypes
    )
    types: dict[int, str] = {}
    for at in used:
        series = rows[columns[at]] if names is not None else rows.iloc[:, at]
        encoded = any(is_kind(first, *ENCODERS) for first, seen in firsts if seen is None or at in seen)
        types[at] = _dtype(_kind_of_column(series, columns[at]), floats, encoded=encoded)
    is_text_named = all(isinstance(name, str) for name in rows.columns)
    notes = _narrowed(rows.dtypes, floats)
    if len(set(types.values())) == 1:
        kept = tuple(columns[at] for at in used) if is_text_named else None
        return _matrix(types[used[0]], len(used), kept, notes, tuple(used))
    if not is_text_named:
        raise UsageError("a table of several types needs text as column names.", "Rename: frame.columns.astype(str).")
    return _columns([(columns[at], types[at]) for at in used], tuple(used), notes)


def _matrix(
    dtype: str,
    width: int,
    columns: tuple[str, ...] | None,
    notes: tuple[str, ...],
    positions: tuple[int, ...] | None = None,
) -> Feed:
    return Feed((TensorSpec("X", dtype, (None, width), columns),), positions or tuple(range(width)), notes)


def _columns(typed: list[tuple[str, str]], positions: tuple[int, ...], notes: tuple[str, ...]) -> Feed:
    """One input (N, 1) a column, under a name that every ONNX tool takes."""
    specs: list[TensorSpec] = []
    taken = set(TAKEN)
    for column, dtype in typed:
        name = stem = (
            re.sub(r"\W", "_", column, flags=re.ASCII) if re.match(r"[A-Za-z_]", column) else _prefixed(column)
        )
        number = 1
        while name in taken:
            number += 1
            name = f"{stem}_{number}"
        taken.add(name)
        specs.append(TensorSpec(name, dtype, (None, 1), (column,)))
    renamed = [
        f"{spec.columns[0]!r} is {spec.name!r}" for spec in specs if spec.columns and spec.columns[0] != spec.name
    ]
    note = (f"inputs renamed: {', '.join(renamed)}",) if renamed else ()
    return Feed(tuple(specs), positions, (*notes, *note))


def _prefixed(column: str) -> str:
    return "column_" + re.sub(r"\W", "_", column, flags=re.ASCII)


def _dtype(kind: str, floats: str, *, encoded: bool) -> str:
    if kind == "int":
        return "int64" if encoded else floats
    return "str" if kind == "str" else floats


def _float_type(model: Any, dtypes: Any) -> str:
    """``float64`` where scalers before trees take the rows: there the last bit decides; else ``float32``.

    Most other converters' graphs have no float64 form.
    """
    if all(str(dtype) == "float32" for dtype in dtypes) or not has_trees(model):
        return "float32"
    firsts = [first for first, _ in first_estimators(model) if not is_kind(first, *ENCODERS)]
    return "float64" if firsts and all(is_arithmetic(first) for first in firsts) else "float32"


def _kind_of_column(series: Any, name: str) -> str:
    """``int``, ``float`` or ``str``.

    Raises:
        UsageError: the column holds something else, or gaps among its strings.
    """
    values = series.cat.categories if str(series.dtype) == "category" else series
    kind = _kind_of(values.dropna().to_numpy())
    if kind not in {"int", "float", "str"}:
        raise UsageError(
            f"column {name!r} holds {kind}, which an ONNX input cannot carry.",
            "Turn it into numbers or text before the model, or drop it there.",
        )
    if kind == "str" and bool(series.isna().any()):
        raise UsageError(
            f"column {name!r} has missing values among its text, which ONNX text cannot carry.",
            f'Fill them before the model, e.g. frame.fillna({{{name!r}: "missing"}}).',
        )
    return "float" if kind == "int" and bool(series.isna().any()) else kind


def _kind_of(values: Any) -> str:
    """``int`` (booleans too), ``float``, ``str``, or in words what a one-dimensional array holds instead."""
    import numbers

    kinds = {"b": "int", "i": "int", "u": "int", "f": "float", "U": "str", "T": "str", "M": "dates", "m": "durations"}
    if values.dtype.kind != "O":
        return kinds.get(values.dtype.kind, str(values.dtype))
    types = {type(value) for value in values}
    if all(issubclass(cls, str) for cls in types):
        return "str"
    if all(issubclass(cls, numbers.Integral) for cls in types):
        return "int"
    if all(issubclass(cls, numbers.Real) for cls in types):
        return "float"
    return " and ".join(sorted(cls.__name__ for cls in types)) + " objects"


def _narrowed(dtypes: Any, floats: str) -> tuple[str, ...]:
    if floats == "float64" or not any(str(dtype) in {"float64", "Float64"} for dtype in dtypes):
        return ()
    return ("float64 columns are fed as float32: a row within rounding of a threshold may be answered differently",)


def _check_width(width: int, fitted: int | None) -> None:
    if fitted is not None and width != fitted:
        raise UsageError(f"the rows have {width} columns, but the model was fitted on {fitted}.")


def _check_columns(columns: list[str], fitted: tuple[str, ...], *, by_name: bool) -> None:
    """Hold the columns against those of the training.

    A column transformer picks its columns by name, so that their order and further columns do not matter to it.
    """
    missing = [name for name in fitted if name not in columns]
    extra = [name for name in columns if name not in fitted]
    if missing:
        raise UsageError(f"the rows lack columns that the model was fitted on: {', '.join(map(repr, missing))}.")
    if extra and not by_name:
        raise UsageError(f"the rows have columns that the model was not fitted on: {', '.join(map(repr, extra))}.")
    if columns != list(fitted) and not by_name:
        swapped = next(name for name, other in zip(columns, fitted, strict=True) if name != other)
        raise UsageError(
            f"the columns are in another order than at fit: {swapped!r} stands where "
            f"{fitted[columns.index(swapped)]!r} was.",
            "Reorder: rows[list(model.feature_names_in_)].",
        )
