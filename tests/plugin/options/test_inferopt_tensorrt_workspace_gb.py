"""--inferopt-tensorrt-workspace-gb."""

from __future__ import annotations

import pytest


def test_it_reaches_the_request(holds):
    holds("result.request.tensorrt_workspace_gb == 2", "--inferopt-tensorrt-workspace-gb=2")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("0", "tensorrt_workspace_gb=0.0"),
        ("all", "cannot be read"),
    ],
)
def test_a_wrong_value_is_a_usage_error(usage_error, value, words):
    usage_error(f"--inferopt-tensorrt-workspace-gb={value}", words)
