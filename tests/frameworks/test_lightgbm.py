"""LightGBM's models answer as ONNX what they answer as they are."""

from __future__ import annotations

import lightgbm
import numpy as np
import pandas as pd
import pytest

from pytest_inferopt.domain.artifact import RunOptions
from pytest_inferopt.errors import NotMeasuredError, RefusedError, UsageError
from pytest_inferopt.frameworks._boosters import floor_float32
from pytest_inferopt.frameworks.lightgbm import LightGBM

FRAMEWORK = LightGBM()
SMALL = {"n_estimators": 30, "n_jobs": 1, "verbosity": -1}
BAGGED = {"bagging_freq": 1, "bagging_fraction": 0.7}
CLASSIFIERS = {
    "plain": lightgbm.LGBMClassifier(**SMALL),
    "dart": lightgbm.LGBMClassifier(boosting_type="dart", **SMALL),
}
REGRESSIONS = {
    **{
        objective: lightgbm.LGBMRegressor(objective=objective, **SMALL)
        for objective in (
            "regression",
            "regression_l1",
            "huber",
            "poisson",
            "quantile",
            "gamma",
            "tweedie",
        )
    },
    "dart": lightgbm.LGBMRegressor(boosting_type="dart", **SMALL),
}


@pytest.mark.parametrize("model", CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_a_classifier_of_three_wines_answers_the_same(model, wine, fitted, convert):
    both = convert(FRAMEWORK, fitted(model, wine), wine[0])

    assert both.agrees, both.difference
    assert both.original.classes == (0, 1, 2)


@pytest.mark.parametrize("model", CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_a_classifier_of_two_tumours_answers_the_same(model, cancer, fitted, convert):
    both = convert(FRAMEWORK, fitted(model, cancer), cancer[0])

    assert both.agrees, both.difference
    assert both.after.scores.shape == (569, 2)


@pytest.mark.parametrize(
    "labels",
    [np.array(["Barolo", "Grignolino", "Barbera"]), np.array([-7, 3, 13]), np.array([1.0, 2.0, 3.0])],
    ids=["text", "numbers", "floats"],
)
def test_labels_come_back_as_they_were_given(labels, wine, fitted, convert):
    both = convert(FRAMEWORK, fitted(lightgbm.LGBMClassifier(**SMALL), (wine[0], labels[wine[1]])), wine[0])

    assert both.agrees, both.difference
    assert both.original.classes == tuple(sorted(labels.tolist()))


@pytest.mark.parametrize("model", REGRESSIONS.values(), ids=REGRESSIONS)
def test_a_regression_answers_the_same(model, diabetes, fitted, convert):
    both = convert(FRAMEWORK, fitted(model, diabetes), diabetes[0])

    assert both.agrees, both.difference
    assert both.original.task == "regression"


@pytest.mark.parametrize("objective", ["lambdarank", "rank_xendcg"])
def test_a_ranker_answers_the_same(objective, diabetes, progress_of, fitted, convert):
    data = (diabetes[0], progress_of["grades"])
    model = fitted(lightgbm.LGBMRanker(objective=objective, **SMALL), data, group=np.full(34, 13))

    both = convert(FRAMEWORK, model, diabetes[0])

    assert both.agrees, both.difference
    assert both.original.task == "ranking"


@pytest.mark.parametrize("options", [{}, {"use_missing": False}], ids=["NaN", "none"])
def test_missing_values_are_read_as_the_model_reads_them(options, diabetes, fitted, convert):
    x = diabetes[0].copy()
    x[::3, 2], x[::4, 5], x[::2, 8] = np.nan, np.nan, 0.0

    both = convert(FRAMEWORK, fitted(lightgbm.LGBMRegressor(**options, **SMALL), (x, diabetes[1])), x)

    assert both.agrees, both.difference


def test_missing_values_that_training_did_not_see_are_read_as_zero(diabetes, fitted, convert):
    x = diabetes[0].copy()
    x[::3, 2] = np.nan

    both = convert(FRAMEWORK, fitted(lightgbm.LGBMRegressor(**SMALL), diabetes), x)

    assert both.agrees, both.difference


def test_splits_by_category_answer_the_same_for_unknown_and_missing_ones_too(wine, fitted, convert):
    x, y = wine[0].copy(), wine[1]
    x[:, 0] = y * 2 + np.arange(len(y)) % 40
    options = {"min_data_per_group": 1, "cat_smooth": 0, "max_cat_to_onehot": 1}
    model = fitted(lightgbm.LGBMClassifier(**options, **SMALL), (x, y), categorical_feature=[0])
    x[::11, 0], x[1::11, 0], x[2::11, 0] = np.nan, 99, -3

    both = convert(FRAMEWORK, model, x)

    assert both.agrees, both.difference


def test_only_the_rounds_up_to_the_best_are_written(wine, fitted, convert):
    x, y = wine
    model = lightgbm.LGBMClassifier(n_estimators=200, learning_rate=0.5, n_jobs=1, verbosity=-1)
    stop = lightgbm.early_stopping(3, verbose=False)
    model = fitted(model, wine, eval_set=[(x[::3], (y[::3] + 1) % 3)], callbacks=[stop])

    both = convert(FRAMEWORK, model, x)

    assert both.agrees, both.difference
    assert model.best_iteration_ < model.booster_.num_trees()


@pytest.mark.parametrize("value", [0.1, 1 / 3, 755.0000000000001, -2.5, 1e-40, 1e300])
def test_a_threshold_in_float32_parts_float32_numbers_as_the_float64_one_does(value):
    floor = floor_float32(value)
    with np.errstate(over="ignore"):
        above = np.nextafter(np.float32(floor), np.float32(np.inf))

    assert float(np.float32(floor)) == floor <= value < float(above)


def test_a_row_on_a_threshold_keeps_its_branch(convert):
    x = np.repeat(np.array([[0.1], [0.1000001], [0.3], [0.30000001]], dtype=np.float32), 20, axis=0)
    y = np.arange(80) // 20 * 10.0
    model = lightgbm.LGBMRegressor(n_estimators=5, learning_rate=1.0, min_child_samples=5, n_jobs=1, verbosity=-1)
    model.fit(x, y)
    split = np.float32(model.booster_.trees_to_dataframe()["threshold"].dropna().iloc[0])
    rows = np.array([[np.nextafter(split, np.float32(towards))] for towards in (-1, split, 1)], dtype=np.float32)

    both = convert(FRAMEWORK, model, np.concatenate([rows, x]))

    assert both.agrees, both.difference


def test_column_names_of_any_kind_stay_in_the_signature(wine, fitted, convert):
    frame = pd.DataFrame(wine[0], columns=[f"alcohol in % {number}" for number in range(13)])

    both = convert(FRAMEWORK, fitted(lightgbm.LGBMClassifier(**SMALL), (frame, wine[1])), frame)

    assert both.agrees, both.difference
    assert both.artifact.signature.inputs[0].columns == tuple(frame.columns)


def test_columns_in_another_order_are_named(wine, fitted, to_onnx):
    frame = pd.DataFrame(wine[0], columns=[f"c {number}" for number in range(13)])
    model = fitted(lightgbm.LGBMClassifier(**SMALL), (frame, wine[1]))

    with pytest.raises(UsageError, match="another order than at fit: 'c 12' stands where 'c 0' was"):
        to_onnx(FRAMEWORK, model, frame[frame.columns[::-1]])


REFUSED = {
    "linear trees": (lightgbm.LGBMRegressor(linear_tree=True, **SMALL), "has linear models in its leaves"),
    "own objective": (
        lightgbm.LGBMRegressor(objective=lambda y, p: (p - y, np.ones_like(y)), **SMALL),
        "with objective 'custom' has an objective of its own",
    ),
    "absolute share": (lightgbm.LGBMRegressor(objective="mape", **SMALL), "with objective 'mape'"),
    "fair": (lightgbm.LGBMRegressor(objective="fair", **SMALL), "cannot be converted: LightGBM objective"),
    "forest": (lightgbm.LGBMRegressor(boosting_type="rf", **BAGGED, **SMALL), "is a random forest of LightGBM"),
    "square root": (lightgbm.LGBMRegressor(reg_sqrt=True, **SMALL), "is fitted to square roots"),
    "zeros": (lightgbm.LGBMRegressor(zero_as_missing=True, **SMALL), "reads zeros as missing"),
}


@pytest.mark.parametrize(("model", "message"), REFUSED.values(), ids=REFUSED)
def test_what_onnxmltools_cannot_write_is_refused(model, message, diabetes, fitted, to_onnx):
    with pytest.raises(RefusedError) as caught:
        to_onnx(FRAMEWORK, fitted(model, diabetes), diabetes[0][:32])

    assert caught.value.message.startswith(f"LGBMRegressor {message}")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lightgbm.LGBMClassifier(objective="multiclassova", **SMALL), "with objective 'multiclassova'"),
        (lightgbm.LGBMClassifier(boosting_type="rf", **BAGGED, **SMALL), "is a random forest of LightGBM"),
    ],
    ids=["one against all", "forest"],
)
def test_a_classifier_that_onnxmltools_writes_wrongly_is_refused(model, message, wine, fitted, to_onnx):
    with pytest.raises(RefusedError) as caught:
        to_onnx(FRAMEWORK, fitted(model, wine), wine[0][:32])

    assert caught.value.message.startswith(f"LGBMClassifier {message}")


def test_a_sigmoid_of_another_slope_is_refused_on_a_single_row_already(cancer, fitted, to_onnx):
    model = fitted(lightgbm.LGBMClassifier(sigmoid=2.0, **SMALL), cancer)

    with pytest.raises(RefusedError, match="LGBMClassifier has a sigmoid of another slope than 1"):
        to_onnx(FRAMEWORK, model, cancer[0][:1])


def test_columns_of_type_category_are_refused(wine, fitted, to_onnx):
    frame = pd.DataFrame(wine[0], columns=list("abcdefghijklm")).assign(
        z=pd.Categorical(np.array(["x", "y", "z"])[wine[1]])
    )
    model = fitted(lightgbm.LGBMClassifier(**SMALL), (frame, wine[1]))

    with pytest.raises(RefusedError, match="LGBMClassifier cannot be converted: "):
        to_onnx(FRAMEWORK, model, frame)


# --- the native Booster -----------------------------------------------------------------------------------------


def _booster(data, **parameters):
    parameters = {"num_threads": 1, "verbosity": -1, **parameters}
    return lightgbm.train(parameters, lightgbm.Dataset(*data), 15)


def test_a_native_booster_of_three_wines_answers_the_same(wine, convert):
    both = convert(FRAMEWORK, _booster(wine, objective="multiclass", num_class=3), wine[0])

    assert both.agrees, both.difference
    assert (both.original.task, both.original.classes) == ("classification", (0, 1, 2))
    assert both.native.call == "Booster.predict"


def test_a_native_booster_of_two_tumours_answers_the_same(cancer, convert):
    both = convert(FRAMEWORK, _booster(cancer, objective="binary"), cancer[0])

    assert both.agrees, both.difference
    assert both.original.classes == (0, 1)


@pytest.mark.parametrize("objective", ["regression", "poisson"])
def test_a_native_booster_of_numbers_answers_the_same(objective, diabetes, convert):
    both = convert(FRAMEWORK, _booster(diabetes, objective=objective), diabetes[0])

    assert both.agrees, both.difference
    assert both.original.task == "regression"


@pytest.mark.parametrize(
    "make",
    [lambda data: _booster(data, objective="binary"), lambda data: lightgbm.LGBMClassifier(**SMALL).fit(*data)],
    ids=["booster", "estimator"],
)
def test_the_first_model_of_a_process_is_converted(make, cancer, convert_in_a_new_process):
    assert convert_in_a_new_process(FRAMEWORK, make(cancer), cancer[0]) == "opset 17, ai.onnx.ml 3, IR 8"


# --- files, threads, digests ------------------------------------------------------------------------------------


def test_the_own_file_comes_back_as_a_booster_that_answers_the_same(cancer, fitted, tmp_path, convert):
    model = fitted(lightgbm.LGBMClassifier(**SMALL), cancer)
    model.booster_.save_model(tmp_path / "model.txt")

    artifact = FRAMEWORK.load(tmp_path / "model.txt")

    assert (artifact.format, artifact.task, artifact.classes) == ("lightgbm", "classification", (0, 1))
    answer = FRAMEWORK.open(artifact, RunOptions()).predict(cancer[0])
    np.testing.assert_allclose(answer.scores, model.predict_proba(cancer[0]))
    assert convert(FRAMEWORK, artifact.model, cancer[0]).agrees


def test_what_was_saved_is_loaded_whatever_the_file_is_called(wine, fitted, tmp_path):
    model = fitted(lightgbm.LGBMClassifier(**SMALL), wine)
    FRAMEWORK.save(model, tmp_path / "original.pkl")

    artifact = FRAMEWORK.load(tmp_path / "original.pkl")

    assert type(artifact.model) is lightgbm.LGBMClassifier
    np.testing.assert_array_equal(artifact.model.predict_proba(wine[0]), model.predict_proba(wine[0]))


def test_a_damaged_file_is_not_measured(tmp_path):
    path = tmp_path / "model.txt"
    path.write_text("tree\nversion=v4\nnum_class=1\n")

    with pytest.raises(NotMeasuredError, match=r"cannot be read as a LightGBM model"):
        FRAMEWORK.load(path)


def test_a_text_of_something_else_is_refused(tmp_path):
    path = tmp_path / "model.txt"
    path.write_text("accuracy: 0.9, measured yesterday\n")

    with pytest.raises(RefusedError):
        FRAMEWORK.load(path)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda data: lightgbm.LGBMClassifier(n_estimators=3, verbosity=-1).fit(*data), "n_jobs=None, all cores"),
        (lambda data: _booster(data, num_threads=2), "num_threads=2"),
    ],
    ids=["estimator", "booster"],
)
def test_the_own_threads_are_told_where_they_differ(make, told, wine):
    artifact = FRAMEWORK.describe(make(wine), None)

    sessions = [FRAMEWORK.open(artifact, RunOptions(threads=threads)) for threads in (1, None)]

    assert [session.own_threads for session in sessions] == [told, None]


@pytest.mark.parametrize("make", [lambda data: lightgbm.LGBMClassifier(**SMALL).fit(*data), _booster])
def test_the_fingerprint_follows_the_content(make, wine, cancer):
    digests = [FRAMEWORK.fingerprint(make(data)) for data in (wine, wine, cancer)]

    assert digests[0] == digests[1] != digests[2]


def test_an_unfitted_estimator_is_a_usage_error():
    with pytest.raises(UsageError) as caught:
        FRAMEWORK.describe(lightgbm.LGBMClassifier(), None)

    assert str(caught.value) == "LGBMClassifier is not fitted. Call fit first, then hand the model over."
