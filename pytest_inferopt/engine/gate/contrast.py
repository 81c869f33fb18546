"""What one replicate says: the candidate against the baseline as one figure, on the log scale.

0.05 is about 5 % slower. Swapping the arms negates a figure, and a machine that is slower as a whole does not change
it. A call of 0 ns counts as one of 1 ns, the clock's resolution.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["block_contrast", "tail_contrast"]

NS_RESOLVED = 1


def block_contrast(baseline: Sequence[ArrayLike], candidate: Sequence[ArrayLike]) -> float:
    """The median over blocks j of ln median(candidate_j) - ln median(baseline_j).

    A median of medians, because a burst of calls is disturbed as a whole or not at all, and few of them are.

    Args:
        baseline: for each block, its timed calls in nanoseconds (n_j,), n_j ≥ 1.
        candidate: the same blocks; their numbers of calls may differ.

    Raises:
        ValueError: there is no block, one has no calls, or the arms differ in their number of blocks.
    """
    if not baseline or len(baseline) != len(candidate):
        raise ValueError(f"{len(baseline)} blocks against {len(candidate)}: needs as many of each, and at least one")
    ratios = [_log_quantile(b, 50) - _log_quantile(a, 50) for a, b in zip(baseline, candidate, strict=True)]
    return float(np.median(ratios))


def tail_contrast(baseline: ArrayLike, candidate: ArrayLike, percentile: int) -> float:
    """The contrast of a percentile, ln Q(candidate) - ln Q(baseline), each over all timed calls of the replicate.

    Args:
        baseline: its timed calls in nanoseconds (n,), n ≥ 1.
        candidate: likewise; the numbers may differ.
        percentile: in percent; interpolated (Hyndman & Fan type 7).

    Raises:
        ValueError: an arm has no calls.
    """
    return _log_quantile(candidate, percentile) - _log_quantile(baseline, percentile)


def _log_quantile(samples_ns: ArrayLike, percentile: float) -> float:
    samples: NDArray[np.float64] = np.asarray(samples_ns, dtype=np.float64)
    if not samples.size:
        raise ValueError("no calls were timed, so there is no figure")
    return float(np.log(max(np.percentile(samples, percentile), NS_RESOLVED)))
