"""A request's gate: its variants' files beside those of the baseline, in fresh processes, until the verdict stands."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_inferopt.engine.duet.arm import LEAST_WARMUP_CALLS, WARMUP_NS
from pytest_inferopt.engine.duet.judging import MEDIAN, judge
from pytest_inferopt.engine.duet.process import DuetCell, plan_blocks
from pytest_inferopt.engine.duet.records import cell_records, gate_record, is_together
from pytest_inferopt.engine.gate.looks import LOOKS, MOST_REPLICATES
from pytest_inferopt.engine.worker.replicate import run_replicate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from pytest_inferopt.domain.comparison import CellComparison, Gate
    from pytest_inferopt.domain.request import OptimizationRequest
    from pytest_inferopt.engine.duet.judging import Replicate
    from pytest_inferopt.engine.worker.driver import Worker
    from pytest_inferopt.engine.worker.replicate import Command
    from pytest_inferopt.errors import InferoptError

__all__ = ["Pair", "Ruling", "judge_pairs", "predicted_seconds"]

NS_PER_MS = 1_000_000
NS_PER_SECOND = 1_000_000_000
# From the start of an interpreter to its first call, without what loading the rows and the models takes.
START_SECONDS = 0.6
# A process loads up to three files; and for one that never answers.
LOADS = 3
PATIENCE = 3
GRACE_SECONDS = 30


@dataclass(frozen=True)
class Pair:
    """The two files of a variant.

    Attributes:
        variant: its name.
        base: the commands that bring the baseline's file into a process that has the rows.
        head: likewise the candidate's.
        base_target: what the baseline's artifact is called there; `head_target` the candidate's.
        p50_ms: by batch size, about what a call takes, for telling how long it will be.
        base_python: the interpreter that runs the baseline's file; None for the process itself. Likewise `head_python`.
    """

    variant: str
    base: Sequence[Command]
    head: Sequence[Command]
    base_target: str
    head_target: str
    p50_ms: Mapping[int, float]
    base_python: str | None = None
    head_python: str | None = None


@dataclass(frozen=True)
class Ruling:
    """What a gate has found.

    Attributes:
        gate: the verdict on all cells; without the baseline's identity, which the caller knows.
        cells: by variant, p50 at each batch size, then each further percentile.
        errors: by variant, why it could not be measured; such a variant has no cells and no part in the verdict.
        is_together: whether only all cells together are proven slower, and no single one.
    """

    gate: Gate
    cells: Mapping[str, tuple[CellComparison, ...]]
    errors: Mapping[str, InferoptError]
    is_together: bool = False


def judge_pairs(
    request: OptimizationRequest,
    pairs: Sequence[Pair],
    *,
    prepare: Sequence[Command],
    open_worker: Callable[[], Worker],
    making_seconds: float = 0.0,
    samples: Path | None = None,
    on_progress: Callable[[str], None] = lambda _: None,
) -> Ruling:
    """Compare each pair at each batch size of a request.

    Args:
        request: at which batch sizes and percentiles, and what is allowed; its random seed is that of the coins.
        pairs: what is compared, at least one.
        prepare: the commands that begin a process and bring the rows.
        open_worker: makes a worker that has not been started.
        making_seconds: what loading the rows and making one variant took in the request's own worker; a process, which
            may have to do it for each file, is given up only well after that.
        samples: a folder for all timed calls, a file a process; None keeps none.
        on_progress: told how long it will take, and how far it is.

    Raises:
        InferoptError: a process crashed, hung, or could not take the rows.
    """
    cells = [DuetCell(pair.variant, size) for pair in pairs for size in request.batch_sizes]
    limits = request.slowdown_limits
    tails = [percentile for percentile in request.judged_percentiles if percentile != MEDIAN]
    a_process = predicted_seconds(pairs, request.batch_sizes, making_seconds)
    say = _prefixed(on_progress, f"gate of {request.name}")
    least, most = LOOKS[0].replicates, MOST_REPLICATES
    say(f"{least} to {most} processes, about {least * a_process:.0f} to {most * a_process:.0f} s")
    bring = [*prepare, *(command for pair in pairs for command in (*pair.base, *pair.head))]
    told = {
        pair.variant: {
            "base": pair.base_target,
            "head": pair.head_target,
            "base_python": pair.base_python,
            "head_python": pair.head_python,
        }
        for pair in pairs
    }

    def take(index: int, live: Sequence[DuetCell], control: DuetCell) -> Replicate:
        asked: dict[str, Any] = {
            "pairs": told,
            "cells": [cell._asdict() for cell in live],
            "control": control._asdict(),
            "seed": request.random_seed,
            "index": index,
            "percentiles": tails,
            "samples": None if samples is None else str(samples / f"replicate-{index:02}.npz"),
        }
        answer: Replicate = run_replicate(
            ("measure_duet", asked),
            open_worker=open_worker,
            prepare=bring,
            stage=f"gate of {request.name}, process {index + 1}",
            seconds=PATIENCE * (a_process + LOADS * making_seconds) + GRACE_SECONDS,
        )
        return answer

    ending = judge(cells, limits=limits, take=take, tails=tails, on_progress=say)
    return Ruling(gate_record(ending, limits), cell_records(ending), ending.errors, is_together(ending))


def _prefixed(say: Callable[[str], None], prefix: str) -> Callable[[str], None]:
    return lambda text: say(f"{prefix}: {text}")


def predicted_seconds(pairs: Sequence[Pair], batch_sizes: Sequence[int], making_seconds: float) -> float:
    """About what one process takes with all cells, one of them with the second copy of the baseline."""
    calls_ns = [max(int(_call_ms(size, pair.p50_ms) * NS_PER_MS), 1) for pair in pairs for size in batch_sizes]
    cells_ns = [2 * _warmup_ns(each) + plan_blocks(each, each).ns(each, each) for each in calls_ns]
    return START_SECONDS + making_seconds + (sum(cells_ns) + max(cells_ns) / 2) / NS_PER_SECOND


def _warmup_ns(call_ns: int) -> int:
    return max(WARMUP_NS, LEAST_WARMUP_CALLS * call_ns)


def _call_ms(batch_size: int, p50_ms: Mapping[int, float]) -> float:
    """The latency at a batch size that may not have been measured: that of the nearest one."""
    return p50_ms[min(p50_ms, key=lambda size: abs(math.log(size / batch_size)))] if p50_ms else 0.0
