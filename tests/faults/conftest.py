from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType


@pytest.fixture(scope="session")
def onnx_models() -> ModuleType:
    """The builders of `onnx_models.py`; test folders are not packages, so it is loaded by its path."""
    spec = importlib.util.spec_from_file_location("onnx_models", Path(__file__).with_name("onnx_models.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


DEADLINES_MINUTES = (0.05, 0.2, 0.8)


@pytest.fixture(scope="session")
def until_reached() -> Callable[..., Any]:
    """Tries a deadline, and longer ones where a busy machine had not come to the point in question by then."""

    def until_reached(attempt: Callable[[float], Any], is_reached: Callable[[Any], bool]) -> Any:
        for minutes in DEADLINES_MINUTES:
            outcome = attempt(minutes)
            if is_reached(outcome):
                return outcome
        pytest.fail(f"not reached within {DEADLINES_MINUTES[-1]} minutes")

    return until_reached
