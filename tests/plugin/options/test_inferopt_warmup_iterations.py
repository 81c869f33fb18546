"""--inferopt-warmup-iterations."""

from __future__ import annotations

import pytest


def test_that_many_calls_are_not_counted(holds):
    holds("result.optimized.latency[1].warmup_iterations == 3", "--inferopt-warmup-iterations=3")


def test_there_may_be_no_warm_up(holds):
    holds("result.optimized.latency[1].warmup_iterations == 0", "--inferopt-warmup-iterations=0")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("-1", "warmup_iterations=-1"),
        ("many", "--inferopt-warmup-iterations='many' cannot be read"),
    ],
)
def test_a_wrong_value_is_a_usage_error(usage_error, value, words):
    usage_error(f"--inferopt-warmup-iterations={value}", words)
