from __future__ import annotations

import builtins
import copy
import os
import pickle
import random
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import cloudpickle
import joblib
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neural_network import MLPClassifier

from pytest_inferopt.domain.artifact import Artifact, Dataset, Prediction
from pytest_inferopt.domain.plugins import Technique
from pytest_inferopt.domain.request import BenchmarkSpec
from pytest_inferopt.engine.clock import timing
from pytest_inferopt.engine.correctness.metrics import resolve_metric
from pytest_inferopt.engine.store.code import code_digest
from pytest_inferopt.engine.store.folder import file_sha256
from pytest_inferopt.engine.workshop import measuring
from pytest_inferopt.engine.workshop.measuring import MeasuringWorkshop
from pytest_inferopt.engine.workshop.references import resolve
from pytest_inferopt.errors import MissingDependencyError, NotMeasuredError, RefusedError, UsageError
from pytest_inferopt.frameworks.sklearn import Sklearn
from pytest_inferopt.registry import Registry, discover

X, Y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)
TRAINED, HELD = slice(0, 1400), slice(1400, None)
METRIC = {"metric": None, "metric_path": None, "direction": None, "batch_sizes": [1, 3]}
THRESHOLD = {"threshold": 0.99, "batch_sizes": [1, 3]}
SPEC = BenchmarkSpec(
    warmup_iterations=1, iterations=4, batch_sizes=(1, 3), measure_seconds=20.0, threads=1, provider="cpu"
).model_dump(mode="json")


@pytest.fixture(scope="session")
def linear():
    return LogisticRegression(max_iter=200).fit(X[TRAINED], Y[TRAINED])


@pytest.fixture(scope="session")
def network():
    model = MLPClassifier((32,), max_iter=20, random_state=0)
    with pytest.warns(Warning, match="converge"):
        return model.fit(X[TRAINED], Y[TRAINED])


@pytest.fixture
def started(tmp_path, monkeypatch):
    """`started(registry)`: a workshop that has begun a request; what it does to this process is undone."""
    monkeypatch.setenv("TMPDIR", os.environ.get("TMPDIR", ""))
    monkeypatch.setattr(tempfile, "tempdir", tempfile.tempdir)
    states = random.getstate(), np.random.get_state()  # noqa: NPY002 - what `begin` seeds
    folder = tmp_path / "request"
    folder.mkdir()

    def started(registry=None, **changes):
        workshop = MeasuringWorkshop(registry or discover())
        begin = {"options": {"threads": 1, "provider": "cpu"}, "opset": 17, "random_seed": 3, "seconds_left": 60.0}
        workshop.begin(folder=str(folder), **{**begin, **changes})
        return workshop

    yield started
    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002 - as above


@pytest.fixture
def loaded(started, tmp_path):
    """`loaded(model)`: a workshop with a model, live or a file, and the held-out digits, or other rows."""

    def loaded(model, x=X[HELD], y=Y[HELD]):
        workshop = started()
        workshop.load_data(digest="rows", path=str(pickled(Dataset(x, y), tmp_path / "rows.pkl")))
        if isinstance(model, Path):
            workshop.load_model(path=str(model))
        else:
            workshop.load_model(path=str(pickled(model, tmp_path / "model.pkl")), framework="sklearn")
        return workshop

    return loaded


def pickled(value, path):
    path.write_bytes(cloudpickle.dumps(value))
    return path


def message(kind, act, *arguments, **parameters):
    with pytest.raises(kind) as caught:
        act(*arguments, **parameters)
    assert type(caught.value) is kind
    return str(caught.value)


# --- files of networks, as a training framework would export them -----------------------------------------------


@pytest.fixture
def exported(tmp_path, network):
    """`exported(batch=1)`: the digits network as x (batch, 64) → scores (batch, 10), without labels."""

    def exported(batch="N", *, reshape=None, softmax=True, name="exported.onnx"):
        (first, second), (bias, last) = network.coefs_, network.intercepts_
        weights = {"w1": first, "b1": bias, "w2": second, "b2": last}
        nodes = [
            helper.make_node("Gemm", ["x", "w1", "b1"], ["h"]),
            helper.make_node("Relu", ["h"], ["r"]),
            helper.make_node("Gemm", ["r", "w2", "b2"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["shares"])
            if softmax
            else helper.make_node("Identity", ["logits"], ["shares"]),
            helper.make_node("Reshape", ["shares", "shape"], ["scores"])
            if reshape
            else helper.make_node("Identity", ["shares"], ["scores"]),
        ]
        tensors = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
        graph = helper.make_graph(
            nodes,
            "digits",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 64])],
            [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [None, None])],
            initializer=[*tensors, numpy_helper.from_array(np.array(reshape or [0, 0]), "shape")],
        )
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        path = tmp_path / name
        path.write_bytes(proto.SerializeToString())
        return path

    return exported


# --- beginning --------------------------------------------------------------------------------------------------


def test_a_request_works_in_its_own_folder_with_its_own_seed(started, tmp_path):
    started(random_seed=5)
    assert (os.environ["TMPDIR"], tempfile.gettempdir()) == (str(tmp_path / "request"),) * 2
    drawn = random.random(), np.random.random()  # noqa: NPY002, S311 - the global generators are what is seeded
    started(random_seed=5)
    assert drawn == (random.random(), np.random.random())  # noqa: NPY002, S311 - as above


def test_the_next_request_knows_nothing_of_the_last_ones_models(loaded, linear, tmp_path):
    workshop = loaded(linear)
    workshop.begin(folder=str(tmp_path), options={}, opset=17, random_seed=0, seconds_left=1.0)
    with pytest.raises(KeyError, match="original"):
        workshop.run_step(source="original", target="a", spec="onnx_conversion")


# --- rows -------------------------------------------------------------------------------------------------------


def test_rows_are_read_once_for_each_content(started, tmp_path):
    workshop = started()
    path = pickled(Dataset(X[:5], Y[:5]), tmp_path / "rows.pkl")
    assert workshop.load_data(digest="a", path=str(path))["rows"] == 5
    path.unlink()
    assert workshop.load_data(digest="a", path=str(path))["rows"] == 5
    pickled(Dataset(X[:7]), path)
    assert workshop.load_data(digest="b", path=str(path))["rows"] == 7


def test_rows_come_from_a_source_that_the_request_names(started, tmp_path):
    np.savez(tmp_path / "rows.npz", x=X[:4], y=Y[:4])
    spec = {"source": "npz", "path": str(tmp_path / "rows.npz"), "y": "y"}
    assert started().load_data(spec=spec)["rows"] == 4


def test_training_rows_are_apart_from_those_that_judge(loaded, linear, tmp_path):
    workshop = loaded(linear)
    path = pickled(Dataset(X[:5]), tmp_path / "training.pkl")
    assert workshop.load_data(digest="t", path=str(path), training=True)["rows"] == 5
    bench = workshop._bench(tmp_path)
    assert (workshop._data.rows, bench.training.rows, len(bench.samples)) == (397, 5, 32)


# --- models -----------------------------------------------------------------------------------------------------


def test_a_live_model_comes_with_the_framework_that_wrote_it(started, linear, tmp_path):
    path = pickled(linear, tmp_path / "model.pkl")
    assert started().load_model(path=str(path), framework="sklearn") == {
        "format": "sklearn",
        "size_bytes": path.stat().st_size,
        "notes": [],
        "fingerprint": f"sklearn {Sklearn().fingerprint(linear)}",
        "code": code_digest(linear),
    }


def test_a_users_file_is_known_by_its_content_and_a_model_that_joblib_cannot_pickle_by_nothing(
    started, linear, tmp_path
):
    path = tmp_path / "model.joblib"
    joblib.dump(linear, path)
    assert started().load_model(path=str(path), trust=True)["fingerprint"] == f"file {file_sha256(path)}"
    model = copy.copy(linear)
    model.note = lambda: None
    with (tmp_path / "model.pkl").open("wb") as stream:
        cloudpickle.dump(model, stream)
    assert started().load_model(path=str(tmp_path / "model.pkl"), framework="sklearn")["fingerprint"] is None


def test_the_digest_of_the_rows_is_that_of_the_rows_which_a_step_sees(started, tmp_path):
    def digest(x, **options):
        path = pickled(Dataset(x), tmp_path / "rows.pkl")
        return started().load_data(digest="a", path=str(path), **options)["digest"]

    more = np.vstack([X[:40], X[:1]])
    assert digest(X[:40]) == digest(more) != digest(X[1:40])
    assert digest(X[:40], training=True) != digest(more, training=True)


def test_a_pickle_of_the_users_is_refused_unless_it_is_trusted(started, linear, tmp_path):
    path = tmp_path / "model.joblib"
    joblib.dump(linear, path)
    workshop = started()
    assert message(RefusedError, workshop.load_model, path=str(path)) == (
        f"{path}: a pickle executes code when it is loaded. Set trust=True if you trust this file."
    )
    assert workshop.load_model(path=str(path), trust=True)["format"] == "sklearn"


def test_a_refused_pickle_has_executed_nothing(started, tmp_path):
    class Bomb:
        def __reduce__(self):
            return open, (str(tmp_path / "exploded"), "w")

    (tmp_path / "model.pkl").write_bytes(pickle.dumps(Bomb()))
    message(RefusedError, started().load_model, path=str(tmp_path / "model.pkl"))
    assert not (tmp_path / "exploded").exists()


def test_a_pickle_of_another_librarys_model_is_described_by_its_owner(started, tmp_path):
    xgboost = pytest.importorskip("xgboost")
    model = xgboost.XGBClassifier(n_estimators=2).fit(X[:100], Y[:100])
    joblib.dump(model, tmp_path / "model.joblib")
    assert started().load_model(path=str(tmp_path / "model.joblib"), trust=True)["format"] == "xgboost"


def test_a_file_of_a_framework_that_is_not_installed_names_the_extra(started, exported, monkeypatch):
    from pytest_inferopt import registry

    monkeypatch.setattr(registry, "find_spec", lambda _: None)
    assert message(MissingDependencyError, started().load_model, path=str(exported())) == (
        'onnx needs onnx, not installed here. pip install "pytest-inferopt[cpu]".'
    )


def test_a_pickle_of_no_model_at_all_says_what_it_holds(started, tmp_path):
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps({"a": 1}))
    assert message(UsageError, started().load_model, path=str(path), trust=True).startswith(
        "a model of type builtins.dict belongs to no known framework."
    )


def test_a_factory_makes_the_model_in_the_worker(started, linear, tmp_path, monkeypatch):
    joblib.dump(linear, tmp_path / "linear.joblib")
    (tmp_path / "models_of_mine.py").write_text(
        f"import joblib\ndef churn():\n    return joblib.load({str(tmp_path / 'linear.joblib')!r})\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    found = started().load_model(path=str(tmp_path / "model.pkl"), factory="models_of_mine:churn")
    size_bytes, fingerprint = (tmp_path / "model.pkl").stat().st_size, f"sklearn {Sklearn().fingerprint(linear)}"
    told = {"fingerprint": fingerprint, "code": code_digest(linear)}
    assert found == {"format": "sklearn", "size_bytes": size_bytes, "notes": [], **told}


# --- steps ------------------------------------------------------------------------------------------------------


def test_steps_make_one_artifact_of_another_and_tell_what_they_did(loaded, network, tmp_path):
    workshop = loaded(network)
    converted = workshop.run_step(source="original", target="0-0", spec="onnx_conversion")
    quantized = workshop.run_step(source="0-0", target="0-1", spec={"name": "quantization", "precision": "uint8"})
    assert (converted["name"], converted["format"], quantized["format"]) == ("onnx_conversion", "onnx", "onnx")
    assert quantized["notes"] == ["2 of 2 operators quantized (uint8 weights, per channel)."]
    assert converted["size_before_bytes"] == (tmp_path / "model.pkl").stat().st_size
    assert quantized["size_before_bytes"] == converted["size_after_bytes"] == Path(converted["path"]).stat().st_size
    assert quantized["size_after_bytes"] == Path(quantized["path"]).stat().st_size
    assert tmp_path / "request" in Path(quantized["path"]).parents
    assert min(converted["seconds"], quantized["seconds"]) > 0


def test_a_finished_step_is_taken_over_by_the_worker_that_comes_after_a_crash(loaded, network):
    first = loaded(network)
    first.examine_original(**METRIC)
    done = first.run_step(source="original", target="0-0", spec="onnx_conversion")
    expected = first.examine(target="0-0", **THRESHOLD)["accuracy"]

    second = loaded(network)
    second.examine_original(**METRIC)
    second.adopt(target="0-0", **{name: done[name] for name in ("format", "path", "artifact")})
    assert second.examine(target="0-0", **THRESHOLD)["accuracy"] == expected
    after = second.run_step(source="0-0", target="0-1", spec="quantization")
    assert after["notes"] == ["2 of 2 operators quantized (int8 weights, per channel)."]


def test_a_step_that_gives_a_live_model_is_examined_and_leaves_no_file_to_take_over(loaded, linear):
    class Refit(Technique):
        """Fits again."""

        name: ClassVar[str] = "refit"

        def gives(self, takes):
            return takes

        def apply(self, model, bench):
            return model.evolve(self.name, model=linear, path=pickled(linear, bench.folder / "model.pkl"))

    workshop = loaded(linear)
    workshop._registry = Registry({**discover().plugins, "techniques": {"refit": Refit}})
    workshop.examine_original(**METRIC)
    done = workshop.run_step(source="original", target="0-0", spec="refit")
    assert (done["format"], done["artifact"]) == ("sklearn", None)
    told = message(NotMeasuredError, workshop.adopt, target="0-1", format="sklearn", path=done["path"], artifact=None)
    assert told == "what an earlier step had made was lost with the worker. Run it again."
    found = workshop.examine(target="0-0", **THRESHOLD)
    assert (found["call"], found["accuracy"]["ratio"]) == ("predict_proba", 1.0)
    assert found["conversion"]["opset"] is None


def test_a_technique_may_convert_open_and_ask_for_the_time_that_is_left(loaded, linear, tmp_path):
    workshop = loaded(linear)
    bench = workshop._bench(tmp_path)
    converted = bench.to_onnx(workshop._artifacts["original"])
    assert (converted.path, converted.format) == (tmp_path / "converted.onnx", "onnx")
    answer = bench.open(converted).predict(X[:5])
    np.testing.assert_array_equal(answer.labels, linear.predict(X[:5]))
    assert 0 < bench.seconds_left() <= 60
    assert (bench.opset, bench.random_seed, bench.training) == (17, 3, None)


def test_a_step_whose_libraries_are_missing_names_them(loaded, exported, monkeypatch):
    workshop = loaded(exported())
    from pytest_inferopt import registry

    monkeypatch.setattr(registry, "find_spec", lambda name: None if name == "onnxruntime" else name)
    told = message(MissingDependencyError, workshop.run_step, source="original", target="a", spec="quantization")
    assert told == 'quantization needs onnxruntime, not installed here. pip install "pytest-inferopt[cpu]".'


# --- asking -----------------------------------------------------------------------------------------------------


def test_the_original_answers_and_is_scored(loaded, linear):
    found = loaded(linear).examine_original(**METRIC)
    assert (found["task"], found["call"], found["own_threads"]) == ("classification", "predict_proba", None)
    accuracy = found["accuracy"]
    expected = pytest.approx(np.mean(linear.predict(X[HELD]) == Y[HELD]))
    assert (accuracy["metric"], accuracy["rows"], accuracy["score"], accuracy["original"], accuracy["ratio"]) == (
        *("accuracy", 397, expected, expected),
        1.0,
    )


def test_a_transformer_of_one_column_is_scored_by_its_numbers_and_not_by_their_signs(loaded):
    varying = X[TRAINED].std(axis=0) > 0
    selector = SelectKBest(k=1).fit(X[TRAINED][:, varying], Y[TRAINED])
    found = loaded(selector, x=X[HELD][:, varying], y=None).examine_original(**METRIC)
    assert (found["task"], found["accuracy"]["metric"]) == ("transform", "fidelity")


@pytest.mark.parametrize(("call_seconds", "expected"), [((0.5,), 0.5), ((0.05, 0.02), 0.02)])
def test_what_a_call_takes_is_told_by_the_second_one_unless_the_first_takes_long(monkeypatch, call_seconds, expected):
    now = [0.0]
    script = iter(call_seconds)
    session = SimpleNamespace(run=lambda _: now.append(now[-1] + next(script)))
    monkeypatch.setattr(timing, "time", SimpleNamespace(monotonic=lambda: now[-1]))
    assert timing.seconds_of_a_call(session, None) == pytest.approx(expected)


def test_a_converted_model_is_compared_with_the_original(loaded, linear):
    workshop = loaded(linear)
    workshop.examine_original(**METRIC)
    workshop.run_step(source="original", target="a", spec="onnx_conversion")
    found = workshop.examine(target="a", **THRESHOLD)
    conversion = found["conversion"]
    assert (found["call"], found["accuracy"]["ratio"]) == ("InferenceSession.run", 1.0)
    assert "accuracy_error" not in found
    assert {key: conversion[key] for key in ("opset", "batch_sizes_run", "rows", "label_flips", "non_finite")} == {
        "opset": 17,
        "batch_sizes_run": [1, 3, 7],
        "rows": 397,
        "label_flips": 0,
        "non_finite": 0,
    }
    assert conversion["max_difference"] < 1e-5


def test_a_variant_is_examined_after_the_original(loaded, linear):
    workshop = loaded(linear)
    workshop.run_step(source="original", target="a", spec="onnx_conversion")
    assert message(UsageError, workshop.examine, target="a", **THRESHOLD) == ("examine_original comes before examine.")


def test_a_score_that_fails_does_not_hide_what_the_comparison_found(loaded, linear):
    def fails(*_):
        raise ZeroDivisionError("not today")

    workshop = loaded(linear)
    workshop.examine_original(**METRIC)
    workshop._metric = resolve_metric(None, task="classification", y=Y, function=fails, direction="higher")
    workshop.run_step(source="original", target="a", spec="onnx_conversion")
    found = workshop.examine(target="a", **THRESHOLD)
    assert (found["conversion"]["label_flips"], "accuracy" in found) == (0, False)
    assert found["accuracy_error"] == {
        "kind": "not_measured",
        "message": "metric 'fails' raised ZeroDivisionError: not today",
        "hint": "Call it on y and the predictions to see why.",
    }


def share_right(y, predicted):
    return float(np.mean(y == predicted))


def test_an_own_metric_travels_as_a_file_or_by_its_name(loaded, linear, tmp_path, monkeypatch):
    (tmp_path / "metrics_of_mine.py").write_text(
        "import numpy as np\ndef share_right(y, predicted):\n    return float(np.mean(y == predicted))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    path = str(pickled(share_right, tmp_path / "metric.pkl"))
    scores = [
        loaded(linear).examine_original(**{**METRIC, "direction": "higher", **own})["accuracy"]
        for own in ({"metric_path": path}, {"metric": "metrics_of_mine:share_right"}, {"metric": "accuracy"})
    ]
    assert [score["metric"] for score in scores] == ["share_right", "metrics_of_mine:share_right", "accuracy"]
    assert len({score["score"] for score in scores}) == 1


def test_c43_an_original_that_answers_differently_when_asked_twice_is_not_measured(loaded):
    class Moody(RandomForestClassifier):
        def predict_proba(self, x):
            return np.random.default_rng(time.perf_counter_ns()).dirichlet(np.ones(10), len(x))

    model = Moody(2, random_state=0).fit(X[TRAINED], Y[TRAINED])
    told = message(NotMeasuredError, loaded(model).examine_original, **METRIC)
    assert told.startswith("the original answers differently for the same rows when asked twice: ")


def test_b28_an_original_that_rejects_the_rows_is_not_measured(loaded, linear):
    rows = X[HELD].copy()
    rows[5, 3] = np.nan
    told = message(NotMeasuredError, loaded(linear, x=rows).examine_original, **METRIC)
    assert told.startswith("the original itself rejects the validation rows: ValueError: Input X contains NaN.")


def test_b28_an_original_that_accepts_the_rows_is_measured(loaded):
    rows = X.copy()
    rows[::7, 3] = np.nan
    model = RandomForestClassifier(5, random_state=0).fit(rows[TRAINED], Y[TRAINED])
    assert loaded(model, x=rows[HELD]).examine_original(**METRIC)["accuracy"]["rows"] == 397


def test_b25_without_any_rows_nothing_is_measured(loaded, linear):
    told = message(NotMeasuredError, loaded(linear, x=X[:0], y=Y[:0]).examine_original, **METRIC)
    assert told == "there are no validation rows. Give at least ten."


def test_a_variant_that_rejects_the_rows_is_named(loaded, linear):
    workshop = loaded(linear)
    workshop.examine_original(**METRIC)
    workshop.run_step(source="original", target="a", spec="onnx_conversion")

    class Broken:
        call = "run"

        def predict(self, rows):
            if len(rows) > 7:
                raise IndexError("row  9\nis one too many")
            return Prediction(labels=np.zeros(len(rows)))

    workshop._sessions["a"] = Broken()
    assert message(NotMeasuredError, workshop.examine, target="a", **THRESHOLD) == (
        "variant 'a' rejects the validation rows: IndexError: row 9 is one too many"
    )


# --- batch sizes ------------------------------------------------------------------------------------------------


def test_a_fixed_batch_is_named_with_the_way_out_and_is_measured_at_its_own_size(loaded, exported):
    fixed = exported(batch=1)
    told = message(NotMeasuredError, loaded(fixed).examine_original, **{**METRIC, "batch_sizes": [1, 16]})
    assert told == (
        "batch size 16 failed: input 'x' was exported with fixed batch 1. "
        "Export with a dynamic batch axis, or set batch_sizes=[1]."
    )
    workshop = loaded(fixed)
    found = workshop.examine_original(**{**METRIC, "batch_sizes": [1]})
    workshop.run_step(source="original", target="a", spec="onnx_conversion")
    again = workshop.examine(target="a", threshold=0.99, batch_sizes=[1])
    assert (found["accuracy"]["rows"], again["accuracy"]["ratio"]) == (397, 1.0)
    assert again["conversion"]["batch_sizes_run"] == [1]


def test_a_fixed_batch_is_filled_up_for_the_last_rows(loaded, exported):
    dynamic = loaded(exported()).examine_original(**METRIC)
    fixed = loaded(exported(batch=8)).examine_original(**{**METRIC, "batch_sizes": [8]})
    assert fixed["accuracy"] == dynamic["accuracy"]


def test_a_batch_axis_that_is_lost_on_the_way_is_found(loaded, exported, network):
    workshop = loaded(network)
    workshop.examine_original(**METRIC)
    workshop._artifacts["a"] = discover().framework("onnx").load(exported(reshape=[1, -1]))
    assert message(NotMeasuredError, workshop.examine, target="a", **THRESHOLD) == (
        "3 rows went in, 1 came out: the batch axis is lost. "
        "Look for a Reshape with a constant first axis, and export with a dynamic batch axis."
    )


def test_rows_are_answered_in_bites_that_make_one_answer(loaded, linear):
    rows = np.tile(X, (2, 1))
    workshop = loaded(linear, x=rows, y=np.tile(Y, 2))
    assert len(rows) > 3 * 1024
    np.testing.assert_array_equal(workshop._predict("original").labels, linear.predict(rows))


# --- networks that give a score per class -----------------------------------------------------------------------


@pytest.mark.parametrize("softmax", [True, False])
def test_a_networks_scores_are_read_as_classes_where_the_labels_are_whole_numbers(loaded, exported, network, softmax):
    workshop = loaded(exported(softmax=softmax))
    found = workshop.examine_original(**METRIC)
    assert found["task"] == "classification"
    assert found["accuracy"]["score"] == pytest.approx(np.mean(network.predict(X[HELD]) == Y[HELD]))
    judged = workshop._as_judged(workshop._predict("original"))
    assert (judged.scores_are_probabilities, judged.values) == (softmax, None)


@pytest.mark.parametrize(
    ("y", "metric"),
    [
        (None, None),
        (Y[HELD].astype(str), "cosine"),
        (Y[HELD], "cosine"),
        (Y[HELD] - 1, "cosine"),
        (np.eye(10)[Y[HELD]], "cosine"),
        (Y[HELD].astype(float), "cosine"),
    ],
    ids=["no labels", "texts", "other metric", "negative", "a row of targets", "fractions"],
)
def test_a_networks_values_stay_values_where_nothing_says_that_they_are_classes(loaded, exported, y, metric):
    found = loaded(exported(), y=y).examine_original(**{**METRIC, "metric": metric})
    assert (found["task"], found["accuracy"]["metric"]) == ("transform", "cosine")


def test_a_networks_single_column_is_no_class(loaded):
    model = LinearRegression().fit(X[TRAINED], Y[TRAINED])
    workshop = loaded(model)
    found = workshop.examine_original(**METRIC)
    assert (found["task"], found["accuracy"]["metric"]) == ("regression", "rmse")
    assert workshop._as_judged(workshop._predict("original")).labels is None


@pytest.mark.parametrize("labels", [Y[HELD].astype(float), Y[HELD] - 1, np.eye(10)[Y[HELD]]])
def test_only_labels_from_zero_on_make_scores_of_values(loaded, exported, labels):
    workshop = loaded(exported(), y=labels)
    assert not workshop._are_class_scores(workshop._predict("original"), None)


# --- measuring --------------------------------------------------------------------------------------------------


def test_all_arms_are_timed_side_by_side(loaded, linear):
    said = []
    workshop = loaded(linear)
    workshop._progress = said.append
    workshop.run_step(source="original", target="a", spec="onnx_conversion")
    found = workshop.measure(arms={"original": ["original"], "a": ["onnx", "again"]}, own_threads_arm=None, spec=SPEC)
    sizes = {name: [cell["batch_size"] for cell in cells] for name, cells in found["latency"].items()}
    assert sizes == {"original": [1, 3], "a": [1, 3]}
    assert {cell["iterations"] for cells in found["latency"].values() for cell in cells} == {4}
    assert (found["speedup"].keys(), found["was_cut"], len(said)) == ({"a"}, [], 2)
    with np.load(found["samples"]) as samples:
        calls = {name: (array.shape, array.dtype.name) for name, array in samples.items()}
        assert (samples["onnx/3"] == samples["again/3"]).all()
    names = [f"{name}/{size}" for name in ("original", "onnx", "again") for size in (1, 3)]
    assert calls == dict.fromkeys(names, ((4,), "int64"))


def test_the_original_is_timed_beside_itself_with_its_owners_threads(loaded):
    model = RandomForestClassifier(3, random_state=0, n_jobs=2).fit(X[TRAINED], Y[TRAINED])
    workshop = loaded(model)
    assert workshop.examine_original(**METRIC)["own_threads"] == "n_jobs=2"
    own = "original (n_jobs=2)"
    found = workshop.measure(arms={"original": ["original"]}, own_threads_arm=own, spec=SPEC)
    assert (list(found["latency"]), list(found["speedup"])) == (["original", own], [own])


def test_measuring_needs_no_threadpoolctl(loaded, linear, monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **named):
        if name == "threadpoolctl":
            raise ImportError(name)
        return real(name, *arguments, **named)

    workshop = loaded(linear)
    monkeypatch.setattr(builtins, "__import__", without)
    assert workshop.measure(arms={"original": ["original"]}, own_threads_arm=None, spec=SPEC)["latency"].keys() == {
        "original"
    }


def test_a_finished_file_is_timed_alone_without_its_original(loaded, network, started, tmp_path):
    maker = loaded(network)
    done = maker.run_step(source="original", target="0-0", spec="onnx_conversion")
    alone = started()
    alone.load_data(digest="rows", path=str(tmp_path / "rows.pkl"))
    alone.take_file(target="0-0", **{name: done[name] for name in ("format", "path", "artifact")})
    assert alone._artifacts.keys() == {"0-0"}

    cells = [{"batch_size": size, "calls": calls, "percentiles": [95]} for size, calls in ((1, 20), (5, 30))]
    found = alone.measure_alone(target="0-0", cells=cells, spec=SPEC)
    assert [(cell["batch_size"], cell["calls"], list(cell["percentiles_ms"])) for cell in found["cells"]] == [
        (1, 20, ["95"]),
        (5, 30, ["95"]),
    ]
    assert min(found["probe_ms"], *(cell["cold_call_ms"] for cell in found["cells"])) > 0
    assert found["sensors"].keys() == {"involuntary_switches", "ticks", "stolen_ticks", "pressure_share", "mhz"}


def test_a_fixed_batch_is_timed_alone_at_its_own_size_and_named_at_another(loaded, exported):
    cells = [{"batch_size": size, "calls": 2, "percentiles": [50]} for size in (1, 2)]
    own, other = loaded(exported(1)).measure_alone(target="original", cells=cells, spec=SPEC)["cells"]
    assert own["calls"] == 2
    assert other["error"] == {
        "kind": "not_measured",
        "message": "batch size 2 failed: input 'x' was exported with fixed batch 1.",
        "hint": "Export with a dynamic batch axis, or set batch_sizes=[1].",
    }


# --- a baseline beside its candidate -------------------------------------------------------------------------------


@pytest.fixture
def beside(started, exported, tmp_path):
    """`beside(cells, …)`: the digits network as a file, beside the same file as its baseline."""

    def beside(*cells, base="N", head="N", pythons=(None, None), **options):
        workshop = started()
        workshop.load_data(digest="rows", path=str(pickled(Dataset(X[HELD]), tmp_path / "rows.pkl")))
        for name, batch in (("base", base), ("head", head)):
            file = exported(batch, name=f"{name}.onnx")
            workshop.take_file(target=name, **workshop.describe_file(path=str(file)))
        pair = {"base": "base", "head": "head", "base_python": pythons[0], "head_python": pythons[1]}
        asked = {"control": None, "seed": 0, "index": 0, "percentiles": [95], **options}
        return workshop.measure_duet(pairs={"int8": pair}, cells=[in_cell(size) for size in cells], **asked)

    return beside


def in_cell(batch_size):
    return {"variant": "int8", "batch_size": batch_size}


def test_a_file_is_described_as_it_is_taken(started, exported):
    path = exported(3)
    found = started().describe_file(path=str(path))
    (shown,) = found["artifact"]["signature"]["inputs"]
    assert (found["format"], found["path"], shown["name"], shown["shape"]) == ("onnx", str(path), "x", (3, 64))


def test_a_baseline_is_timed_beside_its_candidate(beside, tmp_path):
    found = beside(1, 5, control=in_cell(5), samples=str(tmp_path / "samples.npz"))
    assert [cell["batch_size"] for cell in found["cells"]] == [1, 5]
    assert all(cell["tails"].keys() == {"95"} and min(cell["calls"].values()) >= 24 for cell in found["cells"])
    assert found["control"].keys() == {"variant", "batch_size", "contrast"}
    assert (found["control"]["batch_size"], found["seconds"] > 0) == (5, True)
    assert found["sensors"].keys() == {"involuntary_switches", "ticks", "stolen_ticks", "pressure_share", "mhz"}
    with np.load(tmp_path / "samples.npz") as samples:
        assert sorted(samples.files) == sorted(
            f"int8/{size}/{arm}"
            for size, arms in ((1, ("base", "head")), (5, ("base", "head", "copy")))
            for arm in arms
        )


def test_each_file_may_be_timed_under_an_interpreter_of_its_own(beside):
    found = beside(1, control=in_cell(1), pythons=(sys.executable, None))
    assert [cell["calls"]["base"] == cell["calls"]["head"] for cell in found["cells"]] == [True]
    assert found["control"]["batch_size"] == 1


def test_a_fixed_batch_is_compared_at_its_own_size_and_named_at_another(beside):
    assert "error" not in beside(3, base=3, head=3)["cells"][0]
    assert beside(4, base=3)["cells"][0]["error"] == {
        "kind": "not_measured",
        "message": "batch size 4 failed: input 'x' was exported with fixed batch 3.",
        "hint": "Export with a dynamic batch axis, or set batch_sizes=[3].",
    }


def test_two_files_are_profiled_in_rounds_that_take_turns(loaded, network, monkeypatch):
    monkeypatch.setattr(measuring, "PROFILE_SECONDS", 0.001)
    workshop = loaded(network)
    workshop.run_step(source="original", target="onnx", spec="onnx_conversion")
    found = workshop.profile_pair(base="onnx", head="onnx", batch_size=3)
    assert {arm: len(rounds) for arm, rounds in found.items()} == {"base": 6, "head": 6}
    names = {arm: [[time.name for time in times] for times in rounds] for arm, rounds in found.items()}
    assert names["base"] == names["head"] == [names["base"][0]] * 6
    assert names["base"][0]


def test_what_no_runtime_runs_has_no_profile(loaded, linear):
    told = message(NotMeasuredError, loaded(linear).profile_pair, base="original", head="original", batch_size=1)
    assert told == "no runtime can tell what the operators of sklearn take."


def test_what_was_imported_from_a_folder_is_named(started):
    folder = Path(__file__).parent
    assert all(Path(file).is_relative_to(folder) for file in started().modules_under(root=str(folder)).values())


# --- names of the user's ----------------------------------------------------------------------------------------


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """`modules(name=text, …)`: modules that can be imported while the test runs."""

    def modules(**texts):
        for name, text in texts.items():
            (tmp_path / f"{name}.py").write_text(text)
            monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.syspath_prepend(tmp_path)

    return modules


def test_a_name_is_resolved_to_what_stands_there(modules):
    modules(of_mine="class Outer:\n    inner = staticmethod(len)\n")
    assert resolve("of_mine:Outer.inner", "metric")("abc") == 3


@pytest.mark.parametrize(
    ("reference", "kind", "told"),
    [
        ("no_such_thing:f", UsageError, "metric='no_such_thing:f': there is no module 'no_such_thing' here."),
        ("os.no_such:f", UsageError, "metric='os.no_such:f': there is no module 'os.no_such' here."),
        (
            "os.path:no_such",
            UsageError,
            "metric='os.path:no_such': module 'posixpath' has no attribute 'no_such'. Write package.module:function.",
        ),
        ("os.path", UsageError, "metric='os.path' names nothing. Write package.module:function."),
        (":f", UsageError, "metric=':f' names nothing. Write package.module:function."),
        (".os:f", UsageError, "metric='.os:f' names nothing. Write package.module:function."),
        ("os:path:join", UsageError, "metric='os:path:join' names nothing. Write package.module:function."),
        (
            "needy:f",
            NotMeasuredError,
            "metric='needy:f' needs 'no_such_library', which is not installed.",
        ),
    ],
)
def test_a_name_of_nothing_says_what_is_not_there(modules, reference, kind, told):
    modules(needy="import no_such_library\n")
    assert message(kind, resolve, reference, "metric") == told


def test_an_error_inside_the_users_module_is_not_taken_for_a_wrong_name(modules):
    modules(faulty="import os\nos.no_such_thing\n")
    with pytest.raises(AttributeError, match="no_such_thing"):
        resolve("faulty:f", "metric")


def test_an_empty_registry_opens_nothing(started, exported):
    empty = Registry({kind: {} for kind in discover().plugins})
    workshop = started(empty)
    workshop._artifacts["original"] = Artifact("onnx", exported())
    assert message(UsageError, workshop._session, "original") == "no framework named 'onnx'; known: none"
