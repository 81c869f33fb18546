"""Faults H: pytest's own ways of running tests, and values that nobody expects."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from pytest_inferopt.domain.report import parse_report
from pytest_inferopt.options import OPTIONS, dest

LOAD = "import numpy as np, pytest\nwith np.load('rows.npz') as rows:\n    x, y = rows['x'], rows['y']\n"
ONE = LOAD + "def test_digits(inferopt):\n    inferopt('model.onnx', x, y)\n"
FAST = ("--inferopt-quick", "--inferopt-measure-seconds=1", "--inferopt-report=terminal", "--inferopt-report=json",
        "-p", "no:benchmark")  # fmt: skip
USAGE_ERROR, NO_TESTS = 4, 5
HOSTILE = ("", " ", ",", "nan", "-1", "1e999", "999999999999999999999", "ü💡", "../..", "%s", "{}", "None", "a:b:c")


@pytest.fixture
def inferopt_run(repo):
    """Run `pytest --inferopt` with the plugins for order and memory, which other tests leave out."""

    def inferopt_run(text, *arguments):
        repo.makepyfile(test_model=text)
        return repo.runpytest_inprocess("--inferopt", *FAST, *arguments)

    return inferopt_run


@pytest.fixture
def report(repo):
    """The report that a run has left."""
    return lambda: parse_report((repo.path / ".inferopt" / "report.json").read_bytes(), where="report.json")


# --- values -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", [option for option in OPTIONS if option.parse], ids=dest)
def test_h101_no_value_of_any_option_leads_to_an_internal_error_while_configuring(inferopt_run, option):
    for value in HOSTILE:
        result = inferopt_run("def test_nothing(): pass\n", f"{option.flag}={value}")
        assert result.ret in {0, USAGE_ERROR}, (option.flag, value)
        result.stdout.no_fnmatch_line("*INTERNALERROR*")
        result.stderr.no_fnmatch_line("*Traceback*")


@pytest.mark.parametrize("flag", ["--inferopt-metric", "--inferopt-provider", "--inferopt-optimizations"])
@pytest.mark.parametrize("value", ["ü💡", "a:b:c", "{}"])
def test_h101_a_name_that_only_a_run_can_judge_fails_that_test_in_a_sentence(inferopt_run, report, flag, value):
    result = inferopt_run(ONE, f"{flag}={value}")
    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("*Traceback*")
    (incident,) = report().incidents
    assert incident.startswith("test_model.py::test_digits: ")


def test_h103_a_typo_in_the_projects_table_is_a_usage_error_with_a_suggestion(inferopt_run, repo):
    repo.makepyprojecttoml("[tool.inferopt]\nbatchsizes = [1]\n")
    result = inferopt_run(ONE)
    assert result.ret == USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: [[]tool.inferopt] got 'batchsizes'; did you mean 'batch_sizes'?"])


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


def test_h104_an_accuracy_threshold_of_zero_in_the_environment_is_valid(inferopt_run, monkeypatch, report):
    monkeypatch.setenv("OPTIMIZATION_ACCURACY_THRESHOLD", "0")
    inferopt_run(ONE).assert_outcomes(passed=1)
    assert report().results[0].request.accuracy_threshold == 0


# --- ways of running --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("selection", ["-k=nothing_is_called_so", "-m=not inferopt"])
def test_h102_where_everything_is_deselected_pytest_ends_as_it_does_without_tests(inferopt_run, repo, selection):
    marked = LOAD + "@pytest.mark.inferopt\ndef test_digits(inferopt):\n    inferopt('model.onnx', x, y)\n"
    assert inferopt_run(marked, selection).ret == NO_TESTS
    assert not (repo.path / ".inferopt").exists()


def test_collect_only_measures_and_writes_nothing(inferopt_run, repo):
    result = inferopt_run(ONE, "--collect-only", "-q")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["test_model.py::test_digits"])
    assert not (repo.path / ".inferopt").exists()


def test_h105_in_a_random_order_every_test_has_its_own_result(inferopt_run, report):
    text = LOAD + "".join(f"def test_{name}(inferopt):\n    inferopt('model.onnx', x, y)\n" for name in "abc")
    inferopt_run(text, "-p", "randomly", "-p", "no:cacheprovider", "-p", "no:cov").assert_outcomes(passed=3)
    assert sorted((result.name, result.test_id[-6:]) for result in report().results) == [
        (name, f"test_{name}") for name in "abc"
    ]


def test_h105_only_what_failed_last_runs_again(inferopt_run, report):
    text = ONE + "def test_red(inferopt):\n    inferopt('model.onnx', x, y, metric='acuracy')\n"
    inferopt_run(text).assert_outcomes(passed=1, failed=1)
    mended = text.replace("acuracy", "accuracy")
    inferopt_run(mended, "--lf").assert_outcomes(passed=1)
    assert ([result.name for result in report().results], report().incidents) == (["red"], ())


def test_h105_without_the_cache_plugin_the_run_is_the_same(inferopt_run, report):
    inferopt_run(ONE, "-p", "no:cacheprovider").assert_outcomes(passed=1)
    assert report().verdict == "passed"


def test_h105_strict_markers_know_the_marker(inferopt_run):
    marked = (
        LOAD + "@pytest.mark.inferopt(iterations=5)\ndef test_digits(inferopt):\n    inferopt('model.onnx', x, y)\n"
    )
    inferopt_run(marked, "--strict-markers").assert_outcomes(passed=1)


def test_h105_the_first_failure_ends_the_run_and_its_report_says_so(inferopt_run, report):
    red = "def test_a_red(): assert False\n"
    inferopt_run(
        ONE + red + ONE.replace("digits", "more").removeprefix(LOAD), "-x", "-p", "no:randomly"
    ).assert_outcomes(passed=1, failed=1)
    assert ([result.name for result in report().results], report().is_partial) == (["digits"], True)


def test_h105_where_the_first_failure_is_the_last_test_nothing_is_missing(inferopt_run, report):
    inferopt_run(ONE + "def test_z_red(): assert False\n", "-x", "-p", "no:randomly").assert_outcomes(
        passed=1, failed=1
    )
    assert not report().is_partial


FLAKY = (
    LOAD + "from pathlib import Path\n"
    "def test_digits(inferopt):\n"
    "    note = Path('attempts')\n"
    "    note.write_text(note.read_text() + 'x' if note.exists() else 'x')\n"
    "    inferopt('model.onnx', x, y)\n"
    "    assert note.read_text() == 'xx'\n"
)


def test_h105_a_test_that_runs_again_starts_afresh_and_has_the_last_word(inferopt_run, report):
    inferopt_run(FLAKY, "--reruns=2").assert_outcomes(passed=1)
    (found,) = report().results
    assert (found.attempt, found.notes) == (2, ("measured in attempt 2 of its test",))


def test_the_figures_stand_in_junit_as_properties_of_the_test(inferopt_run, repo, report):
    inferopt_run(ONE, "--junitxml=out.xml").assert_outcomes(passed=1)
    document = ET.parse(repo.path / "out.xml")  # noqa: S314 - pytest has just written it
    properties = {found.get("name"): found.get("value") for found in document.find(".//testcase").iter("property")}
    variant = report().results[0].optimized
    assert properties["inferopt.digits.optimized.size_bytes"] == str(variant.size_bytes)
    assert float(properties["inferopt.digits.optimized.p95_ms"]) == variant.latency[1].p95_ms
    assert (properties["inferopt.digits.best"], properties["inferopt.digits.optimized.verdict"]) == (
        "optimized",
        "passed",
    )


def test_an_own_assertion_on_a_figure_fails_with_the_figure_in_sight(inferopt_run):
    result = inferopt_run(
        LOAD + "def test_digits(inferopt):\n"
        "    result = inferopt('model.onnx', x, y)\n"
        "    assert result.optimized.latency[1].p95_ms < 1e-9\n"
    )
    result.assert_outcomes(failed=1)
    where = r"E +\+  where [\d.e-]+ = Latency\(batch_size=1, p50_ms=.*iterations=50\)\.p95_ms"
    result.stdout.re_match_lines([r"E +assert [\d.e-]+ < 1e-09", where])
    assert max(map(len, result.outlines)) < 400


def test_a_batch_size_that_was_not_measured_fails_with_those_that_were(inferopt_run):
    result = inferopt_run(LOAD + "def test_digits(inferopt):\n    inferopt('model.onnx', x, y).optimized.latency[3]\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E * KeyError: 'batch size 3 was not measured; measured: 1, 16'"])
