"""A repository under test: a folder with a small real model, and a way to run pytest in it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

# Loaded once here, so that the runs inside this process, which forget what they import, need not load it each time.
import pytest_inferopt.plugin.session
import pytest_inferopt.reporters.terminal  # noqa: F401

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FAST = ("--inferopt-quick", "--inferopt-measure-seconds=2", "--inferopt-report=terminal")
NOISE = ("-p", "no:randomly", "-p", "no:cacheprovider")


@pytest.fixture
def repo(pytester: pytest.Pytester, digits_files: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A repository with model.onnx, model.joblib, rows.npz and rows.csv, and no variable of ours in its environment."""
    for path in digits_files.iterdir():
        shutil.copy(path, pytester.path)
    for variable in ("OPTIMIZATION_MAX_TIME_MINUTES", "OPTIMIZATION_ACCURACY_THRESHOLD", "ONNX_OPSET_VERSION",
                     "TENSORRT_WORKSPACE_SIZE_GB", "PYTEST_ADDOPTS"):  # fmt: skip
        monkeypatch.delenv(variable, raising=False)
    return pytester


@pytest.fixture
def inferopt_run(repo: pytest.Pytester) -> Callable[..., pytest.RunResult]:
    """Run `pytest --inferopt` on a test file's text, quickly; further arguments are options."""

    def run(text: str, *arguments: str, fast: bool = True) -> pytest.RunResult:
        repo.makepyfile(test_model=text)
        return repo.runpytest_inprocess("--inferopt", *NOISE, *(FAST if fast else ()), *arguments)

    return run
