"""The tables of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_inferopt.domain.gate_words import has_baseline_figures
from pytest_inferopt.domain.selection import pareto_front
from pytest_inferopt.domain.words import NOTHING, PERCENTILES, ms_text, size_text, speedup_text
from pytest_inferopt.reporters._html_gate import vs_base_cell
from pytest_inferopt.reporters._html_parts import (
    Cell,
    Column,
    Row,
    Table,
    arm_cell,
    figure,
    interval_text,
    mark_cell,
    mark_of_check,
    mark_of_variant,
    number,
    plain,
    sentence,
    text,
)

if TYPE_CHECKING:
    from pytest_inferopt.domain.measured import Latency, Speedup
    from pytest_inferopt.domain.result import Check, RunResult, VariantResult
    from pytest_inferopt.reporters._arms import Arm

__all__ = ["checks_table", "disagreements_table", "latency_table", "slices_table", "steps_table", "variants_table"]

PERCENT = 100


def variants_table(result: RunResult, arms: tuple[Arm, ...]) -> Table:
    """All arms with their figures at the first batch size."""
    first = result.request.batch_sizes[0]
    metric = text(result.original.accuracy.metric, limit=40) if result.original.accuracy else "accuracy"
    columns = (
        Column("Variant"),
        Column("Verdict"),
        Column("Size", is_figure=True),
        Column(metric, is_figure=True),
        Column("Ratio", is_figure=True),
        *(Column(f"{name} ms", is_figure=True) for name in PERCENTILES),
        Column("Speed-up", is_figure=True),
        *((Column("vs base", is_figure=True),) if has_baseline_figures(result) else ()),
        *((Column("Memory", is_figure=True),) if _has_memory(result) else ()),
    )
    front = pareto_front(result)
    rows = (_variant_row(arm, result, first, is_on_front=arm.variant.name in front) for arm in arms)
    return Table(f"Variants; latency and speed-up at batch size {first}", columns, tuple(rows))


def _variant_row(arm: Arm, result: RunResult, batch_size: int, *, is_on_front: bool) -> Row:
    variant = arm.variant
    mark = mark_of_variant(variant, result)
    name = Cell(arm.label, "Pareto front" if is_on_front and variant.role != "context" else "", look=arm.look)
    latency = variant.latency.get(batch_size)
    figures = [_percentile(latency, name, result) for name in PERCENTILES]
    base = (vs_base_cell(variant, batch_size),) if has_baseline_figures(result) else ()
    speedup = _speedup(variant, batch_size)
    memory = (_memory(variant, result),) if _has_memory(result) else ()
    cells = (name, mark_cell(mark), _size(variant, result), *_accuracy(variant), *figures, speedup, *base, *memory)
    return Row(cells, tone=mark.tone)


def _has_memory(result: RunResult) -> bool:
    return any(variant.memory is not None for variant in (result.original, *result.variants.values()))


def _memory(variant: VariantResult, result: RunResult) -> Cell:
    """What loading and running it takes, beside the original's."""
    found, before = variant.memory, result.original.memory
    if found is None:
        return number(None, NOTHING)
    share = found.used_bytes / before.used_bytes if before and before.used_bytes else None
    detail = f"{PERCENT * share:.3g} %" if share is not None and variant.role == "variant" else ""
    return number(found.used_bytes, size_text(found.used_bytes), detail)


def _size(variant: VariantResult, result: RunResult) -> Cell:
    size, before = variant.size_bytes, result.original.size_bytes
    detail = f"{PERCENT * size / before:.3g} %" if size and before and variant.role == "variant" else ""
    return number(size, size_text(size), detail)


def _accuracy(variant: VariantResult) -> tuple[Cell, Cell]:
    found = variant.accuracy
    if found is None or found.score is None:
        return number(None, NOTHING), number(None, NOTHING)
    score = number(found.score, f"{found.score:.4f}", f"{found.rows} rows")
    if variant.role != "variant" or found.ratio is None:
        return score, number(None, NOTHING)
    return score, number(found.ratio, f"{found.ratio:.4f}", interval_text(found.interval, ".3f"))


def _percentile(latency: Latency | None, name: str, result: RunResult) -> Cell:
    milliseconds = None if latency is None else getattr(latency, f"{name}_ms")
    if latency is None or milliseconds is None:
        return number(None, NOTHING)
    interval = latency.intervals.get(name)
    limits = [] if interval is None else [interval.low, interval.high]
    detail = f"[{', '.join(map(ms_text, limits))}]" if any(limit is not None for limit in limits) else ""
    weak = "~" if result.request.quick or name in latency.advisory else ""
    return number(milliseconds, ms_text(milliseconds) + weak, detail)


def _speedup(variant: VariantResult, batch_size: int) -> Cell:
    found: Speedup | None = variant.speedup.get(batch_size)
    if found is None or found.estimate is None:
        return number(None, NOTHING)
    digits = ".1f" if found.estimate >= 1 else ".2f"
    return number(found.estimate, speedup_text(found, with_interval=False), interval_text(found.interval, digits))


def latency_table(result: RunResult, arms: tuple[Arm, ...]) -> Table:
    """Each arm at each batch size, with all that was timed."""
    columns = (
        Column("Variant"),
        *(Column(title, is_figure=True) for title in ("Batch size", "p50 ms", "p95 ms", "p99 ms", "Mean ms")),
        *(Column(title, is_figure=True) for title in ("Speed-up", "Rows a second", "Cold call ms", "Feed ms", "Calls")),
    )
    batches = dict.fromkeys(batch for arm in arms for batch in arm.variant.latency)
    rows = (
        _latency_row(arm, latency, result)
        for batch in batches
        for arm in arms
        if (latency := arm.variant.latency.get(batch)) is not None
    )
    return Table("Latency, every batch size", columns, tuple(rows))


def _latency_row(arm: Arm, latency: Latency, result: RunResult) -> Row:
    rate = latency.throughput_rows_per_second
    spread = "" if latency.stddev_ms is None else f"± {ms_text(latency.stddev_ms)}"
    wanted = latency.iterations_requested
    return Row(
        (
            arm_cell(arm),
            number(latency.batch_size, str(latency.batch_size)),
            *(_percentile(latency, name, result) for name in PERCENTILES),
            number(latency.mean_ms, ms_text(latency.mean_ms), spread),
            _speedup(arm.variant, latency.batch_size),
            number(rate, NOTHING if rate is None else f"{rate:,.0f}"),
            number(latency.cold_call_ms, ms_text(latency.cold_call_ms)),
            number(latency.feed_ms, ms_text(latency.feed_ms)),
            number(
                latency.iterations, f"{latency.iterations:,}", "" if latency.iterations == wanted else f"of {wanted:,}"
            ),
        )
    )


def checks_table(result: RunResult) -> Table:
    """Every judgement with its evidence."""
    columns = (
        Column("Variant"),
        Column("Check"),
        Column("Outcome"),
        *(Column(title, is_figure=True) for title in ("Observed", "Limit", "Interval")),
        Column("Reason"),
    )
    return Table("All checks", columns, tuple(_check_row(check) for check in result.checks))


def _check_row(check: Check) -> Row:
    mark = mark_of_check(check)
    what = f"{check.kind} {check.subject}".strip()
    low = check.interval.low if check.interval else None
    return Row(
        (
            plain(check.variant),
            plain(what),
            mark_cell(mark),
            number(check.observed, figure(check.observed)),
            number(check.limit, figure(check.limit)),
            number(low, interval_text(check.interval) or NOTHING),
            sentence(check.reason, f"Next: {check.next_step}" if check.next_step else ""),
        ),
        tone=mark.tone,
    )


def disagreements_table(arms: tuple[Arm, ...]) -> Table:
    """The rows that differ most from the original's answers: their numbers and labels, never what is in them."""
    columns = (
        Column("Variant"),
        Column("Row", is_figure=True),
        *(Column(title) for title in ("Expected", "Original", "Variant's answer")),
        Column("Largest difference", is_figure=True),
    )
    rows = (
        Row(
            (
                arm_cell(arm),
                number(found.row, str(found.row)),
                plain(found.expected),
                plain(found.original),
                plain(found.variant),
                number(found.difference, NOTHING if found.difference is None else f"{found.difference:.2g}"),
            ),
            tone="warn" if found.original != found.variant else "",
        )
        for arm in arms
        if arm.variant.conversion is not None
        for found in arm.variant.conversion.worst_rows
    )
    return Table("Rows that differ most", columns, tuple(rows))


def slices_table(arms: tuple[Arm, ...]) -> Table:
    """How right each variant is by class, or by quarter of the target; what lost most comes first."""
    columns = (
        Column("Variant"),
        Column("Rows that are"),
        Column("Rows", is_figure=True),
        Column("Measure"),
        Column("Original", is_figure=True),
        Column("Variant's", is_figure=True),
    )
    rows = (
        Row(
            (
                arm_cell(arm),
                plain(found.name),
                number(found.rows, f"{found.rows:,}"),
                plain(found.measure),
                number(found.original, NOTHING if found.original is None else f"{found.original:.4g}"),
                number(found.variant, NOTHING if found.variant is None else f"{found.variant:.4g}"),
            ),
            tone="warn" if found.lost > 0 else "",
        )
        for arm in arms
        if arm.variant.accuracy is not None
        for found in arm.variant.accuracy.slices
    )
    return Table("Accuracy by part", columns, tuple(rows))


def steps_table(arms: tuple[Arm, ...]) -> Table:
    """How each variant was made, and what a step could not do."""
    columns = (
        Column("Variant"),
        Column("Step"),
        Column("Seconds", is_figure=True),
        Column("Size before → after", is_figure=True),
        Column("Notes"),
    )
    rows = (
        Row(
            (
                arm_cell(arm),
                plain(step.name, "out of the cache, nothing had changed" if step.cached else ""),
                number(step.seconds, f"{step.seconds:.2f}"),
                number(
                    step.size_after_bytes, f"{size_text(step.size_before_bytes)} → {size_text(step.size_after_bytes)}"
                ),
                sentence(" · ".join(step.notes)),
            )
        )
        for arm in arms
        for step in arm.variant.steps
    )
    return Table("Steps", columns, tuple(rows))
