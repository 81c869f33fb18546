"""--inferopt-provider."""

from __future__ import annotations


def test_a_provider_that_is_there_is_used_under_either_name(holds):
    holds("result.passed", "--inferopt-provider=CPUExecutionProvider")


def test_a_provider_that_is_not_there_is_never_fallen_back_from(inferopt_run):
    result = inferopt_run(
        "import numpy as np\ndef test_digits(inferopt):\n"
        "    with np.load('rows.npz') as rows: inferopt('model.onnx', rows['x'], rows['y'])\n",
        "--inferopt-provider=tensorrt",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["inferopt: provider 'tensorrt' is not in this build of onnxruntime*"])
