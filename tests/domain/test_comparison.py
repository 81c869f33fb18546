from __future__ import annotations

import pytest

from pytest_inferopt.domain.comparison import BaselineIdentity, CellComparison, Comparison, Gate, SlowdownEstimate
from pytest_inferopt.domain.record import Interval

COMMIT = "3f9c2e1a7b5d4c6e8f90123456789abcdef01234"


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ({"source": "merge base", "commit": COMMIT}, "merge base 3f9c2e1"),
        ({"source": "merge base", "commit": COMMIT, "is_dirty": True}, "merge base 3f9c2e1+"),
        ({"source": "merge base", "commit": COMMIT, "saved_at": "2026-11-20T01:02:03+00:00"}, "merge base 3f9c2e1"),
        (
            {"source": "accepted", "commit": COMMIT, "saved_at": "2026-11-20T01:02:03+00:00"},
            "accepted 2026-11-20 (3f9c2e1)",
        ),
        ({"source": "accepted", "saved_at": "2026-11-20T01:02:03+00:00"}, "accepted 2026-11-20"),
        ({"source": "accepted", "commit": COMMIT}, "accepted 3f9c2e1"),
        ({"source": "folder"}, "folder"),
    ],
)
def test_a_baseline_is_called_by_how_it_was_found_and_by_its_commit(found, text):
    assert BaselineIdentity(**found).text == text


@pytest.mark.parametrize(
    ("estimate", "low", "high", "text"),
    [
        (0.031, 0.024, 0.039, "+3.1 % [2.4, 3.9]"),
        (-0.09, -0.101, -0.079, "-9.0 % [-10.1, -7.9]"),
        (0.0001, -0.0001, 0.0002, "+0.0 % [0.0, 0.0]"),
        (0.031, None, 0.039, "+3.1 %"),
        (0.031, 0.024, None, "+3.1 %"),
        (None, 0.024, 0.039, "–"),
    ],
)
def test_a_slow_down_is_told_with_its_interval_where_the_replicates_carry_one(estimate, low, high, text):
    assert SlowdownEstimate(estimate=estimate, interval=Interval(low=low, high=high), replicates=12).text == text


def test_a_cell_is_found_by_its_batch_size_and_percentile_and_what_was_not_compared_is_none():
    median, tail = (CellComparison(batch_size=16, percentile=q, outcome="passed") for q in (50, 95))
    found = Comparison(cells=(median, tail))
    assert [found.cell(16), found.cell(16, 95), found.cell(16, 99), found.cell(1)] == [median, tail, None, None]


@pytest.mark.parametrize(
    ("verdict", "is_protecting"),
    [
        ("regressed", True),
        ("passed", True),
        ("inconclusive", True),
        ("unchanged", True),
        ("new", False),
        ("not_comparable", False),
        ("not_measured", False),
        ("advisory", False),
    ],
)
def test_a_gate_protects_where_a_regression_would_have_been_seen(verdict, is_protecting):
    assert Gate(verdict=verdict).is_protecting is is_protecting
