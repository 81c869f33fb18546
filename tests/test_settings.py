from __future__ import annotations

import pytest

from pytest_inferopt.domain.request import parse_request
from pytest_inferopt.errors import UsageError
from pytest_inferopt.options import ENVIRONMENT, LATER
from pytest_inferopt.settings import check_is_built, from_environment, from_pyproject, project_defaults

VARIABLES = tuple(ENVIRONMENT)


@pytest.fixture
def project(tmp_path):
    """`project(text)`: a folder whose pyproject.toml holds this."""

    def project(text):
        (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")
        return tmp_path

    return project


def usage(function, *arguments):
    with pytest.raises(UsageError) as caught:
        function(*arguments)
    return str(caught.value)


def test_a_project_without_any_settings_has_no_defaults(tmp_path, project):
    assert project_defaults(tmp_path, {}) == {}
    assert project_defaults(project("[tool.other]\nx = 1\n"), {}) == {}
    assert project_defaults(project("[project]\nname = 'x'\n"), {}) == {}


def test_the_table_gives_fields_technique_options_and_its_own_two_keys(project):
    root = project("""
        [tool.inferopt]
        iterations = 200
        batch_sizes = [1, 8]
        measure_seconds = 5
        accuracy_threshold = 0
        optimizations = ["onnx_conversion", "quantization"]
        budget = ["p95<5ms", "size<50MB"]
        report = ["terminal"]
        store = "cache"
        [tool.inferopt.quantization_config]
        precision = "uint8"
    """)
    assert project_defaults(root, {}) == {
        "iterations": 200,
        "batch_sizes": (1, 8),
        "measure_seconds": 5,
        "accuracy_threshold": 0,
        "optimizations": ("onnx_conversion", "quantization"),
        "budget": ("p95<5ms", "size<50MB"),
        "report": ("terminal",),
        "store": "cache",
        "quantization_config": {"precision": "uint8"},
    }


def test_environment_variables_stand_above_the_table(project):
    root = project("[tool.inferopt]\nopset = 15\niterations = 5\naccuracy_threshold = 0.5\n")
    environ = {"ONNX_OPSET_VERSION": "18", "OPTIMIZATION_ACCURACY_THRESHOLD": "0", "UNRELATED": "x"}
    assert project_defaults(root, environ) == {"opset": 18, "iterations": 5, "accuracy_threshold": 0.0}


def test_each_variable_of_the_seed_sets_its_field():
    assert from_environment(
        {
            "OPTIMIZATION_MAX_TIME_MINUTES": "0.5",
            "OPTIMIZATION_ACCURACY_THRESHOLD": " 0.95 ",
            "TENSORRT_WORKSPACE_SIZE_GB": "8",
            "ONNX_OPSET_VERSION": "13",
        }
    ) == {"max_time_minutes": 0.5, "accuracy_threshold": 0.95, "tensorrt_workspace_gb": 8.0, "opset": 13}


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize("text", ["", "  "])
def test_an_empty_variable_sets_nothing(variable, text):
    assert from_environment({variable: text}) == {}


@pytest.mark.parametrize(
    ("variable", "text", "said"),
    [
        *((variable, "abc", "is not a number.") for variable in VARIABLES[:3]),
        ("ONNX_OPSET_VERSION", "abc", "is not a whole number."),
        ("ONNX_OPSET_VERSION", "17.5", "is not a whole number."),
        ("ONNX_OPSET_VERSION", "1e9", "is not a whole number."),
    ],
)
def test_h104_environment_values_that_are_no_numbers_are_usage_errors(variable, text, said):
    assert usage(from_environment, {variable: text}) == f"environment variable {variable}={text!r} {said}"


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("OPTIMIZATION_MAX_TIME_MINUTES", "0"),
        ("OPTIMIZATION_MAX_TIME_MINUTES", "1e9"),
        ("OPTIMIZATION_MAX_TIME_MINUTES", "nan"),
        ("OPTIMIZATION_ACCURACY_THRESHOLD", "1e9"),
        ("OPTIMIZATION_ACCURACY_THRESHOLD", "-1"),
        ("OPTIMIZATION_ACCURACY_THRESHOLD", "nan"),
        ("TENSORRT_WORKSPACE_SIZE_GB", "0"),
        ("TENSORRT_WORKSPACE_SIZE_GB", "1e9"),
        ("TENSORRT_WORKSPACE_SIZE_GB", "inf"),
        ("ONNX_OPSET_VERSION", "0"),
        ("ONNX_OPSET_VERSION", "1000000000"),
    ],
)
def test_h104_environment_values_that_are_no_numbers_or_out_of_range_are_usage_errors(variable, text):
    field, parse = ENVIRONMENT[variable]
    told = usage(from_environment, {variable: text})
    assert told.startswith(f"environment variable {variable}: {field}={parse(text)!r}: Input should be ")


def test_h104_a_threshold_of_zero_is_valid():
    assert from_environment({"OPTIMIZATION_ACCURACY_THRESHOLD": "0"}) == {"accuracy_threshold": 0.0}


def test_h104_a_wrong_variable_is_found_though_the_table_is_right(project):
    root = project("[tool.inferopt]\nopset = 15\n")
    assert "ONNX_OPSET_VERSION" in usage(project_defaults, root, {"ONNX_OPSET_VERSION": "abc"})


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("itterations = 5", "[tool.inferopt] got 'itterations'; did you mean 'iterations'?"),
        ("stroe = 'x'", "[tool.inferopt] got 'stroe'; did you mean 'store'?"),
        ("name = 'x'", "[tool.inferopt] got 'name', which belongs to one model. Write it in that model's test."),
        ("model = 'x'", "[tool.inferopt] got 'model', which belongs to one model. Write it in that model's test."),
        (
            "model_id = 'x'",
            "[tool.inferopt] got 'model_id', which belongs to one model. Write it in that model's test.",
        ),
        (
            "budget = 'p95<5'",
            "[tool.inferopt]: budget 'p95<5' has no unit; p95 is in us, ms or s; did you mean 'p95<5ms'?",
        ),
        ("iterations = 0", "[tool.inferopt]: iterations=0: Input should be greater than or equal to 1."),
        ("fp16_config = 1", "[tool.inferopt]: technique_options.fp16=1: Input should be a valid dictionary."),
    ],
)
def test_h103_what_is_wrong_in_the_table_is_a_usage_error_with_a_suggestion(project, table, message):
    root = project(f"[tool.inferopt]\n{table}\n")
    assert usage(from_pyproject, root / "pyproject.toml") == message


def test_a_file_that_is_no_toml_is_named(project):
    root = project("[tool.inferopt\n")
    told = usage(project_defaults, root, {})
    assert told.startswith(f"{root / 'pyproject.toml'}: ")
    assert told.endswith("Mend the file; nothing was read from it.")


# --- what is not built ------------------------------------------------------------------------------------------

SET = {"model_id": "churn"}


def test_every_field_that_is_not_built_is_in_this_test():
    assert SET.keys() == LATER.keys()


@pytest.mark.parametrize("field", SET)
def test_what_is_not_built_is_refused_by_name_when_it_is_set(field):
    request = parse_request({field: SET[field]}, where="test")
    assert usage(lambda: check_is_built(request, where="test")) == f"test: {field} is set, but {LATER[field]}."


@pytest.mark.parametrize("values", [{}, {"baseline": "main"}, {"optimizations": ["fp16"]}, {"quick": True}])
def test_what_is_not_built_is_never_refused_for_its_default(values):
    check_is_built(parse_request(values, where="test"), where="test")


def test_the_automatic_search_is_not_built():
    request = parse_request({"optimizations": "auto"}, where="test")
    assert usage(lambda: check_is_built(request, where="test")) == (
        "test: optimizations='auto' is set, but the automatic search is not part of this version. "
        'Name the techniques: ["onnx_conversion", "quantization"].'
    )


def test_what_is_not_built_is_refused_in_the_table_too(project):
    root = project("[tool.inferopt]\noptimizations = 'auto'\n")
    assert usage(project_defaults, root, {}).startswith("[tool.inferopt]: optimizations='auto' is set, but the")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[tool]\ninferopt = 5\n", "[tool.inferopt] is 5, and must be a table."),
        ("[tool.inferopt]\nreport = 5\n", "[tool.inferopt] got report=5."),
        ("[tool.inferopt]\nreport = [5]\n", "[tool.inferopt] got report=[5]."),
        ("[tool.inferopt]\nstore = 5\n", "[tool.inferopt] got store=5."),
    ],
)
def test_a_table_of_the_wrong_shape_is_a_usage_error(tmp_path, text, message):
    path = tmp_path / "pyproject.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        from_pyproject(path)
    assert caught.value.message == message


def test_a_file_that_is_no_text_is_a_usage_error_and_a_tool_that_is_no_table_sets_nothing(tmp_path):
    path = tmp_path / "pyproject.toml"
    path.write_bytes(b"\xff\xfe[tool]")
    with pytest.raises(UsageError, match="Mend the file"):
        from_pyproject(path)
    path.write_text("tool = 5\n")
    assert from_pyproject(path) == {}
