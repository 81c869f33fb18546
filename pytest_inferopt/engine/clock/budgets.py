"""The verdict on a budget, in figures and in words: pure functions of what was measured.

A file has one size. A latency is judged by several fresh processes: one process's memory layout and thread placement
hold for its whole life, so however many calls it times, it tells little about the next one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pytest_inferopt.domain.record import Interval
from pytest_inferopt.domain.result import Check, Outcome
from pytest_inferopt.domain.words import interval_text, ms_text, size_text
from pytest_inferopt.engine.statistics.signed_rank import signed_rank_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_inferopt.domain.budget import LatencyBudget, SizeBudget
    from pytest_inferopt.domain.measured import Latency
    from pytest_inferopt.errors import InferoptError

__all__ = ["CALLS", "PROCESSES", "Figures", "budget_unmeasured", "judge_latency", "judge_quick_latency", "judge_size"]

PROCESSES = 6
CALLS = {50: 50, 95: 200, 99: 1000}
"""The least timed calls a process, by percentile."""
MS_RESOLVED = 1e-6  # of the clock, which counts nanoseconds


class Figures(NamedTuple):
    """One percentile at one batch size, as fresh processes gave it.

    Attributes:
        each_ms: one figure a process.
        calls: how many calls each of them timed; the least of them.
    """

    each_ms: Sequence[float]
    calls: int


def judge_size(variant: str, budget: SizeBudget, size_bytes: int) -> Check:
    """Judge the size of a variant's file: passed below the limit, failed on it; figures in bytes."""
    has_passed = size_bytes < budget.limit_bytes
    return Check(
        kind="budget",
        variant=variant,
        subject=budget.text,
        outcome="passed" if has_passed else "failed",
        observed=size_bytes,
        limit=budget.limit_bytes,
        reason=f"{size_text(size_bytes)}{'' if has_passed else f', {size_bytes:,} bytes'}.",
        next_step="" if has_passed else "Use a smaller model or a technique that shrinks it, or allow more.",
    )


def judge_latency(variant: str, budget: LatencyBudget, figures: Figures) -> Check:
    """Judge a percentile by the signed-rank interval of its logarithm over processes; figures in milliseconds.

    Passed if the whole interval lies below the limit, failed if none of it does, else advisory; advisory, too, where
    a process timed too few calls for the percentile.
    """
    logs = np.log(np.maximum(figures.each_ms, MS_RESOLVED))
    estimate, low, high = (None if log is None else float(np.exp(log)) for log in signed_rank_interval(logs))
    outcome, prefix, next_step = _decide(budget, figures.calls, low, high)
    processes = len(figures.each_ms)
    shown = " ".join(filter(None, [f"{ms_text(estimate)} ms", interval_text(low, high)]))
    return Check(
        kind="budget",
        variant=variant,
        subject=budget.text,
        outcome=outcome,
        observed=estimate,
        limit=budget.limit_ms,
        interval=Interval(low=low, high=high, method=f"signed ranks over {processes} processes"),
        reason=f"{prefix}{shown} over {processes} processes of {figures.calls:,} calls.",
        next_step=next_step,
    )


def _decide(budget: LatencyBudget, calls: int, low: float | None, high: float | None) -> tuple[Outcome, str, str]:
    """The outcome, what goes before the figures, and what to do."""
    needed = CALLS[budget.percentile]
    if calls < needed:
        few = f"too few samples for p{budget.percentile}: {calls:,} calls a process, needs {needed:,}; "
        return "advisory", few, "Raise measure_seconds."
    if high is not None and high < budget.limit_ms:
        return "passed", "", ""
    if low is not None and low >= budget.limit_ms:
        return "failed", "", "Use a faster technique, a smaller model or fewer rows a call, or allow more."
    return "advisory", "not certain: ", "Measure on a quieter machine, or leave more room below the budget."


def judge_quick_latency(variant: str, budget: LatencyBudget, latency: Latency | None) -> Check:
    """What a quick run says about a latency: the figure of its one process where it measured the batch, never more."""
    observed = None if latency is None else getattr(latency, f"p{budget.percentile}_ms")
    told = "this batch size was not measured"
    if latency is not None:
        told = f"{ms_text(observed)} ms in one process of {latency.iterations:,} calls"
    return Check(
        kind="budget",
        variant=variant,
        subject=budget.text,
        outcome="advisory",
        observed=observed,
        limit=budget.limit_ms,
        reason=f"not certain in a quick run: {told}.",
        next_step="Run without quick to have it judged.",
    )


def budget_unmeasured(variant: str, budget: LatencyBudget, error: InferoptError) -> Check:
    """A latency that could not be measured, and why."""
    return Check(
        kind="budget",
        variant=variant,
        subject=budget.text,
        outcome="refused" if error.kind == "refused" else "not_measured",
        limit=budget.limit_ms,
        reason=error.message,
        next_step=error.hint,
    )
