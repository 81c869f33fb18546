"""NNCF's post-training quantization of ONNX files, and its compression of weights.

https://docs.openvino.ai/2025/openvino-workflow/model-optimization-guide/quantizing-models-post-training.html
"""

import nncf
import onnx
from _asked import IS_TRANSFORMER, SOURCE, feeds, make


def static(target):
    """The mixed preset: symmetric weights, asymmetric activations; with its scheme for transformers where it is one."""
    rows = list(feeds())
    quantized = nncf.quantize(
        onnx.load(SOURCE),
        nncf.Dataset(rows),
        preset=nncf.QuantizationPreset.MIXED,
        model_type=nncf.ModelType.TRANSFORMER if IS_TRANSFORMER else None,
        subset_size=len(rows),
    )
    onnx.save(quantized, target)


def dynamic(target):
    """The nearest that it has: weights as integers, and arithmetic in float."""
    onnx.save(nncf.compress_weights(onnx.load(SOURCE), mode=nncf.CompressWeightsMode.INT8_ASYM), target)


make(dynamic=dynamic, static=static)
