"""--inferopt-max-time-minutes."""

from __future__ import annotations

import pytest


def test_it_reaches_the_request(holds):
    holds("result.request.max_time_minutes == 0.5", "--inferopt-max-time-minutes=0.5")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("0", "max_time_minutes=0.0"),
        ("nan", "max_time_minutes=nan"),
        ("soon", "--inferopt-max-time-minutes='soon' cannot be read"),
    ],
)
def test_a_wrong_value_is_a_usage_error(usage_error, value, words):
    usage_error(f"--inferopt-max-time-minutes={value}", words)


def test_what_is_not_done_by_then_is_not_measured(inferopt_run):
    result = inferopt_run(
        "import numpy as np\ndef test_digits(inferopt):\n"
        "    with np.load('rows.npz') as rows: inferopt('model.onnx', rows['x'], rows['y'])\n",
        "--inferopt-max-time-minutes=0.0001",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*no answer by the deadline*"])
