"""--inferopt-accuracy-threshold."""

from __future__ import annotations

import pytest


def test_the_accuracy_ratio_is_held_against_it(holds):
    holds(
        "result.checks[1].limit == 0.5",
        "--inferopt-accuracy-threshold=0.5",
    )


def test_c42_zero_is_a_threshold(holds):
    holds("result.checks[1].limit == 0", "--inferopt-accuracy-threshold=0")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("-1", "accuracy_threshold=-1.0"),
        ("1.01", "accuracy_threshold=1.01"),
        ("nan", "accuracy_threshold=nan"),
        ("high", "--inferopt-accuracy-threshold='high' cannot be read"),
    ],
)
def test_a_wrong_value_is_a_usage_error(usage_error, value, words):
    usage_error(f"--inferopt-accuracy-threshold={value}", words)
