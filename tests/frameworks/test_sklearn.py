"""scikit-learn's models answer as ONNX what they answer as they are, or are refused by name."""

from __future__ import annotations

import importlib
import sys
import warnings

import joblib
import lightgbm
import numpy as np
import onnx
import pandas as pd
import pytest
import scipy.sparse
import xgboost
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import DBSCAN, KMeans
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesRegressor,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.feature_selection import RFE, SelectKBest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.impute import SimpleImputer
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier, SGDClassifier
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, TunedThresholdClassifierCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor, LocalOutlierFactor, NearestNeighbors
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import SVC, SVR, LinearSVC, OneClassSVM
from sklearn.tree import DecisionTreeClassifier

from pytest_inferopt.domain.artifact import RunOptions
from pytest_inferopt.errors import MissingDependencyError, NotMeasuredError, RefusedError, UsageError
from pytest_inferopt.frameworks.sklearn import Sklearn

FRAMEWORK = Sklearn()
XGB = xgboost.XGBClassifier(n_estimators=5, n_jobs=1)
LGBM = lightgbm.LGBMClassifier(n_estimators=5, n_jobs=1, verbosity=-1)


def scaled(model):
    return make_pipeline(StandardScaler(), model)


def logistic():
    return LogisticRegression(max_iter=500)


CLASSIFIERS = {
    "logistic regression": scaled(logistic()),
    "random forest": RandomForestClassifier(10, random_state=0),
    "histogram boosting": HistGradientBoostingClassifier(max_iter=10),
    "AdaBoost": AdaBoostClassifier(n_estimators=5, random_state=0),
    "neighbours": scaled(KNeighborsClassifier()),
    "neighbours by Manhattan distance": scaled(KNeighborsClassifier(p=1)),
    "multi-layer perceptron": scaled(MLPClassifier((8,), max_iter=20, random_state=0)),
    "naive Bayes": scaled(GaussianNB()),
    "linear discriminants": LinearDiscriminantAnalysis(),
    "quadratic discriminants": scaled(QuadraticDiscriminantAnalysis(reg_param=0.1)),
    "support vectors": scaled(SVC()),
    "linear support vectors": scaled(LinearSVC()),
    "ridge": scaled(RidgeClassifier()),
    "hinge": scaled(SGDClassifier(random_state=0)),
    "grid search": GridSearchCV(scaled(logistic()), {"logisticregression__C": [0.1, 1]}, cv=2),
    "random search in a pipeline": scaled(
        RandomizedSearchCV(logistic(), {"C": [0.1, 1]}, n_iter=2, cv=2, random_state=0)
    ),
    "soft votes": scaled(VotingClassifier([("a", logistic()), ("b", GaussianNB())], voting="soft")),
    "hard votes": scaled(VotingClassifier([("a", logistic()), ("b", GaussianNB()), ("c", DecisionTreeClassifier())])),
    "votes of boosters": VotingClassifier([("x", XGB), ("l", LGBM)], voting="soft"),
    "stacked boosters": StackingClassifier([("x", XGB), ("l", LGBM)], cv=2),
    "calibrated XGBoost": CalibratedClassifierCV(XGB, cv=2),
    "bagged trees": BaggingClassifier(DecisionTreeClassifier(max_depth=3), 5, random_state=0),
    "XGBoost in a pipeline": scaled(XGB),
    "selected features": scaled(make_pipeline(RFE(logistic(), n_features_to_select=8), SelectKBest(k=4), logistic())),
}


@pytest.mark.parametrize("model", CLASSIFIERS.values(), ids=CLASSIFIERS)
@pytest.mark.parametrize("data", ["wine", "cancer"])
def test_a_classifier_answers_the_same(model, data, request, fitted, convert):
    x, y = request.getfixturevalue(data)

    both = convert(FRAMEWORK, fitted(model, (x, y)), x)

    assert both.agrees, both.difference
    assert both.original.task == "classification"
    assert both.original.classes == tuple(range(int(y.max()) + 1))
    assert both.after.labels.shape == y.shape


@pytest.mark.parametrize("name", ["support vectors", "linear support vectors", "ridge", "hinge"])
def test_decision_values_of_two_classes_have_a_column_each(name, cancer, fitted, convert):
    model = fitted(CLASSIFIERS[name], cancer)

    both = convert(FRAMEWORK, model, cancer[0])

    decision = model.decision_function(cancer[0])
    np.testing.assert_array_equal(both.before.scores, np.column_stack([-decision, decision]))
    assert [spec.role for spec in both.artifact.signature.outputs] == ["label", "decision"]
    assert both.native.call == "decision_function"


REGRESSIONS = {
    "ridge": Ridge(),
    "extra trees": ExtraTreesRegressor(10, random_state=0),
    "gradient boosting": GradientBoostingRegressor(n_estimators=10, random_state=0),
    "neighbours": KNeighborsRegressor(),
    "support vectors": SVR(),
    "Gaussian process": GaussianProcessRegressor(alpha=0.1),
    "stacked boosters": StackingRegressor([("r", Ridge()), ("x", xgboost.XGBRegressor(n_estimators=3))], cv=2),
}


@pytest.mark.parametrize("model", REGRESSIONS.values(), ids=REGRESSIONS)
def test_a_regression_answers_the_same(model, diabetes, fitted, convert):
    both = convert(FRAMEWORK, fitted(model, diabetes), diabetes[0])

    assert both.agrees, both.difference
    assert both.original.task == "regression"


@pytest.mark.parametrize("model", [Ridge(), MLPRegressor(max_iter=5, random_state=0)], ids=["ridge", "perceptron"])
def test_a_regression_of_two_targets_answers_the_same(model, diabetes, progress_of, fitted, convert):
    both = convert(FRAMEWORK, fitted(model, (diabetes[0], progress_of["two"])), diabetes[0])

    assert both.agrees, both.difference
    assert both.after.numbers.shape == (442, 2)


OTHERS = {
    "principal components": (PCA(5), "transform", ["values"], "transform"),
    "nearest neighbours": (NearestNeighbors(n_neighbors=3), "transform", ["other", "values"], "kneighbors"),
    "k-means": (KMeans(3, random_state=0, n_init=1), "clustering", ["label", "values"], "predict"),
    "mixture": (GaussianMixture(3, random_state=0), "clustering", ["label", "probabilities"], "predict_proba"),
    "isolation forest": (
        IsolationForest(n_estimators=10, random_state=0),
        "outlier",
        ["label", "decision"],
        "decision_function",
    ),
    "one class": (OneClassSVM(nu=0.1), "outlier", ["label", "decision"], "decision_function"),
    "local outliers": (LocalOutlierFactor(novelty=True), "outlier", ["label", "decision"], "decision_function"),
}


@pytest.mark.parametrize(("model", "task", "roles", "call"), OTHERS.values(), ids=OTHERS)
def test_what_neither_classifies_nor_regresses_answers_the_same(model, task, roles, call, wine, fitted, convert):
    x = MinMaxScaler().fit_transform(wine[0])

    both = convert(FRAMEWORK, fitted(model, (x, None)), x)

    assert both.agrees, both.difference
    assert (both.original.task, both.native.call) == (task, call)
    assert [spec.role for spec in both.artifact.signature.outputs] == roles


def test_a_clusterer_that_answers_no_new_rows_is_a_usage_error(wine, fitted):
    artifact = FRAMEWORK.describe(fitted(DBSCAN(), wine), None)

    with pytest.raises(UsageError, match=r"^DBSCAN answers no new rows"):
        FRAMEWORK.open(artifact, RunOptions())


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["Barolo", "Grignolino", "Barbera"]),
        np.array(["Barolo", "Grignolino", "Barbera"], dtype=object),
        np.array([-7, 3, 13]),
        np.array([0, 1, 2], dtype=np.int8),
        np.array([1.0, 2.0, 3.0]),
        np.array([False, True, True]),
    ],
    ids=["text", "text objects", "numbers", "int8", "floats", "booleans"],
)
@pytest.mark.parametrize("name", ["logistic regression", "random forest", "neighbours"])
def test_labels_come_back_as_they_were_given(name, labels, wine, fitted, convert):
    both = convert(FRAMEWORK, fitted(CLASSIFIERS[name], (wine[0], labels[wine[1]])), wine[0])

    assert both.agrees, both.difference
    assert both.original.classes == tuple(sorted(set(labels.tolist())))
    are_whole = both.original.classes[0].__class__ in {int, str}
    assert ("labels are written as integers" in both.artifact.notes) == (not are_whole)


@pytest.mark.parametrize(
    "model",
    [
        RandomForestClassifier(5),
        KNeighborsClassifier(),
        RidgeClassifier(),
        MultiOutputClassifier(DecisionTreeClassifier()),
    ],
    ids=lambda model: type(model).__name__,
)
def test_a_model_of_several_labels_answers_its_labels(model, wine, fitted, convert):
    both = convert(FRAMEWORK, fitted(model, (wine[0], np.eye(3, dtype=int)[wine[1]])), wine[0])

    assert both.difference == {"flips": 0}
    assert (both.original.classes, both.native.call) == (None, "predict")


# --- the arithmetic of the original -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "scaler", [StandardScaler(), MinMaxScaler(clip=True), RobustScaler()], ids=lambda each: type(each).__name__
)
@pytest.mark.parametrize("gaps", [False, True], ids=["full", "imputed"])
def test_trees_behind_a_scaler_take_the_branches_of_the_original(scaler, gaps, digits, fitted, convert):
    x, y = digits[0].copy(), digits[1]
    first = [SimpleImputer()] if gaps else []
    x[::3, 20] = np.nan if gaps else x[::3, 20]
    model = make_pipeline(*first, scaler, xgboost.XGBClassifier(n_estimators=10, n_jobs=1))

    both = convert(FRAMEWORK, fitted(model, (x, y)), x)

    assert both.agrees, both.difference
    assert both.artifact.signature.inputs[0].dtype == "float64"


def test_float64_rows_that_are_fed_as_float32_are_told(cancer, fitted, convert):
    x = cancer[0].astype(np.float64)

    both = convert(FRAMEWORK, fitted(RandomForestClassifier(5, random_state=0), (x, cancer[1])), x)

    assert both.artifact.signature.inputs[0].dtype == "float32"
    told = "float64 columns are fed as float32: a row within rounding of a threshold may be answered differently"
    assert told in both.artifact.notes


# --- rows -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def people():
    """200 people: numbers, gaps, text, codes, dates and columns whose names no ONNX tool would take."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({
        "age in years": rng.normal(40, 10, 200),
        "income (k$)": rng.normal(50, 9, 200),
        "city": rng.choice(["Rome", "Paris", "Bonn"], 200),
        "kind": rng.choice([10, 20, 30], 200),
        "flag": rng.integers(0, 2, 200).astype(bool),
        "label": rng.normal(size=200),
    })  # fmt: skip
    frame.loc[::9, "age in years"] = np.nan
    bought = (frame["income (k$)"] + 10 * (frame["city"] == "Rome") > 52).to_numpy()
    return frame, bought.astype(int)


NUMBERS = ["income (k$)", "age in years", "label"]


def table_model(model, **options):
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    columns = [("numbers", numbers, NUMBERS), ("words", OneHotEncoder(handle_unknown="ignore"), ["city", "kind"])]
    return make_pipeline(ColumnTransformer(columns, **options), model)


@pytest.mark.parametrize(
    "model",
    [logistic(), RandomForestClassifier(5, random_state=0), XGB, LGBM, HistGradientBoostingClassifier(max_iter=5)],
    ids=lambda model: type(model).__name__,
)
def test_a_table_of_numbers_and_words_answers_the_same(model, people, fitted, convert):
    both = convert(FRAMEWORK, fitted(table_model(model), people), people[0])

    assert both.agrees, both.difference


def test_a_mixed_table_has_an_input_a_column_and_leaves_out_what_is_not_used(people, fitted, convert):
    frame = people[0].assign(since=pd.Timestamp("2020"), note=None)

    both = convert(FRAMEWORK, fitted(table_model(logistic()), (frame, people[1])), frame)

    assert [(spec.name, spec.dtype, spec.columns) for spec in both.artifact.signature.inputs] == [
        ("age_in_years", "float32", ("age in years",)),
        ("income__k__", "float32", ("income (k$)",)),
        ("city", "str", ("city",)),
        ("kind", "int64", ("kind",)),
        ("label_2", "float32", ("label",)),
    ]
    assert (
        "inputs renamed: 'age in years' is 'age_in_years', 'income (k$)' is 'income__k__', 'label' is 'label_2'"
        in both.artifact.notes
    )


@pytest.mark.parametrize(
    "columns",
    [
        [("a", OneHotEncoder(), [2]), ("b", StandardScaler(), slice(4, 6))],
        [("a", OrdinalEncoder(), ["city", "flag"]), ("b", "passthrough", ["label", "kind"])],
        [("a", OneHotEncoder(), lambda frame: frame.columns[[2, 3]]), ("b", "drop", ["label"])],
        [("a", StandardScaler(), [False] * 5 + [True])],
    ],
    ids=["positions", "names", "function", "mask"],
)
def test_columns_are_found_however_they_were_chosen(columns, people, fitted, convert):
    model = make_pipeline(ColumnTransformer(columns), logistic())

    both = convert(FRAMEWORK, fitted(model, people), people[0])

    assert both.agrees, both.difference


@pytest.mark.parametrize(
    "wrap",
    [
        lambda model: GridSearchCV(model, {"logisticregression__C": [0.1, 1]}, cv=2),
        lambda model: VotingClassifier(
            [("a", model), ("b", table_model(DecisionTreeClassifier(max_depth=2)))], voting="soft"
        ),
        lambda model: make_pipeline(FeatureUnion([("a", model[0]), ("b", model[0])]), logistic()),
    ],
    ids=["search", "votes", "union"],
)
def test_a_table_reaches_its_columns_through(wrap, people, fitted, convert):
    both = convert(FRAMEWORK, fitted(wrap(table_model(logistic())), people), people[0])

    assert both.agrees, both.difference


@pytest.mark.parametrize(
    "frame",
    [
        lambda frame: frame.astype({"city": "category", "kind": "Int64"}),
        lambda frame: frame.astype({"city": object}),
        lambda frame: frame[frame.columns[::-1]],
        lambda frame: frame.assign(more=1.0),
    ],
    ids=["pandas types", "objects", "reordered", "extra"],
)
def test_a_table_that_the_original_takes_is_taken(frame, people, fitted, convert):
    model = fitted(table_model(logistic()), people)

    both = convert(FRAMEWORK, model, frame(people[0]))

    assert both.agrees, both.difference


MISFITS = {
    "missing": (lambda rows: rows.drop(columns="city"), "the rows lack columns that the model was fitted on: 'city'."),
    "gap in text": (
        lambda rows: rows.assign(city=[None, *rows["city"][1:]]),
        "column 'city' has missing values among its text",
    ),
    "dates": (lambda rows: rows.assign(label=pd.Timestamp("2020")), "column 'label' holds dates, which"),
    "objects": (lambda rows: rows.assign(kind=[{}] * 200), "column 'kind' holds dict objects, which"),
    "fewer columns": (
        lambda rows: rows.assign(city=1).to_numpy(float)[:, :3],
        "the rows have 3 columns, but the model was fitted on 6.",
    ),
    "mapping": (dict, "a mapping of arrays does not fit a model of one table."),
    "three axes": (lambda _: np.zeros((2, 3, 4)), "the rows are 3-dimensional, (2, 3, 4); a table (N, F) is needed."),
}


@pytest.mark.parametrize(("change", "message"), MISFITS.values(), ids=MISFITS)
def test_rows_that_do_not_fit_are_named(change, message, people, fitted, to_onnx):
    model = fitted(table_model(logistic()), people)

    with pytest.raises(UsageError) as caught:
        to_onnx(FRAMEWORK, model, change(people[0]))

    assert caught.value.message.startswith(message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda rows: rows[rows.columns[::-1]],
            "the columns are in another order than at fit: 'c' stands where 'a' was.",
        ),
        (lambda rows: rows.assign(d=1.0), "the rows have columns that the model was not fitted on: 'd'."),
        (lambda rows: rows.to_numpy()[:, :2], "the rows have 2 columns, but the model was fitted on 3."),
    ],
    ids=["reordered", "extra", "fewer"],
)
def test_a_plain_estimator_takes_its_columns_in_order(change, message, wine, fitted, to_onnx):
    frame = pd.DataFrame(wine[0][:, :3], columns=list("abc"))
    model = fitted(scaled(logistic()), (frame, wine[1]))

    with pytest.raises(UsageError) as caught:
        to_onnx(FRAMEWORK, model, change(frame))

    assert caught.value.message == message


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (
            lambda x: pd.DataFrame(x, columns=[f"c {at}" for at in range(64)]),
            ("float32", tuple(f"c {at}" for at in range(64))),
        ),
        (pd.DataFrame, ("float32", None)),
        (lambda x: x.astype(int), ("float32", None)),
        (lambda x: x > 8, ("float32", None)),
        (scipy.sparse.csr_matrix, ("float32", None)),
    ],
    ids=["named frame", "numbered frame", "integers", "booleans", "sparse"],
)
def test_one_matrix_holds_what_is_of_one_kind(rows, expected, digits, fitted, convert):
    x, y = rows(digits[0][:300]), digits[1][:300]

    both = convert(FRAMEWORK, fitted(logistic(), (x, y)), x)

    assert both.agrees, both.difference
    (spec,) = both.artifact.signature.inputs
    assert (spec.dtype, spec.columns) == expected


def test_codes_pass_to_their_encoder_as_integers(people, fitted, convert):
    codes = people[0][["kind"]].assign(more=lambda frame: frame["kind"] // 10).to_numpy()

    both = convert(FRAMEWORK, fitted(make_pipeline(OneHotEncoder(), logistic()), (codes, people[1])), codes)

    assert both.agrees, both.difference
    assert both.artifact.signature.inputs[0].dtype == "int64"


TEXT_MODELS = {
    "tfidf": make_pipeline(TfidfVectorizer(), logistic()),
    "pairs of words": make_pipeline(CountVectorizer(ngram_range=(1, 2)), logistic()),
    "as written": make_pipeline(TfidfVectorizer(lowercase=False), TruncatedSVD(5, random_state=0), logistic()),
}


@pytest.mark.parametrize("model", TEXT_MODELS.values(), ids=TEXT_MODELS)
@pytest.mark.parametrize("rows", [list, np.array, pd.Series])
def test_texts_answer_the_same(model, rows, people, fitted, convert):
    texts = rows(
        [
            f"{'a fine' if bought else 'an awful'} film from {city}, really!"
            for city, bought in zip(people[0]["city"], people[1], strict=True)
        ]
    )

    both = convert(FRAMEWORK, fitted(model, (texts, people[1])), texts)

    assert both.agrees, both.difference
    assert [(spec.name, spec.dtype, spec.shape) for spec in both.artifact.signature.inputs] == [
        ("text", "str", (None, 1))
    ]


# --- what is refused --------------------------------------------------------------------------------------------


class Shift(TransformerMixin, BaseEstimator):
    """A transformer of the user's own."""

    def fit(self, x, y=None):  # noqa: ARG002 - the interface
        self.shift_ = 1.0
        return self

    def transform(self, x):
        return x + self.shift_


class Renamed(LogisticRegression):
    """A subclass that answers as its parent does."""


class Cautious(LogisticRegression):
    """A subclass that does not."""

    def predict_proba(self, x):
        return np.clip(super().predict_proba(x), 0.1, 0.9)


REFUSED = {
    "no converter": (KernelRidge(), "KernelRidge has no ONNX converter."),
    "own step": (
        Pipeline([("prep", scaled(Shift())), ("clf", logistic())]),
        "step 'prep', step 'shift' (Shift) has no ONNX converter.",
    ),
    "changed answer": (
        scaled(Cautious()),
        "step 'cautious' (Cautious) changes predict_proba of LogisticRegression, whose",
    ),
    "own function": (
        make_pipeline(FunctionTransformer(np.log1p), logistic()),
        "step 'functiontransformer' (FunctionTransformer) cannot be converted",
    ),
    "clusters as features": (
        scaled(make_pipeline(KMeans(3, n_init=1), logistic())),
        "step 'pipeline', step 'kmeans' (KMeans) is used for its transform",
    ),
    "tuned threshold": (
        TunedThresholdClassifierCV(scaled(logistic()), cv=2),
        "TunedThresholdClassifierCV is written with a threshold of 0.5",
    ),
    "isotonic": (
        CalibratedClassifierCV(GaussianNB(), cv=2, method="isotonic"),
        "CalibratedClassifierCV is calibrated by isotonic regression",
    ),
    "weighted neighbours": (
        KNeighborsClassifier(weights="distance"),
        "KNeighborsClassifier weighs its neighbours by 'distance'",
    ),
    "votes by margin": (
        VotingClassifier([("r", RidgeClassifier())]),
        "VotingClassifier counts votes of members without",
    ),
    "calibrated pipeline": (
        CalibratedClassifierCV(scaled(logistic()), cv=2),
        "CalibratedClassifierCV converts to another model: ",
    ),
    "calibrated LightGBM": (CalibratedClassifierCV(LGBM, cv=2), "CalibratedClassifierCV calibrates LightGBM"),
    "selector that predicts": (RFE(logistic(), n_features_to_select=8), "RFE selects columns and predicts"),
    "stacked margins": (
        StackingClassifier([("s", SVC())], cv=2),
        "StackingClassifier converts to a file that onnxruntime does not run: ",
    ),
    "bagged margins": (
        BaggingClassifier(SVC(), 3),
        "BaggingClassifier converts to outputs of shape [(3,), (3, 2)] for one row.",
    ),
}


@pytest.mark.parametrize(("model", "message"), REFUSED.values(), ids=REFUSED)
def test_what_would_answer_otherwise_is_refused_by_name(model, message, cancer, fitted, to_onnx):
    model = fitted(model, (np.abs(cancer[0]), cancer[1]))

    with pytest.raises(RefusedError) as caught:
        to_onnx(FRAMEWORK, model, cancer[0][::18])

    assert caught.value.message.startswith(message)
    assert caught.value.hint.endswith(".")


def test_a_subclass_that_answers_as_its_parent_does_is_converted(cancer, fitted, convert):
    model = fitted(scaled(Renamed()), cancer)

    both = convert(FRAMEWORK, model, cancer[0])

    assert both.agrees, both.difference
    assert type(model[-1]) is Renamed


def test_rows_that_the_model_itself_refuses_are_a_usage_error(wine, fitted, to_onnx):
    x = wine[0].copy()
    x[0, 0] = np.nan

    with pytest.raises(UsageError, match=r"^Pipeline itself fails on these rows: Input X contains NaN"):
        to_onnx(FRAMEWORK, fitted(scaled(logistic()), wine), x)


def test_a_missing_converter_library_is_named_with_the_extra(wine, fitted, to_onnx, monkeypatch):
    model = fitted(scaled(logistic()), wine)
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "skl2onnx" else name)

    with pytest.raises(MissingDependencyError) as caught:
        to_onnx(FRAMEWORK, model, wine[0])

    assert (
        str(caught.value) == 'converting needs skl2onnx, which is not installed. pip install "pytest-inferopt[sklearn]"'
    )


# --- the file ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "note"),
    [
        (15, "opset 15, ai.onnx.ml 1, IR 8"),
        (17, "opset 17, ai.onnx.ml 1, IR 8"),
        (26, "opset 21 instead of 26, which skl2onnx does not write, ai.onnx.ml 1, IR 10"),
    ],
)
def test_the_notes_tell_the_opset_that_was_written(asked, note, wine, fitted, convert):
    both = convert(FRAMEWORK, fitted(scaled(logistic()), wine), wine[0], opset=asked)

    proto = onnx.load(both.artifact.path)
    assert both.artifact.notes[0] == note
    assert both.artifact.lineage == ("onnx_conversion",)
    assert {entry.domain: entry.version for entry in proto.opset_import}[""] == min(asked, 21)
    assert proto.graph.input[0].type.tensor_type.shape.dim[0].WhichOneof("value") is None


def test_the_same_model_gives_the_same_bytes(wine, fitted, to_onnx):
    model = fitted(RandomForestClassifier(5, random_state=0), wine)

    first, second = (to_onnx(FRAMEWORK, model, wine[0]).path.read_bytes() for _ in range(2))

    assert first == second


def test_converting_leaves_the_model_as_it_was(people, fitted, to_onnx):
    model = fitted(table_model(VotingClassifier([("a", Renamed()), ("b", XGB)], voting="soft")), people)
    before = FRAMEWORK.fingerprint(model)

    to_onnx(FRAMEWORK, model, people[0])

    assert FRAMEWORK.fingerprint(model) == before


def test_the_first_model_of_a_process_is_converted_with_boosters_inside(cancer, fitted, convert_in_a_new_process):
    model = fitted(scaled(VotingClassifier([("x", XGB), ("l", LGBM)], voting="soft")), cancer)

    assert convert_in_a_new_process(FRAMEWORK, model, cancer[0]) == "opset 17, ai.onnx.ml 3, IR 8"


# --- loading, describing, running -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "write", [joblib.dump, lambda model, path: joblib.dump(model, path, compress=3), FRAMEWORK.save]
)
def test_a_file_comes_back_as_what_was_written(write, wine, fitted, tmp_path):
    model, path = fitted(scaled(logistic()), wine), tmp_path / "model.joblib"
    write(model, path)

    artifact = FRAMEWORK.load(path)

    assert (artifact.format, artifact.task, artifact.classes) == ("sklearn", "classification", (0, 1, 2))
    np.testing.assert_array_equal(artifact.model.predict_proba(wine[0]), model.predict_proba(wine[0]))


@pytest.mark.parametrize("model", [XGB, Renamed()], ids=["XGBoost's", "the user's"])
def test_a_pickle_of_a_class_of_others_is_left_to_its_owner(model, wine, fitted, tmp_path):
    joblib.dump(fitted(model, wine), tmp_path / "model.pkl")

    artifact = FRAMEWORK.load(tmp_path / "model.pkl")

    assert (artifact.format, type(artifact.model)) == ("pickle", type(model))


def test_a_model_of_another_version_is_loaded_and_told(wine, fitted, tmp_path, monkeypatch):
    model = fitted(logistic(), wine)
    monkeypatch.setattr("sklearn.base.__version__", "1.0.2")
    joblib.dump(model, tmp_path / "model.pkl")
    monkeypatch.undo()

    artifact = FRAMEWORK.load(tmp_path / "model.pkl")

    (note,) = artifact.notes
    assert note.startswith("saved with scikit-learn 1.0.2, loaded with ")


def test_a_model_of_a_missing_module_names_the_module(tmp_path, monkeypatch):
    (tmp_path / "their_package.py").write_text("class Model: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    joblib.dump(importlib.import_module("their_package").Model(), tmp_path / "model.pkl")
    (tmp_path / "their_package.py").unlink()
    monkeypatch.delitem(sys.modules, "their_package")
    importlib.invalidate_caches()

    with pytest.raises(NotMeasuredError, match=r"needs the module 'their_package', which is not installed"):
        FRAMEWORK.load(tmp_path / "model.pkl")


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
def test_a_file_that_was_cut_is_not_measured(kept, wine, fitted, tmp_path):
    path = tmp_path / "model.pkl"
    joblib.dump(fitted(RandomForestClassifier(5), wine), path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])

    with pytest.raises(NotMeasuredError, match=r"model.pkl' cannot be read"):
        FRAMEWORK.load(path)


@pytest.mark.parametrize("model", [logistic(), scaled(logistic()), GridSearchCV(logistic(), {"C": [1]})])
def test_an_unfitted_model_is_a_usage_error(model):
    with pytest.raises(UsageError) as caught:
        FRAMEWORK.describe(model, None)

    assert str(caught.value) == f"{type(model).__name__} is not fitted. Call fit first, then hand the model over."


def test_threads_are_set_on_a_copy_in_every_part(wine, fitted):
    model = fitted(make_pipeline(StandardScaler(), RandomForestClassifier(3, n_jobs=2)), wine)

    session = FRAMEWORK.open(FRAMEWORK.describe(model, None), RunOptions(threads=1))

    assert session.own_threads == "step 'randomforestclassifier' (RandomForestClassifier): n_jobs=2"
    assert (session.run.__self__[-1].n_jobs, model[-1].n_jobs) == (1, 2)


@pytest.mark.parametrize("threads", [1, None])
def test_a_model_that_needs_no_change_is_run_itself(threads, wine, fitted):
    model = fitted(RandomForestClassifier(3), wine)

    session = FRAMEWORK.open(FRAMEWORK.describe(model, None), RunOptions(threads=threads))

    assert (session.own_threads, session.run.__self__) == (None, model)
    assert session.prepare(wine[0]) is wine[0]


def test_the_fingerprint_follows_the_content(wine, cancer, fitted):
    digests = [FRAMEWORK.fingerprint(fitted(scaled(logistic()), data)) for data in (wine, wine, cancer)]

    assert digests[0] == digests[1] != digests[2]


def test_advice_of_the_converters_does_not_reach_the_user(wine, fitted, to_onnx):
    model = fitted(
        MultiOutputClassifier(logistic()), (MinMaxScaler().fit_transform(wine[0]), np.eye(3, dtype=int)[wine[1]])
    )

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        to_onnx(FRAMEWORK, model, wine[0])

    assert caught == []
