"""The table at the end of a pytest run."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, ClassVar

from pytest_inferopt.domain.plugins import Reporter
from pytest_inferopt.domain.text import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from pytest_inferopt.domain.result import Latency, RunResult, Speedup, VariantResult

__all__ = ["Terminal"]

NOTHING = "–"
LEAST_WIDTH = 80
DEFAULT_WIDTH = 180
TITLE_WIDTH = 140
UNBOUNDED = 1000
SECOND_BATCH = 32
PERCENTILES = ("p50", "p95", "p99")


class Terminal(Reporter):
    """A table a model, which leaves out detail on a narrow terminal, and what each step did below it."""

    name: ClassVar[str] = "terminal"
    needs: ClassVar[tuple[str, ...]] = ("rich",)

    def render(self, results: tuple[RunResult, ...]) -> str:
        """Draw the results as plain text; names from outside cannot colour or break it."""
        from rich.console import Console

        width = max(shutil.get_terminal_size((DEFAULT_WIDTH, 40)).columns, LEAST_WIDTH)
        console = Console(file=StringIO(), width=width, highlight=False, emoji=False, markup=False)
        for result in results:
            console.print(f" inferopt: {printable(result.name)} ".center(min(width, TITLE_WIDTH), "="), soft_wrap=True)
            console.print(_fitting_table(result, console))
            for line in _notes(result):
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
    """What a table shows beside variant, size, accuracy, latency, speed-up and verdict."""

    has_second_batch: bool = False
    has_accuracy_interval: bool = False
    has_speedup_interval: bool = False
    percentiles: tuple[str, ...] = PERCENTILES
    verdict_width: int = 20


def _table(result: RunResult, detail: Detail) -> Table:
    from rich.table import Table

    first, second = _shown_batches(result)
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
    table.add_column("verdict", overflow="fold", max_width=detail.verdict_width)
    for variant in (result.original, *result.context, *result.variants.values()):
        cells = [
            printable(_label(variant), limit=40),
            _size(variant),
            _accuracy(variant, with_interval=detail.has_accuracy_interval),
            _percentiles(variant, first, result, detail.percentiles),
        ]
        if second is not None:
            cells.append(_p50(variant, second))
        speedup = _speedup(variant.speedup.get(first), with_interval=detail.has_speedup_interval)
        speedup += "~" if result.request.quick and variant.speedup else ""
        table.add_row(*cells, speedup, printable(_verdict(variant, result), limit=400))
    return table


DETAILS = (
    Detail(has_second_batch=True, has_accuracy_interval=True, has_speedup_interval=True, verdict_width=60),
    Detail(has_second_batch=True, has_accuracy_interval=True, has_speedup_interval=True),
    Detail(has_accuracy_interval=True, has_speedup_interval=True),
    Detail(has_speedup_interval=True),
    Detail(verdict_width=16),
    Detail(percentiles=("p50",), verdict_width=16),
)


def _shown_batches(result: RunResult) -> tuple[int, int | None]:
    """The first batch size in full, and one larger beside it: 32 where it was measured, else the last."""
    sizes = result.request.batch_sizes
    rest = [size for size in sizes[1:] if size == SECOND_BATCH] or list(sizes[-1:] if len(sizes) > 1 else ())
    return sizes[0], rest[0] if rest else None


def _label(variant: VariantResult) -> str:
    return f"{variant.name} {variant.format}" if variant.role == "original" and variant.format else variant.name


def _size(variant: VariantResult) -> str:
    if variant.size_mb is None:
        return NOTHING
    return f"{variant.size_mb:.1f} MB" if variant.size_mb >= 1 else f"{variant.size_mb * 1000:.1f} kB"


def _accuracy(variant: VariantResult, *, with_interval: bool) -> str:
    found = variant.accuracy
    if found is None or found.score is None:
        return NOTHING
    if variant.role != "variant" or found.ratio is None:
        return f"{found.score:.4f}"
    low, high = (found.interval.low, found.interval.high) if found.interval else (None, None)
    interval = f" [{low:.3f},{high:.3f}]" if with_interval and low is not None and high is not None else ""
    return f"{found.score:.4f} ({found.ratio:.4f}{interval})"


def _percentiles(variant: VariantResult, batch_size: int, result: RunResult, shown: tuple[str, ...]) -> str:
    """The percentiles in milliseconds; ``~`` marks what the calls do not carry, or a quick run."""
    latency = variant.latency.get(batch_size)
    if latency is None:
        return NOTHING
    weak = PERCENTILES if result.request.quick else latency.advisory
    return " / ".join(f"{_ms(getattr(latency, f'{name}_ms'))}{'~' if name in weak else ''}" for name in shown)


def _p50(variant: VariantResult, batch_size: int) -> str:
    latency = variant.latency.get(batch_size)
    return NOTHING if latency is None else _ms(latency.p50_ms)


def _ms(milliseconds: float | None) -> str:
    """Three significant digits, down to tenths of a microsecond."""
    if milliseconds is None:
        return NOTHING
    for bound, digits in ((0.1, 4), (1, 3), (10, 2), (100, 1)):
        if milliseconds < bound:
            return f"{milliseconds:.{digits}f}"
    return f"{milliseconds:.0f}"


def _speedup(speedup: Speedup | None, *, with_interval: bool) -> str:
    if speedup is None or speedup.estimate is None:
        return NOTHING
    digits = 1 if speedup.estimate >= 1 else 2
    low, high = speedup.interval.low, speedup.interval.high
    is_shown = with_interval and low is not None and high is not None
    interval = f" [{low:.{digits}f},{high:.{digits}f}]" if is_shown else ""
    return f"{speedup.estimate:.{digits}f}×{interval}"


def _verdict(variant: VariantResult, result: RunResult) -> str:
    red = next((check for check in variant.checks if check.is_red), None)
    if red is not None:
        outcome = red.outcome.replace("_", " ")
        return f"{outcome}: {red.kind}" if red.outcome == "failed" else outcome
    if variant.role == "original":
        return "reference"
    if variant.role == "context":
        return "for context"
    if not variant.checks:
        return "not measured: the original was not"
    return "passed, best" if variant.name == result.best and len(result.variants) > 1 else "passed"


def _notes(result: RunResult) -> list[str]:
    lines = []
    if result.original.call:
        lines.append(f"  timed: original {result.original.call}; {_latency_note(result)}")
    for check in (check for check in result.checks if check.is_red):
        lines.append(f"  {check.variant}: {check.kind} {check.outcome.replace('_', ' ')}: {check.reason}")
        lines += [f"    next: {check.next_step}"] if check.next_step else []
    told: dict[str, list[str]] = {}
    for variant in result.variants.values():
        for sentence in _sentences(variant):
            told.setdefault(sentence, []).append(variant.name)
    lines += [f"  {', '.join(names)}: {sentence}" for sentence, names in told.items()]
    lines += [f"  {note}" for note in result.notes]
    if result.request.quick:
        lines.append("  quick run: every latency figure is advisory (~)")
    return [printable(line, limit=1000) for line in lines]


def _sentences(variant: VariantResult) -> list[str]:
    """What was found out about a variant beside its figures, and what its steps did."""
    found = variant.conversion
    opset = f"opset {found.opset}, " if found is not None and found.opset else ""
    compared = [f"{opset}{check.reason}" for check in variant.checks if check.kind == "conversion" and not check.is_red]
    steps = [f"{step.name}: {note}" for step in variant.steps for note in step.notes]
    return [*compared, *steps, *(variant.accuracy.notes if variant.accuracy else ())]


def _latency_note(result: RunResult) -> str:
    """Calls, cold call and feed building at the first batch size, which stand in no percentile."""
    first = result.request.batch_sizes[0]
    shown = [
        _aside(variant.name, latency)
        for variant in (result.original, *result.variants.values())
        if (latency := variant.latency.get(first)) is not None
    ]
    return f"batch {first}, apart from the percentiles: {'; '.join(shown)}" if shown else "nothing was timed"


def _aside(name: str, latency: Latency) -> str:
    count = "" if latency.iterations == latency.iterations_requested else f", {latency.iterations} calls only"
    return f"{name} cold call {_ms(latency.cold_call_ms)} ms, feed {_ms(latency.feed_ms)} ms{count}"
