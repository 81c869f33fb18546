"""--inferopt-report."""

from __future__ import annotations

import json

import pytest

from pytest_inferopt.domain.report import parse_report
from pytest_inferopt.registry import discover

TITLE = "*= inferopt: digits =*"


def test_reports_go_where_they_are_sent_and_the_run_says_where_they_lie(holds, repo):
    run = holds("True", "--inferopt-report=json:out/a.json", "--inferopt-report=csv")
    run.stdout.fnmatch_lines(["report: out/a.json", "report: .inferopt/report.csv"])
    report = parse_report((repo.path / "out" / "a.json").read_bytes(), where="out/a.json")
    (result,) = report.results
    assert (report.verdict, result.name, result.test_id) == ("passed", "digits", "test_model.py::test_digits")
    assert (repo.path / "out" / result.samples.path).is_file()


def test_by_itself_a_run_draws_its_tables_and_writes_html(holds, repo):
    run = holds("True", "--inferopt-quick", "--inferopt-measure-seconds=2", fast=False)
    run.stdout.fnmatch_lines([TITLE, "report: .inferopt/report.html"])
    assert (repo.path / ".inferopt" / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_terminal_alone_writes_no_report(holds, repo):
    holds("True", "--inferopt-report=terminal").stdout.fnmatch_lines([TITLE])
    assert not list((repo.path / ".inferopt").glob("report.*"))


@pytest.mark.parametrize("kind", sorted(set(discover().names("reporters")) - {"terminal"}))
def test_every_type_makes_a_file_of_its_own(holds, repo, kind):
    holds("True", f"--inferopt-report={kind}:made")
    assert (repo.path / "made").stat().st_size > 0


def test_no_report_holds_nan(holds, repo):
    holds("True", "--inferopt-report=json:a.json")
    json.loads((repo.path / "a.json").read_text(), parse_constant=pytest.fail)


def test_a_report_that_cannot_be_written_costs_neither_the_verdict_nor_the_others(holds, repo):
    (repo.path / "file").touch()
    run = holds("True", "--inferopt-report=md:file/a.md", "--inferopt-report=csv:a.csv")
    run.stdout.fnmatch_lines(
        ["inferopt: no md report: *file/a.md cannot be written: * is no folder.*", "report: a.csv"]
    )


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("hmtl", "no report type named 'hmtl'; did you mean 'html'?"),
        ("terminal:out.txt", "the terminal takes no destination"),
        ("html:", "names no destination"),
        ("html:/", "/ is a folder"),
    ],
)
def test_a_wrong_value_is_a_usage_error(usage_error, value, words):
    usage_error(f"--inferopt-report={value}", words)
