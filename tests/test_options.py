from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import TypeAdapter

from pytest_inferopt.domain.request import OptimizationRequest, parse_request
from pytest_inferopt.options import ENVIRONMENT, LATER, OPTIONS, as_float, as_integers, as_names, dest

FIELDS = [option for option in OPTIONS if option.field is not None]
SAMPLES = {
    "optimizations": ("onnx_conversion, fp16", ("onnx_conversion", "fp16")),
    "accuracy_threshold": ("0.5", 0.5),
    "metric": ("my.module:f1", "my.module:f1"),
    "warmup_iterations": ("0", 0),
    "iterations": ("7", 7),
    "batch_sizes": ("1, 64", (1, 64)),
    "measure_seconds": ("2", 2.0),
    "threads": ("4", 4),
    "provider": ("cuda", "cuda"),
    "opset": ("13", 13),
    "max_time_minutes": ("0.5", 0.5),
    "tensorrt_workspace_gb": ("8", 8.0),
    "budget": ("p95<5ms", "p95<5ms"),
    "max_slowdown": ("3%", "3%"),
    "gate_percentiles": ("p50,p95", ("p50", "p95")),
    "baseline": ("none", "none"),
    "gate": ("strict", "strict"),
}


def by_field(option):
    return option.field


@pytest.mark.parametrize("option", FIELDS, ids=by_field)
def test_an_option_that_sets_a_field_has_its_name_its_type_and_its_default(option):
    assert option.flag == f"--inferopt-{option.field.replace('_', '-')}"
    field = OptimizationRequest.model_fields[option.field]
    assert TypeAdapter(field.annotation).validate_python(option.default) == field.default
    assert parse_request({option.field: option.default}, where="test") == OptimizationRequest()


def test_every_option_with_a_text_is_in_this_test():
    assert SAMPLES.keys() == {option.field for option in FIELDS if option.parse is not None}


@pytest.mark.parametrize("field", SAMPLES)
def test_an_options_text_becomes_a_value_that_its_field_takes(field):
    (option,) = [option for option in OPTIONS if option.field == field]
    text, value = SAMPLES[field]
    assert option.parse(text) == value
    given = (value,) if option.is_repeatable else value
    request = parse_request({field: given}, where="test")
    wanted = OptimizationRequest.model_validate({field: given})
    assert getattr(request, field) == getattr(wanted, field)


@pytest.mark.parametrize("text", ["", ",", "a,,b", "a,"])
def test_a_name_that_is_missing_between_commas_is_an_error(text):
    with pytest.raises(ValueError, match="a name is missing between two commas"):
        as_names(text)


@pytest.mark.parametrize("text", ["", "a", "1,5"])
def test_what_is_no_number_is_an_error(text):
    with pytest.raises(ValueError, match="not a number"):
        as_float(text)


def test_auto_alone_is_a_word_and_among_names_a_name():
    assert (as_names(" auto "), as_names("auto,fp16")) == ("auto", ("auto", "fp16"))


@pytest.mark.parametrize("text", ["", "1,", "1;2", "1.5", "a"])
def test_what_is_no_whole_number_is_an_error(text):
    with pytest.raises(ValueError, match="not a whole number"):
        as_integers(text)


def test_no_two_options_have_the_same_name():
    flags = [option.flag for option in OPTIONS]
    assert sorted(set(flags)) == sorted(flags)
    assert all(flag == "--inferopt" or flag.startswith("--inferopt-") for flag in flags)


def test_pytest_keeps_an_option_under_its_flags_name():
    assert dest(next(option for option in OPTIONS if option.flag == "--inferopt-batch-sizes")) == "inferopt_batch_sizes"


@pytest.mark.parametrize("option", OPTIONS, ids=dest)
def test_an_options_help_is_one_sentence(option):
    assert option.help[0].isupper() or option.help[0].isdigit()
    assert option.help.endswith(".")
    assert "\n" not in option.help


def test_only_a_switch_has_no_text():
    assert {option.flag for option in OPTIONS if option.parse is None} == {
        "--inferopt",
        "--inferopt-only",
        "--inferopt-quick",
        "--inferopt-update-baseline",
        "--inferopt-no-cache",
    }


def test_an_environment_variable_is_read_as_the_option_of_its_field_is():
    readers = {option.field: option.parse for option in FIELDS}
    for field, parse in ENVIRONMENT.values():
        assert readers[field] is parse


def test_what_comes_later_is_a_field_or_an_option():
    known = {*OptimizationRequest.model_fields, *(option.flag for option in OPTIONS)}
    assert set(LATER) <= known


def test_every_option_has_its_effect_tested_in_a_file_of_its_own():
    folder = Path(__file__).parent / "plugin" / "options"
    assert {path.stem for path in folder.glob("test_*.py")} == {f"test_{dest(option)}" for option in OPTIONS}
