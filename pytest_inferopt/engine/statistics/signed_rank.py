"""The signed-rank test, its estimate and its interval: exact, without a normal approximation and without simulation.

They take one figure for each independent replicate and suppose nothing but that the figures lie symmetrically about
their centre, so that one wild replicate among many counts as one rank and not as its size.

Sources:
    * F. Wilcoxon: Individual comparisons by ranking methods. Biometrics Bulletin 1 (1945): the test.
    * J. W. Pratt: Remarks on zeros and ties in the Wilcoxon signed rank procedures. Journal of the American
      Statistical Association 54 (1959): zeros keep their ranks and take no sign. Dropped zeros would make the test
      erratic: a figure that moves up to zero could make a centre above zero more certain.
    * J. L. Hodges, E. L. Lehmann: Estimates of location based on rank tests. Annals of Mathematical Statistics 34
      (1963): the estimate. M. Hollander, D. A. Wolfe, E. Chicken: Nonparametric Statistical Methods, 3rd ed. (2014),
      sections 3.1 to 3.3: the interval from Walsh averages.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["hodges_lehmann", "signed_rank_interval", "signed_rank_p", "walsh_averages"]

LEVEL = 0.95


def signed_rank_p(values: ArrayLike) -> float:
    """The exact one-sided p value of "the centre is at most 0" against "it is above 0".

    P(T ≥ t) for T the sum of the ranks of positive values, where each value that is not zero takes either sign with
    equal chance. Equal magnitudes share their mean rank, and the distribution is that of the shared ranks. For another
    bound subtract it first; for the other side negate.

    Args:
        values: one finite figure a replicate (n,), n ≥ 1; up to a few hundred.

    Raises:
        ValueError: there are none, or one is not finite.
    """
    figures = _figures(values)
    ranks = _doubled_ranks(np.abs(figures))
    observed = int(ranks[figures > 0].sum())
    chances = _chances(tuple(sorted(ranks[figures != 0].tolist())))
    return min(float(chances[observed:].sum()), 1.0)


def hodges_lehmann(values: ArrayLike) -> float:
    """The estimate that belongs to the test: the median of the Walsh averages."""
    return float(np.median(walsh_averages(values)))


def signed_rank_interval(values: ArrayLike, level: float = LEVEL) -> tuple[float, float | None, float | None]:
    """The Hodges-Lehmann estimate and the two-sided interval of the centre: all centres that the test does not reject.

    The limits are the k-th smallest and the k-th largest Walsh average, with k the largest number for which
    P(T < k) ≤ (1 − level)/2; equal tails, exact without ties, at least `level` with them.

    >>> signed_rank_interval([1, 2, 3, 4, 5, 6]), signed_rank_interval([1, 2, 3, 4, 5])
    ((3.5, 1.0, 6.0), (3.0, None, None))

    Args:
        values: one finite figure a replicate (n,), n ≥ 1.
        level: the coverage.

    Returns:
        Estimate, lower and upper limit; the limits are None where n values cannot carry the level (at 95 %, fewer
        than six).

    Raises:
        ValueError: there are no values, or one is not finite.
    """
    averages = walsh_averages(values)
    estimate = float(np.median(averages))
    n = np.asarray(values).size
    at_most = np.cumsum(_chances(tuple(range(2, 2 * n + 1, 2)))[::2])
    k = int(np.searchsorted(at_most, (1 - level) / 2, side="right"))
    return (estimate, float(averages[k - 1]), float(averages[-k])) if k else (estimate, None, None)


def walsh_averages(values: ArrayLike) -> NDArray[np.float64]:
    """The means of all pairs of values, each with itself too, in rising order (n·(n + 1)/2,)."""
    figures = _figures(values)
    first, second = np.triu_indices(figures.size)
    # Halves first: the sum of two large numbers may not be one.
    return np.sort(figures[first] / 2 + figures[second] / 2)


def _figures(values: ArrayLike) -> NDArray[np.float64]:
    figures = np.asarray(values, dtype=np.float64)
    if figures.ndim != 1 or not figures.size or not np.isfinite(figures).all():
        raise ValueError("signed ranks need at least one value, and each of them finite")
    return figures


def _doubled_ranks(magnitudes: NDArray[np.float64]) -> NDArray[np.intp]:
    """Twice the rank of each, from 1; equal ones share the mean of theirs, which doubled is a whole number."""
    _, place, counts = np.unique(magnitudes, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((2 * last - counts + 1)[place], dtype=np.intp)


@lru_cache(maxsize=256)
def _chances(doubled_ranks: tuple[int, ...]) -> NDArray[np.float64]:
    """P(sum = s) for s = 0, 1, …, where each rank counts with chance 1/2: by dynamic programming, rank after rank."""
    chances = np.zeros(sum(doubled_ranks) + 1)
    chances[0] = 1.0
    for rank in doubled_ranks:
        chances[rank:] += chances[: chances.size - rank].copy()
        chances /= 2
    chances.flags.writeable = False
    return chances
