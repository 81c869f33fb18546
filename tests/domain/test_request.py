from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pytest_inferopt.domain.request import (
    BenchmarkSpec,
    DatasetSpec,
    OptimizationRequest,
    TechniqueSpec,
    parse_request,
)
from pytest_inferopt.errors import UsageError

WHERE = "pytest.mark.inferopt"
NAMES = st.text("abcdefghijklmnop_", min_size=1, max_size=12).filter(lambda name: name not in {"name", "options"})
OPTIONS = st.dictionaries(NAMES, st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5), max_size=3)
STEPS = st.lists(NAMES | st.builds(lambda name, options: {"name": name, **options}, NAMES, OPTIONS), max_size=4)
BUDGETS = ("p50 < 4us", "p95<5ms", "p99@batch32<.5s", "size<50MB")
REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.text(min_size=1, max_size=20),
        "model": st.text(max_size=20),
        "trust": st.booleans(),
        "validation_dataset": st.builds(lambda source, options: {"source": source, **options}, NAMES, OPTIONS).filter(
            lambda spec: isinstance(spec["source"], str) and spec["source"]
        ),
        "quantization_config": OPTIONS,
        "accuracy_threshold": st.floats(0, 1),
        "metric": st.none() | st.text(max_size=9),
        "iterations": st.integers(100, 10_000_000),
        "batch_sizes": st.lists(st.integers(1, 65_536), min_size=1, max_size=5, unique=True),
        "max_time_minutes": st.floats(0, 10_080, exclude_min=True),
        "max_slowdown": st.floats(1, 100) | st.integers(1, 100).map("{}%".format),
        "gate_percentiles": st.lists(st.sampled_from(["p50", "p95", "p99"]), max_size=3),
        "budget": st.lists(
            st.sampled_from(("p50 < 4us", "p95<5ms", "p99@batch32<.5s", "size<50MB")), max_size=3, unique=True
        ),
        "quick": st.booleans(),
    },
)
PIPELINES = st.one_of(
    st.just({}),
    st.just({"optimizations": "auto"}),
    st.builds(lambda steps: {"optimizations": steps}, STEPS),
    st.builds(lambda variants: {"variants": variants}, st.dictionaries(NAMES, STEPS, max_size=3)),
)


def message(**values):
    with pytest.raises(UsageError) as caught:
        parse_request(values, where=WHERE)
    return str(caught.value)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"batchsize": [1]}, "pytest.mark.inferopt got 'batchsize'; did you mean 'batch_sizes'?"),
        ({"accuracy_treshold": 1}, "pytest.mark.inferopt got 'accuracy_treshold'; did you mean 'accuracy_threshold'?"),
        ({"optimizations": "onnx"}, "pytest.mark.inferopt: optimizations='onnx': Input should be a valid tuple."),
        (
            {"optimizations": [""]},
            "pytest.mark.inferopt: optimizations.0.name='': String should have at least 1 character.",
        ),
        (
            {"optimizations": [{"method": "dynamic"}]},
            "pytest.mark.inferopt: optimizations.0.name=None: Input should be a valid string.",
        ),
        ({"batch_sizes": [4, 4]}, "pytest.mark.inferopt: batch_sizes=[4, 4]: a batch size stands twice."),
        (
            {"optimizations": ["fp16"], "variants": {"a": ["fp16"]}},
            "pytest.mark.inferopt: give optimizations (one variant) or variants (several), not both.",
        ),
        (
            {"quantization_config": 5},
            "pytest.mark.inferopt: technique_options.quantization=5: Input should be a valid dictionary.",
        ),
        (
            {"technique_options": 5, "quantization_config": {}},
            "pytest.mark.inferopt: technique_options=5: Input should be a valid dictionary.",
        ),
        ({"gate": "off"}, "pytest.mark.inferopt: gate='off': Input should be 'strict', 'on' or 'warn'."),
    ],
)
def test_a_request_that_is_wrong_says_where_which_and_why(values, expected):
    assert message(**values) == expected


def test_a_name_like_no_other_lists_all_that_are_known():
    assert message(zzz=1).startswith("pytest.mark.inferopt got 'zzz'; known: accuracy_decision, accuracy_threshold, ")


def test_a_wrong_step_of_a_variant_is_found_by_the_variants_name():
    assert "variants.int8-dynamic.0=5:" in message(variants={"int8-dynamic": [5]})


def test_an_unknown_name_inside_a_field_is_named():
    steps = [{"name": "fp16", "options": {}, "nmae": 1}]
    assert message(optimizations=steps) == "pytest.mark.inferopt got 'nmae'; no such field"


@pytest.mark.parametrize("value", [-1, 1.01, math.nan, math.inf, "0.99", True, None])
def test_c42_thresholds_out_of_range_or_of_the_wrong_type_are_usage_errors_and_zero_is_valid(value):
    assert message(accuracy_threshold=value).startswith(f"pytest.mark.inferopt: accuracy_threshold={value!r}: ")
    assert [parse_request({"accuracy_threshold": v}, where=WHERE).accuracy_threshold for v in (0, 1, 0.5)] == [
        0,
        1,
        0.5,
    ]


@pytest.mark.parametrize(
    ("field", "wrong", "right"),
    [
        ("iterations", [0, -1, 1.5, "10", True, 10_000_001], [1, 10_000_000]),
        ("warmup_iterations", [-1, 0.5], [0]),
        ("threads", [0, 1025, 1.0], [1, 1024]),
        ("opset", [8, 27, "17"], [9, 26]),
        ("measure_seconds", [0, -1, math.inf, math.nan, "60"], [1, 0.5, 86_400]),
        ("max_time_minutes", [0, 10_081, math.nan, math.inf], [0.001, 10_080]),
        ("tensorrt_workspace_gb", [0, 1025], [4, 1024.0]),
        ("random_seed", [-1, 2**32], [0, 2**32 - 1]),
        ("batch_sizes", [[], [0], [65_537], 4, ["1"]], [(1,), (65_536, 1)]),
        ("trust", [1, "yes", None], [True, False]),
        ("quick", [1, "true"], [True, False]),
    ],
)
def test_each_field_takes_its_range_and_nothing_beside_it(field, wrong, right):
    for value in wrong:
        assert message(**{field: value}).startswith(f"pytest.mark.inferopt: {field}")
    assert [getattr(parse_request({field: value}, where=WHERE), field) for value in right] == right


def test_a_request_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        OptimizationRequest().iterations = 5


def test_quick_lowers_the_counts_that_are_not_given():
    quick = parse_request({"quick": True, "iterations": 7}, where=WHERE)
    assert (quick.warmup_iterations, quick.iterations, quick.batch_sizes) == (10, 7, (1, 16))
    plain = parse_request({"quick": False}, where=WHERE)
    assert (plain.warmup_iterations, plain.iterations, plain.batch_sizes) == (100, 1000, (1, 16, 32, 64))


def test_optimizations_alone_are_the_one_variant():
    request = parse_request({"optimizations": ["fp16", {"name": "pruning", "share": 0.5}]}, where=WHERE)
    assert request.pipelines == {
        "optimized": (TechniqueSpec(name="fp16"), TechniqueSpec(name="pruning", options={"share": 0.5}))
    }


def test_without_any_steps_the_model_is_converted():
    assert OptimizationRequest().pipelines == {"optimized": (TechniqueSpec(name="onnx_conversion"),)}


def test_the_automatic_search_has_no_steps_of_its_own():
    assert parse_request({"optimizations": "auto"}, where=WHERE).pipelines == {"optimized": ()}


def test_variants_take_the_defaults_of_their_techniques_and_override_them():
    request = parse_request(
        {
            "variants": {"a": ["quantization"], "b": [{"name": "quantization", "precision": "uint8"}, "fp16"]},
            "quantization_config": {"precision": "int8", "per_channel": False},
        },
        where=WHERE,
    )
    assert request.pipelines == {
        "a": (TechniqueSpec(name="quantization", options={"precision": "int8", "per_channel": False}),),
        "b": (
            TechniqueSpec(name="quantization", options={"precision": "uint8", "per_channel": False}),
            TechniqueSpec(name="fp16"),
        ),
    }


def test_a_techniques_defaults_are_gathered_from_both_spellings():
    request = parse_request({"technique_options": {"fp16": {"a": 1}}, "pruning_config": {"b": 2}}, where=WHERE)
    assert request.technique_options == {"fp16": {"a": 1}, "pruning": {"b": 2}}


def test_the_keys_beside_a_datasets_source_are_its_options():
    request = parse_request({"validation_dataset": {"source": "csv", "path": "a.csv", "target": "y"}}, where=WHERE)
    assert request.validation_dataset == DatasetSpec(source="csv", options={"path": "a.csv", "target": "y"})
    assert request.model_dump(mode="json")["validation_dataset"] == {"source": "csv", "path": "a.csv", "target": "y"}


def test_how_latency_is_measured_is_a_view_of_the_request():
    request = parse_request({"iterations": 5, "warmup_iterations": 0, "batch_sizes": [2], "threads": 3}, where=WHERE)
    assert request.benchmark == BenchmarkSpec(
        warmup_iterations=0, iterations=5, batch_sizes=(2,), measure_seconds=60.0, threads=3, provider="cpu"
    )


def test_a_request_is_written_as_its_user_would_write_it():
    values = {
        "variants": {"int8": ["onnx_conversion", {"name": "quantization", "method": "dynamic"}]},
        "quantization_config": {"per_channel": False},
    }
    document = parse_request(values, where=WHERE).model_dump(mode="json")
    assert {key: document[key] for key in values} == values
    assert not document.keys() & {"optimizations", "technique_options"}


@given(REQUESTS, PIPELINES)
def test_a_request_comes_back_from_its_json_and_its_json_from_it(values, pipelines):
    request = parse_request({**values, **pipelines}, where=WHERE)
    text = request.model_dump_json()
    again = OptimizationRequest.model_validate_json(text)
    assert again == request
    assert again.pipelines == request.pipelines
    assert again.model_dump_json() == text


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max_slowdown": "5"}, "max_slowdown='5': has no % sign; did you mean \"5%\"?"),
        ({"max_slowdown": 0.05}, 'max_slowdown=0.05: is not from 1 to 100 percent; did you mean "5%"?'),
        ({"max_slowdown": "x y"}, "max_slowdown='x y': is no percentage. Write \"5%\", or 5 as a number."),
        ({"gate_percentiles": ["p59"]}, "the gate judges no percentile 'p59'; did you mean 'p99'?"),
        ({"gate": "stern"}, "gate='stern': Input should be 'strict', 'on' or 'warn'."),
    ],
)
def test_a_gate_that_cannot_be_read_is_a_usage_error_with_the_way_to_write_it(values, message):
    with pytest.raises(UsageError) as caught:
        parse_request(values, where=WHERE)
    assert str(caught.value).startswith(f"{WHERE}: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("names", "judged"), [((), (50,)), (("p95",), (50, 95)), (("p99", "p50"), (50, 99)), (("p99", "p95"), (50, 95, 99))]
)
def test_the_median_is_judged_in_any_case(names, judged):
    assert parse_request({"gate_percentiles": names}, where=WHERE).judged_percentiles == judged


def test_what_is_not_a_mapping_is_no_request():
    with pytest.raises(ValidationError, match="valid dictionary"):
        OptimizationRequest.model_validate([1])


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (
            {"budget": "p95<5ms", "iterations": 19},
            "budget 'p95<5ms' with iterations=19 is p95 of fewer than 20 samples; set iterations to 20 or",
        ),
        (
            {"budget": ["p50<5ms", "p50@batch1<4ms"]},
            "budget 'p50@batch1<4ms' and 'p50<5ms' limit the same figure; keep the one that holds",
        ),
        ({"budget": ["size<5MB", "size<4MB"]}, "budget 'size<4MB' and 'size<5MB' limit the same figure; keep the one"),
    ],
)
def test_budgets_that_cannot_be_judged_are_a_usage_error(values, told):
    with pytest.raises(UsageError) as caught:
        parse_request(values, where=WHERE)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        {"budget": "p95<5ms", "iterations": 20},
        {"budget": "p99<5ms", "iterations": 5, "quick": True},
        {"budget": ["p50<5ms", "p50@batch32<50ms", "p95<9ms", "size<5MB"]},
    ],
)
def test_budgets_of_different_figures_that_their_samples_carry_can_be_judged(values):
    budgets = [values["budget"]] if isinstance(values["budget"], str) else values["budget"]
    assert parse_request(values, where=WHERE).budget == tuple(budgets)
