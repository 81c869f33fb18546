"""--inferopt-batch-sizes."""

from __future__ import annotations

import pytest


def test_each_batch_size_is_measured(holds):
    holds("result.optimized.latency.keys() == {2, 5}", "--inferopt-batch-sizes=2,5")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("", "--inferopt-batch-sizes='' cannot be read"),
        ("1,1", "a batch size stands twice"),
        ("0", "batch_sizes"),
        ("1,x", "cannot be read"),
    ],
)
def test_a_wrong_value_is_a_usage_error(usage_error, value, words):
    usage_error(f"--inferopt-batch-sizes={value}", words)
