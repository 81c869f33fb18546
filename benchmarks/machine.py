"""What every table says about where it was measured."""

from __future__ import annotations

from datetime import UTC, datetime

from pytest_inferopt.domain.environment import Environment

SHOWN = ("numpy", "scikit-learn", "skl2onnx", "onnx", "onnxruntime", "xgboost-cpu", "xgboost", "lightgbm")


def provenance() -> str:
    """One line: date, machine, Python and the versions that matter."""
    here = Environment.here()
    versions = ", ".join(f"{name} {here.libraries[name]}" for name in SHOWN if name in here.libraries)
    return f"Measured {datetime.now(UTC):%Y-%m-%d} on {here.headline}, Python {here.python}; {versions}."
