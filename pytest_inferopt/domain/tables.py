"""The table of a model that every report shows, as plain text; whoever draws it escapes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_inferopt.domain.gate_words import has_baseline_figures, vs_base_text
from pytest_inferopt.domain.words import (
    NOTHING,
    accuracy_text,
    is_warned,
    percentiles_text,
    shown_batches,
    size_text,
    speedup_text,
    variant_label,
    verdict_text,
)

if TYPE_CHECKING:
    from pytest_inferopt.domain.result import RunResult, VariantResult

__all__ = ["Column", "Table", "arms", "figure_columns", "marked_verdict", "variants_table"]


@dataclass(frozen=True)
class Column:
    """A column's title, and whether its cells are figures, which are aligned at the right."""

    title: str
    is_figure: bool = False


@dataclass(frozen=True)
class Table:
    """Columns, and rows with a cell for each of them."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]


def figure_columns(*titles: str) -> tuple[Column, ...]:
    """Columns of figures."""
    return tuple(Column(title, is_figure=True) for title in titles)


def arms(result: RunResult) -> tuple[VariantResult, ...]:
    """All that was timed, in the order of the tables."""
    return (result.original, *result.context, *result.variants.values())


def variants_table(result: RunResult) -> Table:
    """Each variant on a line: the verdict, and the figures that decide which one is taken."""
    first, second = shown_batches(result)
    metric = result.original.accuracy.metric if result.original.accuracy else "accuracy"
    columns = (
        Column("variant"),
        Column("verdict"),
        *figure_columns("size", metric, f"batch {first} p50 / p95 / p99 ms"),
        *(() if second is None else figure_columns(f"batch {second} p50 ms")),
        *figure_columns("speed-up"),
        *(figure_columns("vs base") if has_baseline_figures(result) else ()),
    )
    return Table(columns, tuple(_variant_row(model, result, first, second) for model in arms(result)))


def _variant_row(model: VariantResult, result: RunResult, first: int, second: int | None) -> tuple[str, ...]:
    speedup = speedup_text(model.speedup.get(first))
    return (
        variant_label(model),
        marked_verdict(model, result),
        size_text(model.size_bytes),
        accuracy_text(model),
        percentiles_text(model, first, result),
        *(() if second is None else (percentiles_text(model, second, result, ("p50",)),)),
        speedup + "~" if result.request.quick and speedup != NOTHING else speedup,
        *((vs_base_text(model, first),) if has_baseline_figures(result) else ()),
    )


def marked_verdict(model: VariantResult, result: RunResult) -> str:
    """A variant's verdict in a few words, behind a sign."""
    verdict = verdict_text(model, result)
    if model.is_red:
        return f"❌ {verdict}"
    if any(map(is_warned, model.checks)):
        return f"⚠️ {verdict}"
    return f"✅ {verdict}" if model.role == "variant" and model.checks else verdict
