"""What the process that reports makes of the test reports that reach it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pytest_inferopt.domain.report import parse_report
from pytest_inferopt.engine.publish import Destination
from pytest_inferopt.engine.store.folder import Store
from pytest_inferopt.plugin.reporting import STORE_KEY, Reporting, attach
from pytest_inferopt.registry import discover

TEST = "tests/test_churn.py::test_churn"


class Lines:
    """A terminal that keeps what is written."""

    def __init__(self):
        self.said = []

    def ensure_newline(self):
        pass

    def write(self, text):
        self.said.append(text)

    def write_line(self, line, **colours):
        self.said.append((line, *colours))


class Session:
    """A reporting process, fed by hand."""

    def __init__(self, folder, *destinations):
        self.parameters = SimpleNamespace(args=("--inferopt", "tests/a b.py"), dir=folder)
        config = SimpleNamespace(rootpath=folder, invocation_params=self.parameters)
        self.reporting = Reporting(config, destinations, discover(), Store(folder / ".inferopt"))
        self.document = folder / "out" / "report.json"

    def report(self, when, *results, incident="", test=TEST):
        report = SimpleNamespace(nodeid=test, when=when)
        attach(report, results, incident)
        self.reporting.pytest_runtest_logreport(report)

    def finish(self, *, status=pytest.ExitCode.OK, stopped=False, collected=1):
        session = SimpleNamespace(shouldstop=stopped, shouldfail=False, testscollected=collected)
        self.reporting.pytest_sessionfinish(session, status)

    @property
    def written(self):
        return parse_report(self.document.read_text(encoding="utf-8"), where="test")

    @property
    def said(self):
        terminal = Lines()
        self.reporting.pytest_terminal_summary(terminal)
        return terminal.said


@pytest.fixture
def session(tmp_path):
    return Session(tmp_path, Destination("json", tmp_path / "out" / "report.json"))


def told(result):
    return (result.test_id, result.name, result.best)


def test_results_come_with_the_reports_of_their_tests_and_are_written_once_at_the_end(session, reports):
    one, other = reports.result(reports.variant()), reports.result(reports.variant(), name="price")
    session.report("setup")
    session.report("call", one, other)
    session.report("teardown")
    assert not session.document.exists()
    session.finish()
    report = session.written
    assert (report.results, report.incidents, report.is_partial, report.command) == (
        (one, other),
        (),
        False,
        "pytest --inferopt 'tests/a b.py'",
    )
    assert session.said == [("report: out/report.json",)]


def test_the_command_to_run_again_says_nothing_of_where_this_run_wrote(session, reports):
    session.parameters.args = [
        "--inferopt", "--inferopt-store=/a", "--inferopt-report", "md", "-k", "a b", "--inferopt-report=html:/b",
        "--inferopt-baseline=main",
    ]  # fmt: skip
    session.report("call", reports.result(reports.variant()))
    session.finish()
    assert session.written.command == "pytest --inferopt -k 'a b' --inferopt-baseline=main"


def test_a_test_that_runs_again_has_the_last_word_in_the_place_of_its_first(session, reports):
    first, again = (reports.result(reports.variant(name)) for name in ("first", "again"))
    other = reports.result(reports.variant("other"), name="price")
    for results in ((first, other), (again,)):
        session.report("setup")
        session.report("call", *results)
    session.finish()
    assert [told(result) for result in session.written.results] == [told(again), told(other)]


def test_what_left_no_result_is_an_incident_unless_the_test_runs_again_and_does(session, reports):
    session.report("setup", test="a\nb")
    session.report("call", incident="nothing was measured", test="a\nb")
    session.report("call", incident="nothing was measured")
    session.report("setup")
    session.report("call", reports.result(reports.variant()))
    session.finish()
    assert session.written.incidents == (r"a\nb: nothing was measured",)
    assert session.said == [(r"inferopt: a\nb: nothing was measured", "yellow"), ("report: out/report.json",)]


def test_a_process_that_died_is_an_incident(session):
    session.reporting.pytest_handlecrashitem(TEST)
    session.finish()
    assert session.written.incidents == (
        f"{TEST}: the process that ran it died, so what it would have measured is missing",
    )


def test_where_nothing_was_measured_and_nothing_went_wrong_nothing_is_written(session):
    session.report("setup")
    session.report("teardown")
    session.finish()
    assert (session.document.exists(), session.said) == (False, [])


@pytest.mark.parametrize(
    ("ended", "is_partial"),
    [
        ({}, False),
        ({"status": pytest.ExitCode.TESTS_FAILED}, False),
        ({"status": pytest.ExitCode.INTERRUPTED}, True),
        ({"status": pytest.ExitCode.INTERNAL_ERROR}, True),
        ({"stopped": "stopping after 1 failures", "collected": 2}, True),
        ({"stopped": "stopping after 1 failures", "collected": 1}, False),
    ],
    ids=lambda value: " ".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_a_report_is_partial_where_the_session_ended_before_its_last_test(session, reports, ended, is_partial):
    session.report("call", reports.result(reports.variant()))
    session.report("teardown")
    session.finish(**ended)
    assert session.written.is_partial == is_partial


def test_the_tables_come_first_then_what_failed_and_where_the_others_lie(tmp_path, reports):
    (tmp_path / "file").touch()
    elsewhere = tmp_path / "elsewhere" / "a.csv"
    session = Session(
        tmp_path / "here",
        Destination("csv", tmp_path / "file" / "a.csv"),
        Destination("csv", elsewhere),
        Destination("terminal", None),
    )
    session.report("call", reports.result(reports.variant()))
    session.finish()
    table, lost, made = session.said
    assert "inferopt: churn" in table
    no_folder = f"{tmp_path}/file/a.csv cannot be written: {tmp_path}/file is no folder. Name another one."
    assert (lost, made) == ((f"inferopt: no csv report: {no_folder}", "yellow"), (f"report: {elsewhere}",))


def test_a_worker_is_told_the_store(session, tmp_path):
    node = SimpleNamespace(workerinput={})
    session.reporting.pytest_configure_node(node)
    assert node.workerinput == {STORE_KEY: str(tmp_path / ".inferopt")}
