"""Every option has an effect, or is refused by name."""

from __future__ import annotations

import pytest

from pytest_inferopt.options import OPTIONS, dest

LOAD = "import numpy as np\nwith np.load('rows.npz') as rows:\n    x, y = rows['x'], rows['y']\n"
USAGE_ERROR = 4


def asserting(claim: str) -> str:
    return LOAD + f"def test_digits(inferopt):\n    result = inferopt('model.onnx', x, y)\n    assert {claim}\n"


@pytest.mark.parametrize(
    ("arguments", "claim"),
    [
        (["--inferopt-optimizations=onnx_conversion,quantization"], "len(result.optimized.steps) == 2"),
        (["--inferopt-accuracy-threshold=0"], "result.checks[-1].limit == 0"),
        (["--inferopt-metric=f1"], "result.optimized.accuracy.metric == 'f1'"),
        (["--inferopt-warmup-iterations=3"], "result.optimized.latency[1].warmup_iterations == 3"),
        (["--inferopt-iterations=17"], "result.optimized.latency[1].iterations == 17"),
        (["--inferopt-batch-sizes=2,5"], "result.optimized.latency.keys() == {2, 5}"),
        (["--inferopt-measure-seconds=1"], "result.request.measure_seconds == 1"),
        (["--inferopt-threads=2"], "result.request.threads == 2"),
        (["--inferopt-provider=CPUExecutionProvider"], "result.passed"),
        (["--inferopt-opset=15"], "result.request.opset == 15"),
        (["--inferopt-max-time-minutes=0.5"], "result.request.max_time_minutes == 0.5"),
        (["--inferopt-tensorrt-workspace-gb=2"], "result.request.tensorrt_workspace_gb == 2"),
        (["--inferopt-quick"], "(result.request.quick, result.request.iterations) == (True, 50)"),
        (["--inferopt-baseline=none"], "result.passed"),
        (["--inferopt-report=terminal"], "result.passed"),
        (["--inferopt-store=kept"], "'/kept/models/' in result.optimized.path"),
        (["--inferopt-no-cache"], "result.passed"),
    ],
    ids=lambda value: value[0].partition("=")[0] if isinstance(value, list) else "",
)
def test_an_option_has_its_effect(inferopt_run, arguments, claim):
    inferopt_run(asserting(claim), *arguments).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("--inferopt-max-slowdown=5%", "max_slowdown is set, but the regression gate is not part of this version"),
        ("--inferopt-gate=strict", "gate is set, but the regression gate is not part of this version"),
        ("--inferopt-gate-percentiles=p95", "gate_percentiles is set, but the regression gate is not part"),
        ("--inferopt-baseline=main", "baseline is set, but baselines are not part of this version"),
        ("--inferopt-update-baseline", "--inferopt-update-baseline is set, but baselines are not part"),
        ("--inferopt-report=html", "no report type named 'html'"),
        ("--inferopt-optimizations=auto", "optimizations='auto' is set, but the automatic search is not part"),
    ],
)
def test_what_is_not_built_yet_is_refused_by_name_before_anything_runs(inferopt_run, argument, words):
    result = inferopt_run("def test_nothing(): pass\n", argument)
    assert result.ret == USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: *{words}*"])


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("--inferopt-accuracy-threshold=-1", "accuracy_threshold=-1.0"),
        ("--inferopt-accuracy-threshold=1.01", "accuracy_threshold=1.01"),
        ("--inferopt-accuracy-threshold=nan", "accuracy_threshold=nan"),
        ("--inferopt-accuracy-threshold=high", "--inferopt-accuracy-threshold='high' cannot be read"),
        ("--inferopt-iterations=0", "iterations=0"),
        ("--inferopt-iterations=1.5", "--inferopt-iterations='1.5' cannot be read"),
        ("--inferopt-batch-sizes=", "--inferopt-batch-sizes='' cannot be read"),
        ("--inferopt-batch-sizes=1,1", "a batch size stands twice"),
        ("--inferopt-batch-sizes=0", "batch_sizes"),
        ("--inferopt-opset=3", "opset=3"),
        ("--inferopt-threads=-1", "threads=-1"),
        ("--inferopt-report=terminal:out.txt", "the terminal takes no destination"),
        ("--inferopt-measure-seconds=inf", "measure_seconds=inf"),
        ("--inferopt-max-time-minutes=0", "max_time_minutes=0.0"),
        ("--inferopt-optimizations=onnx_conversion,,", "a name is missing between two commas"),
        ("--inferopt-budget=p95<5", "command line: budget 'p95<5' has no unit"),
    ],
)
def test_a_wrong_value_is_a_usage_error_with_exit_code_4(inferopt_run, argument, words):
    result = inferopt_run("def test_nothing(): pass\n", argument)
    assert result.ret == USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: *{words}*"])


HOSTILE = ("", " ", ",", "nan", "-1", "1e999", "999999999999999999999", "ü💡", "../..", "%s", "{}", "None", "a:b:c")


@pytest.mark.parametrize("option", [option for option in OPTIONS if option.parse], ids=dest)
def test_h101_no_value_of_any_option_leads_to_an_internal_error_while_configuring(inferopt_run, option):
    for value in HOSTILE:
        result = inferopt_run("def test_nothing(): pass\n", f"{option.flag}={value}")
        assert result.ret in {0, USAGE_ERROR}, (option.flag, value)
        result.stdout.no_fnmatch_line("*INTERNALERROR*")
        result.stderr.no_fnmatch_line("*Traceback*")


@pytest.mark.parametrize("flag", ["--inferopt-metric", "--inferopt-provider", "--inferopt-optimizations"])
@pytest.mark.parametrize("value", ["ü💡", "a:b:c", "{}"])
def test_h101_a_name_that_only_a_run_can_judge_fails_that_test_in_a_sentence(inferopt_run, flag, value):
    text = LOAD + "def test_digits(inferopt):\n    inferopt('model.onnx', x[:12], y[:12])\n"
    result = inferopt_run(text, f"{flag}={value}")
    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("*Traceback*")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        (name, value)
        for name in ("OPTIMIZATION_MAX_TIME_MINUTES", "ONNX_OPSET_VERSION", "TENSORRT_WORKSPACE_SIZE_GB")
        for value in ("abc", "0", "1e9")
    ]
    + [("OPTIMIZATION_ACCURACY_THRESHOLD", "abc"), ("OPTIMIZATION_ACCURACY_THRESHOLD", "1e9")],
)
def test_h104_an_environment_variable_out_of_range_is_a_usage_error(inferopt_run, monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    result = inferopt_run("def test_nothing(): pass\n")
    assert result.ret == USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: *{variable}*"])


def test_h104_an_accuracy_threshold_of_zero_in_the_environment_is_valid(inferopt_run, monkeypatch):
    monkeypatch.setenv("OPTIMIZATION_ACCURACY_THRESHOLD", "0")
    inferopt_run(asserting("result.request.accuracy_threshold == 0")).assert_outcomes(passed=1)


def test_the_deadline_of_the_environment_has_an_effect(inferopt_run, monkeypatch):
    monkeypatch.setenv("OPTIMIZATION_MAX_TIME_MINUTES", "0.0001")
    result = inferopt_run(asserting("False"))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*no answer by the deadline*"])
