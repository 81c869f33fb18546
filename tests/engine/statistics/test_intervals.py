from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from pytest_inferopt.engine.statistics.intervals import (
    block_ratio_interval,
    carries,
    order_statistic_ranks,
    paired_bootstrap,
    paired_proportion_ratio_interval,
    paired_proportion_ratio_z,
    percentile_interval_ms,
    percentile_ms,
    proportion_interval,
    rows_to_settle,
)

Z95 = 1.959963984540054
UNTIMED = settings(deadline=None)  # cores are shared
COUNTS = st.integers(0, 400)

# --- percentiles ------------------------------------------------------------------------------------------------


def test_percentiles_interpolate_linearly_between_order_statistics():
    samples_ns = [1_000_000, 2_000_000, 3_000_000, 5_000_000]
    assert [percentile_ms(samples_ns, q) for q in (50, 75, 95)] == [2.5, 3.5, pytest.approx(4.7)]


def test_the_percentile_of_one_sample_is_that_sample():
    assert percentile_ms([4_000_000], 99) == 4.0


@pytest.mark.parametrize("q", [0.95, 0, 100, -5, math.nan])
def test_a_percentile_that_is_not_in_percent_is_refused(q):
    with pytest.raises(ValueError, match="in percent"):
        percentile_ms([1, 2, 3], q)
    with pytest.raises(ValueError, match="in percent"):
        order_statistic_ranks(100, q)


def test_no_samples_have_no_percentile():
    with pytest.raises(ValueError, match="no samples"):
        percentile_ms([], 50)


@pytest.mark.parametrize("n", [1, 2, 5, 6, 16, 32, 100, 368, 1000, 20_000])
@pytest.mark.parametrize("q", [1, 50, 75, 95, 99, 99.9])
@pytest.mark.parametrize("level", [0.9, 0.95, 0.999])
def test_ranks_are_those_of_the_exact_binomial(n, q, level):
    binomial, tail = stats.binom(n, q / 100), (1 - level) / 2
    lower = np.flatnonzero(binomial.cdf(np.arange(n)) <= tail)
    upper = np.flatnonzero(binomial.sf(np.arange(n)) <= tail)
    expected = (int(lower[-1]) + 1 if lower.size else None, int(upper[0]) + 1 if upper.size else None)
    assert order_statistic_ranks(n, q, level) == expected


def test_16_blocks_reach_from_the_4th_to_the_13th_and_32_from_the_10th_to_the_23rd():
    assert (order_statistic_ranks(16, 50), order_statistic_ranks(32, 50)) == ((4, 13), (10, 23))


def test_ranks_of_ten_million_samples_stay_near_the_percentile():
    low, high = order_statistic_ranks(10_000_000, 99)
    spread = Z95 * math.sqrt(10_000_000 * 0.99 * 0.01)
    assert (low, high) == (pytest.approx(9_900_000 - spread, abs=3), pytest.approx(9_900_001 + spread, abs=3))


@pytest.mark.parametrize(("q", "least"), [(50, 6), (95, 72), (99, 368), (99.9, 3688)])
def test_a_percentile_is_carried_from_the_documented_number_of_samples_on(q, least):
    assert (carries(q, least - 1), carries(q, least)) == (False, True)


def test_a_limit_beyond_the_sample_is_none():
    samples_ns = list(range(1_000_000, 101_000_000, 1_000_000))
    assert percentile_interval_ms(samples_ns, 99) == (97.0, None)
    assert percentile_interval_ms(samples_ns, 1) == (None, 4.0)
    assert percentile_interval_ms([1_000_000] * 3, 50) == (None, None)
    assert percentile_interval_ms([], 50) == (None, None)


def test_the_interval_of_a_percentile_takes_its_order_statistics_in_any_order_of_the_samples():
    samples_ns = np.random.default_rng(1).permutation(np.arange(1, 33)) * 1_000_000
    assert percentile_interval_ms(samples_ns, 50) == (10.0, 23.0)


@pytest.mark.parametrize(("q", "n"), [(50, 100), (95, 400), (99, 1000)])
def test_the_percentile_interval_covers_at_least_its_level(q, n):
    rng = np.random.default_rng(7)
    truth = stats.lognorm.ppf(q / 100, 1.0)
    draws = np.sort(rng.lognormal(0, 1, (4000, n)), axis=1)
    low, high = order_statistic_ranks(n, q)
    covered = np.mean((draws[:, low - 1] <= truth) & (truth <= draws[:, high - 1]))
    assert 0.945 <= covered <= 0.98


# --- blocks -----------------------------------------------------------------------------------------------------


def test_blocks_give_the_median_with_its_order_statistics():
    assert block_ratio_interval(np.arange(16.0)[::-1]) == (7.5, 3.0, 12.0)


def test_five_blocks_carry_no_limits():
    assert block_ratio_interval([0.1, 0.2, 0.3, 0.4, 0.5]) == (0.3, None, None)


@pytest.mark.parametrize("log_ratios", [[], [0.1, math.nan], [0.1, math.inf]])
def test_blocks_that_are_no_numbers_are_refused(log_ratios):
    with pytest.raises(ValueError, match="finite"):
        block_ratio_interval(log_ratios)


@UNTIMED
@given(st.lists(st.floats(-2, 2), min_size=6, max_size=40), st.floats(-1, 1))
def test_blocks_are_antisymmetric_and_shift_with_a_constant_factor(log_ratios, shift):
    estimate, low, high = block_ratio_interval(log_ratios)
    assert block_ratio_interval([-r for r in log_ratios]) == pytest.approx((-estimate, -high, -low))
    shifted = block_ratio_interval([r + shift for r in log_ratios])
    assert shifted == pytest.approx((estimate + shift, low + shift, high + shift))
    assert low <= estimate <= high


@pytest.mark.parametrize("n", [16, 32])
def test_the_interval_of_blocks_covers_at_least_its_level_under_heavy_tails(n):
    draws = np.random.default_rng(3).standard_t(2, (20_000, n))
    low, high = order_statistic_ranks(n, 50)
    ordered = np.sort(draws, axis=1)
    covered = np.mean((ordered[:, low - 1] <= 0) & (ordered[:, high - 1] >= 0))
    assert 0.945 <= covered <= 0.985


# --- the score interval -----------------------------------------------------------------------------------------


def _profile_z(a: int, b: int, c: int, t: float) -> float:
    """The score statistic, from a numerical maximum of the restricted likelihood instead of its closed form."""
    m = a + b + c
    low, high = max(0.0, 1 - t), 1 / (1 + t)
    grid = np.linspace(low, high, 400_001)[1:-1]
    q11, q01 = (1 - (1 + t) * grid) / t, (grid - 1 + t) / t
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = [np.where(n > 0, n * np.log(q), 0.0) for n, q in ((a, q11), (b, grid), (c, q01))]
    x = grid[int(np.argmax(sum(terms)))]
    q11, q01 = (1 - (1 + t) * x) / t, (x - 1 + t) / t
    return ((a + c) - t * (a + b)) / math.sqrt(m * ((q11 + q01) * (1 + t) - 2 * t * q11))


@pytest.mark.parametrize(("a", "b", "c"), [(400, 12, 3), (40, 3, 9), (5, 5, 5), (90, 1, 1), (30, 8, 0)])
@pytest.mark.parametrize("t", [0.8, 0.95, 1.03, 1.3])
def test_the_score_statistic_is_that_of_the_restricted_maximum_likelihood(a, b, c, t):
    assert paired_proportion_ratio_z(a, b, c, t) == pytest.approx(_profile_z(a, b, c, t), rel=2e-3)


def test_at_ratio_1_the_score_statistic_is_mcnemars():
    assert paired_proportion_ratio_z(50, 12, 3, 1.0) == pytest.approx((3 - 12) / math.sqrt(3 + 12))


@pytest.mark.parametrize("m", [1, 10, 450, 100_000, 50_000_000])
def test_without_disagreement_the_limits_are_m_over_m_plus_z_squared_and_its_mirror(m):
    limit = m / (m + Z95**2)
    assert paired_proportion_ratio_interval(m, 0, 0) == (pytest.approx(limit), pytest.approx(1 / limit))


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [
        ((0, 0, 0), None, None),  # nobody is ever right
        ((0, 0, 20), 20 / Z95**2, None),  # the original never is
        ((0, 20, 0), 0.0, Z95**2 / 20),  # the variant never is
        ((1, 7, 1), 0.065, 0.907),  # the airway data of Fagerland, Lydersen, Laake (Stat. Med. 2014): Tang
        ((60, 9, 0), 0.77, 0.9332),
        ((60, 0, 9), 1 / 0.9332, 1 / 0.77),
    ],
)
def test_the_corners_of_the_score_interval(counts, low, high):
    expected = tuple(None if limit is None else pytest.approx(limit, rel=2e-2) for limit in (low, high))
    assert paired_proportion_ratio_interval(*counts) == expected


@UNTIMED
@given(COUNTS, COUNTS, COUNTS)
def test_exchanging_the_models_gives_the_reciprocal_interval(a, b, c):
    assume(a + b + c)
    low, high = paired_proportion_ratio_interval(a, b, c)
    mirrored = paired_proportion_ratio_interval(a, c, b)
    reciprocal = (1 / high if high else 0.0, 1 / low if low else None)
    assert mirrored == tuple(None if limit is None else pytest.approx(limit) for limit in reciprocal)


@UNTIMED
@given(COUNTS, COUNTS, COUNTS)
def test_the_score_statistic_is_at_its_critical_value_at_the_limits(a, b, c):
    assume(a + b and a + c)
    low, high = paired_proportion_ratio_interval(a, b, c)
    assert low < (a + c) / (a + b) < high
    at_limits = [paired_proportion_ratio_z(a, b, c, limit) for limit in (low, high)]
    assert at_limits == [pytest.approx(Z95, abs=1e-4), pytest.approx(-Z95, abs=1e-4)]


@UNTIMED
@given(st.integers(1, 300), COUNTS, COUNTS)
def test_the_score_statistic_falls_with_the_ratio_so_that_bisection_is_right(a, b, c):
    z = [paired_proportion_ratio_z(a, b, c, t) for t in np.geomspace(0.01, 100, 400)]
    assert np.all(np.diff(z) <= 1e-9)


@UNTIMED
@given(st.integers(0, 100), st.integers(0, 100), st.integers(0, 100), st.integers(2, 9))
def test_more_rows_of_the_same_kind_narrow_the_score_interval(a, b, c, factor):
    assume(a + b and a + c)
    low, high = paired_proportion_ratio_interval(a, b, c)
    narrow_low, narrow_high = paired_proportion_ratio_interval(a * factor, b * factor, c * factor)
    assert low < narrow_low < narrow_high < high


def test_a_wider_level_contains_a_narrower_one():
    wide, narrow = (paired_proportion_ratio_interval(200, 9, 4, level) for level in (0.99, 0.9))
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def _coverage(shares: tuple[float, float, float, float], n: int, draws: int = 1500) -> float:
    truth = float(Fraction(shares[0] + shares[2]) / Fraction(shares[0] + shares[1]))
    counts = np.random.default_rng(11).multinomial(n, shares, draws)
    cells, repeats = np.unique(counts[:, :3], axis=0, return_counts=True)
    covered = 0
    for (a, b, c), repeat in zip(cells.tolist(), repeats.tolist(), strict=True):
        low, high = paired_proportion_ratio_interval(a, b, c)
        covered += repeat * (low <= truth and (high is None or truth <= high))
    return covered / draws


@pytest.mark.parametrize(
    ("shares", "n"),
    [
        ((0.90, 0.005, 0.005, 0.09), 450),  # few disagreements, equal
        ((0.90, 0.010, 0.002, 0.088), 450),  # most go one way
        ((0.90, 0.010, 0.000, 0.090), 450),  # all go one way: bootstraps miss in 35 %
        ((0.60, 0.050, 0.030, 0.320), 200),
        ((0.80, 0.100, 0.050, 0.050), 60),
    ],
)
def test_the_score_interval_covers_its_level(shares, n):
    assert 0.93 <= _coverage(shares, n) <= 0.99


def test_wilsons_interval_is_scipys():
    for right, n in ((0, 10), (10, 10), (449, 450), (7, 31)):
        expected = stats.binomtest(right, n).proportion_ci(method="wilson")
        assert proportion_interval(right, n) == pytest.approx((expected.low, expected.high))


def test_the_paired_limit_of_an_original_that_is_always_right_is_wilsons():
    assert paired_proportion_ratio_interval(440, 10, 0)[0] == pytest.approx(proportion_interval(440, 450)[0])


# --- the bootstrap ----------------------------------------------------------------------------------------------


def test_the_bootstrap_is_scipys_percentile_interval():
    rng = np.random.default_rng(5)
    original, variant = rng.gamma(2, size=(2, 300))

    def ratio(rows):
        return original[rows].mean() / variant[rows].mean()

    ours = paired_bootstrap(ratio, 300, seed=0)
    theirs = stats.bootstrap(
        (np.arange(300),), ratio, vectorized=False, method="percentile", n_resamples=2000, rng=1
    ).confidence_interval
    assert ours == pytest.approx((theirs.low, theirs.high), rel=0.02)


def test_the_same_seed_draws_the_same_rows_and_another_seed_others():
    values = np.random.default_rng(0).normal(size=50)
    one, again, other = (
        paired_bootstrap(lambda rows: values[rows].mean(), 50, seed=seed, draws=200) for seed in (1, 1, 2)
    )
    assert one == again != other


def test_each_draw_has_as_many_rows_as_there_are():
    sizes = set()
    paired_bootstrap(lambda rows: sizes.add(rows.size) or 1.0, 25, seed=0, draws=50)
    assert sizes == {25}


def test_strata_keep_their_sizes():
    strata = np.array(["a"] * 40 + ["b"] * 3)
    seen = set()
    paired_bootstrap(lambda rows: seen.add(int((strata[rows] == "b").sum())) or 1.0, 43, seed=0, strata=strata)
    assert seen == {3}


def test_groups_are_drawn_whole():
    groups = np.repeat(np.arange(12), 4)

    def whole(rows):
        counts = np.bincount(rows, minlength=48).reshape(12, 4)
        assert (counts == counts[:, :1]).all()
        return 1.0

    assert paired_bootstrap(whole, 48, seed=0, groups=groups, draws=100) == (1.0, 1.0)


def test_groups_of_alike_rows_widen_the_interval():
    values = np.repeat(np.random.default_rng(2).normal(size=30), 10)
    widths = [
        high - low
        for low, high in (
            paired_bootstrap(lambda rows: values[rows].mean(), 300, seed=0, groups=groups, draws=500)
            for groups in (None, np.repeat(np.arange(30), 10))
        )
    ]
    assert widths[1] > 2 * widths[0]


def test_groups_and_strata_exclude_one_another():
    with pytest.raises(ValueError, match="not by both"):
        paired_bootstrap(lambda _: 1.0, 20, seed=0, groups=np.arange(20), strata=np.arange(20))


@pytest.mark.parametrize(("n", "groups"), [(9, None), (90, np.repeat(np.arange(9), 10))])
def test_fewer_than_ten_rows_or_groups_carry_no_limits(n, groups):
    assert paired_bootstrap(lambda _: 1.0, n, seed=0, groups=groups) == (None, None)


def test_ten_rows_do():
    assert paired_bootstrap(lambda _: 1.0, 10, seed=0, draws=20) == (1.0, 1.0)


def _with_undefined(every: int):
    calls = iter(range(10_000))
    return lambda _: math.nan if next(calls) % every == 0 else 1.0


def test_a_few_undefined_draws_are_left_out_and_more_than_5_percent_void_the_interval():
    assert paired_bootstrap(_with_undefined(25), 20, seed=0) == (1.0, 1.0)
    assert paired_bootstrap(_with_undefined(10), 20, seed=0) == (None, None)


def test_infinite_draws_count_and_make_their_limit_none():
    infinite = iter([math.inf] * 100 + [1.0] * 1900)
    assert paired_bootstrap(lambda _: next(infinite), 20, seed=0) == (1.0, None)
    infinite = iter([-math.inf] * 100 + [1.0] * 1900)
    assert paired_bootstrap(lambda _: next(infinite), 20, seed=0) == (None, 1.0)


def test_the_bootstrap_covers_the_ratio_of_paired_errors():
    rng, covered = np.random.default_rng(17), 0
    for seed in range(200):
        squares = rng.chisquare(4, 200)
        first, second = squares * rng.lognormal(0, 0.2, 200), squares * rng.lognormal(0, 0.2, 200)
        low, high = paired_bootstrap(
            lambda rows, one=first, other=second: one[rows].mean() / other[rows].mean(), 200, seed=seed, draws=300
        )
        covered += low <= 1 <= high
    assert 0.9 <= covered / 200 <= 0.985


# --- rows to settle ---------------------------------------------------------------------------------------------


def test_half_the_standard_errors_take_four_times_the_rows():
    assert (rows_to_settle(100, 2.8), rows_to_settle(100, 1.4)) == (100, 400)


@pytest.mark.parametrize("z", [0.0, -1.0, 1e-9, -math.inf])
def test_no_number_of_rows_proves_a_ratio_that_is_not_above_the_threshold(z):
    assert rows_to_settle(100, z) is None
