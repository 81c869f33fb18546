from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pytest_inferopt.domain.environment import Environment
from pytest_inferopt.domain.measured import Accuracy, Conversion, Latency, Speedup
from pytest_inferopt.domain.record import Interval
from pytest_inferopt.domain.request import OptimizationRequest
from pytest_inferopt.domain.result import SCHEMA_VERSION, Check, RunResult, Step, VariantResult, is_red

HERE = Environment(cpu_model="Some CPU", cpu_count=2, isa_flags=("avx2",), python="3.11.9", system="linux x86_64")
FIGURES = st.none() | st.floats()
GREEN = ("passed", "advisory", "improved", "inconclusive", "unchanged", "new", "not_comparable")
RED = ("failed", "not_measured", "refused", "regressed", "missing")


def check(outcome, variant="optimized", kind="accuracy"):
    return Check(kind=kind, variant=variant, outcome=outcome)


def latency(batch_size=1, p50_ms=1.0, **figures):
    return Latency(
        batch_size=batch_size, iterations=10, iterations_requested=10, warmup_iterations=2, p50_ms=p50_ms, **figures
    )


def variant(name="optimized", **parts):
    return VariantResult(name=name, format="onnx", size_bytes=1_500_000, **parts)


def run_result(*variants, best=None, **parts):
    return RunResult(
        name="churn",
        request=OptimizationRequest(),
        environment=HERE,
        original=parts.pop("original", VariantResult(name="original", role="original")),
        variants={found.name: found for found in variants or (variant(),)},
        best=best,
        **parts,
    )


@pytest.mark.parametrize("outcome", GREEN)
def test_a_green_outcome_does_not_fail_a_test(outcome):
    assert not is_red(outcome)
    assert not check(outcome).is_red
    assert run_result(variant(checks=(check(outcome),))).passed


@pytest.mark.parametrize("outcome", RED)
def test_a_red_outcome_fails_a_test_whoever_it_is_about(outcome):
    assert is_red(outcome)
    assert variant(checks=(check("passed"), check(outcome))).is_red
    assert not run_result(variant(checks=(check("passed"), check(outcome)))).passed
    assert not run_result(original=VariantResult(name="original", checks=(check(outcome, "original"),))).passed


def test_only_a_strict_gate_fails_what_is_inconclusive():
    assert [is_red(outcome, strict=True) for outcome in (*GREEN, *RED)] == [
        outcome in {"inconclusive", *RED} for outcome in (*GREEN, *RED)
    ]


def test_the_check_that_speaks_for_a_variant_is_the_first_red_one_then_the_first_that_is_not_passed():
    passed, advisory, failed, refused = map(check, ("passed", "advisory", "failed", "refused"))
    assert variant(checks=(passed, advisory, failed, refused)).worst == failed
    assert variant(checks=(passed, advisory, passed)).worst == advisory
    assert variant(checks=(passed, passed)).worst is None


def test_the_optimized_model_is_the_best_variant():
    figures = Accuracy(metric="accuracy", direction="higher", rows=9, score=0.9, original=1.0, ratio=0.9)
    speedup = {
        size: Speedup(batch_size=size, estimate=estimate, interval=Interval(low=1, high=3), blocks=32)
        for size, estimate in ((1, 2.5), (16, None))
    }
    best = variant("b", accuracy=figures, speedup=speedup, latency={1: latency(p95_ms=4.5)})
    result = run_result(variant("a"), best, best="b")
    assert result.optimized is result.variants["b"]
    assert (result.accuracy_ratio, result.speedup) == (0.9, {1: 2.5, 16: None})
    assert result.optimized.latency[1].p95_ms == 4.5
    assert result.optimized.size_mb == 1.5


def test_where_no_variant_passes_the_first_one_can_still_be_looked_at():
    result = run_result(variant("a", checks=(check("failed", "a"),)), variant("b", checks=(check("failed", "b"),)))
    assert result.optimized is result.variants["a"]
    assert (result.accuracy_ratio, result.speedup) == (None, {})


def test_checks_come_in_the_order_of_the_variants_the_original_first():
    result = run_result(
        variant("b", checks=(check("passed", "b"),)),
        variant("a", checks=(check("failed", "a"), check("passed", "a", "conversion"))),
        original=VariantResult(name="original", checks=(check("passed", "original"),)),
    )
    assert [found.variant for found in result.checks] == ["original", "b", "a", "a"]


def test_an_arm_that_is_timed_for_context_is_never_judged():
    context = VariantResult(name="original (n_jobs=-1)", role="context", checks=(check("failed"),))
    assert run_result(variant(checks=(check("passed"),)), context=(context,)).passed


def test_the_interval_of_a_percentile_is_asked_for_by_its_number():
    interval = Interval(low=1.0, high=2.0, method="order statistics of one process")
    found = latency(intervals={"p95": interval, "p99.9": interval})
    assert found.interval(95) is interval
    assert found.interval(99.9) is interval
    with pytest.raises(KeyError, match="p50"):
        found.interval(50)


def test_a_size_that_is_not_known_has_no_megabytes():
    assert VariantResult(name="a").size_mb is None


def test_a_result_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        run_result().best = "optimized"


def whole_result(figure):
    """A result in which every figure that may be missing is `figure`."""
    interval = Interval(low=figure, high=figure)
    found = variant(
        steps=(Step(name="quantization", seconds=1.0, size_before_bytes=4, size_after_bytes=1, notes=("done",)),),
        conversion=Conversion(opset=17, batch_sizes_run=(1, 3, 7), rows=9, max_difference=figure),
        accuracy=Accuracy(
            metric="f1", direction="higher", rows=9, score=figure, original=figure, ratio=figure, interval=interval
        ),
        latency={1: latency(p50_ms=figure, cold_call_ms=figure, feed_ms=figure, intervals={"p50": interval})},
        speedup={1: Speedup(batch_size=1, estimate=figure, interval=interval, blocks=32)},
        checks=(Check(kind="budget", variant="optimized", outcome="failed", observed=figure, interval=interval),),
    )
    return run_result(found, seconds={"measuring": 1.0}, notes=("a note",))


def refuse(token):
    raise AssertionError(f"{token} is no JSON")


@given(FIGURES)
def test_c49_no_nan_token_is_in_any_json(figure):
    result = whole_result(figure)
    document = json.loads(result.model_dump_json(), parse_constant=refuse)
    assert document == result.to_dict()
    is_there = figure is not None and math.isfinite(figure)
    assert document["variants"]["optimized"]["latency"]["1"]["p50_ms"] == (figure if is_there else None)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_c49_nan_in_fields_that_are_not_known_becomes_null_too(value):
    loose = {"quantization_config": {"depth": [value]}}
    result = run_result().model_copy(update={"request": OptimizationRequest.model_validate(loose)})
    stored = RunResult.model_validate({**result.to_dict(), "of_tomorrow": {"figure": value}})
    document = json.loads(stored.model_dump_json(), parse_constant=refuse)
    assert document["of_tomorrow"] == {"figure": None}
    assert document["request"]["quantization_config"] == {"depth": [None]}


@given(st.none() | st.floats(allow_nan=False, allow_infinity=False))
def test_a_result_comes_back_from_its_json(figure):
    result = whole_result(figure)
    assert RunResult.model_validate_json(result.model_dump_json()) == result
    assert RunResult.model_validate(result.to_dict()) == result


def test_a_result_says_by_which_schema_it_was_written():
    assert run_result().to_dict()["schema_version"] == SCHEMA_VERSION == 1


def test_fields_of_a_newer_writer_are_kept():
    document = run_result().to_dict()
    document["of_tomorrow"] = 1
    document["environment"]["microcode"] = "0x1"
    document["variants"]["optimized"]["colour"] = {"deep": [1, 2]}
    assert RunResult.model_validate(document).to_dict() == document


def test_an_unknown_outcome_is_refused():
    with pytest.raises(ValidationError, match="outcome"):
        check("fine")


def test_a_failed_assertion_shows_a_result_on_one_line():
    cell = latency(32, 1.5, p95_ms=2.0)
    judged = variant("int8", checks=(check("passed"), check("failed", kind="budget")))
    assert [
        repr(found) for found in (cell, judged, variant(), run_result(judged, variant()), run_result(best="a"))
    ] == [
        "Latency(batch_size=32, p50_ms=1.5, p95_ms=2.0, p99_ms=None, iterations=10)",
        "VariantResult('int8', 1.5 MB, accuracy passed, budget failed)",
        "VariantResult('optimized', 1.5 MB, not judged)",
        "RunResult('churn', red, best=None, variants=['int8', 'optimized'])",
        "RunResult('churn', passed, best='a', variants=['optimized'])",
    ]
