"""What 8 bits of an activation lose of it."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["Ranges", "rounding_errors"]

Ranges = dict[str, tuple[float, float]]
"""By tensor the lowest and the highest number that its integers stand for."""

FEEDS = 8
LEVELS = 255
# Axes of a picture and its channels: there, a row is all of it.
PICTURE_AXES = 4


def rounding_errors(
    model: Path, ranges: Ranges, feeds: Iterable[Mapping[str, Any]], *, is_symmetric: bool
) -> dict[str, float]:
    """The mean over rows of ‖x − q(x)‖ / ‖x‖, where q rounds x to the nearest of 256 levels of its tensor's range.

    A row is what one token, step or picture has of a tensor. Of a few rows that are very large, the range suits these
    alone, and all others are lost in its steps: a mean over all numbers would not show it.

    Args:
        model: the float file.
        ranges: of the tensors that are looked at.
        feeds: the first eight are run.
        is_symmetric: whether the range is made symmetric around 0, with 255 levels.
    """
    import numpy as np
    import onnx
    import onnxruntime

    if not ranges:
        return {}
    watched = onnx.load(model)
    known = {value.name for value in (*watched.graph.input, *watched.graph.output)}
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in ranges if name not in known)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(watched.SerializeToString(), options, providers=["CPUExecutionProvider"])
    fed = {value.name for value in session.get_inputs()}
    asked = [name for name in ranges if name not in fed]
    errors: dict[str, list[NDArray[np.float64]]] = {name: [] for name in ranges}
    for feed in islice(feeds, FEEDS):
        outputs = session.run(asked, dict(feed)) if asked else []
        for name, array in (*zip(asked, outputs, strict=True), *((name, feed[name]) for name in fed & set(ranges))):
            errors[name].append(_lost(array, ranges[name], is_symmetric=is_symmetric))
    lost = {name: np.concatenate([np.zeros(0), *found]) for name, found in errors.items()}
    return {name: float(rows.mean()) if rows.size else 0.0 for name, rows in lost.items()}


def _lost(array: NDArray[Any], ends: tuple[float, float], *, is_symmetric: bool) -> NDArray[Any]:
    """Of each row that is not zero the share of its length that rounding takes away or adds (R,)."""
    import numpy as np

    low, high = min(ends[0], 0.0), max(ends[1], 0.0)
    if is_symmetric:
        high = max(-low, high)
        low = -high
    step = (high - low) / (LEVELS - is_symmetric)
    rows = array.reshape(len(array), -1) if array.ndim >= PICTURE_AXES else array.reshape(-1, array.shape[-1])
    rows = rows.astype(np.float64)
    if step == 0:
        return np.zeros(0)
    zero = np.round(-low / step)
    rounded = (np.clip(np.round(rows / step) + zero, 0, LEVELS - is_symmetric) - zero) * step
    lengths = np.linalg.norm(rows, axis=1)
    is_some = lengths > 0
    lost: NDArray[Any] = np.linalg.norm(rows - rounded, axis=1)[is_some] / lengths[is_some]
    return lost
