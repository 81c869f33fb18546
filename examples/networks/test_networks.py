"""Are the networks still right, small and fast?"""

import model
import pytest

VARIANTS = {
    "onnx": ["onnx_conversion"],
    "graph": [{"name": "graph_optimization", "passes": ["onnxslim", "onnxruntime"]}],
    "dynamic": ["quantization"],
    "static": [{"name": "quantization", "method": "static"}],
    "fp16": ["fp16"],
}


@pytest.mark.inferopt(variants=VARIANTS)
@pytest.mark.parametrize("network", [model.Convolutional, model.Transformer], ids=["convolutional", "transformer"])
def test_digits(inferopt, network, holdout):
    pytest.importorskip("onnxslim")

    result = inferopt(model.trained(network), *holdout)

    assert result.variants["static"].size_mb < result.variants["onnx"].size_mb
