"""--inferopt-opset."""

from __future__ import annotations

import pytest


def test_it_reaches_the_request(holds):
    holds("result.request.opset == 15", "--inferopt-opset=15")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("3", "opset=3"),
        ("99", "opset=99"),
        ("new", "--inferopt-opset='new' cannot be read"),
    ],
)
def test_a_wrong_value_is_a_usage_error(usage_error, value, words):
    usage_error(f"--inferopt-opset={value}", words)


def test_the_converted_file_has_it(inferopt_run):
    inferopt_run(
        "import joblib, numpy as np\ndef test_digits(inferopt):\n"
        "    with np.load('rows.npz') as rows: x, y = rows['x'], rows['y']\n"
        "    result = inferopt(joblib.load('model.joblib'), x, y)\n"
        "    assert result.optimized.conversion.opset == 15\n",
        "--inferopt-opset=15",
    ).assert_outcomes(passed=1)
