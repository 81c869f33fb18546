"""The figures that the charts of a gate draw: distributions, replicates and operators, the baseline's and ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_inferopt.domain.gate_words import MEDIAN, cell_text, operator_name
from pytest_inferopt.domain.text import printable
from pytest_inferopt.reporters._arms import place_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_inferopt.domain.comparison import CellComparison
    from pytest_inferopt.domain.record import Interval
    from pytest_inferopt.domain.result import RunResult
    from pytest_inferopt.reporters._arms import Arm

__all__ = ["gate_datasets"]

Rows = list[dict[str, Any]]
DIGITS = 4
NAME_LIMIT = 40
MOST_OPERATORS = 12  # of a variant; the table has all
SIDES = {"baseline": "base_quantiles_ms", "here": "head_quantiles_ms"}


def gate_datasets(result: RunResult, arms: tuple[Arm, ...]) -> dict[str, Rows]:
    """The datasets by name; one that would have no rows is there and empty.

    The points of ``distributions`` and ``replicates`` are not in it but in the report's JSON, where the page takes them
    from. A cell has a number, by which Vega groups, and a name.
    """
    cells = [(number, arm, at, cell) for number, (arm, at, cell) in enumerate(_cells(arms))]
    limits = {} if result.gate is None else {"allowed": result.gate.allowed, "caught": result.gate.caught}
    return {
        "distributions": [
            {
                **_of_cell(number, arm, cell),
                "side": side,
                **_curve(points),
                "at": [*place_of(arm, result), "comparison", "cells", at],
                "field": field,
            }
            for number, arm, at, cell in cells
            for side, field in SIDES.items()
            if cell.percentile == MEDIAN and (points := [value for value in getattr(cell, field) if value > 0])
        ],
        "replicates": [
            {
                **_of_cell(number, arm, cell),
                **_slowdown(found.estimate, found.interval),
                "outcome": cell.outcome,
                "at": [*place_of(arm, result), "comparison", "cells", at],
                "field": "values",
            }
            for number, arm, at, cell in cells
            if cell.values and (found := cell.slowdown) is not None and found.estimate is not None
        ],
        "slowdown_limits": [
            {"name": f"{name} {100 * limit:.3g} %", "slowdown": limit} for name, limit in limits.items() if limit
        ],
        "operators": [row for arm in arms for row in _operators(arm)],
    }


def _cells(arms: tuple[Arm, ...]) -> Iterator[tuple[Arm, int, CellComparison]]:
    for arm in arms:
        for at, cell in enumerate(arm.variant.comparison.cells if arm.variant.comparison else ()):
            yield arm, at, cell


def _of_cell(number: int, arm: Arm, cell: CellComparison) -> dict[str, Any]:
    return {"arm": arm.position, "label": arm.label, "cell": number, "name": cell_text(arm.label, cell)}


def _curve(points: list[float]) -> dict[str, Any]:
    return {"last": max(len(points) - 1, 1), "low": _short(min(points)), "high": _short(max(points))}


def _slowdown(estimate: float, interval: Interval) -> dict[str, Any]:
    """A limit that the replicates cannot carry is drawn as none, and the table says so."""
    low, high = (estimate if limit is None else limit for limit in (interval.low, interval.high))
    return {"estimate": _short(estimate), "low": _short(low), "high": _short(high)}


def _operators(arm: Arm) -> Iterator[dict[str, Any]]:
    found = arm.variant.comparison
    for number, operator in enumerate(found.operators[:MOST_OPERATORS] if found else ()):
        share = "" if operator.share is None else f" ({100 * operator.share:.0f} %)"
        yield {
            "arm": arm.position,
            "label": arm.label,
            "row": number,
            "name": printable(operator_name(operator), NAME_LIMIT),
            "ms": _short(operator.change_ms),
            "text": f"{operator.change_ms:+.3g} ms{share}",
        }


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
