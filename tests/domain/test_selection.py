from __future__ import annotations

import pytest

from pytest_inferopt.domain.environment import Environment
from pytest_inferopt.domain.measured import Accuracy, Latency
from pytest_inferopt.domain.request import OptimizationRequest
from pytest_inferopt.domain.result import Check, RunResult, VariantResult
from pytest_inferopt.domain.selection import best_variant, pareto_front

HERE = Environment(cpu_model="CPU", cpu_count=2, isa_flags=(), python="3.11.9", system="linux x86_64")


def model(name, p95_ms=1.0, ratio=1.0, size_bytes=100, *, p50_ms=1.0, outcome="passed"):
    latency = Latency(
        batch_size=1, iterations=9, iterations_requested=9, warmup_iterations=0, p50_ms=p50_ms, p95_ms=p95_ms
    )
    accuracy = Accuracy(metric="accuracy", direction="higher", rows=9, score=0.9, original=0.9, ratio=ratio)
    return VariantResult(
        name=name,
        role="original" if name == "original" else "variant",
        size_bytes=size_bytes,
        accuracy=accuracy,
        latency={1: latency},
        checks=(Check(kind="accuracy", variant=name, outcome=outcome),),
    )


def front(*variants, original=None):
    result = RunResult(
        name="churn",
        request=OptimizationRequest(batch_sizes=(1,)),
        environment=HERE,
        original=original or model("original", p95_ms=9.0, size_bytes=900),
        variants={variant.name: variant for variant in variants},
    )
    return pareto_front(result)


def test_the_best_variant_is_the_fastest_at_p50_among_those_that_pass():
    models = [model("slow", p50_ms=3), model("fast", p50_ms=2), model("red", p50_ms=1, outcome="failed")]
    assert best_variant({found.name: found for found in models}, 1) == "fast"


def test_where_nothing_passes_or_was_timed_there_is_no_best_variant():
    red = model("red", outcome="failed")
    assert [best_variant({}, 1), best_variant({"red": red}, 1), best_variant({"a": model("a", p50_ms=None)}, 1)] == [
        None
    ] * 3


def test_a_model_that_another_one_beats_in_all_three_is_not_on_the_front():
    assert front(model("a", 1.0, 1.0, 100), model("b", 2.0, 0.99, 200)) == ("a",)


def test_each_of_the_three_alone_earns_a_place_on_the_front():
    fast, right, small = model("fast", 1.0, 0.98, 200), model("right", 2.0, 1.01, 200), model("small", 2.0, 0.98, 100)
    assert front(fast, right, small) == ("fast", "right", "small")


def test_the_original_is_on_the_front_where_nothing_is_as_right():
    assert front(model("a", 1.0, 0.999, 100)) == ("original", "a")


def test_two_models_alike_share_the_front():
    assert front(model("a"), model("b")) == ("a", "b")


@pytest.mark.parametrize(
    "lacking",
    [
        model("x", outcome="failed"),
        model("x", p95_ms=None),
        model("x", ratio=None),
        model("x", size_bytes=None),
        VariantResult(name="x", size_bytes=1),
        model("x").model_copy(update={"accuracy": None}),
    ],
    ids=["red", "no p95", "no ratio", "no size", "no latency", "no accuracy"],
)
def test_a_model_that_is_red_or_lacks_a_figure_is_not_on_the_front(lacking):
    assert front(lacking, model("a")) == ("a",)
