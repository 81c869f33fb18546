"""A candidate beside its baseline in words: the short texts that every report shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pytest_inferopt.domain.slowdown import SlowdownLimits
from pytest_inferopt.domain.words import NOTHING, ms_text, outcome_text, size_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_inferopt.domain.comparison import (
        CellComparison,
        Disturbance,
        Gate,
        OperatorChange,
        SlowdownEstimate,
    )
    from pytest_inferopt.domain.environment import Environment
    from pytest_inferopt.domain.result import Check, RunResult, VariantResult

__all__ = [
    "MEDIAN",
    "BesideBase",
    "allowed_text",
    "base_text",
    "beside_base",
    "cell_outcome_text",
    "cell_text",
    "cells_of",
    "change_text",
    "disturbance_text",
    "environment_differences",
    "has_baseline_figures",
    "has_caveat",
    "milliseconds_text",
    "operator_name",
    "percent_text",
    "regression_of",
    "score_change_text",
    "signed_ms_text",
    "size_change_text",
    "slower_text",
    "telling_cell",
    "vs_base_text",
    "worst_cell",
]

MEDIAN = 50
SAME_FILE = "same file"


class BesideBase(NamedTuple):
    """A percentile of a variant and of its baseline, over the same processes.

    Attributes:
        base_ms: the baseline's, in milliseconds; `head_ms` the variant's.
        slowdown: the gate's own estimate, where it judged the percentile.
        is_regressed: whether it is proven slower than allowed.
    """

    base_ms: float
    head_ms: float
    slowdown: SlowdownEstimate | None = None
    is_regressed: bool = False

    @property
    def text(self) -> str:
        """``0.536 (+7.2 % [+6.1,+8.3], was 0.500)``, in milliseconds; without an interval where nothing was judged."""
        is_judged = self.slowdown is not None and self.slowdown.estimate is not None
        change = change_text(self.slowdown) if is_judged else percent_text(self.head_ms / self.base_ms - 1)
        return f"{ms_text(self.head_ms)} ({change}, was {ms_text(self.base_ms)})"


def beside_base(variant: VariantResult, batch_size: int, percentile: int) -> BesideBase | None:
    """A percentile beside the baseline's; None where they were not timed beside each other.

    What the gate did not judge is read off the quantiles of the processes that it took for the median.
    """
    found = variant.comparison
    cell = None if found is None else found.cell(batch_size, percentile)
    if cell is not None and cell.base_ms and cell.head_ms is not None:
        return BesideBase(cell.base_ms, cell.head_ms, cell.slowdown, cell.outcome == "regressed")
    median = None if found is None else found.cell(batch_size)
    if median is None or min(len(median.base_quantiles_ms), len(median.head_quantiles_ms)) <= percentile:
        return None
    base_ms, head_ms = median.base_quantiles_ms[percentile], median.head_quantiles_ms[percentile]
    return BesideBase(base_ms, head_ms) if base_ms > 0 else None


def percent_text(share: float | None) -> str:
    """``+7.2 %``."""
    return NOTHING if share is None else f"{100 * share:+z.1f} %"


def change_text(slowdown: SlowdownEstimate | None, *, with_interval: bool = True) -> str:
    """``+0.3 % [-0.4,+1.1]``, as it stands in a column."""
    if slowdown is None or slowdown.estimate is None:
        return NOTHING
    low, high = slowdown.interval.low, slowdown.interval.high
    change = percent_text(slowdown.estimate)
    if not with_interval or low is None or high is None:
        return change
    return f"{change} [{100 * low:+z.1f},{100 * high:+z.1f}]"


def slower_text(slowdown: SlowdownEstimate) -> str:
    """``7.2 % slower [6.1, 8.3]`` or ``3.0 % faster [2.1, 3.9]``, as it stands in a sentence."""
    if slowdown.estimate is None:
        return "of no known speed"
    is_slower = slowdown.estimate >= 0
    low, high = slowdown.interval.low, slowdown.interval.high
    limits = ""
    if low is not None and high is not None:
        least, most = (low, high) if is_slower else (-high, -low)
        limits = f" [{100 * least:z.1f}, {100 * most:z.1f}]"
    return f"{100 * abs(slowdown.estimate):.1f} % {'slower' if is_slower else 'faster'}{limits}"


def base_text(gate: Gate | None) -> str:
    """``merge base 3f9c2e1``; what else the gate knows stands in `gate_facts`."""
    return gate.baseline.text if gate and gate.baseline else "the baseline"


def allowed_text(gate: Gate) -> str:
    """``allowed 2.0 % (0.4 × max_slowdown 5 %)``; empty where nothing was to be judged."""
    if gate.allowed is None or not gate.caught:
        return ""
    origin = f"{round(gate.allowed / gate.caught, 4):g} × max_slowdown {round(100 * gate.caught, 6):g} %"
    return f"allowed {SlowdownLimits(gate.allowed, gate.caught, origin).text}"


def cell_text(variant: str, cell: CellComparison) -> str:
    """``int8 at batch 16``, and the percentile where it is not the median."""
    tail = "" if cell.percentile == MEDIAN else f", p{cell.percentile}"
    return f"{variant} at batch {cell.batch_size}{tail}"


def cell_outcome_text(cell: CellComparison, gate: Gate | None) -> str:
    """A cell's outcome; of one that a red gate stopped before, ``not judged alone``.

    Its figure may be far above what is allowed: single cells have their say later than all of them together.
    """
    is_stopped = gate is not None and gate.verdict == "regressed" and cell.outcome == "inconclusive"
    return "not judged alone" if is_stopped else outcome_text(cell.outcome)


def milliseconds_text(cell: CellComparison) -> str:
    """``0.500 → 0.536 ms``: the baseline's, then the candidate's."""
    return f"{ms_text(cell.base_ms)} → {ms_text(cell.head_ms)} ms"


def cells_of(result: RunResult) -> Iterator[tuple[VariantResult, CellComparison]]:
    """All compared cells, in the order of the variants."""
    for variant in result.variants.values():
        for cell in variant.comparison.cells if variant.comparison else ():
            yield variant, cell


def worst_cell(result: RunResult, *outcomes: str) -> tuple[str, CellComparison] | None:
    """Of the cells with one of these outcomes, the variant and cell with the largest slow-down; None without any.

    A median comes before every other percentile, whose limit is wider.
    """
    found = [(variant.name, cell) for variant, cell in cells_of(result) if cell.outcome in outcomes and _is_known(cell)]
    return max(found, key=lambda one: _badness(one[1]), default=None)


def _is_known(cell: CellComparison) -> bool:
    return cell.slowdown is not None and cell.slowdown.estimate is not None


def _badness(cell: CellComparison) -> tuple[bool, float]:
    slowdown = cell.slowdown.estimate if cell.slowdown else None
    return cell.percentile == MEDIAN, slowdown or 0.0


def telling_cell(variant: VariantResult, batch_size: int) -> CellComparison | None:
    """The cell that a variant's outcome rests on: the worst one of that outcome, else the median at a batch size.

    Where only all cells together are proven slower, it is the worst of them.
    """
    check, found = regression_of(variant), variant.comparison
    if found is None or check is None:
        return None if found is None else found.cell(batch_size)
    known = list(filter(_is_known, found.cells))
    proven = [cell for cell in known if cell.outcome == check.outcome != "passed"]
    worst = max(proven or (known if check.outcome == "regressed" else ()), key=_badness, default=None)
    return worst or found.cell(batch_size)


def regression_of(variant: VariantResult) -> Check | None:
    """The regression check that speaks for a variant: a red one, else that on all its cells; None without any.

    A check with a subject is on one cell alone.
    """
    found = [check for check in variant.checks if check.kind == "regression"]
    return min(found, key=lambda check: (not check.is_red, check.subject != ""), default=None)


def has_caveat(result: RunResult) -> bool:
    """Whether a variant has passed beside its baseline and that says little: under another runtime, for example."""
    found = map(regression_of, result.variants.values())
    return any(check is not None and check.outcome == "advisory" for check in found)


def has_baseline_figures(result: RunResult) -> bool:
    """Whether there is more to say of a variant beside a baseline than that there is none, which the headline says."""
    checks = filter(None, map(regression_of, result.variants.values()))
    is_compared = any(variant.comparison for variant in result.variants.values())
    return is_compared or any(check.outcome != "new" for check in checks)


def vs_base_text(variant: VariantResult, batch_size: int, *, with_interval: bool = True) -> str:
    """The slow-down of the median at a batch size; without one, why: ``same file``, ``new``, ``missing``."""
    cell = variant.comparison.cell(batch_size) if variant.comparison else None
    if cell is not None and cell.slowdown is not None and cell.slowdown.estimate is not None:
        change = change_text(cell.slowdown, with_interval=with_interval)
        return f"{change}~" if cell.outcome == "advisory" else change
    check = regression_of(variant)
    if check is None:
        return NOTHING
    return SAME_FILE if check.outcome == "unchanged" else outcome_text(check.outcome)


def size_change_text(variant: VariantResult) -> str:
    """``2.6 MB (was 2.5 MB, +4.0 %)``; a dash where the baseline's is not known."""
    found = variant.comparison
    if found is None or found.base_size_bytes is None:
        return NOTHING
    change = "" if found.size_change is None else f", {percent_text(found.size_change)}"
    return f"{size_text(variant.size_bytes)} (was {size_text(found.base_size_bytes)}{change})"


def score_change_text(variant: VariantResult) -> str:
    """``0.9000 (was 0.9120, -0.0120)``; a dash where the baseline's is not known."""
    found = variant.comparison
    if found is None or found.base_score is None:
        return NOTHING
    score = variant.accuracy.score if variant.accuracy else None
    here = NOTHING if score is None else f"{score:.4f}"
    change = "not comparable" if found.score_change is None else f"{found.score_change:+z.4f}"
    return f"{here} (was {found.base_score:.4f}, {change})"


def operator_name(operator: OperatorChange) -> str:
    """``MatMul /dense/MatMul``, or ``3 × Relu`` where a line stands for several."""
    return f"{operator.count} × {operator.op_type}" if operator.count > 1 else f"{operator.op_type} {operator.name}"


def signed_ms_text(milliseconds: float) -> str:
    """``+0.0210``."""
    return f"{'-' if milliseconds < 0 else '+'}{ms_text(abs(milliseconds))}"


def disturbance_text(found: Disturbance) -> str:
    """What the machine did meanwhile, in short; what nobody counted is left out."""
    parts = []
    if found.steal_share is not None:
        worst = "" if found.worst_steal_share is None else f" (at worst {100 * found.worst_steal_share:.1f} %)"
        parts.append(f"steal {100 * found.steal_share:.1f} %{worst}")
    if found.pressure_share is not None:
        parts.append(f"waiting for a processor {100 * found.pressure_share:.1f} %")
    if found.lowest_mhz is not None and found.highest_mhz is not None:
        parts.append(f"{found.lowest_mhz:,.0f} to {found.highest_mhz:,.0f} MHz")
    parts.append(f"{found.involuntary_switches:,} involuntary switches")
    if found.repeated:
        parts.append(f"{found.repeated} {'process' if found.repeated == 1 else 'processes'} taken again")
    return ", ".join(parts)


def environment_differences(gate: Gate | None, here: Environment) -> tuple[tuple[str, str, str], ...]:
    """What differs between the machine that made the baseline and this one: what, there, here."""
    there = gate.baseline.environment if gate and gate.baseline else None
    if there is None:
        return ()
    before, now = dict(_described(there)), dict(_described(here))
    return tuple(
        (what, before.get(what, NOTHING), now.get(what, NOTHING))
        for what in dict.fromkeys((*now, *before))
        if before.get(what) != now.get(what)
    )


def _described(environment: Environment) -> Iterator[tuple[str, str]]:
    yield from environment.libraries.items()
    # After the libraries, so that none of them can take the place of one of these.
    yield "processor", f"{environment.cpu_count}× {environment.cpu_model}"
    yield "instructions", ", ".join(environment.isa_flags) or NOTHING
    yield "system", environment.system
    yield "Python", environment.python
