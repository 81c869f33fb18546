"""Gates put together from recorded replicates, and judged by the code that judges real ones.

A gate is six whole fours of a series, drawn with replacement and kept in their inner order: so each has its coins as
balanced as a real one, and the cell of the control is the one whose turn it would be. Two things differ. A real gate's
control goes round among the cells that are still live, here among all; and a real gate's replicates are taken within a
minute or two, these at any time of the recording. What that hides, live gates show.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.gate.replicates import CELLS
from pytest_inferopt.domain.slowdown import parse_max_slowdown
from pytest_inferopt.engine.duet.judging import Ending, judge
from pytest_inferopt.engine.gate.coins import BALANCED_WITHIN
from pytest_inferopt.engine.gate.looks import MOST_REPLICATES
from pytest_inferopt.engine.statistics.signed_rank import hodges_lehmann

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from benchmarks.gate.recorded import Recorded
    from pytest_inferopt.engine.duet.judging import Replicate
    from pytest_inferopt.engine.duet.process import DuetCell

MAX_SLOWDOWN = "5%"
LIMITS = parse_max_slowdown(MAX_SLOWDOWN)
TICKS = 1_000_000
FOURS = MOST_REPLICATES // BALANCED_WITHIN


@dataclass(frozen=True)
class Tally:
    """What became of many gates.

    Attributes:
        gates: how many.
        regressed: how many were red, `passed` and `inconclusive` likewise; together all of them.
        contaminated: how many were inconclusive because the baseline's copies differed.
        replicates: the median of processes used, and of `seconds`.
        seconds_90: what nine gates in ten stay below.
    """

    gates: int
    regressed: int
    passed: int
    inconclusive: int
    contaminated: int
    replicates: float
    seconds: float
    seconds_90: float


def draw(replicates: int, *, gates: int, seed: int) -> NDArray[np.intp]:
    """Which replicates make each gate (gates, 24): six whole fours with replacement.

    Args:
        replicates: how many are recorded; what follows the last whole four is left out.
        gates: how many.
        seed: of the draw.

    Raises:
        ValueError: there is no whole four.
    """
    fours = replicates // BALANCED_WITHIN
    if not fours:
        raise ValueError(f"{replicates} replicates are no whole four")
    drawn = np.random.default_rng(seed).integers(fours, size=(gates, FOURS, 1))
    return (drawn * BALANCED_WITHIN + np.arange(BALANCED_WITHIN)).reshape(gates, MOST_REPLICATES)


def judged(recorded: Recorded, *, gates: int, seed: int) -> Iterator[Ending]:
    """Judge gates of a series, one after the other."""
    for order in draw(len(recorded), gates=gates, seed=seed):
        yield judge_recorded(recorded, order)


def judge_recorded(recorded: Recorded, order: NDArray[np.intp]) -> Ending:
    """Judge one gate by the engine's own `judge`, whose clock runs as long as the processes took.

    Args:
        recorded: the series.
        order: which of its replicates, in the order the gate takes them.
    """
    passed = 0.0

    def take(index: int, live: Sequence[DuetCell], _: DuetCell) -> Replicate:
        nonlocal passed
        row = order[index]
        passed += float(recorded.seconds[row])
        return _replicate(recorded, int(row), live)

    return judge(CELLS, limits=LIMITS, take=take, clock=lambda: passed)


def _replicate(recorded: Recorded, row: int, live: Sequence[DuetCell]) -> dict[str, Any]:
    cells = [
        {
            **cell._asdict(),
            "contrast": float(recorded.contrast[row, column]),
            "calls": {"base": int(recorded.calls[row, column, 0]), "head": int(recorded.calls[row, column, 1])},
        }
        for column, cell in enumerate(CELLS)
        if cell in live
    ]
    sensors = {"ticks": TICKS, "stolen_ticks": int(TICKS * recorded.stolen[row])}
    return {"cells": cells, "control": {"contrast": float(recorded.control[row])}, "sensors": sensors}


def tally(endings: Sequence[Ending]) -> Tally:
    """Count them."""
    verdicts = [ending.verdict for ending in endings]
    seconds = [ending.seconds for ending in endings]
    return Tally(
        gates=len(endings),
        regressed=verdicts.count("regressed"),
        passed=verdicts.count("passed"),
        inconclusive=verdicts.count("inconclusive"),
        contaminated=sum(ending.is_contaminated for ending in endings),
        replicates=float(np.median([len(ending.replicates) for ending in endings])),
        seconds=float(np.median(seconds)),
        seconds_90=float(np.percentile(seconds, 90)),
    )


def robust_sd(values: NDArray[np.float32]) -> list[float]:
    """1.4826 × the median absolute deviation of each cell (n, C)."""
    centred = np.abs(values - np.median(values, axis=0))
    return [float(one) for one in 1.4826 * np.median(centred, axis=0)]


def slowdowns(values: NDArray[np.float32]) -> list[float]:
    """The slow-down of each cell (n, C) by Hodges and Lehmann, over all replicates."""
    return [math.expm1(hodges_lehmann(column)) for column in values.astype(np.float64).T]
