"""Faults A of pickled models, through the whole run; each beside a sound file."""

from __future__ import annotations

import importlib
import sys

import joblib
import numpy as np
import pytest
from sklearn import base
from sklearn.linear_model import LogisticRegression

from pytest_inferopt.api import Subject, run
from pytest_inferopt.domain.artifact import Dataset
from pytest_inferopt.domain.request import parse_request
from pytest_inferopt.engine.store.folder import Store
from pytest_inferopt.engine.worker.driver import Worker

ROWS = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
LABELS = (ROWS[:, 0] > 0).astype(int)
QUICK = {"iterations": 5, "warmup_iterations": 1, "batch_sizes": [1], "trust": True}
MODULE = "from sklearn.linear_model import LogisticRegression\nclass Own(LogisticRegression): pass\n"


@pytest.fixture(scope="module")
def worker():
    with Worker() as running:
        yield running


@pytest.fixture
def save(tmp_path):
    """`save(model)`: the model as a file."""

    def save(model):
        path = tmp_path / "model.joblib"
        joblib.dump(model, path)
        return path

    return save


@pytest.fixture
def optimize(tmp_path, worker):
    """`optimize(path)`: what becomes of a model file."""

    def optimize(path):
        request = parse_request({**QUICK, "model": str(path)}, where="test")
        return run(request, Subject(data=Dataset(ROWS, LABELS)), worker=worker, store=Store(tmp_path / "store"))

    return optimize


def verdicts(result):
    return [(check.kind, check.outcome) for check in result.checks]


PASSED = [("conversion", "passed"), ("accuracy", "passed")]


def test_a_pickle_of_a_module_that_is_here_passes(optimize, save):
    assert verdicts(optimize(save(LogisticRegression().fit(ROWS, LABELS)))) == PASSED


def test_a7_a_pickle_of_a_module_that_is_not_here_is_not_measured_and_the_module_is_named(
    optimize, save, tmp_path, monkeypatch
):
    (tmp_path / "models_of_another_machine.py").write_text(MODULE)
    with monkeypatch.context() as there:
        there.syspath_prepend(tmp_path)
        model = importlib.import_module("models_of_another_machine").Own().fit(ROWS, LABELS)
        path = save(model)
    del sys.modules["models_of_another_machine"]
    (check,) = optimize(path).checks
    assert (check.outcome, check.next_step) == ("not_measured", "Install what brings 'models_of_another_machine'.")
    assert check.reason.endswith("model.joblib' needs the module 'models_of_another_machine', which is not installed.")


def test_a8_a_pickle_of_another_scikit_learn_is_judged_and_the_versions_are_told(optimize, save, monkeypatch):
    model = LogisticRegression().fit(ROWS, LABELS)
    with monkeypatch.context() as there:
        there.setattr(base, "__version__", "1.4.2")
        path = save(model)
    result = optimize(path)
    assert verdicts(result) == PASSED
    (note,) = result.notes
    assert note == f"saved with scikit-learn 1.4.2, loaded with {base.__version__}: its answers may differ"


def test_a8_a_pickle_of_this_scikit_learn_is_told_nothing_about(optimize, save):
    assert optimize(save(LogisticRegression().fit(ROWS, LABELS))).notes == ()
