"""Real data, and one way to hold a converted model against its original."""

from __future__ import annotations

import subprocess
import sys
import warnings
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import pytest

from pytest_inferopt.domain.artifact import Artifact, Prediction, RunOptions, take_rows
from pytest_inferopt.runtimes.ort import OnnxRuntime

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BATCHES = (1, 3, 7)
SAMPLES = 32


class Converted:
    """A model before and after conversion, and what both answer to the same rows."""

    def __init__(self, framework: Any, model: Any, rows: Any, path: Path, opset: int) -> None:
        self.original: Artifact = framework.describe(model, path.with_suffix(".pkl"))
        count = rows.shape[0] if hasattr(rows, "shape") else len(rows)
        samples = take_rows(rows, np.arange(min(SAMPLES, count)))
        self.artifact: Artifact = framework.to_onnx(self.original, path, opset=opset, samples=samples)
        self.session = OnnxRuntime().open(self.artifact, RunOptions())
        self.native = framework.open(self.original, RunOptions())
        self.before: Prediction = self.native.predict(rows)
        self.after: Prediction = self.session.predict(rows)
        for batch in BATCHES:
            self.session.predict(take_rows(rows, np.arange(batch)))

    @property
    def difference(self) -> dict[str, float]:
        """Label flips, and the largest difference of the numbers relative to the largest of them."""
        found: dict[str, float] = {}
        if self.before.labels is not None:
            assert self.before.labels.shape == self.after.labels.shape
            found["flips"] = int((self.before.labels != self.after.labels).sum())
        for name in ("scores", "values"):
            one, other = getattr(self.before, name), getattr(self.after, name)
            assert (one is None) == (other is None), name
            if one is not None:
                assert other.shape in {one.shape, (*one.shape, 1)}
                found[name] = float(np.abs(one - other.reshape(one.shape)).max() / np.abs(one).max())
        assert self.before.scores_are_probabilities == self.after.scores_are_probabilities
        return found

    @property
    def agrees(self) -> bool:
        """No label flips, and numbers within float32 of each other."""
        return all(value <= (0 if name == "flips" else 1e-5) for name, value in self.difference.items())


@pytest.fixture
def convert(tmp_path: Path) -> Callable[..., Converted]:
    """Convert a fitted model and run both it and its file on the rows."""

    def converted(framework: Any, model: Any, rows: Any, opset: int = 17) -> Converted:
        return Converted(framework, model, rows, tmp_path / "model.onnx", opset)

    return converted


@pytest.fixture
def to_onnx(tmp_path: Path) -> Callable[..., Artifact]:
    """Convert a fitted model only."""

    def converted(framework: Any, model: Any, rows: Any, opset: int = 17) -> Artifact:
        artifact = framework.describe(model, tmp_path / "model.pkl")
        return framework.to_onnx(artifact, tmp_path / "model.onnx", opset=opset, samples=rows)

    return converted


@pytest.fixture
def convert_in_a_new_process(tmp_path: Path) -> Callable[..., str]:
    """Convert a fitted model where nothing was imported or registered before, as in a worker; its notes."""
    script = (
        "import sys, pathlib, importlib, joblib;"
        "name, cls, folder = sys.argv[1:];"
        "framework = getattr(importlib.import_module(f'pytest_inferopt.frameworks.{name}'), cls)();"
        "path = pathlib.Path(folder);"
        "artifact = framework.load(path / 'original.pkl');"
        "samples = joblib.load(path / 'rows.joblib');"
        "done = framework.to_onnx(artifact, path / 'model.onnx', opset=17, samples=samples);"
        "print(done.notes[0])"
    )

    def converted(framework: Any, model: Any, rows: Any) -> str:
        framework.save(model, tmp_path / "original.pkl")
        joblib.dump(rows[:SAMPLES], tmp_path / "rows.joblib")
        arguments = [framework.name, type(framework).__name__, str(tmp_path)]
        ran = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False)
        return ran.stdout.strip() or ran.stderr

    return converted


@pytest.fixture
def fitted() -> Callable[..., Any]:
    """Fit a clone, without the advice of libraries on convergence and small data."""
    from sklearn.base import clone

    def fit(model: Any, data: tuple[Any, Any], **options: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return clone(model).fit(*data, **options)

    return fit


def _data(load: Any) -> tuple[Any, Any]:
    x, y = load(return_X_y=True)
    return x.astype(np.float32), y


@pytest.fixture(scope="session")
def wine() -> tuple[Any, Any]:
    """178 wines of three classes."""
    from sklearn.datasets import load_wine

    return _data(load_wine)


@pytest.fixture(scope="session")
def cancer() -> tuple[Any, Any]:
    """569 tumours of two classes."""
    from sklearn.datasets import load_breast_cancer

    return _data(load_breast_cancer)


@pytest.fixture(scope="session")
def diabetes() -> tuple[Any, Any]:
    """442 patients and the progression of their disease."""
    from sklearn.datasets import load_diabetes

    return _data(load_diabetes)


@pytest.fixture(scope="session")
def digits() -> tuple[Any, Any]:
    """1,797 images of ten digits; float64, as scikit-learn loads them."""
    from sklearn.datasets import load_digits

    return load_digits(return_X_y=True)


@pytest.fixture(scope="session")
def progress_of(diabetes: tuple[Any, Any]) -> dict[str, Any]:
    """The progression as what rankers, counters and multi-target models learn."""
    y = diabetes[1]
    return {
        "grades": (y // 60).astype(int),
        "groups": np.repeat(np.arange(34), 13),
        "share": y / 400,
        "two": np.stack([y, -y], axis=1),
    }
