"""The tables that a Markdown report folds away, as plain text; whoever draws them escapes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_inferopt.domain.gate_words import (
    cell_outcome_text,
    cells_of,
    change_text,
    environment_differences,
    operator_name,
    regression_of,
    score_change_text,
    signed_ms_text,
    size_change_text,
    telling_cell,
    vs_base_text,
)
from pytest_inferopt.domain.tables import Column, Table, arms, figure_columns
from pytest_inferopt.domain.words import (
    NOTHING,
    interval_text,
    is_calm,
    is_warned,
    ms_text,
    outcome_text,
    percentiles_text,
    size_text,
    speedup_text,
    variant_label,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_inferopt.domain.comparison import CellComparison, Gate
    from pytest_inferopt.domain.measured import Latency
    from pytest_inferopt.domain.report import Report
    from pytest_inferopt.domain.result import Check, RunResult, VariantResult

__all__ = [
    "base_table",
    "cells_table",
    "checks_table",
    "differences_table",
    "disagreements_table",
    "environment_table",
    "latency_table",
    "operators_table",
    "slices_table",
    "stages_table",
    "steps_table",
    "undone_table",
]

UNDONE = frozenset({"not_measured", "refused", "missing", "not_comparable", "new", "advisory"})


def latency_table(result: RunResult) -> Table:
    """All that was timed, a line a variant and batch size."""
    columns = (
        Column("variant"),
        *figure_columns("batch", "calls", "p50 ms", "95 % interval", "p95 ms", "p99 ms", "mean ± sd ms", "rows/s"),
        *figure_columns("cold call ms", "feed ms", "speed-up"),
    )
    rows = (
        _latency_row(model, latency, result)
        for batch_size in result.request.batch_sizes
        for model in arms(result)
        if (latency := model.latency.get(batch_size)) is not None
    )
    return Table(columns, tuple(rows))


def _latency_row(model: VariantResult, latency: Latency, result: RunResult) -> tuple[str, ...]:
    batch_size, rate, interval = latency.batch_size, latency.throughput_rows_per_second, latency.intervals.get("p50")
    wanted = latency.iterations_requested
    return (
        variant_label(model),
        str(batch_size),
        f"{latency.iterations:,}" if latency.iterations == wanted else f"{latency.iterations:,} of {wanted:,}",
        percentiles_text(model, batch_size, result, ("p50",)),
        (interval_text(interval.low, interval.high) if interval else "") or NOTHING,
        percentiles_text(model, batch_size, result, ("p95",)),
        percentiles_text(model, batch_size, result, ("p99",)),
        ms_text(latency.mean_ms) + ("" if latency.stddev_ms is None else f" ± {ms_text(latency.stddev_ms)}"),
        NOTHING if rate is None else f"{rate:,.0f}",
        ms_text(latency.cold_call_ms),
        ms_text(latency.feed_ms),
        speedup_text(model.speedup.get(batch_size)),
    )


def checks_table(result: RunResult) -> Table:
    """Every judgement with its evidence."""
    columns = (
        Column("variant"),
        Column("check"),
        Column("outcome"),
        *figure_columns("observed", "limit"),
        Column("reason"),
    )
    return Table(columns, tuple(_check_row(check) for check in result.checks))


def _check_row(check: Check) -> tuple[str, ...]:
    return (
        check.variant,
        f"{check.kind} {check.subject}".strip(),
        _marked(check),
        _figure(check.observed),
        _figure(check.limit),
        check.reason or NOTHING,
    )


def _marked(check: Check) -> str:
    mark = "❌" if check.is_red else "✅" if is_calm(check) else "⚠️"
    return f"{mark} {outcome_text(check.outcome)}{' (warned)' if is_warned(check) else ''}"


def _figure(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.4g}"


def base_table(result: RunResult) -> Table:
    """Each variant beside its baseline, in the cell that decided; what is slower first."""
    first = result.request.batch_sizes[0]
    metric = result.original.accuracy.metric if result.original.accuracy else "accuracy"
    columns = (
        Column("variant"),
        Column("against the base"),
        Column("at"),
        *figure_columns("base ms", "here ms", "change", "size", metric),
    )
    judged = ((model, check) for model in result.variants.values() if (check := regression_of(model)) is not None)
    ordered = sorted(judged, key=lambda found: (not found[1].is_red, is_calm(found[1])))
    return Table(columns, tuple(_base_row(model, check, first) for model, check in ordered))


def _base_row(model: VariantResult, check: Check, batch_size: int) -> tuple[str, ...]:
    cell = telling_cell(model, batch_size)
    return (
        model.name,
        _marked(check),
        f"batch {cell.batch_size} p{cell.percentile}" if cell else NOTHING,
        ms_text(cell.base_ms) if cell else NOTHING,
        ms_text(cell.head_ms) if cell else NOTHING,
        change_text(cell.slowdown) if cell else vs_base_text(model, batch_size),
        size_change_text(model),
        score_change_text(model),
    )


def cells_table(result: RunResult) -> Table:
    """All that was compared: each variant, batch size and percentile."""
    columns = (
        Column("variant"),
        *figure_columns("batch", "percentile"),
        Column("outcome"),
        *figure_columns("base ms", "here ms", "change", "would be seen", "processes", "calls"),
    )
    return Table(columns, tuple(_cell_row(model, cell, result.gate) for model, cell in cells_of(result)))


def _cell_row(model: VariantResult, cell: CellComparison, gate: Gate | None) -> tuple[str, ...]:
    found = cell.slowdown
    detectable = found.detectable if found else None
    return (
        model.name,
        str(cell.batch_size),
        f"p{cell.percentile}",
        cell_outcome_text(cell, gate) + (f": {cell.reason}" if cell.reason else ""),
        ms_text(cell.base_ms),
        ms_text(cell.head_ms),
        change_text(found),
        NOTHING if detectable is None else f"{100 * detectable:.1f} %",
        str(found.replicates) if found else NOTHING,
        NOTHING if cell.calls is None else f"{cell.calls:,}",
    )


def operators_table(result: RunResult) -> Table:
    """The operators that account for what has become slower."""
    columns = (
        Column("variant"),
        *figure_columns("batch"),
        Column("operator"),
        *figure_columns("base ms", "here ms", "change ms", "share"),
    )
    rows = (
        (
            model.name,
            NOTHING if found.operators_batch_size is None else str(found.operators_batch_size),
            operator_name(operator),
            ms_text(operator.base_ms),
            ms_text(operator.head_ms),
            signed_ms_text(operator.change_ms),
            NOTHING if operator.share is None else f"{100 * operator.share:.0f} %",
        )
        for model in result.variants.values()
        if (found := model.comparison) is not None
        for operator in found.operators
    )
    return Table(columns, tuple(rows))


def differences_table(result: RunResult) -> Table:
    """What differs between the machine that made the baseline and this one."""
    columns = (Column("what"), Column("baseline"), Column("here"))
    return Table(columns, environment_differences(result.gate, result.environment))


def disagreements_table(result: RunResult) -> Table:
    """The rows that a variant answers most differently: where they are and what was answered, not what is in them."""
    columns = (
        Column("variant"),
        *figure_columns("row", "expected", "original", "answered", "largest difference"),
    )
    rows = (
        (model.name, str(row.row), *(NOTHING if it is None else it for it in (row.expected, row.original, row.variant)),
         NOTHING if row.difference is None else f"{row.difference:.2g}")
        for model in result.variants.values()
        if model.conversion is not None
        for row in model.conversion.worst_rows
    )  # fmt: skip
    return Table(columns, tuple(rows))


def slices_table(result: RunResult) -> Table:
    """How right each variant is by class, or by quarter of the target; what lost most comes first."""
    columns = (
        Column("variant"),
        Column("rows that are"),
        *figure_columns("rows", "original", "variant's"),
        Column("measure"),
    )
    rows = (
        (model.name, found.name, f"{found.rows:,}", _short(found.original), _short(found.variant), found.measure)
        for model in result.variants.values()
        if model.accuracy is not None
        for found in model.accuracy.slices
    )
    return Table(columns, tuple(rows))


def _short(figure: float | None) -> str:
    return NOTHING if figure is None else f"{figure:.4g}"


def steps_table(result: RunResult) -> Table:
    """How each variant was made."""
    columns = (Column("variant"), Column("step"), *figure_columns("seconds", "size before", "size after"))
    rows = (
        (
            model.name,
            f"{step.name} (out of the cache)" if step.cached else step.name,
            f"{step.seconds:.2f}",
            size_text(step.size_before_bytes),
            size_text(step.size_after_bytes),
        )
        for model in result.variants.values()
        for step in model.steps
    )
    return Table(columns, tuple(rows))


def stages_table(result: RunResult) -> Table:
    """Where the time went."""
    columns = (Column("stage"), *figure_columns("seconds"))
    return Table(columns, tuple((name, f"{seconds:.2f}") for name, seconds in result.seconds.items()))


def undone_table(result: RunResult) -> Table:
    """What was asked for and not done or not decided, and why."""
    columns = (Column("variant"), Column("what"), Column("outcome"), Column("why, and what to do next"))
    return Table(columns, tuple(_undone(result)))


def _undone(result: RunResult) -> Iterator[tuple[str, ...]]:
    for check in result.checks:
        if check.outcome in UNDONE:
            reason = check.reason or (result.gate.reason if result.gate and check.kind == "regression" else "")
            why = f"{reason} {check.next_step}".strip()
            yield check.variant, f"{check.kind} {check.subject}".strip(), outcome_text(check.outcome), why or NOTHING
    for model, cell in cells_of(result):
        if cell.outcome == "advisory":
            yield model.name, f"batch {cell.batch_size} p{cell.percentile}", "advisory", cell.reason or NOTHING
    for model in arms(result):
        sizes = [str(size) for size in result.request.batch_sizes if size not in model.latency]
        if sizes and model.latency:
            yield model.name, f"batch {', '.join(sizes)}", "not timed", "measuring ended before it"


def environment_table(report: Report) -> Table:
    """The machine and the versions that the figures were taken on; a column each where there were several."""
    machines = [report.environment]
    machines += [result.environment for result in report.results]
    machines = [machine for at, machine in enumerate(machines) if machine not in machines[:at]]
    known = [dict(machine.facts) for machine in machines]
    names = dict.fromkeys(what for facts in known for what in facts)
    rows = [(what, *(facts.get(what, NOTHING) for facts in known)) for what in names]
    if len(machines) > 1:
        models = (
            ", ".join(result.name for result in report.results if result.environment == machine) or NOTHING
            for machine in machines
        )
        rows = [("models", *models), *rows]
    rows += [("pytest-inferopt", *[report.tool_version] * len(machines))]
    titles = ["which"] if len(machines) == 1 else [f"machine {number}" for number, _ in enumerate(machines, start=1)]
    return Table((Column("what"), *map(Column, titles)), tuple(rows))
