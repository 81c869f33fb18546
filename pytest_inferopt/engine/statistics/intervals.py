"""Percentiles, intervals and the arithmetic of evidence: pure functions of numbers, no clock and no model.

An interval is a pair (low, high); a limit that the sample cannot carry is None.

Sources:
    * R. J. Hyndman, Y. Fan: Sample quantiles in statistical packages. The American Statistician 50 (1996), type 7.
    * H. A. David, H. N. Nagaraja: Order Statistics, 3rd ed. (2003), section 7.1: the interval of a quantile.
    * N.-S. Tang, M.-L. Tang, I. S. F. Chan: On tests of equivalence via non-unity relative risk for matched-pair
      design. Statistics in Medicine 22 (2003); J. Nam, W. C. Blackwelder: Analysis of the ratio of marginal
      probabilities in a matched-pair setting. Statistics in Medicine 21 (2002): the score interval.
    * B. Efron, R. J. Tibshirani: An Introduction to the Bootstrap (1993), chapter 13: the percentile interval.
"""

from __future__ import annotations

import math
import sys
from functools import lru_cache
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "block_ratio_interval",
    "carries",
    "order_statistic_ranks",
    "paired_bootstrap",
    "paired_proportion_ratio_interval",
    "paired_proportion_ratio_z",
    "percentile_interval_ms",
    "percentile_ms",
    "proportion_interval",
    "rows_to_settle",
]

NS_PER_MS = 1_000_000
LEVEL = 0.95
# 1.96 + 0.84: a two-sided test at 5 % that finds an effect of this many standard errors in 80 % of all samples.
Z_TO_SETTLE = 2.8
MIN_BOOTSTRAP_UNITS = 10
# A draw on which the score is undefined could lie at either end, so more of them than the interval leaves out void it.
MAX_UNDEFINED_DRAWS = 0.05
# More rows than anyone labels: a ratio that needs them lies on the threshold.
MAX_ROWS = 10**9


def percentile_ms(samples_ns: Sequence[int] | NDArray[np.int64], q: float) -> float:
    """The percentile `q` (in percent) of durations in nanoseconds, in milliseconds.

    Linear interpolation between order statistics (Hyndman & Fan type 7, NumPy's default).

    Raises:
        ValueError: no samples, or `q` is not from 1 up to below 100.
    """
    _fraction(q)
    samples = np.asarray(samples_ns)
    if not samples.size:
        raise ValueError("no samples, so there is no percentile")
    return float(np.percentile(samples, q)) / NS_PER_MS


def percentile_interval_ms(
    samples_ns: Sequence[int] | NDArray[np.int64], q: float, level: float = LEVEL
) -> tuple[float | None, float | None]:
    """The distribution-free interval of a percentile, from two order statistics, in milliseconds.

    Its coverage is at least `level` for independent samples of any distribution; timed calls of one process are
    not independent, so it describes this process only. See `order_statistic_ranks` for the sample it needs.

    Args:
        samples_ns: durations in nanoseconds (n,).
        q: the percentile, in percent: 50, 95, 99.
        level: the least coverage.
    """
    samples = np.asarray(samples_ns)
    ranks = order_statistic_ranks(samples.size, q, level)
    wanted = [rank - 1 for rank in ranks if rank is not None]
    if not wanted:
        return None, None
    ordered = np.partition(samples, wanted)
    low, high = (None if rank is None else float(ordered[rank - 1]) / NS_PER_MS for rank in ranks)
    return low, high


def carries(q: float, n: int, level: float = LEVEL) -> bool:
    """Whether `n` samples carry both limits of the interval of percentile `q` (in percent).

    At 95 %: 6 samples for p50, 72 for p95, 368 for p99 and 3,688 for p99.9.
    """
    return None not in order_statistic_ranks(n, q, level)


@lru_cache(maxsize=1024)
def order_statistic_ranks(n: int, q: float, level: float = LEVEL) -> tuple[int | None, int | None]:
    """The ranks, counted from 1, of the two order statistics that enclose percentile `q` (in percent).

    With B ~ Binomial(n, q/100) samples below the percentile, the lower rank is the largest l with
    P(B < l) ≤ (1 − level)/2, the upper one the smallest u with P(B ≥ u) ≤ (1 − level)/2: equal tails, exact.

    >>> order_statistic_ranks(16, 50), order_statistic_ranks(367, 99)
    ((4, 13), (359, None))

    Raises:
        ValueError: `q` is not from 1 up to below 100.
    """
    p = _fraction(q)
    if n < 1:
        return None, None
    first, mass = _binomial_window(n, p)
    tail = (1 - level) / 2
    below = first + int(np.searchsorted(np.cumsum(mass), tail, side="right"))
    above = first + mass.size - int(np.searchsorted(np.cumsum(mass[::-1]), tail, side="right"))
    return below or None, above if above <= n else None


def _fraction(q: float) -> float:
    if not 1 <= q < 100:  # noqa: PLR2004 - a percentile below 1 is nearly always a fraction by mistake
        raise ValueError(f"percentile {q!r} is not in percent, from 1 up to below 100")
    return q / 100


def _binomial_window(n: int, p: float) -> tuple[int, NDArray[np.float64]]:
    """P(B = k) for k from the first number returned on; what is left out on either side is below 1e-80."""
    reach = 20 * math.sqrt(n * p * (1 - p)) + 40
    first, last = max(0, math.floor(n * p - reach)), min(n, math.ceil(n * p + reach))
    k = np.arange(first + 1, last + 1)
    start = math.lgamma(n + 1) - math.lgamma(first + 1) - math.lgamma(n - first + 1)
    start += first * math.log(p) + (n - first) * math.log1p(-p)
    steps = np.log((n + 1 - k) / k) + math.log(p / (1 - p))
    mass: NDArray[np.float64] = np.exp(start + np.concatenate(([0.0], np.cumsum(steps))))
    return first, mass


def block_ratio_interval(log_ratios: ArrayLike, level: float = LEVEL) -> tuple[float, float | None, float | None]:
    """The median of the log ratios of alternating blocks, with its order-statistic interval: (estimate, low, high).

    All three on the log scale, for the caller to exponentiate. 16 blocks reach from the 4th to the 13th value,
    32 from the 10th to the 23rd; fewer than 6 carry no limits at 95 %.

    Args:
        log_ratios: one value a block (n,), ln(median of one arm) − ln(median of the other).
        level: the least coverage.

    Raises:
        ValueError: no blocks, or one that is not a finite number.
    """
    ordered = np.sort(np.asarray(log_ratios, dtype=np.float64).ravel())
    if not ordered.size or not np.isfinite(ordered).all():
        raise ValueError(f"{ordered.size} log ratios, all of which must be finite numbers, and at least one")
    low, high = (
        None if rank is None else float(ordered[rank - 1]) for rank in order_statistic_ranks(ordered.size, 50, level)
    )
    return float(np.median(ordered)), low, high


def paired_proportion_ratio_z(both: int, only_original: int, only_variant: int, ratio: float) -> float:
    """The score statistic of H0: share right of the variant / share right of the original = `ratio` > 0.

    Positive where the variant does better than H0. Rows that both get wrong carry no information on the ratio:
    the likelihood factorises, and they cancel from the variance.
    """
    a, b, c, t = both, only_original, only_variant, ratio
    m, k = a + b + c, 1 - t
    quadratic, constant = (1 + t) * m, b * k
    linear = -(a * (1 + t) * k + b * (1 + (1 + t) * k) + c)
    root = math.sqrt(max(linear**2 - 4 * quadratic * constant, 0.0))
    q10 = (root - linear) / (2 * quadratic)  # the share "only original" under H0, and from it the other two
    q11, q01 = (1 - (1 + t) * q10) / t, (q10 - k) / t
    variance = m * ((q11 + q01) * (1 + t) - 2 * t * q11)
    return ((a + c) - t * (a + b)) / math.sqrt(max(variance, sys.float_info.min))


def paired_proportion_ratio_interval(
    both: int, only_original: int, only_variant: int, level: float = LEVEL
) -> tuple[float | None, float | None]:
    """The score interval for a ratio of paired proportions, share right of the variant / of the original.

    It holds where bootstraps fail, in the corners: without any disagreement among m right rows its limits are
    m/(m + 3.84) and its mirror image. Exchanging the two models gives the reciprocal limits exactly.

    Args:
        both: rows that both get right.
        only_original: rows that only the original gets right.
        only_variant: rows that only the variant gets right.
        level: the coverage.

    Returns:
        The limits; the upper one is None where the original gets no row right, both are None where neither does.
    """
    if both + only_original + only_variant == 0:
        return None, None
    z = NormalDist().inv_cdf(0.5 + level / 2)
    mirrored = _lower_ratio_limit(both, only_variant, only_original, z)
    return _lower_ratio_limit(both, only_original, only_variant, z), 1 / mirrored if mirrored else None


def _lower_ratio_limit(both: int, only_original: int, only_variant: int, z: float) -> float:
    """The ratio below the estimate at which the score statistic, which falls with the ratio, is `z`."""
    low, high = 0.0, (both + only_variant) / (2 * both + only_original + only_variant)
    if not high:
        return 0.0
    # On u = ratio / (1 + ratio), which is finite even where the original is never right, until no number lies between.
    while low < (middle := (low + high) / 2) < high:
        above = paired_proportion_ratio_z(both, only_original, only_variant, middle / (1 - middle)) > z
        low, high = (middle, high) if above else (low, middle)
    return low / (1 - low)


def proportion_interval(right: int, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's score interval of a share of `n` rows.

    Source: E. B. Wilson: Probable inference, the law of succession, and statistical inference. Journal of the
    American Statistical Association 22 (1927).
    """
    z = NormalDist().inv_cdf(0.5 + level / 2)
    centre = (right + z**2 / 2) / (n + z**2)
    half = z / (n + z**2) * math.sqrt(right * (n - right) / n + z**2 / 4)
    return max(centre - half, 0.0), min(centre + half, 1.0)


def paired_bootstrap(
    score: Callable[[NDArray[np.intp]], float],
    n: int,
    *,
    seed: int,
    groups: ArrayLike | None = None,
    strata: ArrayLike | None = None,
    draws: int = 2000,
    level: float = LEVEL,
) -> tuple[float | None, float | None]:
    """The percentile interval of a score of rows that are drawn with replacement.

    Paired because `score` gets the rows' positions and computes both models' figures from the same ones.

    Args:
        score: the figure (a ratio) of the rows at these positions; NaN where it is undefined, infinity is a value.
        n: rows.
        seed: of the draws.
        groups: rows of one group (n,) are drawn together, because they are not independent.
        strata: rows are drawn within their stratum (n,), whose sizes stay; not with `groups`.
        draws: how many samples are drawn.
        level: the coverage.

    Returns:
        The limits; None where a limit is not finite. Both are None with fewer than 10 rows (or groups) to draw from,
        and where more than 5 % of the draws are undefined.

    Raises:
        ValueError: both groups and strata.
    """
    if groups is not None and strata is not None:
        raise ValueError("rows are drawn by group or by stratum, not by both")
    if (n if groups is None else np.unique(np.asarray(groups)).size) < MIN_BOOTSTRAP_UNITS:
        return None, None
    draw = _row_drawer(n, groups, strata, np.random.default_rng(seed))
    figures = np.array([score(draw()) for _ in range(draws)], dtype=np.float64)
    defined = figures[~np.isnan(figures)]
    if defined.size < (1 - MAX_UNDEFINED_DRAWS) * draws:
        return None, None
    tail = (1 - level) / 2
    # Order statistics and not interpolation: between two infinities there is nothing to interpolate.
    low, high = np.quantile(defined, (tail, 1 - tail), method="inverted_cdf").tolist()
    return low if math.isfinite(low) else None, high if math.isfinite(high) else None


def _row_drawer(
    n: int, groups: ArrayLike | None, strata: ArrayLike | None, rng: np.random.Generator
) -> Callable[[], NDArray[np.intp]]:
    if groups is not None:
        members = _members(groups)
        return lambda: np.concatenate([members[group] for group in rng.integers(len(members), size=len(members))])
    if strata is not None:
        members = _members(strata)
        return lambda: np.concatenate([rows[rng.integers(rows.size, size=rows.size)] for rows in members])
    return lambda: rng.integers(n, size=n, dtype=np.intp)


def _members(keys: ArrayLike) -> list[NDArray[np.intp]]:
    """The positions of each distinct key."""
    _, codes, counts = np.unique(np.asarray(keys), return_inverse=True, return_counts=True)
    return np.split(np.argsort(codes, kind="stable"), np.cumsum(counts)[:-1])


def rows_to_settle(n: int, z: float) -> int | None:
    """About how many rows would prove a ratio above the threshold, if it stays what it is: n·(2.8/z)².

    Args:
        n: rows there are.
        z: how many standard errors the ratio lies above the threshold.

    Returns:
        The rows; None where none will, because the ratio does not lie above (or by less than a billion rows show).
    """
    if z <= Z_TO_SETTLE * math.sqrt(n / MAX_ROWS):
        return None
    return math.ceil(n * (Z_TO_SETTLE / z) ** 2)
