"""What all tests share: pytester, and one small real model on real data."""

from __future__ import annotations

import gc
import importlib.util
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

pytest_plugins = ["pytester"]

# pandas registers its types with pyarrow the first time it touches a Parquet file. Done inside a run that forgets what
# it imports, as pytester's runs in this process do, it would be done twice, which pyarrow refuses.
pd.DataFrame({"a": [1]}).to_parquet(io.BytesIO())
# A module of Rust's can be initialised once in a process; of a run that forgot it, it could not be imported again.
importlib.import_module("vl_convert")


@pytest.fixture(scope="module")
def frozen_heap():
    """All libraries that are loaded are out of the garbage collector's sight.

    A simulated process collects garbage before it measures. A real one holds one framework; this one holds all of
    them, and each of thousands of collections would take a third of a second.
    """
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="session")
def digits_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a logistic regression on the digits: model.onnx, model.joblib, rows.npz, rows.csv."""
    import joblib
    from skl2onnx import to_onnx
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression

    folder = tmp_path_factory.mktemp("digits")
    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32)
    model = LogisticRegression(max_iter=200).fit(x[:1400], y[:1400])
    converted = to_onnx(model, x[:1], target_opset={"": 17, "ai.onnx.ml": 3}, options={"zipmap": False})
    (folder / "model.onnx").write_bytes(converted.SerializeToString())
    joblib.dump(model, folder / "model.joblib")
    np.savez(folder / "rows.npz", x=x[1400:], y=y[1400:])
    table = pd.DataFrame(x[1400:], columns=[f"pixel {i}" for i in range(64)]).assign(digit=y[1400:])
    table.to_csv(folder / "rows.csv", index=False)
    return folder


@pytest.fixture(scope="session")
def reports() -> ModuleType:
    """The builders of `reports.py`."""
    return _beside("reports.py")


@pytest.fixture(scope="session")
def github_server() -> ModuleType:
    """The module of the GitHub that tests talk to."""
    return _beside("github/server.py")


@pytest.fixture
def github(github_server: ModuleType) -> Iterator[object]:
    """A GitHub on this machine with one pull request; at the end, all that it was asked must have been well-formed."""
    pull = github_server.PullRequest(7, "a" * 40)
    with github_server.GitHubServer(pull_requests=[pull]) as server:
        yield server
    assert server.problems == []


def _beside(name: str) -> ModuleType:
    """A module of the tests; their folders are not packages, so it is loaded by its path."""
    path = Path(__file__).parent / name
    spec = importlib.util.spec_from_file_location(f"tests_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    # Its dataclasses look for their module by name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
