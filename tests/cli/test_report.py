from __future__ import annotations

import json

import pytest

from pytest_inferopt.domain.report import Report
from pytest_inferopt.domain.result import Check


def test_a_stored_result_is_drawn_again(command, kept, tmp_path):
    path = kept()
    ran = command("report", path)
    assert (ran.code, "inferopt: churn" in ran.out, "int8" in ran.out) == (0, True, True)
    ran = command("report", path, "--type", f"md:{tmp_path}/out.md", "--type", "csv")
    assert (ran.code, ran.out) == (0, f"{tmp_path}/out.md\n{tmp_path}/project/.inferopt/report.csv\n")
    assert "churn" in (tmp_path / "out.md").read_text(encoding="utf-8")


def test_a_report_is_drawn_as_it_is_and_its_verdict_is_the_exit_code(command, kept, tmp_path):
    path = kept(checks=(Check(kind="accuracy", variant="int8", outcome="failed"),))
    document = json.loads(command("report", path, "--json").out)
    (tmp_path / "report.json").write_text(json.dumps(document), encoding="utf-8")
    ran = command("report", tmp_path / "report.json", "--json")
    assert (ran.code, json.loads(ran.out)) == (1, document)
    partial = {**document, "results": [], "is_partial": True}
    (tmp_path / "report.json").write_text(json.dumps(partial), encoding="utf-8")
    assert command("report", tmp_path / "report.json").code == 1


@pytest.mark.parametrize(("text", "told"), [("{", "not valid JSON"), ("[]", "no result of pytest-inferopt")])
def test_f117_what_is_no_result_is_told(command, tmp_path, text, told):
    (tmp_path / "result.json").write_text(text, encoding="utf-8")
    ran = command("report", tmp_path / "result.json")
    assert (ran.code, ran.out, told in ran.err) == (1, "", True)


def test_a_report_that_cannot_be_made_is_told(command, kept, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    ran = command("report", kept(), "--type", f"md:{tmp_path}/file/out.md")
    assert (ran.code, "no md report: " in ran.err) == (1, True)
    typo = command("report", kept(), "--type", "htlm")
    assert (typo.code, "did you mean 'html'?" in typo.err) == (2, True)


def test_the_schemas_are_those_of_what_comes_in_and_what_goes_out(command):
    ran = command("schema")
    document = json.loads(ran.out)
    assert (ran.code, document.keys()) == (0, {"request", "report"})
    assert document["request"]["additionalProperties"] is False
    assert document["report"]["properties"].keys() == Report.model_fields.keys()
