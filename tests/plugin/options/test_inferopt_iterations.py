"""--inferopt-iterations."""

from __future__ import annotations

import pytest


def test_that_many_calls_are_timed(holds):
    holds("result.optimized.latency[1].iterations == 17", "--inferopt-iterations=17")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("0", "iterations=0"),
        ("1.5", "--inferopt-iterations='1.5' cannot be read"),
    ],
)
def test_a_wrong_value_is_a_usage_error(usage_error, value, words):
    usage_error(f"--inferopt-iterations={value}", words)
