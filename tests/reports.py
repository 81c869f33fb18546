"""Reports to draw: one with everything in it, and what may be wrong with one. Loaded through the fixture `reports`."""

from __future__ import annotations

from pytest_inferopt.domain.environment import Environment
from pytest_inferopt.domain.report import GitState, Report
from pytest_inferopt.domain.request import OptimizationRequest
from pytest_inferopt.domain.result import (
    Accuracy,
    Check,
    Conversion,
    Disagreement,
    Interval,
    Latency,
    RunResult,
    Samples,
    Speedup,
    Step,
    VariantResult,
)

HERE = Environment(
    cpu_model="Intel Xeon",
    cpu_count=2,
    isa_flags=("avx2", "avx512f", "avx512_vnni"),
    python="3.11.9",
    system="linux x86_64",
    libraries={"numpy": "2.4.6", "onnxruntime": "1.31.1"},
)
GIT = GitState(
    commit="3f9c2e1a7b5d4c6e8f90123456789abcdef01234",
    branch="main",
    is_dirty=True,
    committed_at="2030-01-02T03:00:00+00:00",
)
REJECTED = "the original itself rejects the validation rows: ValueError: Input X contains NaN."
NEXT_STEP = "Keep the last layer in float, or accept a lower accuracy_threshold."
# Values that the schema restricts; everything else that is text may come from outside.
OURS = {"role", "outcome", "kind", "direction", "request", "intervals", "gate", "verdict", "artifact"}


def latency(batch_size, p50, **changes):
    """A cell whose calls lie evenly between half and one and a half times its median."""
    quantiles = tuple(p50 * (0.5 + percentile / 100) for percentile in range(101))
    fields = {
        "batch_size": batch_size,
        "iterations": 1000,
        "iterations_requested": 1000,
        "warmup_iterations": 100,
        "p50_ms": p50,
        "p95_ms": quantiles[95],
        "p99_ms": quantiles[99],
        "intervals": {"p50": Interval(low=0.98 * p50, high=1.02 * p50, method="order statistics")},
        "throughput_rows_per_second": 1000 * batch_size / p50,
        "cold_call_ms": 10 * p50,
        "feed_ms": 0.25,
        "mean_ms": p50,
        "stddev_ms": 0.28 * p50,
        "quantiles_ms": quantiles,
        "warmup_ms": (2 * p50, p50),
    }
    return Latency(**{**fields, **changes})


def accuracy(score, ratio=None, interval=None, **changes):
    """An f1 on 400 rows beside the original's 0.912."""
    fields = {"metric": "f1", "direction": "higher", "rows": 400, "original": 0.912}
    return Accuracy(**{**fields, "score": score, "ratio": ratio, "interval": interval, **changes})


def speedup(batch_size, estimate, low, high):
    """A speed-up over 32 blocks."""
    return Speedup(batch_size=batch_size, estimate=estimate, interval=Interval(low=low, high=high), blocks=32)


def check(outcome, variant, kind="accuracy", **changes):
    """A check with this outcome."""
    return Check(kind=kind, variant=variant, outcome=outcome, **changes)


def original(**changes):
    """The model as it is: 41.2 MB, timed at two batch sizes."""
    fields = {
        "format": "sklearn",
        "size_bytes": 41_200_000,
        "sha256": "0" * 64,
        "call": "predict_proba",
        "accuracy": accuracy(0.912),
        "latency": {1: latency(1, 4.0), 32: latency(32, 38.0)},
    }
    return VariantResult(name="original", role="original", **{**fields, **changes})


def variant(name="onnx", **changes):
    """A variant that passed."""
    step = Step(name="onnx_conversion", seconds=1.5, size_before_bytes=2, size_after_bytes=1, notes=("opset 17.",))
    fields = {
        "format": "onnx",
        "path": f".inferopt/models/{name}.onnx",
        "size_bytes": 9_800_000,
        "sha256": "1" * 64,
        "call": "InferenceSession.run",
        "steps": (step,),
        "conversion": Conversion(opset=17, rows=400, label_flips=0, max_difference=1e-6),
        "accuracy": accuracy(0.912, 1.0, Interval(low=0.99, high=1.01)),
        "latency": {1: latency(1, 0.5), 32: latency(32, 5.0)},
        "speedup": {1: speedup(1, 8.0, 7.75, 8.25), 32: speedup(32, 7.6, 7.5, 7.7)},
        "checks": (
            check("passed", name, "conversion", reason="400 rows agree"),
            check("passed", name, observed=1.0, limit=0.99, reason="f1 ratio 1.0000 ≥ 0.99."),
        ),
    }
    return VariantResult(name=name, **{**fields, **changes})


def failed_variant(name="int8"):
    """Small and fast, and not as right as it has to be."""
    worst = Disagreement(row=17, expected="1", original="1", variant="0", difference=0.25)
    return variant(
        name,
        size_bytes=2_500_000,
        sha256="2" * 64,
        conversion=Conversion(opset=17, rows=400, label_flips=9, max_difference=0.25, worst_rows=(worst,)),
        accuracy=accuracy(0.9, 0.98684, Interval(low=0.975, high=0.999), notes=("one class is rare",)),
        latency={1: latency(1, 0.25, advisory=("p99",), iterations=80)},
        speedup={1: speedup(1, 16.0, 15.5, 16.5)},
        checks=(
            check("passed", name, "conversion", reason="391 of 400 rows agree"),
            check(
                "failed", name, observed=0.98684, limit=0.99, reason="f1 ratio 0.9868 < 0.99.",
                next_step=NEXT_STEP,
            ),
        ),
    )  # fmt: skip


def lost_variant(name="fp16"):
    """One that never came to be."""
    reason = "step 'fp16': the worker crashed (SIGSEGV)."
    return VariantResult(name=name, checks=(check("not_measured", name, "conversion", reason=reason),))


def result(*variants, name="churn", request=None, **changes):
    """A run of these variants."""
    fields = {
        "test_id": f"tests/test_{name}.py::test_{name}",
        "request": OptimizationRequest.model_validate({"batch_sizes": [1, 32], **(request or {})}),
        "environment": HERE,
        "original": original(),
        "variants": {found.name: found for found in variants},
        "best": next((found.name for found in variants if not found.is_red), None),
        "seconds": {"optimize": 2.5, "measure": 30.0},
    }
    return RunResult(name=name, **{**fields, **changes})


def report(*results, **changes):
    """A session of these results, at a fixed time, on a fixed machine."""
    fields = {
        "tool_version": "0.1.0",
        "created_at": "2030-01-02T03:04:05+00:00",
        "command": "pytest --inferopt tests/test_churn.py",
        "environment": HERE,
        "git": GIT,
    }
    return Report(results=results, **{**fields, **changes})


def full():
    """Two models, one of them red, with all that a report may hold."""
    own = original().model_copy(update={"name": "original (n_jobs=-1)", "role": "context", "accuracy": None})
    red = result(
        variant(),
        failed_variant(),
        lost_variant(),
        context=(own,),
        notes=("measuring ended early at batch 32",),
        samples=Samples(path="samples/1.npz", sha256="3" * 64),
    )
    return report(red, result(variant("optimized"), name="price"), incidents=("worker gw1 died",))


def empty():
    """A session in which nothing was optimized."""
    return report(git=None, command="")


def unmeasured():
    """The original itself was not measured, and so nothing was."""
    lost = check("not_measured", "original", "conversion", reason=REJECTED, next_step="Pass rows that it accepts.")
    bare = VariantResult(name="original", role="original", format="sklearn", size_bytes=999, checks=(lost,))
    return report(result(VariantResult(name="optimized"), original=bare, best=None))


def hostile(text):
    """The full report with `text` in every place that text from outside can reach."""
    return Report.model_validate(_planted(full().model_dump(), text))


def _planted(value, text, key=""):
    if key in OURS:
        return value
    if isinstance(value, dict):
        # The two mappings whose keys are names; several variants keep names of their own.
        names = {"variants": lambda at: text + "'" * at, "libraries": lambda at: text + "'" * at}.get(key)
        items = enumerate(value.items())
        return {names(at) if names else inner: _planted(item, text, str(inner)) for at, (inner, item) in items}
    if isinstance(value, list | tuple):
        return [_planted(item, text, key) for item in value]
    return text if isinstance(value, str) else value
