"""Several pytest processes: results reach the one that reports."""

from __future__ import annotations

import json

import pytest

from pytest_inferopt.domain.report import parse_report

LOAD = "import os, time, numpy as np, pytest\nwith np.load('rows.npz') as rows:\n    x, y = rows['x'], rows['y']\n"
QUICK = ("--inferopt", "--inferopt-quick", "--inferopt-measure-seconds=1", "--inferopt-report=terminal",
         "--inferopt-report=json", "-p", "no:randomly", "-p", "no:cacheprovider", "-p", "no:benchmark")  # fmt: skip
PROCESSES = ("-n", "2")


@pytest.fixture
def distributed(repo):
    """Run pytest on a test file's text in processes of its own: its outcome, and its report if it left one."""

    def distributed(text, *arguments, processes=PROCESSES):
        repo.makepyfile(test_model=LOAD + text)
        run = repo.runpytest_subprocess(*QUICK, *processes, *arguments)
        path = repo.path / ".inferopt" / "report.json"
        return run, parse_report(path.read_bytes(), where=str(path)) if path.exists() else None

    return distributed


def test_results_of_all_workers_stand_in_one_table_and_one_report(distributed, repo):
    run, report = distributed(
        "@pytest.mark.parametrize('name', ['a', 'b', 'c'])\n"
        "def test_digits(inferopt, name):\n    inferopt('model.onnx', x, y, name=name)\n"
        "def test_red(inferopt):\n    inferopt('model.onnx', x, y, metric='no such metric')\n",
        "--junitxml=out.xml",
    )
    run.assert_outcomes(passed=3, failed=1)
    assert sorted((result.name, result.test_id) for result in report.results) == [
        (name, f"test_model.py::test_digits[{name}]") for name in "abc"
    ]
    (incident,) = report.incidents
    assert incident.startswith("test_model.py::test_red: no metric named 'no such metric'")
    assert (report.verdict, report.is_partial) == ("partial", False)
    assert report.command.endswith("-n 2 --junitxml=out.xml")
    run.stdout.fnmatch_lines(["*= inferopt: ? =*"] * 3)
    run.stdout.fnmatch_lines(["report: .inferopt/report.json"])
    assert 'name="inferopt.a.optimized.verdict" value="passed"' in (repo.path / "out.xml").read_text(encoding="utf-8")


def test_workers_measure_one_after_the_other_into_the_store_that_the_controller_names(distributed, repo):
    (repo.path / "elsewhere").mkdir()
    _, report = distributed(
        "@pytest.mark.parametrize('name', ['a', 'b'])\n"
        "def test_digits(inferopt, name, monkeypatch):\n"
        "    monkeypatch.chdir('elsewhere')\n"
        "    inferopt('../model.onnx', x, y, name=name)\n",
        "--inferopt-store=kept",
    )
    assert report is None
    kept = parse_report((repo.path / "kept" / "report.json").read_bytes(), where="kept")
    assert [result.passed for result in kept.results] == [True, True]
    assert {path.name for path in repo.path.iterdir()} >= {"kept", "elsewhere"}
    assert not list((repo.path / "elsewhere").iterdir())


def test_h100_a_worker_that_crashes_leaves_a_report_of_what_was_measured_before(distributed):
    run, report = distributed(
        "def test_first(inferopt):\n    inferopt('model.onnx', x, y)\n"
        "def test_second(inferopt):\n    os._exit(1)\n"
        "def test_third(inferopt):\n    inferopt('model.onnx', x, y)\n",
        processes=("-n", "1"),
    )
    run.assert_outcomes(passed=2, failed=1)
    assert [result.name for result in report.results] == ["first", "third"]
    (incident,) = report.incidents
    assert (report.verdict, incident) == (
        "partial",
        "test_model.py::test_second: the process that ran it died, so what it would have measured is missing",
    )
    run.stdout.fnmatch_lines([f"inferopt: {incident}", "*= inferopt: first =*", "report: .inferopt/report.json"])


def test_h100_where_nothing_but_the_crash_happened_there_is_a_report_all_the_same(distributed):
    run, report = distributed("def test_only(inferopt):\n    os._exit(1)\n", processes=("-n", "1"))
    run.assert_outcomes(failed=1)
    assert (report.results, len(report.incidents)) == ((), 1)


@pytest.mark.parametrize(
    "option",
    [
        "--inferopt-metric=ü💡",
        "--inferopt-provider=a:b:c",
        "--inferopt-optimizations={}",
        "--inferopt-opset=26",
        "--inferopt-max-time-minutes=1e-9",
        "--inferopt-batch-sizes=65536",
    ],
)
def test_h101_a_value_that_only_a_worker_can_judge_leads_to_no_internal_error(distributed, option):
    run, _ = distributed(
        "def test_digits(inferopt):\n    inferopt('model.onnx', x, y)\n", option, processes=("-n", "1")
    )
    counts = run.parseoutcomes()
    assert counts.keys() in ({"passed"}, {"failed"})
    for lines in (run.stdout, run.stderr):
        lines.no_fnmatch_line("*INTERNALERROR*")
        lines.no_fnmatch_line("*Traceback*")


@pytest.mark.parametrize("option", ["--inferopt-iterations=0", "--inferopt-report=hmtl", "--inferopt-gate=stern"])
def test_h101_a_value_that_is_wrong_is_a_usage_error_before_any_worker_starts(distributed, option):
    run, report = distributed("def test_digits(inferopt): pass\n", option)
    assert (run.ret, report) == (4, None)
    run.stderr.fnmatch_lines(["ERROR: *"])
    run.stdout.no_fnmatch_line("*INTERNALERROR*")


def test_a_run_that_stops_at_the_first_failure_is_marked_as_partial(distributed):
    run, report = distributed(
        "def test_first(inferopt):\n    inferopt('model.onnx', x, y)\n"
        "def test_second():\n    assert False\n"
        "def test_third(inferopt):\n    inferopt('model.onnx', x, y)\n",
        "-x",
        processes=("-n", "0"),
    )
    run.assert_outcomes(passed=1, failed=1)
    assert ([result.name for result in report.results], report.is_partial) == (["first"], True)


def test_the_documents_hold_no_nan(distributed, repo):
    distributed("def test_digits(inferopt):\n    inferopt('model.onnx', x, y)\n", processes=("-n", "1"))
    json.loads((repo.path / ".inferopt" / "report.json").read_text(), parse_constant=pytest.fail)
