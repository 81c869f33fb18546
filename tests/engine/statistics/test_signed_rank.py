from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import rankdata, wilcoxon

from pytest_inferopt.engine.statistics.signed_rank import (
    hodges_lehmann,
    signed_rank_interval,
    signed_rank_p,
    walsh_averages,
)

WHOLE = st.lists(st.integers(-6, 6), min_size=1, max_size=10)
DISTINCT = st.lists(st.integers(-1000, 1000), min_size=1, max_size=14, unique=True)
COVERAGE_95 = {6: 0.96875, 9: 0.9609375, 12: 0.95752, 16: 0.95587}


def by_enumeration(values):
    """P(T ≥ t) over all signs of the values that are not zero, each as likely as the next."""
    values = np.asarray(values, dtype=float)
    ranks = rankdata(np.abs(values))[values != 0]
    observed = ranks[values[values != 0] > 0].sum()
    sums = [np.dot(ranks, signs) for signs in product((0, 1), repeat=ranks.size)]
    return np.mean([total >= observed for total in sums])


@pytest.mark.parametrize("n", range(1, 25))
def test_p_is_scipys_exact_one_sided_one_without_ties(n):
    for seed in range(5):
        values = np.random.default_rng([n, seed]).normal(0.4, size=n)
        expected = wilcoxon(values, alternative="greater", method="exact").pvalue
        assert signed_rank_p(values) == pytest.approx(expected, rel=1e-12)


@given(WHOLE)
def test_p_with_ties_and_zeros_is_that_of_all_signs_enumerated(values):
    assert signed_rank_p(values) == pytest.approx(by_enumeration(values), rel=1e-12)


def test_zeros_keep_their_ranks_and_take_no_sign():
    # The ranks are 1.5, 1.5, 3, 4; only the last two have signs, and both count in one of four cases.
    assert signed_rank_p([0, 0, 1, 2]) == 0.25
    assert signed_rank_p([0, 0, 0]) == 1.0


def test_the_smallest_p_is_that_of_one_case_among_all_signs():
    assert signed_rank_p(range(1, 10)) == 2**-9
    assert signed_rank_p([1] * 24) == 2**-24


@given(DISTINCT)
def test_a_figure_that_moves_up_to_zero_never_makes_a_centre_above_zero_less_certain(values):
    assume(len({abs(value) for value in values}) == len(values))
    lowest, *others = sorted(values)
    assert signed_rank_p([0, *others]) <= signed_rank_p([-abs(lowest), *others])


@given(DISTINCT)
def test_the_two_sides_overlap_in_what_was_observed(values):
    """P(T ≥ t) + P(T ≤ t) = 1 + P(T = t), so the two p values never both are small."""
    assert signed_rank_p(values) + signed_rank_p(np.negative(values)) > 1


def test_a_wild_replicate_counts_as_one_rank():
    assert signed_rank_p([1, 2, 3, 4, -50]) == signed_rank_p([1, 2, 3, 4, -5])


@pytest.mark.parametrize("wrong", [[], [1.0, float("nan")], [float("inf")], [[1.0]]])
def test_what_is_no_row_of_finite_figures_is_an_error(wrong):
    for function in (signed_rank_p, signed_rank_interval, hodges_lehmann):
        with pytest.raises(ValueError, match="signed ranks need at least one value"):
            function(wrong)


# --- estimate and interval --------------------------------------------------------------------------------------


def test_walsh_averages_are_the_means_of_all_pairs():
    assert walsh_averages([4, 0, 1]).tolist() == [0, 0.5, 1, 2, 2.5, 4]
    assert hodges_lehmann([4, 0, 1]) == 1.5
    assert walsh_averages([1.7e308, 1.7e308]).tolist() == [1.7e308] * 3


@pytest.mark.parametrize("n", range(1, 6))
def test_fewer_than_six_values_carry_no_interval(n):
    assert signed_rank_interval(range(n)) == ((n - 1) / 2, None, None)


def test_six_values_span_the_interval_and_more_of_them_narrow_it():
    assert signed_rank_interval([3, 1, 6, 2, 5, 4]) == (3.5, 1, 6)
    assert signed_rank_interval([1, 2, 3, 4, 5, 6], level=0.9) == (3.5, 2, 5)
    assert signed_rank_interval(range(1, 10)) == (5, 2.5, 7.5)


@given(DISTINCT, st.sampled_from([0.8, 0.9, 0.95, 0.99]), st.integers(-4001, 4001))
def test_the_interval_holds_the_centres_that_the_test_does_not_reject(values, level, quarters):
    centre = quarters / 4
    # At a Walsh average itself the test changes its mind.
    assume(centre not in walsh_averages(values))
    _, low, high = signed_rank_interval(values, level)
    tail = (1 - level) / 2
    is_above, is_below = (signed_rank_p(sign * (np.array(values) - centre)) <= tail for sign in (1, -1))
    assert is_above == (low is not None and centre < low)
    assert is_below == (high is not None and centre > high)


@given(DISTINCT, st.integers(-50, 50), st.sampled_from([1, 2, 4, 0.5]))
def test_what_moves_or_scales_the_values_moves_or_scales_the_interval(values, shift, scale):
    moved = [None if limit is None else scale * limit + shift for limit in signed_rank_interval(values)]
    assert list(signed_rank_interval(scale * np.array(values) + shift)) == moved


@given(DISTINCT)
def test_negating_the_values_turns_the_interval_around(values):
    estimate, low, high = signed_rank_interval(values)
    turned = (-estimate, None if high is None else -high, None if low is None else -low)
    assert signed_rank_interval(np.negative(values)) == turned


@pytest.mark.parametrize(("n", "exact"), COVERAGE_95.items())
def test_the_interval_covers_what_its_level_says(n, exact):
    draws = np.random.default_rng(n).laplace(size=(3000, n))
    covered = np.mean([low <= 0 <= high for _, low, high in map(signed_rank_interval, draws)])
    assert exact == pytest.approx(covered, abs=0.014)


def test_values_that_are_all_the_same_leave_no_room():
    assert signed_rank_interval([2.5] * 6) == (2.5, 2.5, 2.5)
