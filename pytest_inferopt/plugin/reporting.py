"""The one process of a session that reports: pytest's own, or the controller of xdist's workers.

Results come to it with the test reports, wherever the tests ran, so a worker that dies takes along only what it had
not finished.
"""

from __future__ import annotations

import shlex
import signal
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from pytest_inferopt.domain.environment import Environment
from pytest_inferopt.domain.report import Report
from pytest_inferopt.domain.result import RunResult
from pytest_inferopt.domain.text import printable
from pytest_inferopt.engine.git import git_state
from pytest_inferopt.engine.publish import publish

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import FrameType

    from pytest_inferopt.engine.publish import Destination, Published
    from pytest_inferopt.engine.store.folder import Store
    from pytest_inferopt.registry import Registry

__all__ = ["STORE_KEY", "Reporting", "attach"]

RESULTS = "inferopt_results"
INCIDENT = "inferopt_incident"
STORE_KEY = "inferopt_store"
PLACES = frozenset({"--inferopt-store", "--inferopt-report"})


def attach(report: pytest.TestReport, results: Sequence[RunResult], incident: str) -> None:
    """Send along with a test report, to whatever process reads it, what came of its phase.

    Args:
        report: the test report; plain text on it crosses every transport.
        results: what was measured.
        incident: why something was not; empty where nothing is missing.
    """
    setattr(report, RESULTS, [result.model_dump_json() for result in results])
    setattr(report, INCIDENT, incident)


class Reporting:
    """Registered as a plugin where the session's reports are made.

    Args:
        config: pytest's.
        destinations: the wanted reports.
        registry: the reporters.
        store: told to xdist's workers, and pruned at the end.
    """

    def __init__(
        self, config: pytest.Config, destinations: tuple[Destination, ...], registry: Registry, store: Store
    ) -> None:
        self._config = config
        self._destinations = destinations
        self._registry = registry
        self._store = store
        # A test that runs again, whatever plugin makes it, has the last word.
        self._results: dict[tuple[str, str], RunResult] = {}
        self._incidents: list[str] = []
        self._told: dict[str, str] = {}
        self._published: tuple[Published, ...] = ()
        self._is_listening = False
        self._finished: set[str] = set()

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell an xdist worker where the store is: resolved once, here."""
        node.workerinput[STORE_KEY] = str(self._store.root)

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str) -> None:
        """Note that an xdist worker died; what it had finished is here already."""
        self._incidents.append(
            f"{printable(crashitem, 300)}: the process that ran it died, so what it would have measured is missing"
        )

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Make of SIGTERM, with which CI systems cancel, an orderly end: nothing that was measured is lost."""
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, partial(_end, session))
            self._is_listening = True

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the results that come with a test report."""
        if report.when == "setup":
            self._told.pop(report.nodeid, None)
        if incident := getattr(report, INCIDENT, ""):
            self._told[report.nodeid] = incident
        self.take(RunResult.model_validate_json(document) for document in getattr(report, RESULTS, ()))
        if report.when == "teardown":
            self._finished.add(report.nodeid)

    def take(self, results: Iterable[RunResult]) -> None:
        """Take results; a later one of the same test and name takes the place of an earlier one."""
        for result in results:
            self._results[result.test_id, result.name] = result

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write the reports, however the session ended."""
        self._incidents += [f"{printable(test, 300)}: {text}" for test, text in self._told.items()]
        if not self._results and not self._incidents:
            return
        is_stopped = bool(session.shouldstop or session.shouldfail) and len(self._finished) < session.testscollected
        is_broken = exitstatus in {pytest.ExitCode.INTERRUPTED, pytest.ExitCode.INTERNAL_ERROR}
        report = Report(
            command=shlex.join(["pytest", *_arguments_that_decide(map(str, self._config.invocation_params.args))]),
            results=tuple(self._results.values()),
            environment=Environment.here(),
            git=git_state(self._config.rootpath),
            incidents=tuple(self._incidents),
            is_partial=is_stopped or is_broken,
        )
        self._published = publish(report, self._destinations, self._registry)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """The tables, and where the reports lie."""
        terminalreporter.ensure_newline()
        for incident in self._incidents:
            terminalreporter.write_line(f"inferopt: {incident}", yellow=True)
        for published in self._published:
            if published.path is None:
                terminalreporter.write(published.text)
        for published in self._published:
            if published.failure:
                terminalreporter.write_line(f"inferopt: no {published.kind} report: {published.failure}", yellow=True)
            elif published.path is not None:
                terminalreporter.write_line(f"report: {self._shown(published)}")

    def pytest_unconfigure(self) -> None:
        """Give the signal back, and remove from the store what a month did not use."""
        if self._is_listening:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._store.prune()

    def _shown(self, published: Published) -> str:
        """A report's path as short as it can be said from where pytest was started."""
        path, here = published.path, self._config.invocation_params.dir
        return str(path.relative_to(here)) if path is not None and path.is_relative_to(here) else str(path)


def _arguments_that_decide(arguments: Iterable[str]) -> Iterator[str]:
    """The arguments without those that only say where something is written, which is no business of a second run's."""
    remaining = iter(arguments)
    for argument in remaining:
        if argument in PLACES:
            next(remaining, None)
        elif argument.partition("=")[0] not in PLACES:
            yield argument


def _end(session: pytest.Session, number: int, _: FrameType | None) -> None:
    reason = f"inferopt: ended by {signal.Signals(number).name}; the reports hold what was measured until then"
    # The exception may rise in code that catches all of them; then no further test starts.
    session.shouldstop = reason
    pytest.exit(reason)
