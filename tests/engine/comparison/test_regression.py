from __future__ import annotations

import pytest

from pytest_inferopt.domain.baseline import BaselineFile, BaselineVariant, Manifest
from pytest_inferopt.domain.comparison import CellComparison, Comparison, Gate, SlowdownEstimate
from pytest_inferopt.domain.environment import Environment
from pytest_inferopt.domain.measured import Accuracy
from pytest_inferopt.domain.record import Interval
from pytest_inferopt.domain.request import OptimizationRequest
from pytest_inferopt.domain.result import Check
from pytest_inferopt.domain.slowdown import parse_max_slowdown
from pytest_inferopt.engine.comparison.regression import (
    accuracy_check,
    beside,
    not_comparable_reason,
    regression_check,
    runtime_change,
    setting_change,
)

LIMITS = parse_max_slowdown("5%")
ALLOWED = "allowed 2.0 % (0.4 × max_slowdown 5 %)"


def machine(**changes):
    fields = {"cpu_model": "Xeon", "cpu_count": 2, "isa_flags": ("avx2", "avx512_vnni"), "python": "3.11.9"}
    return Environment(**{**fields, "system": "linux x86_64", "libraries": {"onnxruntime": "1.31.1"}, **changes})


def accuracy(score=0.9, **changes):
    fields = {"metric": "accuracy", "direction": "higher", "rows": 400, "score": score, "original": 0.9, "ratio": 1.0}
    return Accuracy(**{**fields, **changes})


def base(lineage=("onnx_conversion",), score=0.9, **changes):
    fields = {
        "format": "onnx",
        "files": (BaselineFile(name="model.onnx", sha256="b" * 64, size_bytes=1000),),
        "sha256": "b" * 64,
        "artifact": {"signature": None, "lineage": list(lineage), "notes": []},
        "accuracy": None if score is None else accuracy(score),
    }
    return BaselineVariant(**{**fields, **changes})


def slowdown(estimate, half=0.01, **changes):
    interval = Interval(low=estimate - half, high=estimate + half)
    return SlowdownEstimate(**{"estimate": estimate, "interval": interval, "replicates": 12, **changes})


def cell(batch_size, outcome, estimate, percentile=50, **changes):
    return CellComparison(
        batch_size=batch_size, percentile=percentile, outcome=outcome, slowdown=slowdown(estimate, **changes)
    )


def judged(*cells, verdict="passed", **changes):
    parts = {"limits": LIMITS, "mode": "on", "is_together": False}
    parts |= {name: changes.pop(name) for name in (*parts, "caveat") if name in changes}
    return regression_check("int8", cells, Gate(verdict=verdict, **changes), **parts)


def test_size_and_accuracy_are_held_against_the_baselines():
    found = beside(base(), size_bytes=1050, accuracy=accuracy(0.925), is_accuracy_comparable=True)
    assert found == Comparison(
        base_sha256="b" * 64,
        base_size_bytes=1000,
        base_format="onnx",
        size_change=1050 / 1000 - 1,
        metric="accuracy",
        base_score=0.9,
        base_rows=400,
        score_change=0.925 - 0.9,
    )


@pytest.mark.parametrize(
    ("head", "comparable", "change", "notes"),
    [
        (accuracy(0.9, rows=500), True, 0.0, ("the baseline's accuracy was measured on 400 rows, this one on 500",)),
        (
            accuracy(0.9, metric="f1"),
            True,
            None,
            ("the baseline's accuracy was accuracy, this one is f1: not compared",),
        ),
        (accuracy(0.9), False, None, ()),
        (accuracy(None), True, None, ()),
        (None, True, None, ()),
    ],
)
def test_accuracies_that_were_taken_otherwise_are_told_apart(head, comparable, change, notes):
    found = beside(base(), size_bytes=1000, accuracy=head, is_accuracy_comparable=comparable)
    assert (found.base_score, found.score_change, found.notes) == (0.9, change, notes)


@pytest.mark.parametrize("score", [None, accuracy(None)])
def test_a_baseline_without_an_accuracy_is_compared_in_size_alone(score):
    was = base(score=None) if score is None else base().model_copy(update={"accuracy": score})
    found = beside(was, size_bytes=500, accuracy=accuracy(), is_accuracy_comparable=True)
    assert (found.size_change, found.base_score, found.score_change) == (-0.5, None, None)


def test_an_empty_baseline_has_no_relative_size():
    empty = base(files=(BaselineFile(name="model.onnx", sha256="b" * 64, size_bytes=0),))
    assert beside(empty, size_bytes=5, accuracy=None, is_accuracy_comparable=True).size_change is None


def test_c48_int8_accuracy_of_another_instruction_set_is_not_comparable():
    quantized = base(lineage=("onnx_conversion", "quantization"))
    assert accuracy_check("int8", quantized, machine(isa_flags=("avx2",)), machine()) == Check(
        kind="accuracy",
        variant="int8",
        subject="against the baseline",
        outcome="not_comparable",
        reason="the baseline's INT8 accuracy was measured with avx2, here it is avx2, avx512_vnni.",
        next_step="Save the baseline on the machines that compare with it.",
    )


def test_c48_the_same_instructions_or_floating_point_are_comparable():
    quantized = base(lineage=("onnx_conversion", "quantization"))
    assert accuracy_check("int8", quantized, machine(), machine(cpu_model="EPYC")) is None
    assert accuracy_check("onnx", base(), machine(isa_flags=()), machine()) is None


def signature(*inputs):
    told = [
        {"name": name, "dtype": dtype, "shape": shape, "columns": columns, "role": "other"}
        for name, dtype, shape, columns in inputs
    ]
    return {"signature": {"inputs": told, "outputs": []}}


X = ("x", "float32", ["N", 4], None)


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (signature(("x", "float32", ["batch", 4], None)), ""),
        (
            signature(("x", "float32", ["N", 5], None)),
            "its inputs have changed: 'x' float32[?, 4] became 'x' float32[?, 5].",
        ),
        (
            signature(("x", "int64", ["N", 4], None), ("mask", "bool", [], None)),
            "its inputs have changed: 'x' float32[?, 4] became 'x' int64[?, 4], 'mask' bool[].",
        ),
        (
            signature(("x", "float32", ["N", 4], ["a", "b", "c", "d"])),
            "its inputs have changed: 'x' float32[?, 4] became 'x' float32[?, 4] of a, b, c, ….",
        ),
        ({"signature": None}, "its inputs have changed: 'x' float32[?, 4] became no inputs."),
    ],
)
def test_inputs_that_have_changed_cannot_be_compared(now, reason):
    assert not_comparable_reason(signature(X), now, base_format="onnx", head_format="onnx") == reason


def test_another_format_cannot_be_compared():
    reason = not_comparable_reason(signature(X), signature(X), base_format="onnx", head_format="tensorrt")
    assert reason == "the baseline is onnx, this one is tensorrt."


def test_columns_of_the_same_names_are_the_same_inputs():
    named = signature(("x", "float32", ["N", 2], ["a", "b"]))
    other = signature(("x", "float32", ["N", 2], ["a", "c"]))
    assert not not_comparable_reason(named, named, base_format="onnx", head_format="onnx")
    assert "of a, b became 'x' float32[?, 2] of a, c." in not_comparable_reason(
        named, other, base_format="onnx", head_format="onnx"
    )


@pytest.mark.parametrize(
    ("was", "words"),
    [
        ({"onnxruntime": "1.31.1", "numpy": "1.0"}, ""),
        (
            {"onnxruntime": "1.30.0"},
            "runtime change not judged: the baseline was made with onnxruntime 1.30.0, both ran on 1.31.1",
        ),
        ({}, "runtime change not judged: the baseline was made with no onnxruntime, both ran on 1.31.1"),
    ],
)
def test_a_runtime_of_another_version_is_told(was, words):
    assert runtime_change(machine(libraries=was), machine()) == words


def test_a_runtime_that_is_gone_is_told():
    words = runtime_change(machine(), machine(libraries={}))
    assert words.endswith("the baseline was made with onnxruntime 1.31.1, both ran on another runtime")


def test_a_setting_that_the_request_has_changed_is_told():
    was = {"threads": 1, "provider": "cpu", "iterations": 10}
    manifest = Manifest(test_id="t", name="m", environment=machine(), variants={}, request=was)
    assert setting_change(manifest, OptimizationRequest(threads=2)) == "threads 1 became 2"
    assert not setting_change(manifest, OptimizationRequest())
    assert not setting_change(manifest.model_copy(update={"request": {}}), OptimizationRequest(threads=2))


def test_a_regression_names_its_cells_the_slowest_first():
    found = judged(cell(1, "regressed", 0.04), cell(16, "inconclusive", 0.5), cell(32, "regressed", 0.08))
    assert found == Check(
        kind="regression",
        variant="int8",
        outcome="regressed",
        observed=0.08,
        limit=LIMITS.allowed,
        interval=slowdown(0.08).interval,
        reason=f"batch 32: +8.0 % [7.0, 9.0]; batch 1: +4.0 % [3.0, 5.0], {ALLOWED}.",
        next_step="Look at the operators below. Where it is meant, --inferopt-update-baseline accepts it.",
    )
    assert found.is_red


@pytest.mark.parametrize(
    ("cells", "outcome", "reason"),
    [
        ([cell(1, "passed", 0.001), cell(16, "passed", -0.02)], "passed", "batch 1: +0.1 % [-0.9, 1.1]"),
        ([cell(1, "improved", -0.3), cell(16, "passed", 0.01)], "improved", "batch 1: -30.0 % [-31.0, -29.0]"),
        ([cell(1, "passed", 0.01), cell(16, "inconclusive", 0.02)], "inconclusive", "batch 16: +2.0 % [1.0, 3.0]"),
        ([cell(1, "passed", 0.0), cell(1, "advisory", 0.9, 95)], "passed", "batch 1: +0.0 % [-1.0, 1.0]"),
    ],
)
def test_a_variants_verdict_is_that_of_its_worst_cell(cells, outcome, reason):
    found = judged(*cells)
    assert (found.outcome, found.reason) == (outcome, f"{reason}, {ALLOWED}.")


def test_a_tail_is_held_against_limits_of_its_own():
    found = judged(cell(1, "passed", 0.0), cell(1, "regressed", 0.3, 95), cell(16, "regressed", 0.4, 95))
    told = "batch 16 p95: +40.0 % [39.0, 41.0]; batch 1 p95: +30.0 % [29.0, 31.0], allowed 10.0 % (of a tail)."
    assert (found.outcome, found.reason, found.limit) == ("regressed", told, 0.1)


def test_a_median_speaks_before_a_tail():
    found = judged(cell(1, "regressed", 0.04), cell(1, "regressed", 0.3, 95))
    assert (found.reason, found.limit) == (f"batch 1: +4.0 % [3.0, 5.0], {ALLOWED}.", LIMITS.allowed)


def test_an_inconclusive_cell_says_what_would_have_been_caught():
    found = judged(cell(1, "inconclusive", 0.02, detectable=0.071), verdict="inconclusive")
    assert found.reason == f"batch 1: +2.0 % [1.0, 3.0], {ALLOWED}; a slow-down of 7.1 % would have been caught."


@pytest.mark.parametrize(("mode", "is_red"), [("on", False), ("strict", True), ("warn", False)])
def test_an_inconclusive_gate_is_red_under_strict_alone(mode, is_red):
    assert judged(cell(1, "inconclusive", 0.02), mode=mode).is_red is is_red


@pytest.mark.parametrize(("mode", "is_red"), [("on", True), ("strict", True), ("warn", False)])
def test_a_regression_is_red_unless_the_gate_only_warns(mode, is_red):
    assert judged(cell(1, "regressed", 0.2), mode=mode).is_red is is_red


def test_where_only_all_cells_together_are_proven_slower_each_variant_says_so():
    reason = "all batch sizes together: +3.0 % [2.5, 3.5], allowed 2.0 %"
    found = judged(
        cell(1, "inconclusive", 0.03), verdict="regressed", is_together=True, reason=reason, together=slowdown(0.03)
    )
    assert (found.outcome, found.reason, found.observed) == ("regressed", reason, 0.03)


def test_a_contaminated_control_makes_every_variant_inconclusive():
    found = judged(cell(1, "regressed", 0.2), verdict="inconclusive", is_contaminated=True, reason="contaminated: …")
    assert (found.outcome, found.reason) == ("inconclusive", "contaminated: …")


def test_a_gate_without_a_judged_cell_is_inconclusive_for_its_own_reason():
    found = judged(verdict="inconclusive", reason="the host took 9 % away")
    assert (found.outcome, found.reason, found.observed) == ("inconclusive", "the host took 9 % away", None)


def test_a_cell_without_a_figure_never_speaks():
    silent = CellComparison(batch_size=1, outcome="inconclusive")
    found = judged(silent, cell(16, "inconclusive", 0.01), verdict="inconclusive")
    assert found.reason.startswith("batch 16: ")
    nothing = SlowdownEstimate(estimate=None, interval=Interval(low=None, high=None), replicates=0)
    unknown = CellComparison(batch_size=2, outcome="inconclusive", slowdown=nothing)
    assert judged(unknown, cell(16, "inconclusive", 0.01)).reason.startswith("batch 16: ")


@pytest.mark.parametrize("outcome", ["passed", "improved"])
def test_a_pass_under_another_runtime_is_advisory_and_never_plain(outcome):
    found = judged(cell(1, outcome, -0.01), caveat="runtime change not judged: …")
    assert (found.outcome, found.is_red) == ("advisory", False)
    assert found.reason == f"runtime change not judged: …; batch 1: -1.0 % [-2.0, 0.0], {ALLOWED}."


def test_a_regression_under_another_runtime_is_a_regression():
    assert judged(cell(1, "regressed", 0.2), caveat="runtime change not judged: …").outcome == "regressed"
