"""--inferopt-measure-seconds."""

from __future__ import annotations

import pytest


def test_what_does_not_fit_is_left_out_and_shown(holds):
    holds(
        "1000 < result.optimized.latency[1].iterations < 5_000_000",
        "--inferopt-measure-seconds=1",
        "--inferopt-iterations=5000000",
    )


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("inf", "measure_seconds=inf"),
        ("0", "measure_seconds=0.0"),
    ],
)
def test_a_wrong_value_is_a_usage_error(usage_error, value, words):
    usage_error(f"--inferopt-measure-seconds={value}", words)
