from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferopt.engine.gate.contrast import block_contrast, tail_contrast

CALLS = st.lists(st.integers(100, 10**9), min_size=1, max_size=6)
BLOCKS = st.integers(1, 6).flatmap(lambda n: st.tuples(*[st.lists(CALLS, min_size=n, max_size=n)] * 2))
FACTOR = st.sampled_from([0.5, 1.05, 2, 8])


def scaled(blocks, factor):
    return [[factor * call for call in block] for block in blocks]


def test_it_is_the_median_over_blocks_of_the_log_ratio_of_their_medians():
    baseline = [[100, 100, 9000], [200], [100, 300]]
    candidate = [[110], [200, 200, 1], [800, 800]]
    assert block_contrast(baseline, candidate) == pytest.approx(math.log(1.1))


@given(BLOCKS)
def test_swapping_the_arms_negates_it(arms):
    assert block_contrast(*arms) == pytest.approx(-block_contrast(*reversed(arms)), abs=1e-12)
    assert tail_contrast(arms[0][0], arms[1][0], 95) == pytest.approx(
        -tail_contrast(arms[1][0], arms[0][0], 95), abs=1e-12
    )


@given(BLOCKS, FACTOR)
def test_a_machine_that_is_slower_as_a_whole_changes_nothing(arms, factor):
    slower = [scaled(blocks, factor) for blocks in arms]
    assert block_contrast(*slower) == pytest.approx(block_contrast(*arms), abs=1e-12)


@given(BLOCKS, FACTOR)
def test_a_candidate_that_is_slower_by_a_factor_shifts_it_by_the_factors_logarithm(arms, factor):
    baseline, candidate = arms
    shifted = block_contrast(baseline, scaled(candidate, factor))
    assert shifted == pytest.approx(block_contrast(baseline, candidate) + math.log(factor), abs=1e-12)


def test_a_tail_is_the_log_ratio_of_an_interpolated_percentile():
    assert tail_contrast(range(100, 201), range(200, 401, 2), 95) == pytest.approx(math.log(390 / 195))
    assert tail_contrast(range(100, 201), range(200, 401, 2), 99) == pytest.approx(math.log(2))


def test_a_call_below_the_clocks_resolution_counts_as_one_nanosecond():
    assert block_contrast([[0]], [[3]]) == pytest.approx(math.log(3))


@pytest.mark.parametrize(("baseline", "candidate"), [([], []), ([[1]], []), ([[1]], [[1], [1]])])
def test_arms_with_different_blocks_or_none_are_an_error(baseline, candidate):
    with pytest.raises(ValueError, match=f"^{len(baseline)} blocks against {len(candidate)}: needs as many of each"):
        block_contrast(baseline, candidate)


def test_a_block_without_calls_is_an_error():
    with pytest.raises(ValueError, match="no calls were timed"):
        block_contrast([[1], np.array([])], [[1], [1]])
