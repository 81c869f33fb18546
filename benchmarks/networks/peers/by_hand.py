"""onnxruntime's quantizers and its float16 converter, called as their documentation shows.

https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html and
https://onnxruntime.ai/docs/performance/model-optimizations/float16.html
"""

import onnx
from _asked import FOLDER, SOURCE, feeds, make
from onnxruntime.quantization import QuantFormat, quantize_dynamic, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16


class Reader:
    """Gives the calibration rows."""

    def __init__(self):
        self._feeds = feeds()

    def get_next(self):
        """The next few, or None."""
        return next(self._feeds, None)


def prepared():
    """The file after shape inference and onnxruntime's own passes; symbolic inference where it works."""
    target = FOLDER / "prepared.onnx"
    try:
        quant_pre_process(str(SOURCE), str(target))
    except Exception:  # noqa: BLE001 - it fails on many graphs, and its message says to skip it
        quant_pre_process(str(SOURCE), str(target), skip_symbolic_shape=True)
    return str(target)


def dynamic(target):
    """With its defaults."""
    quantize_dynamic(prepared(), str(target))


def static(target):
    """QDQ, a scale a channel; all else as it comes."""
    quantize_static(prepared(), str(target), Reader(), quant_format=QuantFormat.QDQ, per_channel=True)


def fp16(target):
    """With float32 inputs and outputs."""
    onnx.save(convert_float_to_float16(onnx.load(SOURCE), keep_io_types=True), target)


make(dynamic=dynamic, static=static, fp16=fp16)
