"""The estimators, each with the real data and the arguments it needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn import datasets as bundled
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.utils import all_estimators

if TYPE_CHECKING:
    from collections.abc import Callable

HELD_OUT = 0.25

# Estimators that wrap others, or that must be told something before they can be fitted.
BASE = {"max_iter": 1000}
ARGUMENTS: dict[str, Callable[[], dict[str, Any]]] = {
    "ClassifierChain": lambda: {"estimator": LogisticRegression(**BASE)},
    "ColumnTransformer": lambda: {"transformers": [("scale", _scaler(), slice(0, 10))], "remainder": "passthrough"},
    "FeatureUnion": lambda: {"transformer_list": [("scale", _scaler())]},
    "FixedThresholdClassifier": lambda: {"estimator": LogisticRegression(**BASE)},
    "FrozenEstimator": lambda: {"estimator": LogisticRegression(**BASE)},
    "GridSearchCV": lambda: {"estimator": LogisticRegression(**BASE), "param_grid": {"C": [0.1, 1.0]}},
    "MultiOutputClassifier": lambda: {"estimator": LogisticRegression(**BASE)},
    "MultiOutputRegressor": lambda: {"estimator": LinearRegression()},
    "OneVsOneClassifier": lambda: {"estimator": LogisticRegression(**BASE)},
    "OneVsRestClassifier": lambda: {"estimator": LogisticRegression(**BASE)},
    "OutputCodeClassifier": lambda: {"estimator": LogisticRegression(**BASE), "random_state": 0},
    "Pipeline": lambda: {"steps": [("scale", _scaler()), ("model", LogisticRegression(**BASE))]},
    "RFE": lambda: {"estimator": LogisticRegression(**BASE)},
    "RFECV": lambda: {"estimator": LogisticRegression(**BASE)},
    "RandomizedSearchCV": lambda: {
        "estimator": LogisticRegression(**BASE), "param_distributions": {"C": [0.1, 1.0]}, "n_iter": 2,
    },
    "RegressorChain": lambda: {"estimator": LinearRegression()},
    "SelectFromModel": lambda: {"estimator": LogisticRegression(**BASE)},
    "SelfTrainingClassifier": lambda: {"estimator": LogisticRegression(**BASE)},
    "SequentialFeatureSelector": lambda: {"estimator": LogisticRegression(**BASE), "n_features_to_select": 3},
    "SparseCoder": lambda: {"dictionary": np.eye(13)},
    "StackingClassifier": lambda: {"estimators": [("a", LogisticRegression(**BASE)), ("b", _tree())]},
    "StackingRegressor": lambda: {"estimators": [("a", LinearRegression()), ("b", _regression_tree())]},
    "TunedThresholdClassifierCV": lambda: {"estimator": LogisticRegression(**BASE)},
    "VotingClassifier": lambda: {"estimators": [("a", LogisticRegression(**BASE)), ("b", _tree())], "voting": "soft"},
    "VotingRegressor": lambda: {"estimators": [("a", LinearRegression()), ("b", _regression_tree())]},
    "SelectFdr": lambda: {"alpha": 0.5},
    "CategoricalNB": lambda: {"min_categories": 17},
    "KBinsDiscretizer": lambda: {"encode": "onehot-dense", "quantile_method": "averaged_inverted_cdf"},
    "LocalOutlierFactor": lambda: {"novelty": True},
    "RadiusNeighborsClassifier": lambda: {"radius": 60.0},
    "RadiusNeighborsRegressor": lambda: {"radius": 1.0},
    "GaussianRandomProjection": lambda: {"n_components": 5},
    "SparseRandomProjection": lambda: {"n_components": 5},
}  # fmt: skip
TEXT = {"CountVectorizer", "TfidfVectorizer", "HashingVectorizer"}
STRINGS = {"OneHotEncoder", "OrdinalEncoder", "TargetEncoder"}
LABELS = {"LabelEncoder", "LabelBinarizer", "MultiLabelBinarizer"}
DICTIONARIES = {"DictVectorizer", "FeatureHasher"}
SEVERAL_TARGETS = {
    "MultiOutputRegressor", "RegressorChain", "MultiTaskElasticNet", "MultiTaskElasticNetCV", "MultiTaskLasso",
    "MultiTaskLassoCV", "PLSRegression", "PLSCanonical", "CCA", "PLSSVD",
}  # fmt: skip
SEVERAL_LABELS = {"MultiOutputClassifier", "ClassifierChain"}
BINARY = {"TunedThresholdClassifierCV", "FixedThresholdClassifier", "GaussianProcessClassifier"}
ONE_COLUMN = {"IsotonicRegression"}
SMALL = {"QuadraticDiscriminantAnalysis"}
# A kernel matrix of the training rows is no table of rows that a model file could be fed with.
LEFT_OUT = {"KernelCenterer"}


@dataclass(frozen=True)
class Case:
    """One estimator on one data set."""

    name: str
    data: str
    make: Callable[[], Any]
    load: Callable[[], tuple[Any, Any]] = field(repr=False)

    def fitted(self) -> tuple[Any, Any, Any]:
        """The estimator fitted on three quarters of the rows, and the held-out rows with their targets."""
        x, y = self.load()
        order = np.random.default_rng(0).permutation(len(x))
        cut = int(len(x) * (1 - HELD_OUT))
        train, test = order[:cut], order[cut:]
        if y is None:
            return self.make().fit(_take(x, train)), _take(x, test), None
        model = self.make().fit(_take(x, train), y[train])
        return model, _take(x, test), y[test] if hasattr(model, "predict") else None


def all_cases() -> list[Case]:
    """scikit-learn's estimators that the converter claims, then the boosters."""
    from skl2onnx import supported_converters

    claimed = set(supported_converters())
    kinds = {
        name: estimator for name, estimator in all_estimators() if f"Sklearn{name}" in claimed and name not in LEFT_OUT
    }
    wrapped = {"Pipeline", "FeatureUnion", "ColumnTransformer"}
    kinds |= {name: estimator for name, estimator in all_estimators() if name in wrapped}
    return [_sklearn_case(name, kinds[name]) for name in sorted(kinds)] + list(_booster_cases())


def _sklearn_case(name: str, estimator: Any) -> Case:
    arguments = ARGUMENTS.get(name, dict)
    data, load = _data_for(name, estimator)
    return Case(name, data, lambda: _seeded(estimator, arguments()), load)


def _seeded(estimator: Any, arguments: dict[str, Any]) -> Any:
    model = estimator(**arguments)
    if "random_state" in model.get_params(deep=False):
        model.set_params(random_state=0)
    return model


def _data_for(name: str, estimator: Any) -> tuple[str, Callable[[], tuple[Any, Any]]]:  # noqa: C901, PLR0911 - a table
    if name in TEXT:
        return "descriptions", _sentences
    if name in STRINGS:
        return "wine, binned", _binned_wine
    if name in LABELS:
        return "wine", _wine_labels
    if name in DICTIONARIES:
        return "wine, as dictionaries", _wine_dictionaries
    if name in SMALL:
        return "wine", _wine
    if name in SEVERAL_TARGETS:
        return "wine, two targets", _two_targets
    if name in SEVERAL_LABELS:
        return "digits, two labels", _two_labels
    if name in BINARY:
        return "breast cancer", lambda: bundled.load_breast_cancer(return_X_y=True)
    if name in ONE_COLUMN:
        return "diabetes, one column", _one_column
    if getattr(estimator, "_estimator_type", "") == "regressor" or "Regressor" in name or name.startswith("Regress"):
        return "diabetes", lambda: bundled.load_diabetes(return_X_y=True)
    return _by_type(estimator)


def _by_type(estimator: Any) -> tuple[str, Callable[[], tuple[Any, Any]]]:
    from sklearn.base import ClassifierMixin, RegressorMixin

    if issubclass(estimator, RegressorMixin):
        return "diabetes", lambda: bundled.load_diabetes(return_X_y=True)
    if issubclass(estimator, ClassifierMixin):
        return "digits", lambda: bundled.load_digits(return_X_y=True)
    return "wine", lambda: bundled.load_wine(return_X_y=True)


def _booster_cases() -> list[Case]:
    cases: list[Case] = []
    if find_spec("xgboost"):
        cases += _xgboost_cases()
    if find_spec("lightgbm"):
        cases += _lightgbm_cases()
    return cases


def _xgboost_cases() -> list[Case]:
    import xgboost

    common = {"n_estimators": 100, "n_jobs": 1, "random_state": 0}
    return [
        Case("XGBClassifier (binary)", "breast cancer", lambda: xgboost.XGBClassifier(**common), _cancer_frame),
        Case("XGBClassifier (10 classes)", "digits", lambda: xgboost.XGBClassifier(**common), _digits),
        Case("XGBClassifier (missing values)", "wine, holes", lambda: xgboost.XGBClassifier(**common), _holed_wine),
        Case("XGBRFClassifier", "breast cancer", lambda: xgboost.XGBRFClassifier(**common), _cancer_frame),
        Case("XGBRegressor", "diabetes", lambda: xgboost.XGBRegressor(**common), _diabetes_frame),
        Case("XGBRFRegressor", "diabetes", lambda: xgboost.XGBRFRegressor(**common), _diabetes_frame),
        Case("XGBRanker", "diabetes, 5 queries", lambda: _Ranker(xgboost.XGBRanker(**common)), _graded_diabetes),
        Case("XGBClassifier (dart)", "wine", lambda: xgboost.XGBClassifier(booster="dart", **common), _wine),
        Case("XGBRegressor (gblinear)", "diabetes", lambda: xgboost.XGBRegressor(booster="gblinear"), _diabetes),
        Case("xgboost.Booster", "breast cancer", lambda: _Native(xgboost.XGBClassifier(**common)), _cancer_frame),
    ]  # fmt: skip


def _lightgbm_cases() -> list[Case]:
    import lightgbm

    common = {"n_estimators": 100, "n_jobs": 1, "random_state": 0, "verbose": -1}
    return [
        Case("LGBMClassifier (binary)", "breast cancer", lambda: lightgbm.LGBMClassifier(**common), _cancer_frame),
        Case("LGBMClassifier (10 classes)", "digits", lambda: lightgbm.LGBMClassifier(**common), _digits),
        Case("LGBMClassifier (missing values)", "wine, holes", lambda: lightgbm.LGBMClassifier(**common), _holed_wine),
        Case("LGBMRegressor", "diabetes", lambda: lightgbm.LGBMRegressor(**common), _diabetes_frame),
        Case("LGBMRanker", "diabetes, 5 queries", lambda: _Ranker(lightgbm.LGBMRanker(**common)), _graded_diabetes),
        Case("LGBMClassifier (dart)", "wine", lambda: lightgbm.LGBMClassifier(boosting_type="dart", **common), _wine),
        Case("lightgbm.Booster", "breast cancer", lambda: _Native(lightgbm.LGBMClassifier(**common)), _cancer_frame),
    ]  # fmt: skip


@dataclass
class _Native:
    """Fits the scikit-learn class and hands over the native Booster."""

    estimator: Any

    def fit(self, x: Any, y: Any) -> Any:
        self.estimator.fit(x, y)
        return self.estimator.get_booster() if hasattr(self.estimator, "get_booster") else self.estimator.booster_


@dataclass
class _Ranker:
    """Fits a ranker on five queries of equal length."""

    estimator: Any

    def fit(self, x: Any, y: Any) -> Any:
        edges = np.linspace(0, len(x), 6).astype(int)
        return self.estimator.fit(x, y, group=np.diff(edges))


def _take(rows: Any, indices: Any) -> Any:
    if hasattr(rows, "iloc"):
        return rows.iloc[indices]
    return rows[indices] if hasattr(rows, "shape") else [rows[index] for index in indices]


def _scaler() -> Any:
    from sklearn.preprocessing import StandardScaler

    return StandardScaler()


def _tree() -> Any:
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(random_state=0)


def _regression_tree() -> Any:
    from sklearn.tree import DecisionTreeRegressor

    return DecisionTreeRegressor(random_state=0, max_depth=4)


def _digits() -> tuple[Any, Any]:
    return bundled.load_digits(return_X_y=True)


def _wine() -> tuple[Any, Any]:
    return bundled.load_wine(return_X_y=True)


def _diabetes() -> tuple[Any, Any]:
    return bundled.load_diabetes(return_X_y=True)


def _cancer_frame() -> tuple[Any, Any]:
    x, y = bundled.load_breast_cancer(return_X_y=True, as_frame=True)
    return x, y.to_numpy()


def _diabetes_frame() -> tuple[Any, Any]:
    x, y = bundled.load_diabetes(return_X_y=True, as_frame=True)
    return x, y.to_numpy()


def _graded_diabetes() -> tuple[Any, Any]:
    x, y = bundled.load_diabetes(return_X_y=True)
    return x, np.digitize(y, np.quantile(y, [0.25, 0.5, 0.75]))


def _holed_wine() -> tuple[Any, Any]:
    x, y = bundled.load_wine(return_X_y=True)
    holes = np.random.default_rng(0).random(x.shape) < 0.1
    return np.where(holes, np.nan, x), y


def _binned_wine() -> tuple[Any, Any]:
    import pandas as pd

    x, y = bundled.load_wine(return_X_y=True, as_frame=True)
    names = ["low", "middle", "high"]
    return pd.DataFrame({name: pd.qcut(x[name], 3, labels=names).astype(str) for name in x.columns[:4]}), (
        y == 0
    ).to_numpy()


def _two_targets() -> tuple[Any, Any]:
    x, _ = bundled.load_wine(return_X_y=True)
    return x[:, :11], x[:, 11:]


def _wine_labels() -> tuple[Any, Any]:
    return bundled.load_wine(return_X_y=True)[1], None


def _wine_dictionaries() -> tuple[Any, Any]:
    return bundled.load_wine(as_frame=True).data.to_dict("records"), None


def _two_labels() -> tuple[Any, Any]:
    x, y = bundled.load_digits(return_X_y=True)
    return x, np.column_stack([y % 2, y > 4])


def _one_column() -> tuple[Any, Any]:
    x, y = bundled.load_diabetes(return_X_y=True)
    return x[:, 2], y


def _sentences() -> tuple[Any, Any]:
    """The sentences that describe scikit-learn's own data sets: real text, at hand."""
    sources = (bundled.load_digits, bundled.load_wine, bundled.load_breast_cancer, bundled.load_diabetes)
    text = " ".join(source().DESCR for source in sources)
    lines = [" ".join(part.split()) for part in text.split(".")]
    return [line for line in lines if len(line) > 20], None
