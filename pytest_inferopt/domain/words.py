"""Figures in words: the short texts that every report shares, so that all of them say the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_inferopt.domain.result import is_red
from pytest_inferopt.domain.selection import pareto_front

if TYPE_CHECKING:
    from pytest_inferopt.domain.measured import Latency, Speedup
    from pytest_inferopt.domain.result import Check, RunResult, VariantResult

__all__ = [
    "NOTHING",
    "PERCENTILES",
    "accuracy_text",
    "check_text",
    "interval_text",
    "is_calm",
    "is_warned",
    "latency_note",
    "ms_text",
    "outcome_of",
    "outcome_text",
    "percentiles_text",
    "remarks",
    "sentences",
    "shown_batches",
    "size_text",
    "speedup_text",
    "variant_label",
    "verdict_text",
]

NOTHING = "–"
PERCENTILES = ("p50", "p95", "p99")
SECOND_BATCH = 32
BYTES_PER_KB = 1000
BYTES_PER_MB = 1_000_000
CALM = frozenset({"passed", "improved", "unchanged"})
# What only a baseline makes of a variant that passed; every report has a column of its own for it.
SILENT = CALM | {"new", "not_comparable"}


def ms_text(milliseconds: float | None) -> str:
    """Three significant digits, down to tenths of a microsecond.

    >>> [ms_text(ms) for ms in (0.01234, 0.6251, 4.4, 38.06, 99.96, 1234.5, None)]
    ['0.0123', '0.625', '4.40', '38.1', '100', '1234', '–']
    """
    if milliseconds is None:
        return NOTHING
    for bound, digits in ((0.1, 4), (1, 3), (10, 2), (100, 1)):
        if round(milliseconds, digits) < bound:
            return f"{milliseconds:.{digits}f}"
    return f"{milliseconds:.0f}"


def size_text(size_bytes: float | None) -> str:
    """Bytes as MB (10⁶) or kB (10³), with one decimal."""
    if size_bytes is None:
        return NOTHING
    if round(size_bytes / BYTES_PER_KB, 1) < BYTES_PER_MB / BYTES_PER_KB:
        return f"{size_bytes / BYTES_PER_KB:.1f} kB"
    return f"{size_bytes / BYTES_PER_MB:.1f} MB"


def variant_label(variant: VariantResult) -> str:
    """A variant's name; the original's with its format."""
    return f"{variant.name} {variant.format}" if variant.role == "original" and variant.format else variant.name


def accuracy_text(variant: VariantResult, *, with_interval: bool = True) -> str:
    """The score, and for a variant its ratio to the original's: ``0.9120 (1.0000 [0.990,1.010])``."""
    found = variant.accuracy
    if found is None or found.score is None:
        return NOTHING
    if variant.role != "variant" or found.ratio is None:
        return f"{found.score:.4f}"
    low, high = (found.interval.low, found.interval.high) if found.interval else (None, None)
    interval = f" [{low:.3f},{high:.3f}]" if with_interval and low is not None and high is not None else ""
    return f"{found.score:.4f} ({found.ratio:.4f}{interval})"


def percentiles_text(
    variant: VariantResult, batch_size: int, result: RunResult, shown: tuple[str, ...] = PERCENTILES
) -> str:
    """The percentiles in milliseconds; ``~`` marks what the calls do not carry, or a quick run."""
    latency = variant.latency.get(batch_size)
    if latency is None:
        return NOTHING
    weak = PERCENTILES if result.request.quick else latency.advisory
    return " / ".join(f"{ms_text(getattr(latency, f'{name}_ms'))}{'~' if name in weak else ''}" for name in shown)


def interval_text(low: float | None, high: float | None) -> str:
    """``[0.610, 0.640]``, in milliseconds; empty without both limits."""
    return "" if low is None or high is None else f"[{ms_text(low)}, {ms_text(high)}]"


def speedup_text(speedup: Speedup | None, *, with_interval: bool = True) -> str:
    """``6.3× [6.1,6.4]``."""
    if speedup is None or speedup.estimate is None:
        return NOTHING
    digits = 1 if speedup.estimate >= 1 else 2
    low, high = speedup.interval.low, speedup.interval.high
    is_shown = with_interval and low is not None and high is not None
    interval = f" [{low:.{digits}f},{high:.{digits}f}]" if is_shown else ""
    return f"{speedup.estimate:.{digits}f}×{interval}"


def outcome_text(outcome: str) -> str:
    """``not_measured`` as ``not measured``."""
    return outcome.replace("_", " ")


def is_warned(check: Check) -> bool:
    """Whether it would fail the test if the gate did more than warn."""
    return check.gate == "warn" and is_red(check.outcome)


def is_calm(check: Check) -> bool:
    """Whether nobody has to do anything about it."""
    return check.outcome in CALM


def verdict_text(variant: VariantResult, result: RunResult) -> str:
    """A variant's verdict in a few words."""
    red = next((check for check in variant.checks if check.is_red), None)
    if red is not None:
        outcome = outcome_text(red.outcome)
        what = f"{red.kind} {red.subject}".strip()
        return f"{outcome}: {what}" if red.outcome == "failed" else outcome
    warned = next(filter(is_warned, variant.checks), None)
    if warned is not None:
        return f"warned: {outcome_text(warned.outcome)}"
    if variant.role == "original":
        return "reference"
    if variant.role == "context":
        return "for context"
    if not variant.checks:
        return "not measured: the original was not"
    return "passed, best" if variant.name == result.best and len(result.variants) > 1 else "passed"


def outcome_of(variant: VariantResult) -> str | None:
    """The outcome that speaks for a variant: what is red, else what is uncertain, else ``passed``; None unjudged."""
    worst = next((check for check in variant.checks if check.is_red), None) or next(
        (check for check in variant.checks if check.outcome not in SILENT), None
    )
    return worst.outcome if worst else "passed" if variant.checks else None


def check_text(check: Check) -> str:
    """``onnx: budget p95<5ms failed: …``, the reason included."""
    subject = f" {check.subject}" if check.subject else ""
    warned = " (warned)" if is_warned(check) else ""
    return f"{check.variant}: {check.kind}{subject} {outcome_text(check.outcome)}{warned}: {check.reason}"


def shown_batches(result: RunResult) -> tuple[int, int | None]:
    """The first batch size in full, and one larger beside it: 32 where it was measured, else the last."""
    sizes = result.request.batch_sizes
    rest = [size for size in sizes[1:] if size == SECOND_BATCH] or list(sizes[-1:] if len(sizes) > 1 else ())
    return sizes[0], rest[0] if rest else None


def sentences(variant: VariantResult) -> list[str]:
    """What was found out about a variant beside its figures, and what its steps did."""
    found = variant.conversion
    opset = f"opset {found.opset}, " if found is not None and found.opset else ""
    compared = [f"{opset}{check.reason}" for check in variant.checks if check.kind == "conversion" and not check.is_red]
    steps = [f"{step.name}: {note}" for step in variant.steps for note in step.notes]
    return [*compared, *steps, *(variant.accuracy.notes if variant.accuracy else ())]


def memory_note(result: RunResult) -> str:
    """What loading and running each took: ``memory: original 103 MB, onnx 9.8 MB``; empty where nobody measured it."""
    told = [
        f"{variant.name} {size_text(variant.memory.used_bytes)}"
        for variant in (result.original, *result.variants.values())
        if variant.memory is not None
    ]
    return f"memory, peak of loading and running, libraries included: {', '.join(told)}" if told else ""


def remarks(result: RunResult) -> list[str]:
    """What a reader must know beside the figures: what each step did, the Pareto front, and notes."""
    told: dict[str, list[str]] = {}
    for variant in result.variants.values():
        for sentence in sentences(variant):
            told.setdefault(sentence, []).append(variant.name)
    lines = []
    if result.probe_ms is not None:
        lines.append(f"budgets: this machine took {ms_text(result.probe_ms)} ms for a fixed probe")
    lines += filter(None, [memory_note(result)])
    lines += [f"{', '.join(names)}: {sentence}" for sentence, names in told.items()]
    front = pareto_front(result)
    if len(result.variants) > 1 and front:
        first = result.request.batch_sizes[0]
        lines.append(f"on the Pareto front of p95 at batch {first}, accuracy and size: {', '.join(front)}")
    lines += result.notes
    return [*lines, "quick run: every latency figure is advisory (~)"] if result.request.quick else lines


def latency_note(result: RunResult) -> str:
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
    return f"{name} cold call {ms_text(latency.cold_call_ms)} ms, feed {ms_text(latency.feed_ms)} ms{count}"
