"""Is the digit reader that we ship still the one that we trained?"""

import pytest


@pytest.mark.inferopt(optimizations=["onnx_conversion"])
def test_forest(inferopt, forest, holdout):
    result = inferopt(forest, holdout.x, holdout.y)

    assert result.optimized.accuracy.disagreements == 0


@pytest.mark.inferopt(
    variants={
        "onnx": ["onnx_conversion"],
        "int8": ["onnx_conversion", "quantization"],
    },
    quantization_config={"method": "dynamic", "precision": "int8"},
)
def test_network(inferopt, network, holdout):
    result = inferopt(network, holdout.x, holdout.y)

    onnx, int8 = result.variants["onnx"], result.variants["int8"]
    assert onnx.accuracy.disagreements == 0
    assert int8.accuracy.disagreements <= 0.01 * len(holdout.y)
    assert int8.size_mb < 0.3 * onnx.size_mb
