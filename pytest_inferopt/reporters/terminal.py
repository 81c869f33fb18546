"""The table at the end of a pytest run."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, ClassVar

from pytest_inferopt.domain.gate_summary import error_bound, gate_lines, is_told_by_gate
from pytest_inferopt.domain.gate_words import has_baseline_figures, vs_base_text
from pytest_inferopt.domain.headline import headline
from pytest_inferopt.domain.plugins import Reporter
from pytest_inferopt.domain.text import printable
from pytest_inferopt.domain.words import (
    NOTHING,
    PERCENTILES,
    accuracy_text,
    check_text,
    is_calm,
    latency_note,
    ms_text,
    percentiles_text,
    remarks,
    shown_batches,
    size_text,
    speedup_text,
    variant_label,
    verdict_text,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from pytest_inferopt.domain.report import Report
    from pytest_inferopt.domain.result import Check, RunResult, VariantResult

__all__ = ["Terminal"]

LEAST_WIDTH = 80
DEFAULT_WIDTH = 180
TITLE_WIDTH = 140
UNBOUNDED = 1000


class Terminal(Reporter):
    """A table a model, which leaves out detail on a narrow terminal, and what each step did below it."""

    name: ClassVar[str] = "terminal"
    needs: ClassVar[tuple[str, ...]] = ("rich",)

    def render(self, report: Report) -> str:
        """Draw the results as plain text; names from outside cannot colour or break it."""
        from rich.console import Console

        width = max(shutil.get_terminal_size((DEFAULT_WIDTH, 40)).columns, LEAST_WIDTH)
        console = Console(file=StringIO(), width=width, highlight=False, emoji=False, markup=False)
        for result in report.results:
            console.print(f" inferopt: {printable(result.name)} ".center(min(width, TITLE_WIDTH), "="), soft_wrap=True)
            console.print(_fitting_table(result, console))
            for line in _notes(result):
                console.print(line, soft_wrap=True)
        for line in _closing(report):
            console.print(line, soft_wrap=True)
        text: str = console.file.getvalue()  # type: ignore[attr-defined]  # the StringIO above
        return text


def _fitting_table(result: RunResult, console: Console) -> Table:
    """The table with as much detail as the width holds; figures are never cut, columns are left out."""
    for detail in DETAILS:
        table = _table(result, detail)
        if table.__rich_measure__(console, console.options.update(max_width=UNBOUNDED)).maximum <= console.width:
            return table
    return table


@dataclass(frozen=True)
class Detail:
    """What a table shows beside variant, size, accuracy, latency, speed-up and verdict.

    The slow-down against the base is there only where something was compared.
    """

    has_second_batch: bool = False
    has_accuracy_interval: bool = False
    has_speedup_interval: bool = False
    has_base: bool = True
    has_base_interval: bool = False
    percentiles: tuple[str, ...] = PERCENTILES
    verdict_width: int = 20


def _table(result: RunResult, detail: Detail) -> Table:
    from rich.table import Table

    first, second = shown_batches(result)
    second = second if detail.has_second_batch else None
    table = Table(box=None, pad_edge=False, header_style="", padding=(0, 2, 0, 0))
    table.add_column("variant", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    metric = result.original.accuracy.metric if result.original.accuracy else "accuracy"
    table.add_column(printable(metric), no_wrap=True)
    table.add_column(f"batch {first} {'/'.join(detail.percentiles)} ms", no_wrap=True)
    if second is not None:
        table.add_column(f"batch {second} p50", justify="right", no_wrap=True)
    table.add_column("speed-up", no_wrap=True)
    has_base = detail.has_base and has_baseline_figures(result)
    if has_base:
        table.add_column("vs base", no_wrap=True)
    table.add_column("verdict", overflow="fold", max_width=detail.verdict_width)
    for variant in (result.original, *result.context, *result.variants.values()):
        cells = [
            printable(variant_label(variant), limit=40),
            size_text(variant.size_bytes),
            accuracy_text(variant, with_interval=detail.has_accuracy_interval),
            percentiles_text(variant, first, result, detail.percentiles),
        ]
        if second is not None:
            cells.append(_p50(variant, second))
        speedup = speedup_text(variant.speedup.get(first), with_interval=detail.has_speedup_interval)
        speedup += "~" if result.request.quick and variant.speedup else ""
        cells.append(speedup)
        if has_base:
            cells.append(vs_base_text(variant, first, with_interval=detail.has_base_interval))
        table.add_row(*cells, printable(verdict_text(variant, result), limit=400))
    return table


DETAILS = (
    Detail(
        has_second_batch=True,
        has_accuracy_interval=True,
        has_speedup_interval=True,
        has_base_interval=True,
        verdict_width=60,
    ),
    Detail(has_second_batch=True, has_accuracy_interval=True, has_speedup_interval=True, has_base_interval=True),
    Detail(has_accuracy_interval=True, has_speedup_interval=True, has_base_interval=True),
    Detail(has_speedup_interval=True, has_base_interval=True),
    Detail(has_base_interval=True, verdict_width=16),
    Detail(verdict_width=16),
    Detail(percentiles=("p50",), verdict_width=16),
    Detail(percentiles=("p50",), has_base=False, verdict_width=16),
)


def _p50(variant: VariantResult, batch_size: int) -> str:
    latency = variant.latency.get(batch_size)
    return NOTHING if latency is None else ms_text(latency.p50_ms)


def _is_told(check: Check, result: RunResult) -> bool:
    """The table has what passed, but not the figures of budgets; what the gate decided stands in its own lines."""
    return not is_told_by_gate(check, result) and (not is_calm(check) or check.kind == "budget")


def _by_urgency(check: Check) -> int:
    """What fails comes before what is only uncertain, and that before what passed."""
    return 0 if check.is_red else 2 if check.outcome == "passed" else 1


def _notes(result: RunResult) -> list[str]:
    lines = []
    if result.original.call:
        lines.append(f"  timed: original {result.original.call}; {latency_note(result)}")
    lines += [f"  {line}" for line in gate_lines(result)]
    for check in sorted((check for check in result.checks if _is_told(check, result)), key=_by_urgency):
        lines.append(f"  {check_text(check)}")
        lines += [f"    next: {check.next_step}"] if check.next_step else []
    lines += [f"  {remark}" for remark in remarks(result)]
    return [printable(line, limit=1000) for line in lines]


def _closing(report: Report) -> list[str]:
    """The session in a sentence, where a gate was asked for: what it does not protect, and how far it can be wrong."""
    if not any(result.gate for result in report.results):
        return []
    said = [f"inferopt: {headline(report)}", error_bound(report)]
    return [printable(line, limit=1000) for line in said if line]
