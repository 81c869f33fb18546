"""--inferopt-metric."""

from __future__ import annotations


def test_the_named_metric_decides(holds):
    holds("result.optimized.accuracy.metric == 'f1'", "--inferopt-metric=f1")


def test_a_metric_that_nobody_knows_fails_the_test_with_a_suggestion(inferopt_run):
    result = inferopt_run(
        "import numpy as np\ndef test_digits(inferopt):\n"
        "    with np.load('rows.npz') as rows: inferopt('model.onnx', rows['x'], rows['y'])\n",
        "--inferopt-metric=acuracy",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*did you mean 'accuracy'?*"])
