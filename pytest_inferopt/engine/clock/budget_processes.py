"""What the budgets of a request have measured in fresh processes: which cells, how long, and what came back."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any

from pytest_inferopt.domain.budget import LatencyBudget
from pytest_inferopt.engine.clock.budgets import CALLS, PROCESSES, Figures, budget_unmeasured, judge_latency
from pytest_inferopt.engine.worker.replicate import run_replicates
from pytest_inferopt.errors import ERROR_KINDS, InferoptError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_inferopt.domain.request import BenchmarkSpec, OptimizationRequest
    from pytest_inferopt.domain.result import Check
    from pytest_inferopt.engine.worker.driver import Worker
    from pytest_inferopt.engine.worker.replicate import Command

__all__ = ["Arm", "Evidence", "latency_budgets", "measure_in_processes", "predicted_seconds"]

LONG_RUN_SECONDS = 10
# From the start of an interpreter to the first call of a session, without what loading the rows takes.
START_SECONDS = 0.6
# For a process that never answers.
GRACE_SECONDS = 30
MS_PER_SECOND = 1000
MUCH_STEAL = 0.01

Cell = dict[str, Any]


@dataclass(frozen=True)
class Arm:
    """One file that budgets are held against.

    Attributes:
        prepare: the commands that bring it and the rows into a process.
        target: its name there.
        p50_ms: by batch size, what was measured of it already.
        variants: those whose file it is.
    """

    prepare: Sequence[Command]
    target: str
    p50_ms: Mapping[int, float]
    variants: tuple[str, ...]


@dataclass
class Evidence:
    """What the processes gave: the answers of each arm's processes, or the error that ended them; by target."""

    answers: dict[str, list[dict[str, Any]] | InferoptError] = field(default_factory=dict)

    def judge(self, variant: str, target: str, request: OptimizationRequest) -> list[Check]:
        """The checks of a variant's latency budgets, in the order of the request."""
        return [self._judge_one(variant, target, budget, request) for budget in latency_budgets(request)]

    def _judge_one(self, variant: str, target: str, budget: LatencyBudget, request: OptimizationRequest) -> Check:
        answers = self.answers[target]
        if isinstance(answers, InferoptError):
            return budget_unmeasured(variant, budget, answers)
        batch_size = budget.batch_size or request.batch_sizes[0]
        cells = [cell for answer in answers for cell in answer["cells"] if cell["batch_size"] == batch_size]
        wrong = next((cell["error"] for cell in cells if "error" in cell), None)
        if wrong is not None:
            error = ERROR_KINDS[wrong["kind"]](wrong["message"], wrong["hint"])
            return budget_unmeasured(variant, budget, error)
        each_ms = [cell["percentiles_ms"][str(budget.percentile)] for cell in cells]
        return judge_latency(variant, budget, Figures(each_ms, min(cell["calls"] for cell in cells)))

    @property
    def _whole(self) -> list[dict[str, Any]]:
        return [answer for found in self.answers.values() if isinstance(found, list) for answer in found]

    @property
    def probe_ms(self) -> float | None:
        """The median over all processes of what the fixed piece of work took."""
        figures = [answer["probe_ms"] for answer in self._whole]
        return median(figures) if figures else None

    @property
    def notes(self) -> list[str]:
        """What a reader must know of the machine, beside the probe."""
        ticks, stolen = (sum(answer["sensors"][name] for answer in self._whole) for name in ("ticks", "stolen_ticks"))
        if stolen <= MUCH_STEAL * ticks:
            return []
        return [f"budgets: the host took {stolen / ticks:.0%} of the processors' time away while they were measured"]


def latency_budgets(request: OptimizationRequest) -> list[LatencyBudget]:
    """The budgets that need timing, in the order of the request."""
    return [budget for budget in request.budgets if isinstance(budget, LatencyBudget)]


def measure_in_processes(
    request: OptimizationRequest,
    arms: Sequence[Arm],
    *,
    open_worker: Callable[[], Worker],
    making_seconds: float = 0.0,
    on_progress: Callable[[str], None] = lambda _: None,
) -> Evidence:
    """Time each arm at each batch size that a budget names, in processes where nothing else runs.

    All processes together may measure for `request.measure_seconds`; their starts come on top.

    Args:
        request: with the budgets.
        arms: what is measured.
        open_worker: makes a worker that has not been started.
        making_seconds: what loading and all steps took in the request's own worker; a process, which may have to do
            them again, is given up only well after that.
        on_progress: told how long it will take, if that is long.
    """
    cells = _cells(request)
    seconds = request.measure_seconds / (PROCESSES * len(arms))
    spec = request.benchmark.model_copy(update={"measure_seconds": seconds})
    predicted = sum(predicted_seconds(cells, arm.p50_ms, spec) for arm in arms)
    if predicted >= LONG_RUN_SECONDS:
        on_progress(f"{request.name}: budgets: {PROCESSES * len(arms)} processes, about {predicted:.0f} s")
    evidence = Evidence()
    for arm in arms:
        command = ("measure_alone", {"target": arm.target, "cells": cells, "spec": spec.model_dump(mode="json")})
        replicates = run_replicates(
            PROCESSES,
            open_worker=open_worker,
            prepare=arm.prepare,
            measure=partial(_same, command),
            stage=f"budgets of {' and '.join(map(repr, arm.variants))}",
            seconds=2 * (seconds + making_seconds) + GRACE_SECONDS,
        )
        try:
            evidence.answers[arm.target] = list(replicates)
        except InferoptError as error:
            evidence.answers[arm.target] = error
    return evidence


def _same(command: Command, _: int) -> Command:
    """Nothing is balanced over these replicates: one model is alone in each of them."""
    return command


def predicted_seconds(cells: Sequence[Cell], p50_ms: Mapping[int, float], spec: BenchmarkSpec) -> float:
    """About what the processes of one arm will take together: their starts, warm-up and timed calls."""
    calls_ms: float = sum(
        (spec.warmup_iterations + cell["calls"]) * _call_ms(cell["batch_size"], p50_ms) for cell in cells
    )
    return PROCESSES * (START_SECONDS + min(calls_ms / MS_PER_SECOND, spec.measure_seconds))


def _call_ms(batch_size: int, p50_ms: Mapping[int, float]) -> float:
    """The latency at a batch size that may not have been measured: from the nearest one, growing with the rows."""
    nearest = min(p50_ms, key=lambda size: abs(size - batch_size), default=None)
    return 0.0 if nearest is None else p50_ms[nearest] * max(batch_size / nearest, 1.0)


def _cells(request: OptimizationRequest) -> list[Cell]:
    """Each batch size that a latency budget names, with its percentiles and the calls that all of them need."""
    percentiles: dict[int, set[int]] = {}
    for budget in latency_budgets(request):
        percentiles.setdefault(budget.batch_size or request.batch_sizes[0], set()).add(budget.percentile)
    return [
        {"batch_size": size, "percentiles": sorted(asked), "calls": max(CALLS[q] for q in asked)}
        for size, asked in percentiles.items()
    ]
