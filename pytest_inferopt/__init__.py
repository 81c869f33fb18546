"""Proves on every pull request that an optimized model is still right, small and fast.

Everything here is resolved when it is first used: importing the package imports nothing heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_inferopt._version import __version__
from pytest_inferopt.errors import InferoptError, NotMeasuredError, RefusedError, UsageError

if TYPE_CHECKING:
    from pytest_inferopt.api import InferenceOptimizer, publish, run
    from pytest_inferopt.domain.report import Report
    from pytest_inferopt.domain.request import OptimizationRequest
    from pytest_inferopt.domain.result import RunResult

__all__ = [
    "InferenceOptimizer",
    "InferoptError",
    "NotMeasuredError",
    "OptimizationRequest",
    "RefusedError",
    "Report",
    "RunResult",
    "UsageError",
    "__version__",
    "publish",
    "run",
]

_HOMES = {
    "InferenceOptimizer": "pytest_inferopt.api",
    "OptimizationRequest": "pytest_inferopt.domain.request",
    "Report": "pytest_inferopt.domain.report",
    "RunResult": "pytest_inferopt.domain.result",
    "publish": "pytest_inferopt.api",
    "run": "pytest_inferopt.api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
