"""Does one ONNX file take the table as it is, words and gaps included?"""

import pytest


@pytest.mark.inferopt(metric="mae", batch_sizes=[1, 32])
def test_progression(inferopt_result):
    optimized = inferopt_result.optimized

    assert optimized.accuracy.rows == 221
    assert optimized.conversion.max_difference < 0.01  # of a target between 25 and 346
