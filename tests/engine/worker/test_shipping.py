from __future__ import annotations

import pickle
import sys
import threading
from pathlib import Path
from types import ModuleType

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from pytest_inferopt.domain.artifact import Dataset
from pytest_inferopt.domain.request import parse_request
from pytest_inferopt.engine.store.folder import file_sha256
from pytest_inferopt.engine.worker import shipping
from pytest_inferopt.engine.worker.shipping import Cargo, Subject, ship
from pytest_inferopt.errors import NotMeasuredError, UsageError
from pytest_inferopt.registry import discover

ROWS = Dataset(np.arange(8.0).reshape(4, 2), np.array([0, 1, 0, 1]))
MODEL = LogisticRegression().fit(ROWS.x, ROWS.y)


@pytest.fixture
def shipped(tmp_path):
    """`shipped(model, **fields)`: what becomes of a request with these fields."""

    def shipped(live=None, /, *, data=ROWS, training=None, metric=None, by_value=(), **fields):
        subject = Subject(live, data, training, metric, by_value)
        return ship(parse_request(fields, where="test"), subject, tmp_path, discover())

    return shipped


def right(y, predicted):
    return float((y == predicted).mean())


def same(one, other):
    """Whether two datasets hold the same."""
    return np.array_equal(one.x, other.x) and np.array_equal(one.y, other.y) and one.groups is other.groups is None


def unpickled(path):
    return pickle.loads(Path(path).read_bytes())


def test_what_is_live_becomes_files_in_the_folder(shipped, tmp_path):
    cargo = shipped(MODEL, training=Dataset(ROWS.x[:2]), metric=right)
    rows, training = ({"path": str(tmp_path / name), "digest": file_sha256(tmp_path / name)}
                      for name in ("rows.pkl", "training.pkl"))  # fmt: skip
    assert cargo == Cargo(
        model={"path": str(tmp_path / "original.pkl"), "framework": "sklearn"},
        rows=rows,
        training=training,
        metric_path=str(tmp_path / "metric.pkl"),
    )
    assert same(unpickled(rows["path"]), ROWS)
    assert np.array_equal(unpickled(training["path"]).x, ROWS.x[:2])
    assert unpickled(cargo.metric_path)(np.array([1, 1]), np.array([1, 0])) == 0.5
    assert unpickled(cargo.model["path"]).predict(ROWS.x).tolist() == MODEL.predict(ROWS.x).tolist()


def test_a_file_of_the_users_is_named_and_not_copied(shipped, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    joblib.dump(MODEL, "model.joblib")
    cargo = shipped(model="model.joblib", trust=True)
    assert cargo.model == {"path": str(tmp_path / "model.joblib"), "trust": True}
    assert (cargo.user_file, sorted(path.name for path in tmp_path.iterdir())) == (
        tmp_path / "model.joblib",
        ["model.joblib", "rows.pkl"],
    )


def test_a_file_that_is_not_what_its_name_says_is_found_out_before_anything_is_sent(shipped, tmp_path):
    (tmp_path / "model.onnx").touch()
    with pytest.raises(NotMeasuredError, match=r"model\.onnx' is empty"):
        shipped(model=str(tmp_path / "model.onnx"))


@pytest.mark.parametrize("name", ["models.churn:build", "churn:Builder.build"])
def test_a_factory_is_called_in_the_worker(shipped, tmp_path, name):
    cargo = shipped(model=name)
    assert (cargo.model, cargo.user_file) == ({"path": str(tmp_path / "original.pkl"), "factory": name}, None)


@pytest.mark.parametrize("name", ["models/churn:build.onnx", "churn:", ":build", "C:\\model.onnx"])
def test_a_path_with_a_colon_is_no_factory(shipped, name):
    with pytest.raises(UsageError, match=r"the model '.*' (does not exist|cannot be reached)|names no model format"):
        shipped(model=name)


def test_rows_may_come_from_a_source_that_the_worker_reads(shipped):
    cargo = shipped(MODEL, data=None, validation_dataset={"source": "csv", "path": "rows.csv", "target": "y"})
    assert cargo.rows == {"spec": {"source": "csv", "path": "rows.csv", "target": "y"}}


@pytest.mark.parametrize(
    ("live", "data", "message"),
    [
        (None, ROWS, "there is no model. Pass a model, or name one: model='models/churn.onnx'."),
        (MODEL, None, "there are no validation rows. Pass x (and y), or name a validation_dataset."),
    ],
)
def test_without_a_model_or_rows_there_is_nothing_to_do(shipped, live, data, message):
    with pytest.raises(UsageError) as caught:
        shipped(live, data=data)
    assert str(caught.value) == message


def test_what_cannot_be_pickled_says_what_it_is_and_what_to_pass_instead(shipped):
    with pytest.raises(NotMeasuredError) as caught:
        shipped(MODEL, training=Dataset([threading.Lock()]))
    assert str(caught.value) == (
        "training cannot be sent to the worker: TypeError: cannot pickle '_thread.lock' object: "
        "Pass a path or package.module:factory instead of the live object."
    )


def test_an_error_of_ours_while_pickling_stays_what_it_is(shipped):
    class Refusing:
        def __reduce__(self):
            raise NotMeasuredError("a proxy of a remote table.", "Collect it first.")

    with pytest.raises(NotMeasuredError, match=r"^a proxy of a remote table\. Collect it first\.$"):
        shipped(MODEL, data=Dataset(Refusing()))


def test_classes_of_a_module_that_the_worker_cannot_import_travel_with_the_model(shipped, monkeypatch):
    module = ModuleType("only_here")
    exec("class Scaled:\n    def __init__(self): self.factor = 3", vars(module))  # noqa: S102 - a module without a file
    monkeypatch.setitem(sys.modules, "only_here", module)
    cargo = shipped(MODEL, data=Dataset(module.Scaled()), by_value=(module,))
    monkeypatch.delitem(sys.modules, "only_here")
    assert unpickled(cargo.rows["path"]).x.factor == 3


def test_after_shipping_modules_are_pickled_by_name_again_also_where_it_failed(shipped, monkeypatch):
    cloudpickle = pytest.importorskip("cloudpickle")
    module = ModuleType("only_here")
    monkeypatch.setitem(sys.modules, "only_here", module)
    with pytest.raises(NotMeasuredError):
        shipped(MODEL, data=Dataset(threading.Lock()), by_value=(module, shipping))
    assert cloudpickle.list_registry_pickle_by_value() == set()
