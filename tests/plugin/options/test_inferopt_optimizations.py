"""--inferopt-optimizations."""

from __future__ import annotations

import pytest


def test_the_named_techniques_are_applied_in_order(holds):
    holds(
        "[step.name[0] for step in result.optimized.steps] == [*'oq']",
        "--inferopt-optimizations=onnx_conversion,quantization",
    )


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("onnx_conversion,,", "a name is missing between two commas"),
        ("auto", "the automatic search is not part of this version"),
    ],
)
def test_a_wrong_value_is_a_usage_error(usage_error, value, words):
    usage_error(f"--inferopt-optimizations={value}", words)
