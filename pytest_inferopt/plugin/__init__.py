"""The pytest door. This file is imported in every pytest run, so it imports nothing but pytest and a literal table.

What works is in `pytest_inferopt.plugin.session`, which is loaded under ``--inferopt`` alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_inferopt.errors import UsageError
from pytest_inferopt.options import OPTIONS, dest

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_inferopt.domain.result import RunResult

__all__: list[str] = []

MARKER = "inferopt(**request): optimize a model and judge it; the keywords are the fields of an optimization request"
FIXTURES = frozenset({"inferopt", "inferopt_result"})
SESSION = "inferopt-session"
OFF = "an inferopt test: run it with pytest --inferopt"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options; values stay text until `--inferopt` asks for them."""
    group = parser.getgroup("inferopt", "model optimization and its verdict")
    for option in OPTIONS:
        shape: dict[str, Any] = {"help": option.help, "dest": dest(option), "default": None}
        if option.parse is None:
            shape |= {"action": "store_true", "default": False}
        else:
            shape |= {"action": "append" if option.is_repeatable else "store", "metavar": option.metavar or "VALUE"}
            shape["help"] += f" Default: {_shown(option.default)}."
        group.addoption(option.flag, **shape)


def _shown(default: Any) -> str:
    if default is None:
        return "by task"
    return ",".join(map(str, default)) or "none" if isinstance(default, tuple) else str(default)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker; under ``--inferopt``, the session that does the work."""
    config.addinivalue_line("markers", MARKER)
    if not config.getoption("inferopt"):
        return
    from pytest_inferopt.plugin.session import InferoptSession

    try:
        session = InferoptSession(config)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None
    config.pluginmanager.register(session, SESSION)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip inferopt tests in a run without ``--inferopt``."""
    if config.getoption("inferopt"):
        return
    skip = pytest.mark.skip(reason=OFF)
    for item in items:
        if is_inferopt_test(item):
            item.add_marker(skip)


def is_inferopt_test(item: pytest.Item) -> bool:
    """Whether a test carries the marker or asks for one of the fixtures."""
    return item.get_closest_marker("inferopt") is not None or not FIXTURES.isdisjoint(getattr(item, "fixturenames", ()))


@pytest.fixture
def inferopt(request: pytest.FixtureRequest) -> Callable[..., RunResult]:
    """Optimize a model, measure it, judge it: ``inferopt(model, x, y=None, **fields)`` returns the result.

    A red check fails the test with a short text; ``check=False`` only returns.
    """
    session = request.config.pluginmanager.get_plugin(SESSION)
    if session is None:
        pytest.skip(OFF)
    door: Callable[..., RunResult] = session.door(request)
    return door


@pytest.fixture
def inferopt_result(inferopt: Callable[..., RunResult]) -> RunResult:
    """The result for a marker that names ``model=`` and ``validation_dataset=``, or for the overridden fixtures.

    A red check fails the test when its body is done.
    """
    return inferopt(check="after")


@pytest.fixture
def inferopt_model() -> Any:
    """The model of the tests around; override it. None: the marker names it."""
    return None


@pytest.fixture
def inferopt_data() -> Any:
    """The validation rows of the tests around, x or a pair (x, y); override it. None: the marker names them."""
    return None


@pytest.fixture
def inferopt_training_data() -> Any:
    """Rows to calibrate or train on, x or a pair (x, y), apart from those that judge; override it."""
    return None


@pytest.fixture
def inferopt_metric() -> Any:
    """A metric's name or a function; override it. None: the marker's, else the task's."""
    return None
