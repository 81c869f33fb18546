"""Each network through every technique, as `InferenceOptimizer` does it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.machine import provenance
from benchmarks.networks.files import write_json
from pytest_inferopt import InferenceOptimizer

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.networks.cases import Case, Data
    from pytest_inferopt import RunResult
    from pytest_inferopt.domain.measured import Latency
    from pytest_inferopt.domain.result import VariantResult

BATCH_SIZES = (1, 16, 64)
VARIANTS: dict[str, Any] = {
    "onnx": ["onnx_conversion"],
    "graph": [{"name": "graph_optimization", "passes": ["onnxslim", "onnxruntime"]}],
    "dynamic": ["quantization"],
    "static": [{"name": "quantization", "method": "static"}],
    "fp16": ["fp16"],
}
# Only where there is something to fuse.
FUSED: dict[str, Any] = {"fused": [{"name": "graph_optimization", "passes": ["transformers"]}]}


def make_ours(case: Case, folder: Path) -> dict[str, Any]:
    """Optimize and measure a network; what was found.

    Its files go to the folder: ``ours/<variant>.onnx``, ``float.onnx``, the rows that judge and those to calibrate on,
    as feeds of that file, and the answers that are right.

    Args:
        case: the network.
        folder: of its own.
    """
    data = case.data()
    with InferenceOptimizer(folder / "store", batch_sizes=BATCH_SIZES, accuracy_threshold=0.0) as optimizer:
        result = optimizer.optimize(
            case.build(),
            data.rows,
            data.targets,
            training_data=data.training,
            metric=case.metric,
            name=case.name,
            variants=VARIANTS | (FUSED if case.is_transformer else {}),
            measure_seconds=case.measure_seconds,
            max_time_minutes=20.0,
        )
    for name, variant in result.variants.items():
        if variant.path is not None:
            target = folder / "ours" / f"{name}.onnx"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(variant.path, target)
    _write_feeds(data, folder)
    found = _found(result) | {"about": case.about, "provenance": provenance()}
    write_json(folder / "ours.json", found)
    return found


def _write_feeds(data: Data, folder: Path) -> None:
    """The rows as feeds of the file, and what is right; for tools that know nothing of frameworks."""
    import onnxruntime

    path = folder / "ours" / "onnx.onnx"
    shutil.copyfile(path, folder / "float.onnx")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    feeds = [rows if isinstance(rows, dict) else {name: rows} for rows in (data.rows, data.training)]
    np.savez(folder / "rows.npz", **feeds[0])
    np.savez(folder / "calibration.npz", **feeds[1])
    right = session.run(None, feeds[0])[0] if data.targets is None else data.targets
    np.save(folder / "right.npy", right)


def _found(result: RunResult) -> dict[str, Any]:
    arms = {"original": result.original, **result.variants}
    return {
        "metric": result.original.accuracy.metric if result.original.accuracy else "",
        "arms": {name: _arm(arm) for name, arm in arms.items()},
    }


def _arm(arm: VariantResult) -> dict[str, Any]:
    accuracy, conversion = arm.accuracy, arm.conversion
    return {
        "call": arm.call,
        "size_mb": arm.size_mb,
        "score": accuracy.score if accuracy else None,
        "ratio": accuracy.ratio if accuracy else None,
        "opset": conversion.opset if conversion else None,
        "flips": conversion.label_flips if conversion else None,
        "latency": {str(size): _latency(latency) for size, latency in arm.latency.items()},
        "speedup": {
            str(size): [ratio.estimate, ratio.interval.low, ratio.interval.high] for size, ratio in arm.speedup.items()
        },
        "memory_mb": arm.memory.used_bytes / 1e6 if arm.memory else None,
        "notes": [note for step in arm.steps for note in step.notes],
        "refused": [check.reason for check in arm.checks if check.is_red],
    }


def _latency(latency: Latency) -> list[float | None]:
    interval = latency.intervals["p50"]
    return [latency.p50_ms, interval.low, interval.high]
