"""Thousands of made-up gates decided at once, for statements on how often the gate is right.

That each gets the verdict of `pytest_inferopt.engine.gate.verdict.decide` is tested in
``tests/engine/gate/test_gate_level.py``.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pytest_inferopt.engine.gate.looks import LOOKS, MOST_REPLICATES, spend
from pytest_inferopt.engine.statistics.signed_rank import hodges_lehmann

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_inferopt.domain.slowdown import SlowdownLimits

OUTLIER_SHARE, OUTLIER_SIZE = 0.15, 4.0
# Of the mixture below, 1.4826 × the median absolute deviation for a normal core of sd 1.
ROBUST_SD = 1.1477
PROCESS_SD = 0.02
NEVER = MOST_REPLICATES + 1


def made_up(random: np.random.Generator, gates: int, cells: int, sd: float) -> NDArray[np.float64]:
    """Replicates of two equal files (gates, 24, cells): normal, and 15 % of them four times as wide.

    Args:
        random: where they come from.
        gates: how many gates.
        cells: of each gate.
        sd: the robust standard deviation of the whole, on the log scale.
    """
    normal = random.normal(scale=sd / ROBUST_SD, size=(gates, MOST_REPLICATES, cells))
    return np.where(random.random(normal.shape) < OUTLIER_SHARE, OUTLIER_SIZE * normal, normal)


def tail_values(random: np.random.Generator, percentile: int, gates: int, calls: int) -> NDArray[np.float64]:
    """Contrasts of a percentile of two equal files (gates, 24, 1), of so many calls of an arm in each replicate.

    A call is log-normal (10 %), one in ten has an exponential delay of a quarter on top; a process shifts its own tail
    by 2 %.
    """
    quantiles = [
        np.log(np.percentile(_calls(random, (gates, MOST_REPLICATES, calls)), percentile, axis=2)) for _ in range(2)
    ]
    shifts = random.normal(scale=PROCESS_SD, size=(gates, MOST_REPLICATES))
    return (quantiles[1] - quantiles[0] + shifts)[:, :, None]


def _calls(random: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    delays = np.where(random.random(shape) < 0.1, random.exponential(0.25, size=shape), 0.0)
    return np.exp(random.normal(scale=0.1, size=shape)) + delays


@cache
def null_p(n: int) -> NDArray[np.float64]:
    """P(T ≥ t) for t = 0, 1, … n(n + 1)/2: the signed-rank statistic of `n` values without ties or zeros."""
    chances = np.zeros(n * (n + 1) // 2 + 1)
    chances[0] = 1.0
    for rank in range(1, n + 1):
        chances[rank:] += chances[: chances.size - rank].copy()
        chances /= 2
    return np.cumsum(chances[::-1])[::-1]


def rank_sums(values: NDArray[np.float64]) -> NDArray[np.intp]:
    """The sum of the ranks of positive values, over the replicates: (gates, P, …) gives (gates, …)."""
    ranks = np.argsort(np.argsort(np.abs(values), axis=1), axis=1) + 1
    return np.sum(ranks * (values > 0), axis=1)


class Gates(NamedTuple):
    """What became of many gates.

    Attributes:
        red_at: replicates at which each was proven slower (gates,), and `passed_at` at which each had passed; 25 for
            never.
        dropped_at: replicates at which each cell passed (gates, cells).
    """

    red_at: NDArray[np.intp]
    passed_at: NDArray[np.intp]
    dropped_at: NDArray[np.intp]

    @property
    def stopped_at(self) -> NDArray[np.intp]:
        """Replicates of each cell (gates, cells), when it had passed or its gate had ended."""
        ended_at = np.minimum(np.minimum(self.red_at, self.passed_at), MOST_REPLICATES)
        return np.minimum(self.dropped_at, ended_at[:, None])

    def red(self, replicates: int = MOST_REPLICATES) -> float:
        """The share that is red by so many replicates."""
        return float(np.mean(self.red_at <= replicates))

    def passed(self, replicates: int = MOST_REPLICATES) -> float:
        """The share that has passed by so many replicates."""
        return float(np.mean(self.passed_at <= replicates))


def run_gates(values: NDArray[np.float64], limits: SlowdownLimits) -> Gates:
    """Decide many gates: values (gates, 24, cells) without ties, on the log scale."""
    count, _, cells = values.shape
    red_at, passed_at = np.full(count, NEVER), np.full(count, NEVER)
    dropped_at = np.full((count, cells), NEVER)
    for share in spend(cells):
        going = np.flatnonzero((red_at == NEVER) & (passed_at == NEVER))
        rows, p_of = values[going, : share.replicates], null_p(share.replicates)
        live = dropped_at[going] == NEVER
        together = p_of[rank_sums(rows.mean(axis=2) - limits.allowed_log)] <= share.together
        above = rank_sums(rows - limits.allowed_log)
        is_red = (together & live.all(axis=1)) | ((p_of[above] <= share.cell) & live).any(axis=1)
        is_below = (p_of[rank_sums(limits.caught_log - rows)] <= share.passed) & live
        has_passed = is_below & _estimate_is_allowed(rows, above, is_below, limits)
        dropped_at[going] = np.where(has_passed, share.replicates, dropped_at[going])
        red_at[going[is_red]] = share.replicates
        all_passed = (dropped_at[going] < NEVER).all(axis=1) & ~is_red
        passed_at[going[all_passed]] = share.replicates
    return Gates(red_at, passed_at, dropped_at)


def _estimate_is_allowed(
    rows: NDArray[np.float64], above: NDArray[np.intp], wanted: NDArray[np.bool_], limits: SlowdownLimits
) -> NDArray[np.bool_]:
    """Whether the Hodges-Lehmann estimate is at most what is allowed.

    The rank sum counts the Walsh averages above it (Tukey), so their median follows from it, but for the one count
    that splits an even number of averages into halves.
    """
    averages = rows.shape[1] * (rows.shape[1] + 1) // 2
    is_allowed = 2 * above < averages
    for gate, cell in np.argwhere(wanted & (2 * above == averages)):
        is_allowed[gate, cell] = hodges_lehmann(rows[gate, :, cell]) <= limits.allowed_log
    return is_allowed


def covered(values: NDArray[np.float64], centre: float, replicates: NDArray[np.intp]) -> float:
    """The share of 95 % Walsh intervals that hold the centre, each of a cell's first so many replicates.

    The lower limit is the k-th smallest Walsh average, so it lies below the centre where at least k of them do.

    Args:
        values: (gates, 24, cells).
        centre: the true one.
        replicates: how many each cell had when it stopped (gates, cells).
    """
    hits = []
    for look in LOOKS:
        above = rank_sums(values[:, : look.replicates] - centre)[replicates == look.replicates]
        averages = look.replicates * (look.replicates + 1) // 2
        k = averages + 1 - int(np.argmax(null_p(look.replicates) <= 0.025))
        hits.append((k <= above) & (above <= averages - k))
    return float(np.mean(np.concatenate(hits)))
