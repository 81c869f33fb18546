from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_inferopt.api import InferenceOptimizer
from pytest_inferopt.domain.environment import Environment

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


STEPS = {
    "onnx": ["onnx_conversion"],
    "dynamic": ["quantization"],
    "static": [{"name": "quantization", "method": "static"}],
}
FEW_CALLS = {"iterations": 20, "warmup_iterations": 2, "batch_sizes": [1], "accuracy_threshold": 0.5}


@pytest.fixture
def beside_a_baseline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`beside_a_baseline(model, rows, labels)`: by variant the outcomes against an accepted baseline of the same model.

    Once on this processor, and once on one that has other vector instructions.
    """

    def beside_a_baseline(model: Any, rows: Any, labels: Any) -> tuple[Any, Any]:
        calibration = np.random.default_rng(1).normal(size=(120, rows.shape[1])).astype(np.float32)
        with InferenceOptimizer(tmp_path / "store", name="network", variants=STEPS, **FEW_CALLS) as optimizer:
            optimizer.accept(optimizer.optimize(model, rows, labels, training_data=calibration))
            here = optimizer.optimize(model, rows, labels, training_data=calibration, baseline="auto")
            other = Environment.here().model_copy(update={"isa_flags": ("sve",)})
            monkeypatch.setattr(Environment, "here", classmethod(lambda _: other))
            elsewhere = optimizer.optimize(model, rows, labels, training_data=calibration, baseline="auto")
        return outcomes(here), outcomes(elsewhere)

    def outcomes(result: Any) -> dict[str, list[str]]:
        return {name: list(against_the_baseline(variant)) for name, variant in result.variants.items()}

    def against_the_baseline(variant: Any) -> Any:
        return (
            check.outcome
            for check in variant.checks
            if check.kind == "regression" or check.subject == "against the baseline"
        )

    return beside_a_baseline
