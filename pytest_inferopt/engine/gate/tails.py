"""The verdict on tails: p95 and p99 of a gate, with a 1 % of their own and wider limits than the median's.

The tests, the looks and the shares are the gate's; only the limits differ. A percentile that rests on too few calls is
advisory: its test keeps its level, but would find next to nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pytest_inferopt.domain.slowdown import SlowdownLimits
from pytest_inferopt.engine.gate.verdict import decide

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from pytest_inferopt.engine.gate.decision import Decision

__all__ = ["TAIL_CALLS", "TAIL_LIMITS", "TailDecision", "decide_tail"]

TAIL_CALLS = {95: 3_000, 99: 15_000}
"""The least timed calls of an arm, over all replicates together, by percentile."""
TAIL_LIMITS = SlowdownLimits(0.10, 0.25, "of a tail")


@dataclass(frozen=True)
class TailDecision:
    """What a look at one percentile decides.

    Attributes:
        percentile: in percent.
        decision: on the cells with enough calls; None where there is none of them.
        advisory: the cells with too few, each with what it has and what it needs.
    """

    percentile: int
    decision: Decision | None
    advisory: dict[str, str]


def decide_tail(percentile: int, values: ArrayLike, *, calls: Sequence[int], cells: Sequence[str]) -> TailDecision:
    """Decide one percentile of a gate from its replicates so far.

    Args:
        percentile: in percent: 95 or 99.
        values: ln(candidate / baseline) of the percentile, for each replicate and cell (P, C), P being one of the
            looks; NaN where a cell was no longer measured because it had passed here and at the median.
        calls: timed calls of each cell (C,), over all replicates, of the arm that has fewer.
        cells: their names (C,).

    Raises:
        ValueError: P is no look, the shapes do not fit, or a live cell lacks a finite figure.
    """
    needed = TAIL_CALLS[percentile]
    counted = dict(zip(cells, calls, strict=True))
    advisory = {
        cell: f"too few samples for p{percentile}: {count:,} calls an arm, needs {needed:,}"
        for cell, count in counted.items()
        if count < needed
    }
    enough = [cell for cell in cells if cell not in advisory]
    figures = np.asarray(values, dtype=np.float64)[:, [count >= needed for count in calls]]
    decision = decide(figures, TAIL_LIMITS, cells=enough) if enough else None
    return TailDecision(percentile, decision, advisory)
