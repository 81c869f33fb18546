"""Faults B that meet a model: rows that it rejects, or that do not fit it; each beside rows that do."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from pytest_inferopt.api import Subject, run
from pytest_inferopt.domain.artifact import Dataset
from pytest_inferopt.domain.request import parse_request
from pytest_inferopt.engine.store.folder import Store
from pytest_inferopt.engine.worker.driver import Worker
from pytest_inferopt.errors import UsageError

QUICK = {"batch_sizes": [1], "iterations": 5, "warmup_iterations": 1}


@pytest.fixture(scope="module")
def worker():
    with Worker() as running:
        yield running


@pytest.fixture
def optimize(tmp_path, worker):
    def optimize(model, x, y=None):
        subject = Subject(model, Dataset(x, y))
        return run(parse_request(QUICK, where="test"), subject, worker=worker, store=Store(tmp_path / "store"))

    return optimize


@pytest.fixture(scope="module")
def cancer():
    return load_breast_cancer(return_X_y=True, as_frame=True)


@pytest.fixture(scope="module")
def linear(cancer):
    x, y = cancer
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y)


def holed(x):
    return x.mask(np.random.default_rng(0).random(x.shape) < 0.05)


def test_b28_missing_values_that_the_original_itself_rejects_are_not_measured(optimize, cancer, linear):
    x, y = cancer
    result = optimize(linear, holed(x), y.to_numpy())
    (check,) = result.checks
    assert check.outcome == "not_measured"
    assert check.reason.startswith("the original itself rejects the validation rows: ValueError: Input X contains NaN")


def test_b28_missing_values_that_the_original_takes_are_no_fault(optimize, cancer):
    x, y = cancer
    model = HistGradientBoostingClassifier(max_iter=20, random_state=0).fit(holed(x), y)
    result = optimize(model, holed(x), y.to_numpy())
    assert result.passed
    assert result.optimized.conversion.label_flips == 0


def renamed(x):
    return x.rename(columns={"mean radius": "radius"})


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda x: x[x.columns[::-1]], "order"),
        (lambda x: x.drop(columns="mean radius"), "mean radius"),
        (lambda x: x.assign(extra=1.0), "extra"),
        (renamed, "mean radius"),
    ],
    ids=["reordered", "missing", "extra", "renamed"],
)
def test_b32_columns_that_are_not_the_models_are_a_usage_error_naming_them(optimize, cancer, linear, change, word):
    x, y = cancer
    with pytest.raises(UsageError) as caught:
        optimize(linear, change(x), y.to_numpy())
    assert word in str(caught.value)


def test_b32_the_models_own_columns_are_no_fault(optimize, cancer, linear):
    x, y = cancer
    assert optimize(linear, x, y.to_numpy()).passed


def encoded(values):
    x = pd.DataFrame({"kind": values, "size": np.arange(len(values), dtype=float)})
    y = np.arange(len(values)) % 2
    transformer = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["kind"]), remainder="passthrough")
    return make_pipeline(transformer, LogisticRegression()).fit(x, y), x, y


@pytest.mark.parametrize(
    "values",
    [pd.date_range("2024-01-01", periods=40), pd.to_timedelta(np.arange(40), unit="D")],
    ids=["datetime", "timedelta"],
)
def test_b33_a_column_that_onnx_has_no_type_for_is_a_usage_error_naming_it(optimize, values):
    model, x, y = encoded(values)
    with pytest.raises(UsageError, match="kind"):
        optimize(model, x, y)


def test_b33_a_column_of_words_is_no_fault(optimize):
    model, x, y = encoded(["red", "green"] * 20)
    assert optimize(model, x, y).passed
