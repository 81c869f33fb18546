"""The Python door to reports."""

from __future__ import annotations

import pytest

from pytest_inferopt import NotMeasuredError, UsageError, publish
from pytest_inferopt.domain.report import parse_report


def test_results_become_the_reports_that_are_named_where_they_are_named(reports, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one, two = reports.result(name="one"), reports.result(name="two")
    csv, json = publish([one, two], "csv:out/a.csv", "json", store="kept")
    assert (csv, json) == (tmp_path / "out" / "a.csv", tmp_path / "kept" / "report.json")
    report = parse_report(json.read_bytes(), where="report.json")
    assert ([result.name for result in report.results], csv.read_text().count("\n") > 2) == (["one", "two"], True)


def test_one_result_is_a_report_too(reports, tmp_path):
    (path,) = publish(reports.result(name="one"), f"json:{tmp_path / 'a.json'}")
    assert len(parse_report(path.read_bytes(), where="a.json").results) == 1


def test_the_terminal_has_no_file(reports):
    with pytest.raises(UsageError, match="a report for the terminal has no file"):
        publish(reports.result(), "terminal")


def test_a_report_that_cannot_be_written_is_an_error_here(reports, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotMeasuredError, match=r"no csv report: .*file/a\.csv cannot be written"):
        publish(reports.result(), f"csv:{tmp_path / 'file' / 'a.csv'}")
