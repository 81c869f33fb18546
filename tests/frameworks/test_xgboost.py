"""XGBoost's models answer as ONNX what they answer as they are."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import xgboost

from pytest_inferopt.domain.artifact import RunOptions
from pytest_inferopt.errors import NotMeasuredError, RefusedError, UsageError
from pytest_inferopt.frameworks.xgboost import XGBoost

FRAMEWORK = XGBoost()
SMALL = {"n_estimators": 20, "n_jobs": 1}
CLASSIFIERS = {
    "plain": xgboost.XGBClassifier(**SMALL),
    "base score": xgboost.XGBClassifier(base_score=0.3, **SMALL),
}
OBJECTIVES = (
    "reg:squarederror", "reg:squaredlogerror", "reg:pseudohubererror", "reg:absoluteerror", "count:poisson",
    "reg:gamma", "reg:tweedie",
)  # fmt: skip


@pytest.mark.parametrize("model", CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_a_classifier_of_three_wines_answers_the_same(model, wine, fitted, convert):
    both = convert(FRAMEWORK, fitted(model, wine), wine[0])

    assert both.agrees, both.difference
    assert both.original.classes == (0, 1, 2)


@pytest.mark.parametrize(
    "model", [*CLASSIFIERS.values(), xgboost.XGBRFClassifier(**SMALL)], ids=[*CLASSIFIERS, "forest"]
)
def test_a_classifier_of_two_tumours_answers_the_same(model, cancer, fitted, convert):
    both = convert(FRAMEWORK, fitted(model, cancer), cancer[0])

    assert both.agrees, both.difference
    assert both.after.scores.shape == (569, 2)


def test_ten_digits_answer_the_same(digits, fitted, convert):
    both = convert(FRAMEWORK, fitted(xgboost.XGBClassifier(**SMALL), digits), digits[0])

    assert both.agrees, both.difference


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_regression_answers_the_same_for_every_objective(objective, diabetes, fitted, convert):
    both = convert(FRAMEWORK, fitted(xgboost.XGBRegressor(objective=objective, **SMALL), diabetes), diabetes[0])

    assert both.agrees, both.difference
    assert both.original.task == "regression"


@pytest.mark.parametrize("objective", ["rank:ndcg", "rank:pairwise"])
def test_a_ranker_answers_the_same(objective, diabetes, progress_of, fitted, convert):
    data = (diabetes[0], progress_of["grades"])
    model = fitted(xgboost.XGBRanker(objective=objective, **SMALL), data, qid=progress_of["groups"])

    both = convert(FRAMEWORK, model, diabetes[0])

    assert both.agrees, both.difference
    assert both.original.task == "ranking"


def test_missing_values_take_their_default_branch(diabetes, fitted, convert):
    x = diabetes[0].copy()
    x[::3, 2], x[::4, 5] = np.nan, np.nan
    both = convert(FRAMEWORK, fitted(xgboost.XGBRegressor(**SMALL), (x, diabetes[1])), x)

    assert both.agrees, both.difference


@pytest.mark.parametrize("one_hot_up_to", [1, 100], ids=["sets", "single categories"])
def test_splits_by_category_answer_the_same_for_unknown_and_missing_ones_too(one_hot_up_to, wine, fitted, convert):
    x, y = wine[0].copy(), wine[1]
    x[:, 0] = y * 2 + np.arange(len(y)) % 3
    x[::11, 0] = np.nan
    model = xgboost.XGBClassifier(
        enable_categorical=True, feature_types=["c", *["q"] * 12], max_cat_to_onehot=one_hot_up_to, **SMALL
    )

    both = convert(FRAMEWORK, fitted(model, (x, y)), x)

    assert both.agrees, both.difference


def test_only_the_rounds_up_to_the_best_are_written(diabetes, fitted, convert):
    x, y = diabetes
    model = xgboost.XGBRegressor(n_estimators=100, learning_rate=1.0, early_stopping_rounds=5, n_jobs=1)
    model = fitted(model, (x[::2], y[::2]), eval_set=[(x[1::2], y[1::2])], verbose=False)

    both = convert(FRAMEWORK, model, x)

    assert both.agrees, both.difference
    assert model.best_iteration + 1 < model.get_booster().num_boosted_rounds()


def test_column_names_of_any_kind_stay_in_the_signature(wine, fitted, convert):
    frame = pd.DataFrame(wine[0], columns=[f"alcohol, % é {number}" for number in range(13)])

    both = convert(FRAMEWORK, fitted(xgboost.XGBClassifier(**SMALL), (frame, wine[1])), frame)

    assert both.agrees, both.difference
    (spec,) = both.artifact.signature.inputs
    assert (spec.name, spec.dtype, spec.shape, spec.columns) == ("X", "float32", (None, 13), tuple(frame.columns))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda rows: rows[rows.columns[::-1]],
            "the columns are in another order than at fit: 'c12' stands where 'c0'",
        ),
        (lambda rows: rows.drop(columns="c3"), "the rows lack columns that the model was fitted on: 'c3'."),
        (lambda rows: rows.assign(more=1.0), "the rows have columns that the model was not fitted on: 'more'."),
        (lambda rows: rows.assign(c5=pd.Timestamp("2020")), "column 'c5' holds dates"),
    ],
    ids=["reordered", "missing", "extra", "dates"],
)
def test_rows_that_do_not_fit_are_named(change, message, wine, fitted, to_onnx):
    frame = pd.DataFrame(wine[0], columns=[f"c{number}" for number in range(13)])
    model = fitted(xgboost.XGBClassifier(**SMALL), (frame, wine[1]))

    with pytest.raises(UsageError) as caught:
        to_onnx(FRAMEWORK, model, change(frame))

    assert caught.value.message.startswith(message)


REFUSED = {
    "gblinear": (xgboost.XGBRegressor(booster="gblinear", **SMALL), "share", "is a gblinear booster"),
    "dart": (xgboost.XGBRegressor(booster="dart", **SMALL), "share", "is a dart booster"),
    "missing": (xgboost.XGBRegressor(missing=0.0, **SMALL), "share", "reads 0.0 as missing"),
    "own objective": (
        xgboost.XGBRegressor(objective=lambda y, p: (p - y, np.ones_like(y)), **SMALL),
        "share",
        "has an objective of its own",
    ),
    "probability": (xgboost.XGBRegressor(objective="reg:logistic", **SMALL), "share", "with objective 'reg:logistic'"),
    "hazard": (xgboost.XGBRegressor(objective="survival:cox", **SMALL), "share", "with objective 'survival:cox'"),
    "two targets": (xgboost.XGBRegressor(**SMALL), "two", "answers several targets"),
    "softmax": (xgboost.XGBClassifier(objective="multi:softmax", **SMALL), "grades", "with objective 'multi:softmax'"),
    "forest of classes": (xgboost.XGBRFClassifier(**SMALL), "grades", "is a forest of several classes"),
    "boosted forests": (xgboost.XGBClassifier(num_parallel_tree=3, **SMALL), "grades", "is a forest of several"),
}


@pytest.mark.parametrize(("model", "target", "message"), REFUSED.values(), ids=REFUSED)
def test_what_onnxmltools_cannot_write_is_refused_by_name(
    model, target, message, diabetes, progress_of, fitted, to_onnx
):
    with pytest.raises(RefusedError) as caught:
        to_onnx(FRAMEWORK, fitted(model, (diabetes[0], progress_of[target])), diabetes[0][:32])

    assert caught.value.message.startswith(f"{type(model).__name__} {message}")
    assert caught.value.hint


def test_columns_of_type_category_are_refused(wine, fitted, to_onnx):
    frame = pd.DataFrame(wine[0], columns=list("abcdefghijklm")).assign(
        z=pd.Categorical(np.array(["x", "y", "z"])[wine[1]])
    )
    model = fitted(xgboost.XGBClassifier(enable_categorical=True, **SMALL), (frame, wine[1]))

    with pytest.raises(RefusedError, match="XGBClassifier cannot be converted: "):
        to_onnx(FRAMEWORK, model, frame)


# --- the native Booster -----------------------------------------------------------------------------------------


def _booster(data, **parameters):
    return xgboost.train({"nthread": 1, **parameters}, xgboost.DMatrix(*data), 15)


def test_a_native_booster_of_three_wines_answers_the_same(wine, convert):
    both = convert(FRAMEWORK, _booster(wine, objective="multi:softprob", num_class=3), wine[0])

    assert both.agrees, both.difference
    assert (both.original.task, both.original.classes) == ("classification", (0, 1, 2))
    assert both.native.call == "Booster.inplace_predict"


def test_a_native_booster_of_two_tumours_answers_the_same(cancer, convert):
    both = convert(FRAMEWORK, _booster(cancer, objective="binary:logistic"), cancer[0])

    assert both.agrees, both.difference
    assert both.original.classes == (0, 1)


@pytest.mark.parametrize(
    ("objective", "task"),
    [("reg:squarederror", "regression"), ("count:poisson", "regression"), ("rank:pairwise", "ranking")],
)
def test_a_native_booster_of_numbers_answers_the_same(objective, task, diabetes, convert):
    both = convert(FRAMEWORK, _booster(diabetes, objective=objective), diabetes[0])

    assert both.agrees, both.difference
    assert both.original.task == task


@pytest.mark.parametrize(
    "make",
    [lambda data: _booster(data, objective="binary:logistic"), lambda data: xgboost.XGBClassifier(**SMALL).fit(*data)],
    ids=["booster", "estimator"],
)
def test_the_first_model_of_a_process_is_converted(make, cancer, convert_in_a_new_process):
    assert convert_in_a_new_process(FRAMEWORK, make(cancer), cancer[0]) == "opset 17, ai.onnx.ml 3, IR 8"


# --- files, threads, digests ------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".ubj", ".json"])
def test_the_own_file_comes_back_as_a_booster_that_answers_the_same(suffix, wine, fitted, tmp_path, convert):
    model = fitted(xgboost.XGBClassifier(**SMALL), wine)
    path = tmp_path / f"model{suffix}"
    model.save_model(path)

    artifact = FRAMEWORK.load(path)

    assert (artifact.format, artifact.task, artifact.classes) == ("xgboost", "classification", (0, 1, 2))
    answer = FRAMEWORK.open(artifact, RunOptions()).predict(wine[0])
    np.testing.assert_allclose(answer.scores, model.predict_proba(wine[0]), atol=1e-6)
    assert convert(FRAMEWORK, artifact.model, wine[0]).agrees


def test_what_was_saved_is_loaded_whatever_the_file_is_called(wine, fitted, tmp_path):
    model = fitted(xgboost.XGBClassifier(**SMALL), wine)
    FRAMEWORK.save(model, tmp_path / "original.pkl")

    artifact = FRAMEWORK.load(tmp_path / "original.pkl")

    assert type(artifact.model) is xgboost.XGBClassifier
    np.testing.assert_array_equal(artifact.model.predict_proba(wine[0]), model.predict_proba(wine[0]))


def test_a_file_that_was_cut_is_not_measured(wine, tmp_path):
    path = tmp_path / "model.ubj"
    _booster(wine).save_model(path)
    path.write_bytes(path.read_bytes()[:-100])

    with pytest.raises(NotMeasuredError, match=r"cannot be read as an XGBoost model"):
        FRAMEWORK.load(path)


def test_a_json_file_of_something_else_is_not_measured(tmp_path):
    path = tmp_path / "model.json"
    path.write_text(json.dumps({"accuracy": 0.9}))

    with pytest.raises(NotMeasuredError, match=r"cannot be read as an XGBoost model"):
        FRAMEWORK.load(path)


def test_threads_are_set_on_a_copy_and_the_own_setting_is_told(wine, fitted):
    model = fitted(xgboost.XGBClassifier(n_estimators=3), wine)
    artifact = FRAMEWORK.describe(model, None)

    one, own = (FRAMEWORK.open(artifact, RunOptions(threads=threads)) for threads in (1, None))

    assert (one.call, one.own_threads) == ("predict_proba", "n_jobs=None, all cores")
    assert (own.own_threads, own.run.__self__) == (None, model)
    assert (one.run.__self__.n_jobs, model.n_jobs) == (1, None)


def test_a_booster_tells_its_own_threads(wine):
    booster = xgboost.train({"nthread": 2}, xgboost.DMatrix(*wine), 2)

    session = FRAMEWORK.open(FRAMEWORK.describe(booster, None), RunOptions(threads=1))

    assert session.own_threads == "nthread=2"


@pytest.mark.parametrize("make", [lambda data: xgboost.XGBClassifier(**SMALL).fit(*data), _booster])
def test_the_fingerprint_follows_the_content(make, wine, cancer):
    digests = [FRAMEWORK.fingerprint(make(data)) for data in (wine, wine, cancer)]

    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize("model", [xgboost.XGBClassifier(), xgboost.Booster()])
def test_a_model_without_trees_is_a_usage_error(model):
    with pytest.raises(UsageError, match=r"is not fitted|has no trees"):
        FRAMEWORK.describe(model, None)
