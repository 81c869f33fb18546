"""Reports to draw: one with everything in it, and what may be wrong with one. Loaded through the fixture `reports`."""

from __future__ import annotations

from math import expm1

from pytest_inferopt.domain.comparison import (
    BaselineIdentity,
    CellComparison,
    Comparison,
    Disturbance,
    Gate,
    OperatorChange,
    SlowdownEstimate,
)
from pytest_inferopt.domain.environment import Environment
from pytest_inferopt.domain.measured import Accuracy, Conversion, Disagreement, Latency, Samples, Speedup
from pytest_inferopt.domain.record import Interval
from pytest_inferopt.domain.report import GitState, Report
from pytest_inferopt.domain.request import OptimizationRequest
from pytest_inferopt.domain.result import Check, RunResult, Step, VariantResult

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
OURS = {"role", "outcome", "kind", "direction", "request", "intervals", "verdict", "artifact"}
THERE = HERE.model_copy(update={"cpu_count": 4, "libraries": {"numpy": "2.4.6", "onnxruntime": "1.30.0"}})
ALLOWED = "allowed 2.0 % (0.4 × max_slowdown 5 %)"


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


# --- beside a baseline ------------------------------------------------------------------------------------------


def slowdown(estimate, half=0.011, replicates=12, detectable=0.042):
    """A slow-down whose interval lies evenly around it."""
    limits = Interval(low=estimate - half, high=estimate + half, method="Walsh averages")
    return SlowdownEstimate(estimate=estimate, interval=limits, replicates=replicates, detectable=detectable)


def cell(outcome, batch_size, estimate, base_ms=0.5, **changes):
    """A cell whose replicates lie evenly around its slow-down, and whose calls as those of `latency`."""
    quantiles = tuple(base_ms * (0.5 + percentile / 100) for percentile in range(101))
    found = changes.pop("slowdown", slowdown(estimate))
    fields = {
        "outcome": outcome,
        "batch_size": batch_size,
        "slowdown": found,
        "base_ms": base_ms,
        "head_ms": base_ms * (1 + estimate),
        "values": tuple(expm1(estimate + 0.002 * (number % 5 - 2)) for number in range(found.replicates)),
        "base_quantiles_ms": quantiles,
        "head_quantiles_ms": tuple((1 + estimate) * quantile for quantile in quantiles),
        "calls": 4800,
    }
    return CellComparison(**{**fields, **changes})


def comparison(*cells, **changes):
    """A variant that is 4 % larger than its baseline and 0.012 less right."""
    fields = {
        "base_sha256": "4" * 64,
        "base_size_bytes": 9_423_077,
        "base_format": "onnx",
        "size_change": 0.04,
        "metric": "f1",
        "base_score": 0.924,
        "base_rows": 400,
        "score_change": -0.012,
        "cells": cells,
    }
    return Comparison(**{**fields, **changes})


OPERATORS = (
    OperatorChange(name="/dense/MatMul", op_type="MatMul", base_ms=0.12, head_ms=0.141, change_ms=0.021, share=0.7),
    OperatorChange(name="Relu", op_type="Relu", head_ms=0.012, change_ms=0.012, share=0.4, count=3),
    OperatorChange(name="/out/Softmax", op_type="Softmax", base_ms=0.02, head_ms=0.017, change_ms=-0.003, share=-0.1),
)


def baseline(**changes):
    """The merge base, made on a machine with more processors and an older runtime."""
    fields = {
        "source": "merge base",
        "commit": "81b4480d5a6f7e8c90123456789abcdef0123456",
        "branch": "main",
        "saved_at": "2030-01-01T02:03:04+00:00",
        "environment": THERE,
    }
    return BaselineIdentity(**{**fields, **changes})


def gate(verdict, **changes):
    """A gate that looked twice at twelve replicates, beside the merge base."""
    fields = {
        "allowed": 0.02,
        "caught": 0.05,
        "looks": 2,
        "replicates": 12,
        "together": slowdown(0.034),
        "control": slowdown(0.001, 0.004),
        "disturbance": Disturbance(
            steal_share=0.004, worst_steal_share=0.021, involuntary_switches=1234, pressure_share=0.013,
            lowest_mhz=2595.1, highest_mhz=3100.9, repeated=1,
        ),
        "baseline": baseline(),
        "seconds": 20.6,
    }  # fmt: skip
    return Gate(verdict=verdict, **{**fields, **changes})


def unmeasured_gate(verdict, **changes):
    """A gate that had nothing to measure."""
    fields = {"looks": 0, "replicates": 0, "together": None, "control": None, "disturbance": None, "seconds": None}
    return gate(verdict, **{**fields, **changes})


def compared(outcome, *cells, name="onnx", mode="on", **changes):
    """A variant that its gate has judged, with what its cells say; the best one unless that is red."""
    reason = f"{'; '.join(f'batch {found.batch_size}: {found.slowdown.text}' for found in cells)}, {ALLOWED}"
    judged = check(outcome, name, "regression", reason=reason if cells else "", gate=mode)
    fields = {"checks": (*variant(name).checks, judged), "comparison": comparison(*cells) if cells else None}
    return variant(name, **{**fields, **changes})


def regressed(name="churn", mode="on"):
    """One variant is 7.2 % slower at batch 16, another one has passed at both batch sizes."""
    slow = comparison(
        cell("passed", 1, 0.004),
        cell("regressed", 16, 0.072, 2.0),
        operators=OPERATORS,
        operators_batch_size=16,
        notes=("the base ran under this runtime",),
    )
    found = (
        compared("passed", cell("passed", 1, 0.003), cell("passed", 16, -0.002, 2.5)),
        compared("regressed", *slow.cells, name="int8", mode=mode, comparison=slow),
    )
    return result(*found, name=name, gate=gate("regressed", reason="batch 16."), request=SIZES)


SIZES = {"batch_sizes": [1, 16]}


def unchanged(name="same"):
    """The files are those of the baseline."""
    return result(compared("unchanged"), name=name, gate=unmeasured_gate("unchanged"), request=SIZES)


def new(name="new"):
    """There is no baseline."""
    found = unmeasured_gate("new", reason="no baseline of test_new at the merge base 81b4480.", baseline=None)
    return result(compared("new"), name=name, gate=found, request=SIZES)


def inconclusive(name="unsure", mode="on"):
    """One of two cells could not be decided."""
    wide = slowdown(0.031, 0.026, 24, 0.072)
    cells = cell("passed", 1, 0.003), cell("inconclusive", 16, 0.031, slowdown=wide)
    reason = (
        f"not certain after 24 processes: batch 16: {wide.text}, {ALLOWED}; a slow-down of 7.2 % would have been caught"
    )
    together = slowdown(0.017, 0.013, 24)
    found = gate("inconclusive", reason=reason, looks=4, replicates=24, seconds=61.2, together=together)
    return result(compared("inconclusive", *cells, mode=mode), name=name, gate=found, request=SIZES)


def contaminated(name="disturbed"):
    """A second copy of the baseline is slower than the first."""
    cells = cell("inconclusive", 1, 0.061), cell("inconclusive", 16, 0.055)
    control = slowdown(0.044, 0.009)
    reason = f"contaminated: the baseline beside a second copy of itself: {control.text}; {ALLOWED}"
    found = gate("inconclusive", reason=reason, control=control, is_contaminated=True, notes=("the host was busy",))
    return result(compared("inconclusive", *cells), name=name, gate=found, request=SIZES)


def improved(name="quicker"):
    """Faster by as much as it may be slower."""
    cells = cell("improved", 1, -0.09), cell("passed", 16, 0.001)
    return result(compared("improved", *cells), name=name, gate=gate("passed"), request=SIZES)


def with_tails(name="tails"):
    """p95 is judged too: too slow at one batch size, too few calls at the other."""
    cells = (
        cell("passed", 1, 0.003),
        cell("passed", 16, 0.001),
        cell("regressed", 1, 0.31, 0.8, percentile=95),
        cell("advisory", 16, 0.12, 3.1, percentile=95, calls=480, reason="480 calls an arm, needs 3,000"),
    )
    return result(compared("regressed", *cells), name=name, gate=gate("regressed"), request=SIZES)


def missing(name="gone"):
    """A variant of the baseline is not there any more."""
    lost = check("missing", "fp16", "regression", reason="merge base 81b4480 has it.", next_step="Ask for it again.")
    found = compared("unchanged"), VariantResult(name="fp16", checks=(lost,))
    return result(*found, name=name, gate=unmeasured_gate("unchanged"), request=SIZES)


def gated():
    """A model for each way in which a gate may end."""
    found = (regressed, unchanged, new, inconclusive, contaminated, improved, with_tails, missing)
    return report(*(build() for build in found))


# --- whole reports ----------------------------------------------------------------------------------------------


def full():
    """Two models, one of them red, with all that a report may hold."""
    onnx, int8 = variant(), failed_variant()
    steady = comparison(cell("passed", 1, 0.003), cell("passed", 32, -0.002, 5.0))
    slow = cell("regressed", 1, 0.072, 0.233, reason="all looks agree")
    slower = comparison(
        slow,
        base_size_bytes=2_403_846,
        base_score=0.912,
        operators=OPERATORS,
        operators_batch_size=1,
        notes=("the base ran under this runtime",),
    )
    decided = gate("regressed", reason="batch 1.", notes=("p95 was not asked for",))
    decided = decided.model_copy(update={"baseline": baseline(notes=("the bundle was edited",))})
    judged = check("regressed", "int8", "regression", reason=f"batch 1: {slow.slowdown.text}, {ALLOWED}")
    passed = check("passed", "onnx", "regression", reason=f"batch 1: +0.3 % [-0.8, 1.4], {ALLOWED}")
    unprotected = unmeasured_gate("new", reason="no baseline of this test yet.", baseline=None)
    own = original().model_copy(update={"name": "original (n_jobs=-1)", "role": "context", "accuracy": None})
    red = result(
        onnx.model_copy(update={"comparison": steady, "checks": (*onnx.checks, passed)}),
        int8.model_copy(update={"comparison": slower, "checks": (*int8.checks, judged)}),
        lost_variant(),
        context=(own,),
        gate=decided,
        notes=("measuring ended early at batch 32",),
        samples=Samples(path="samples/1.npz", sha256="3" * 64),
    )
    price = compared("new", name="optimized")
    return report(red, result(price, name="price", gate=unprotected), incidents=("worker gw1 died",))


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
    # A check's gate is a mode, a result's is a record.
    if key in OURS or (key == "gate" and isinstance(value, str)):
        return value
    if isinstance(value, dict):
        # The two mappings whose keys are names; several variants keep names of their own.
        names = {"variants": lambda at: text + "'" * at, "libraries": lambda at: text + "'" * at}.get(key)
        items = enumerate(value.items())
        return {names(at) if names else inner: _planted(item, text, str(inner)) for at, (inner, item) in items}
    if isinstance(value, list | tuple):
        return [_planted(item, text, key) for item in value]
    return text if isinstance(value, str) else value
