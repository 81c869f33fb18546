from __future__ import annotations

import json
import os
from datetime import UTC, datetime

import pytest

from pytest_inferopt import __version__
from pytest_inferopt.domain.environment import Environment
from pytest_inferopt.domain.measured import Latency, Samples
from pytest_inferopt.domain.report import GitState, Report, parse_any, parse_report, parse_result
from pytest_inferopt.domain.request import OptimizationRequest
from pytest_inferopt.domain.result import Check, RunResult, VariantResult
from pytest_inferopt.errors import NotMeasuredError, UsageError

HERE = Environment(cpu_model="CPU", cpu_count=2, isa_flags=(), python="3.11.9", system="linux x86_64")


def result(outcome="passed", **changes):
    latency = Latency(batch_size=1, iterations=1, iterations_requested=1, warmup_iterations=0, p50_ms=float("nan"))
    variant = VariantResult(
        name="a", latency={1: latency}, checks=(Check(kind="accuracy", variant="a", outcome=outcome),)
    )
    return RunResult(
        name="churn",
        request=OptimizationRequest(),
        environment=HERE,
        original=VariantResult(name="original", role="original"),
        variants={"a": variant},
        **changes,
    )


def report(*results, **changes):
    return Report(results=results, environment=HERE, **changes)


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (report(), "empty"),
        (report(result()), "passed"),
        (report(result(), result("failed")), "red"),
        (report(result(), is_partial=True), "partial"),
        (report(result(), incidents=("gw0 died",)), "partial"),
        (report(result("failed"), is_partial=True), "red"),
    ],
)
def test_red_comes_before_partial_and_partial_before_passed(found, verdict):
    assert found.verdict == verdict


def test_a_report_comes_back_from_its_json_as_it_was():
    git = GitState(commit="0" * 40, branch="main", is_dirty=True)
    before = report(result(samples=Samples(path="a.npz", sha256="0")), git=git, command="pytest --inferopt")
    text = before.model_dump_json()
    after = parse_report(text, where="here")
    assert (after.model_dump_json(), after.results[0].variants["a"].latency[1].p50_ms) == (text, None)
    assert json.loads(text) == before.to_dict()
    assert (after.tool_version, datetime.fromisoformat(after.created_at).tzinfo) == (__version__, UTC)


def test_f80_fields_that_a_newer_writer_adds_are_kept():
    document = report(result()).to_dict() | {"weather": "fair"}
    document["results"][0]["variants"]["a"]["latency"]["1"]["joules"] = 3
    kept = parse_report(json.dumps(document), where="here").to_dict()
    assert kept == document


def test_f78_a_report_of_a_newer_schema_is_refused_with_the_word_upgrade():
    document = report().to_dict() | {"schema_version": 99}
    with pytest.raises(UsageError, match=r"r\.json has schema version 99, .* reads up to 1\. Upgrade: pip install"):
        parse_report(json.dumps(document), where="r.json")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", r"r\.json: not valid JSON"),
        ("[]", r"r\.json: no report of pytest-inferopt"),
        ("{}", r"r\.json: no report of pytest-inferopt"),
        ('{"schema_version": "1"}', r"r\.json: no report of pytest-inferopt"),
        ('{"schema_version": 1}', r"r\.json: environment: Field required\."),
    ],
)
def test_what_is_no_report_is_not_measured(text, reason):
    with pytest.raises(NotMeasuredError, match=reason):
        parse_report(text, where="r.json")


def test_a_batch_size_that_was_not_measured_is_named_with_those_that_were():
    with pytest.raises(KeyError, match="batch size 2 was not measured; measured: 1"):
        result().variants["a"].latency[2]
    with pytest.raises(KeyError, match="measured: none"):
        result().original.latency[1]
    with pytest.raises(KeyError, match="batch size 4 was not measured"):
        parse_report(report(result()).model_dump_json(), where="here").results[0].variants["a"].latency[4]


def test_bytes_that_are_no_text_are_escaped_so_that_a_report_can_be_stored(reports):
    name = os.fsdecode(b"caf\xe9")
    report = reports.report(reports.result(reports.variant(name), name=name), command=name, incidents=(name,))
    stored = parse_report(json.dumps(report.to_dict()), where="test")
    assert stored == report
    assert (stored.command, stored.incidents, list(stored.results[0].variants)) == (
        r"caf\udce9",
        (r"caf\udce9",),
        [r"caf\udce9"],
    )


@pytest.mark.parametrize(
    ("test_id", "command"),
    [
        ("test_a.py::test_a", "pytest --inferopt test_a.py::test_a"),
        ("a b.py::test_a[x'y]", "pytest --inferopt 'a b.py::test_a[x'\"'\"'y]'"),
        ("", ""),
    ],
)
def test_a_result_of_a_single_test_becomes_a_report_that_says_how_to_do_it_again(test_id, command):
    found = result(test_id=test_id)
    read = parse_any(json.dumps(found.to_dict()), where="x")
    assert ([one.to_dict() for one in read.results], read.environment, read.command) == (
        [found.to_dict()],
        HERE,
        command,
    )
    assert parse_result(json.dumps(found.to_dict()), where="x").to_dict() == found.to_dict()


def test_a_report_stays_one():
    found = report(result(), incidents=("gw1 died",))
    assert parse_any(json.dumps(found.to_dict()), where="x").to_dict() == found.to_dict()


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"results": []}, "x: no result of pytest-inferopt (it names no schema_version)."),
        ({"schema_version": 1, "results": []}, "x: environment: Field required. Write the report again."),
        ({"schema_version": 1}, "x: name: Field required. Run again: pytest --inferopt"),
    ],
)
def test_what_is_neither_is_told(document, told):
    with pytest.raises(NotMeasuredError) as caught:
        parse_any(json.dumps(document), where="x")
    assert str(caught.value) == told
