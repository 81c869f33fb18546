from __future__ import annotations

from pytest_inferopt.domain.measured import Speedup
from pytest_inferopt.domain.result import VariantResult
from pytest_inferopt.plugin.properties import properties_of


def test_the_figures_at_the_first_batch_size_are_properties_under_the_model_and_the_variant(reports):
    result = reports.result(reports.variant(), request={"batch_sizes": [32, 1]})
    assert dict(properties_of(result)) == {
        "inferopt.churn.original.size_bytes": 41_200_000,
        "inferopt.churn.original.score": 0.912,
        "inferopt.churn.original.p50_ms": 38.0,
        "inferopt.churn.original.p95_ms": 38.0 * 1.45,
        "inferopt.churn.original.p99_ms": 38.0 * 1.49,
        "inferopt.churn.onnx.size_bytes": 9_800_000,
        "inferopt.churn.onnx.score": 0.912,
        "inferopt.churn.onnx.accuracy_ratio": 1.0,
        "inferopt.churn.onnx.p50_ms": 5.0,
        "inferopt.churn.onnx.p95_ms": 5.0 * 1.45,
        "inferopt.churn.onnx.p99_ms": 5.0 * 1.49,
        "inferopt.churn.onnx.speedup": 7.6,
        "inferopt.churn.onnx.verdict": "passed",
        "inferopt.churn.batch_size": 32,
        "inferopt.churn.best": "onnx",
    }


def test_what_was_not_measured_is_left_out_and_the_verdict_says_why(reports):
    lost = reports.lost_variant()
    result = reports.result(lost, VariantResult(name="bare"), original=VariantResult(name="original", role="original"))
    assert list(properties_of(result.model_copy(update={"best": None}))) == [
        ("inferopt.churn.fp16.verdict", "not_measured"),
        ("inferopt.churn.batch_size", 1),
        ("inferopt.churn.best", "none"),
    ]


def test_a_figure_of_zero_was_measured(reports):
    interval = reports.variant().speedup[1].interval
    variant = VariantResult(
        name="a",
        size_bytes=0,
        accuracy=reports.accuracy(0.0, 0.0),
        latency={1: reports.latency(1, 1.0, p50_ms=0.0, p95_ms=None, p99_ms=None)},
        speedup={1: Speedup(batch_size=1, estimate=0.0, interval=interval, blocks=1)},
    )
    found = dict(properties_of(reports.result(variant)))
    assert {name: figure for name, figure in found.items() if ".a." in name} == dict.fromkeys(
        [f"inferopt.churn.a.{name}" for name in ("size_bytes", "score", "accuracy_ratio", "p50_ms", "speedup")], 0
    )


def test_the_verdict_is_the_outcome_that_speaks_for_a_variant_also_the_original(reports):
    lost = reports.check("not_measured", "original", "conversion")
    uncertain = reports.check("inconclusive", "b")
    result = reports.result(
        reports.failed_variant("a"),
        reports.variant("b", checks=(uncertain,)),
        original=reports.original(checks=(lost,)),
    )
    assert {name: value for name, value in properties_of(result) if name.endswith(".verdict")} == {
        "inferopt.churn.original.verdict": "not_measured",
        "inferopt.churn.a.verdict": "failed",
        "inferopt.churn.b.verdict": "inconclusive",
    }


def test_an_arm_that_is_timed_only_for_context_has_no_properties(reports):
    own = reports.original().model_copy(update={"name": "original (n_jobs=-1)", "role": "context"})
    with_it, without = reports.result(reports.variant(), context=(own,)), reports.result(reports.variant())
    assert list(properties_of(with_it)) == list(properties_of(without))


def test_a_gate_adds_each_variants_slow_down_and_outcome_and_its_own_verdict(reports):
    def beside(result):
        names = ("slowdown", "base_p50_ms", "regression", "verdict", "gate", "baseline")
        return {name: value for name, value in properties_of(result) if name.rpartition(".")[2] in names}

    assert beside(reports.regressed()) == {
        "inferopt.churn.onnx.verdict": "passed",
        "inferopt.churn.onnx.base_p50_ms": 0.5,
        "inferopt.churn.onnx.slowdown": 0.003,
        "inferopt.churn.onnx.regression": "passed",
        "inferopt.churn.int8.verdict": "regressed",
        "inferopt.churn.int8.base_p50_ms": 0.5,
        "inferopt.churn.int8.slowdown": 0.004,
        "inferopt.churn.int8.regression": "regressed",
        "inferopt.churn.gate": "regressed",
        "inferopt.churn.baseline": "merge base 81b4480",
    }
    assert beside(reports.new()) == {
        "inferopt.new.onnx.verdict": "passed",
        "inferopt.new.onnx.regression": "new",
        "inferopt.new.gate": "new",
    }


def test_a_cell_without_a_slow_down_has_the_time_of_its_base(reports):
    bare = reports.cell("inconclusive", 1, 0.1).model_copy(update={"slowdown": None})
    found = dict(properties_of(reports.result(reports.variant(comparison=reports.comparison(bare)))))
    assert ("inferopt.churn.onnx.base_p50_ms" in found, "inferopt.churn.onnx.slowdown" in found) == (True, False)
