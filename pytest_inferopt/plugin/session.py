"""One pytest session under ``--inferopt``: its defaults, its worker, its results and its words."""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from pytest_inferopt import __version__
from pytest_inferopt.api import as_dataset, request_for, run
from pytest_inferopt.domain.environment import Environment
from pytest_inferopt.domain.request import parse_request
from pytest_inferopt.engine.git import top_level
from pytest_inferopt.engine.publish import parse_destinations
from pytest_inferopt.engine.store.folder import Store, result_key
from pytest_inferopt.engine.worker.driver import Worker
from pytest_inferopt.errors import InferoptError, NotMeasuredError, UsageError
from pytest_inferopt.options import OPTIONS
from pytest_inferopt.plugin import is_inferopt_test, rebuilding
from pytest_inferopt.plugin.comparing import SessionBaselines
from pytest_inferopt.plugin.given import fields_given, others_given
from pytest_inferopt.plugin.properties import properties_of
from pytest_inferopt.plugin.reporting import STORE_KEY, Reporting, attach
from pytest_inferopt.plugin.text import failure_text
from pytest_inferopt.registry import discover
from pytest_inferopt.settings import project_defaults

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from pytest_inferopt.domain.result import RunResult

__all__ = ["InferoptSession"]

MARKER = "pytest.mark.inferopt"
REPORTING = "inferopt-reporting"
SECONDS_PER_MINUTE = 60
ASKING_SECONDS = 30
DEFAULT = {option.flag: option.default for option in OPTIONS}
UNCHECKED = pytest.StashKey[list["RunResult"]]()
UNSENT = pytest.StashKey[list["RunResult"]]()
INCIDENT = pytest.StashKey[str]()
CALLS = pytest.StashKey[list[str]]()


class InferoptSession:
    """Registered as a plugin while ``--inferopt`` is on.

    Raises:
        UsageError: an option, an environment variable or the project's table is wrong.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._registry = discover()
        project = project_defaults(config.rootpath, os.environ)
        self._defaults = fields_given(config, project)
        others = others_given(config)
        usual = parse_request(self._defaults, where="command line")
        # Set where this is one of xdist's workers: the controller has settled the store, and makes the reports.
        told: dict[str, Any] | None = getattr(config, "workerinput", None)
        place = others.get("--inferopt-store") or project.get("store") or DEFAULT["--inferopt-store"]
        self._store = Store(config.rootpath / _home_expanded(place) if told is None else Path(told[STORE_KEY]))
        self._worker = Worker()
        self._item: pytest.Item | None = None
        self._rebuilding: rebuilding.Rebuilding | None = config.pluginmanager.get_plugin(rebuilding.NAME)
        self._baselines = SessionBaselines(
            config,
            self._store,
            reuse="--inferopt-no-cache" not in others,
            is_accepting="--inferopt-update-baseline" in others,
            rebuilding=self._rebuilding,
            rebuild_seconds=usual.max_time_minutes * SECONDS_PER_MINUTE,
            on_progress=self._say,
        )
        self._baselines.check(usual.baseline)
        if told is None:
            self._report(others.get("--inferopt-report") or project.get("report") or DEFAULT["--inferopt-report"])

    def _report(self, wanted: str | tuple[str, ...]) -> None:
        """Have this process make the reports."""
        destinations = parse_destinations(
            (wanted,) if isinstance(wanted, str) else wanted,
            self._registry,
            base=self._config.invocation_params.dir,
            store=self._store.root,
        )
        reporting = Reporting(self._config, destinations, self._registry, self._store)
        self._config.pluginmanager.register(reporting, REPORTING)

    def pytest_report_header(self) -> str:
        """One line: version, machine, how latency is measured."""
        request = parse_request(self._defaults, where="command line")
        spec = request.benchmark
        threads = f"{spec.threads} thread{'s' if spec.threads > 1 else ''}"
        batches = ",".join(map(str, spec.batch_sizes))
        return (
            f"inferopt: {__version__} · cpu {Environment.here().headline} · {threads} · "
            f"{spec.warmup_iterations}+{spec.iterations} iterations · batch {batches} · "
            f"{self._baselines.header(request.baseline)}"
        )

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """A marked test that asks for neither fixture gets its result all the same: green and empty is no verdict."""
        names = getattr(item, "fixturenames", None)
        if names is not None and item.get_closest_marker("inferopt") and not is_using_a_fixture(names):
            names.append("inferopt_result")

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Under ``--inferopt-only``, deselect what is no inferopt test."""
        if not self._config.getoption("inferopt_only"):
            return
        others = [item for item in items if not is_inferopt_test(item)]
        if others:
            items[:] = [item for item in items if is_inferopt_test(item)]
            self._config.hook.pytest_deselected(items=others)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """After the body: fail on a red result that nobody has checked, and on a fixture that was never called.

        A body that fails over a red result fails because of it, so the red checks are told first; one that skips does
        not hide them.
        """
        unchecked = item.stash.setdefault(UNCHECKED, [])
        own = ""
        try:
            outcome = yield
        except (Exception, pytest.fail.Exception, pytest.skip.Exception) as error:
            # To pytest, an order to end the whole session is an exception like any other.
            if isinstance(error, pytest.exit.Exception) or all(result.passed for result in unchecked):
                raise
            own = f"\n  the test's own code then ended with {type(error).__name__}: {error}"
            outcome = None
        for result in unchecked:
            _fail_if_red(result, own)
        if "inferopt" in getattr(item, "fixturenames", ()) and not item.stash.get(CALLS, []):
            pytest.fail(
                "inferopt: the test asks for the inferopt fixture and never calls it, so nothing was measured.\n"
                "  next: call inferopt(model, x, y), or drop the fixture.",
                pytrace=False,
            )
        return outcome

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """A test that runs again starts afresh."""
        item.stash[CALLS] = []
        item.stash[UNCHECKED] = []
        item.stash[UNSENT] = []
        item.stash[INCIDENT] = ""
        self._item = item

    def pytest_keyboard_interrupt(self) -> None:
        """What an interrupted test had measured gets no test report to travel with, so it is handed over here."""
        reporting: Reporting | None = self._config.pluginmanager.get_plugin(REPORTING)
        if reporting is not None and self._item is not None:
            unsent: list[RunResult] = self._item.stash.get(UNSENT, [])
            reporting.take(unsent)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Send the results that came up in this phase along with its report."""
        report = yield
        unsent, incident = item.stash.get(UNSENT, []), item.stash.get(INCIDENT, "")
        if unsent or incident:
            attach(report, unsent, incident)
            unsent.clear()
            item.stash[INCIDENT] = ""
        return report

    def pytest_unconfigure(self) -> None:
        """End the worker, however the session ended."""
        if self._rebuilding is not None and self._worker.is_running:
            self._rebuilding.seen_by_worker(self._imported_by_worker(self._rebuilding.home))
        self._worker.stop()
        self._baselines.close()

    def _imported_by_worker(self, home: Path) -> dict[str, str]:
        parameters = {"root": str(home)}
        deadline = time.monotonic() + ASKING_SECONDS
        imported: dict[str, str] = self._worker.call(
            "modules_under", parameters, stage="looking back", deadline=deadline
        )
        return imported

    def door(self, request: pytest.FixtureRequest) -> Callable[..., RunResult]:
        """What the `inferopt` fixture is in one test."""

        def inferopt(  # noqa: PLR0913 - the live things of a request, then its fields
            model: Any = None,
            x: Any = None,
            y: Any = None,
            *,
            groups: Any = None,
            training_data: Any = None,
            metric: Any = None,
            name: str | None = None,
            check: bool | str = True,
            **fields: Any,
        ) -> RunResult:
            live = {"model": model, "training_data": training_data, "metric": metric}
            wrong = None
            try:
                result = self._run(request, live, (x, y, groups), name, fields)
            except InferoptError as error:
                wrong = f"inferopt: {error}"
                request.node.stash[INCIDENT] = str(error)
            if wrong is not None:
                # Outside of the except, or pytest would tell the same story twice.
                pytest.fail(wrong, pytrace=False)
            if check is True:
                _fail_if_red(result)
            elif check == "after":
                request.node.stash[UNCHECKED].append(result)
            return result

        return inferopt

    def _run(
        self,
        request: pytest.FixtureRequest,
        live: dict[str, Any],
        rows: tuple[Any, Any, Any],
        name: str | None,
        fields: dict[str, Any],
    ) -> RunResult:
        item = request.node
        marker = _marker_fields(item)
        own = {"name": name} if name else {}
        values = {"name": _title(item), **self._defaults, **marker, **fields, **own}
        calls = item.stash[CALLS]
        # The name as it will stand in the report, wherever it is from: the second result would take the first's place.
        if values["name"] in calls:
            which = f"with name={name!r} again" if name else "without a name"
            raise UsageError(
                f"inferopt() was called {which} in one test.", "Give each call its own: inferopt(…, name='int8')."
            )
        calls.append(values["name"])
        x, y, groups = rows
        if x is None and "validation_dataset" not in {**marker, **fields}:
            data = as_dataset(request.getfixturevalue("inferopt_data"))
        else:
            data = None if x is None else as_dataset((x, y))
        if data is not None and groups is not None:
            data = type(data)(data.x, data.y, groups)
        overrides = {key: value for key, value in live.items() if value is not None}
        model = overrides.get("model", values.pop("model", None))
        training = overrides.get("training_data")
        metric = overrides.get("metric", marker.get("metric", request.getfixturevalue("inferopt_metric")))
        optimization, subject = request_for(
            values,
            model=request.getfixturevalue("inferopt_model") if model is None else model,
            data=data,
            training=as_dataset(request.getfixturevalue("inferopt_training_data") if training is None else training),
            metric=metric,
            where=MARKER if set(marker) - set(self._defaults) else "inferopt()",
            by_value=tuple(_test_modules(item)),
        )
        # A file's name may be bytes that are no text, which no report can hold.
        test_id = item.nodeid.encode("utf-8", errors="backslashreplace").decode()
        result = run(
            optimization,
            subject,
            worker=self._worker,
            registry=self._registry,
            store=self._store,
            mode=self._baselines.mode(optimization, test_id),
            on_progress=self._say,
        )
        attempt = getattr(item, "execution_count", 1)  # pytest-rerunfailures counts
        again = (f"measured in attempt {attempt} of its test",) if attempt > 1 else ()
        place = {"test_file": _file_of(item), "test_line": (item.location[1] or 0) + 1}
        result = result.model_copy(update={"test_id": test_id, "attempt": attempt, **place})
        kept, refused = "", None
        try:
            kept = self._baselines.keep(result)
        except NotMeasuredError as error:
            kept, refused = error.message, error
        notes = (*result.notes, *again, *filter(None, [kept]))
        result = result.model_copy(update={"notes": notes})
        self._store.put("results", result_key(result), result.to_dict())
        item.stash[UNSENT].append(result)
        _set_properties(item, result)
        # The result stands in the reports; that it did not become the baseline which was asked for is red.
        if refused is not None:
            raise refused
        return result

    def _say(self, text: str) -> None:
        """Tell whoever watches, past pytest's capture."""
        capture = self._config.pluginmanager.get_plugin("capturemanager")
        if capture is None or not self._config.pluginmanager.has_plugin("terminalreporter"):
            return
        with capture.global_and_fixture_disabled():
            writer = self._config.get_terminal_writer()
            if writer.width_of_current_line:
                writer.line()
            writer.line(f"inferopt: {text}")


def _home_expanded(place: str) -> Path:
    """A store's place as a shell would read it, which leaves ``--inferopt-store=~/store`` and a table's text alone."""
    try:
        return Path(place).expanduser()
    except RuntimeError as error:
        raise UsageError(f"store {place!r}: whose home folder is meant is not known.", "Write it in full.") from error


def is_using_a_fixture(names: list[str]) -> bool:
    """Whether a test asks for the plugin's call or its result by itself."""
    return "inferopt" in names or "inferopt_result" in names


def _marker_fields(item: pytest.Item) -> dict[str, Any]:
    """The keywords of all markers of a test, the nearest last."""
    fields: dict[str, Any] = {}
    for marker in reversed(list(item.iter_markers("inferopt"))):
        if marker.args:
            raise UsageError(f"{MARKER} takes keywords only, got {marker.args[0]!r}.", "Write model=…, for example.")
        fields |= marker.kwargs
    return fields


def _file_of(item: pytest.Item) -> str:
    """A test's file as the repository names it; outside of one, as pytest's root folder does."""
    rootpath = item.config.rootpath
    for root in (top_level(rootpath), rootpath):
        if root is not None and item.path.is_relative_to(root):
            return item.path.relative_to(root).as_posix().encode("utf-8", errors="backslashreplace").decode()
    return ""


def _title(item: pytest.Item) -> str:
    """What the report calls a test's model: ``test_churn[forest]`` is ``churn[forest]``."""
    return re.sub(r"^test_?", "", item.name) or item.name


def _test_modules(item: pytest.Item) -> Iterator[ModuleType]:
    """The test's own module and all conftest modules: the worker cannot import them as pytest did."""
    module = getattr(item, "module", None)
    if isinstance(module, ModuleType) and sys.modules.get(module.__name__) is module:
        yield module
    for plugin in item.config.pluginmanager.get_plugins():
        is_module = isinstance(plugin, ModuleType) and sys.modules.get(plugin.__name__) is plugin
        if is_module and Path(getattr(plugin, "__file__", None) or "").name == "conftest.py":
            yield plugin


def _set_properties(item: pytest.Item, result: RunResult) -> None:
    """The result's figures, in place of those of an earlier attempt."""
    properties = dict(properties_of(result))
    item.user_properties[:] = [(name, value) for name, value in item.user_properties if name not in properties]
    item.user_properties.extend(properties.items())


def _fail_if_red(result: RunResult, addition: str = "") -> None:
    if not result.passed:
        pytest.fail(failure_text(result) + addition, pytrace=False)
