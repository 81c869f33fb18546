"""How rows become a network's arguments, and what it answers a list of named tensors."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any

from pytest_inferopt.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_inferopt.domain.artifact import Rows

__all__ = ["Call", "call_of", "flat_outputs", "is_exported", "runnable"]

Arguments = tuple[tuple[Any, ...], dict[str, Any]]

OUTPUT = "output"
INPUT = "input"


@dataclass(frozen=True)
class Call:
    """How a network is called with a table of rows.

    Attributes:
        names: its inputs, in the order in which they are given.
        style: ``positional``: a tensor an input, in this order; ``keywords``: by name; ``mapping``: all of them as one
            dictionary, which is the only argument.
        float_dtype: NumPy's name of the type that floating-point rows are cast to.
    """

    names: tuple[str, ...]
    style: str
    float_dtype: str

    def feed(self, rows: Rows) -> tuple[Any, ...]:
        """One tensor an input, each (N, …), sharing memory with the rows where their type fits."""
        columns = [rows[name] for name in self.names] if isinstance(rows, Mapping) else [rows]
        return tuple(_tensor(column, self.float_dtype) for column in columns)

    def arguments(self, feed: tuple[Any, ...]) -> Arguments:
        """Such a feed as the positional and the named arguments of ``forward``."""
        named = dict(zip(self.names, feed, strict=True))
        if self.style == "mapping":
            return (named,), {}
        return ((), named) if self.style == "keywords" else (feed, {})


def is_exported(model: Any) -> bool:
    """Whether it is an `ExportedProgram`, which is no module but holds one."""
    return hasattr(model, "graph_signature") and hasattr(model, "module")


def runnable(model: Any) -> Any:
    """What is called: the module itself, or that of an exported program."""
    return model.module() if is_exported(model) else model


def call_of(model: Any, rows: Rows) -> Call:
    """Decide how a network takes rows.

    A mapping's keys are the parameters of ``forward`` where they have these names; where ``forward`` has one parameter
    only and no key is its name, the mapping as a whole is the argument.

    Args:
        model: an `nn.Module`, scripted or not.
        rows: a table (N, …), or a mapping of names to such.

    Raises:
        UsageError: a key is no parameter of ``forward``, or a parameter without a default has no key.
    """
    float_dtype = _float_dtype(model)
    parameters = _parameters(model)
    if not isinstance(rows, Mapping):
        name = next(iter(parameters), INPUT)
        needed = [name for name, is_needed in parameters.items() if is_needed]
        if len(needed) > 1:
            raise UsageError(
                f"{type(model).__name__}.forward takes {', '.join(needed)}, but the rows are one table.",
                "Pass a mapping of these names to arrays.",
            )
        return Call((name,), "positional", float_dtype)
    names = tuple(map(str, rows))
    if len(parameters) == 1 and not parameters.keys() & set(names):
        return Call(names, "mapping", float_dtype)
    unknown = [name for name in names if parameters and name not in parameters]
    if unknown:
        raise UsageError(
            f"{type(model).__name__}.forward has no parameter {unknown[0]!r};", did_you_mean(unknown[0], parameters)
        )
    absent = [name for name, is_needed in parameters.items() if is_needed and name not in names]
    if absent:
        raise UsageError(
            f"the rows have no {', '.join(map(repr, absent))}, which {type(model).__name__}.forward takes.",
            f"They have {', '.join(map(repr, names))}.",
        )
    ordered = tuple(name for name in parameters if name in names)
    return Call(ordered, "keywords", float_dtype)


def flat_outputs(answer: Any) -> dict[str, Any]:
    """What a network answers as tensors by name, in its own order; what is no tensor in it is left out.

    Tuples and lists are numbered (``output``, ``output_1``, …), dictionaries and dataclasses keep their names, and what
    lies inside of another is joined by a dot (``hidden.0``).

    Raises:
        UsageError: there is no tensor in it.
    """
    found = dict(_flattened(answer, ""))
    if not found:
        raise UsageError(f"forward answers a {type(answer).__name__} without a tensor in it.", "Return tensors.")
    return found


def _flattened(answer: Any, name: str) -> Iterator[tuple[str, Any]]:
    import torch

    if isinstance(answer, torch.Tensor):
        yield name or OUTPUT, answer
    elif isinstance(answer, Mapping):
        for key, part in answer.items():
            yield from _flattened(part, f"{name}.{key}" if name else str(key))
    elif is_dataclass(answer):
        for each in fields(answer):
            yield from _flattened(getattr(answer, each.name), f"{name}.{each.name}" if name else each.name)
    elif isinstance(answer, tuple) and hasattr(answer, "_fields"):
        for key in answer._fields:
            yield from _flattened(getattr(answer, key), f"{name}.{key}" if name else key)
    elif isinstance(answer, (tuple, list)):
        for index, part in enumerate(answer):
            inner = f"{name}.{index}" if name else (f"{OUTPUT}_{index}" if index else OUTPUT)
            yield from _flattened(part, inner)


def _parameters(model: Any) -> dict[str, bool]:
    """The parameters of ``forward`` by name, each with whether it must be given; nothing where it takes anything."""
    schema = getattr(getattr(model, "forward", None), "schema", None)
    if schema is not None:
        return {each.name: not each.has_default_value() for each in schema.arguments if each.name != "self"}
    try:
        parameters = inspect.signature(model.forward).parameters.values()
    except (TypeError, ValueError):
        return {}
    # What merely passes everything on, as a graph module's forward does, tells no names.
    named = [each for each in parameters if each.kind in {each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY}]
    return {each.name: each.default is each.empty for each in named}


def _float_dtype(model: Any) -> str:
    """The type of its first floating-point weight; half precision is fed from float32 and cast by the network."""
    import torch

    dtype = next((each.dtype for each in model.parameters() if each.is_floating_point()), torch.float32)
    return "float64" if dtype is torch.float64 else "float32"


def _tensor(column: Any, float_dtype: str) -> Any:
    import numpy as np
    import torch

    if isinstance(column, torch.Tensor):
        return column.to(getattr(torch, float_dtype)) if column.is_floating_point() else column
    values = column.toarray() if hasattr(column, "toarray") else column
    values = np.asarray(values.to_numpy() if hasattr(values, "to_numpy") else values)
    if values.dtype.kind not in "biuf":
        raise UsageError(
            f"the rows hold {values.dtype}, which a network cannot take.",
            "Pass numbers: tokenize or encode them first.",
        )
    return torch.from_numpy(np.ascontiguousarray(values, dtype=float_dtype if values.dtype.kind == "f" else None))
