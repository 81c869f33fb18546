"""XGBoost's and LightGBM's models inside skl2onnx, by the converters of onnxmltools.

onnxmltools' own entry points stop at opset 15. Its converters, registered with skl2onnx, write any opset and work
inside pipelines. What onnxmltools 1.16 writes wrongly without an error is known here by name and refused; whatever
else it may write wrongly, the comparison with the original finds.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "adapt_booster",
    "booster_trouble",
    "estimator_of_lightgbm",
    "estimator_of_xgboost",
    "floor_float32",
    "is_lightgbm",
    "is_xgboost",
    "lightgbm_objective",
    "register_lightgbm",
    "register_xgboost",
    "xgboost_objective",
]

Trouble = tuple[str, str]

XGBOOST_TROUBLES: dict[str, Trouble] = {
    "multi:softmax": ("is written without its probabilities", "Train with objective='multi:softprob'."),
    "reg:logistic": ("is written without its link function", "Train with objective='binary:logistic'."),
    "binary:logitraw": ("is written with a link that it does not have", "Train with objective='binary:logistic'."),
    "survival:cox": ("is written without its link function", "Convert a model of another objective."),
}
LIGHTGBM_TROUBLES: dict[str, Trouble] = {
    "multiclassova": ("is written as if its classes were one softmax", "Train with objective='multiclass'."),
    "cross_entropy": ("has no ONNX form in onnxmltools", "Train with objective='binary' or 'regression'."),
    "cross_entropy_lambda": ("has no ONNX form in onnxmltools", "Train with objective='binary' or 'regression'."),
    "mape": ("has no ONNX form in onnxmltools", "Train with objective='regression_l1'."),
    "custom": ("has an objective of its own, whose link the model does not tell", "Train with LightGBM's own."),
}
# The name of a setting in the model's text, the value that converts, the trouble with others, and the way out.
LIGHTGBM_SETTINGS = (
    ("is_linear", "0", "has linear models in its leaves, which are written as constants", "Use linear_tree=False."),
    ("zero_as_missing", "0", "reads zeros as missing, which is not written", "Put NaN where values are missing."),
)


def is_xgboost(estimator: object) -> bool:
    """Whether it is an estimator of XGBoost."""
    return hasattr(estimator, "get_booster") and hasattr(estimator, "get_xgb_params")


def is_lightgbm(estimator: object) -> bool:
    """Whether it is an estimator of LightGBM."""
    return any(cls.__module__.startswith("lightgbm.") for cls in type(estimator).__mro__)


def register_xgboost() -> None:
    """Teach skl2onnx to convert XGBoost's models."""
    import xgboost
    from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost

    for cls in (xgboost.XGBClassifier, xgboost.XGBRFClassifier):
        _register(cls, convert_xgboost, is_classifier=True)
    for cls in (xgboost.XGBRegressor, xgboost.XGBRFRegressor, xgboost.XGBRanker):
        _register(cls, convert_xgboost, is_classifier=False)


def register_lightgbm() -> None:
    """Teach skl2onnx to convert LightGBM's models."""
    import lightgbm
    from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm

    _register(lightgbm.LGBMClassifier, convert_lightgbm, is_classifier=True)
    for cls in (lightgbm.LGBMRegressor, lightgbm.LGBMRanker):
        _register(cls, convert_lightgbm, is_classifier=False)


def _register(cls: type, convert: Callable[[Any, Any, Any], None], *, is_classifier: bool) -> None:
    """Register a converter, with the outputs of scikit-learn's models; one that the user registered stays."""
    from skl2onnx import update_registered_converter
    from skl2onnx._supported_operators import sklearn_operator_name_map
    from skl2onnx.common import shape_calculator

    if cls in sklearn_operator_name_map:
        return
    if is_classifier:
        shapes = shape_calculator.calculate_linear_classifier_output_shapes
        options: dict[str, Any] = {"zipmap": [False, True, "columns"], "nocl": [False, True]}
    else:
        shapes, options = shape_calculator.calculate_linear_regressor_output_shapes, {"split": None}
    update_registered_converter(cls, f"Inferopt{cls.__name__}", shapes, convert, options=options)


def xgboost_objective(booster: Any) -> tuple[str, int]:
    """The objective's name and the number of classes (0 where there are none) of a Booster."""
    learner = json.loads(booster.save_config())["learner"]
    return str(learner["objective"]["name"]), int(learner["learner_model_param"]["num_class"])


def lightgbm_objective(booster: Any) -> tuple[str, int]:
    """The objective's name (``custom`` for one of the user's own) and the number of classes of a Booster."""
    fields = _lightgbm_fields(booster)
    return fields.get("objective", "custom").partition(" ")[0], int(fields["num_class"])


def _lightgbm_fields(booster: Any) -> dict[str, str]:
    """The lines ``key=value`` of the header and of the first tree of a model's text, and its parameters."""
    text = booster.model_to_string(num_iteration=1)
    fields = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    parameters = (line[1:-1].split(": ", 1) for line in text.splitlines() if line.startswith("[") and ": " in line)
    return dict(parameters) | fields


def booster_trouble(estimator: Any) -> Trouble | None:
    """What onnxmltools 1.16 cannot convert, or converts to another model without an error: the trouble, the way out."""
    if is_xgboost(estimator):
        return _xgboost_trouble(estimator)
    return _lightgbm_trouble(estimator) if is_lightgbm(estimator) else None


def _xgboost_trouble(estimator: Any) -> Trouble | None:
    booster = estimator.get_booster()
    learner = json.loads(booster.save_config())["learner"]
    kind = learner["gradient_booster"]["name"]
    if kind != "gbtree":
        return f"is a {kind} booster, which onnxmltools does not convert", "Train with booster='gbtree'."
    missing = estimator.missing
    if missing is not None and not math.isnan(missing):
        return f"reads {missing} as missing, which ONNX cannot", "Put NaN where values are missing."
    if callable(estimator.objective):
        return "has an objective of its own, whose link the model does not tell", "Train with one of XGBoost's."
    return _xgboost_layout_trouble(learner)


def _xgboost_layout_trouble(learner: dict[str, Any]) -> Trouble | None:
    """What is wrong about the objective, the targets or the trees a round, from the booster's configuration."""
    objective, parameters = learner["objective"]["name"], learner["learner_model_param"]
    if objective in XGBOOST_TROUBLES:
        trouble, way_out = XGBOOST_TROUBLES[objective]
        return f"with objective {objective!r} {trouble}", way_out
    if int(parameters.get("num_target", 1)) > 1:
        return "answers several targets, of which onnxmltools writes one", "Train one model a target."
    parallel = int(learner["gradient_booster"]["gbtree_model_param"].get("num_parallel_tree", 1))
    if int(parameters["num_class"]) > 0 and parallel > 1:
        return "is a forest of several classes, whose trees are given to the wrong ones", "Use one tree a round."
    return None


def _lightgbm_trouble(estimator: Any) -> Trouble | None:
    if estimator.boosting_type == "rf":
        return "is a random forest of LightGBM, which is written as a sum", "Train with boosting_type='gbdt'."
    fields = _lightgbm_fields(estimator.booster_)
    objective, *details = fields.get("objective", "custom").split()
    for name, value, trouble, way_out in LIGHTGBM_SETTINGS:
        if fields.get(name, value) != value:
            return trouble, way_out
    if "sqrt" in details:
        return "is fitted to square roots, which are not squared again", "Train with reg_sqrt=False."
    if any(detail.startswith("sigmoid:") and float(detail[8:]) != 1 for detail in details):
        return "has a sigmoid of another slope than 1, which is written as 1", "Train with sigmoid=1."
    if objective in LIGHTGBM_TROUBLES:
        trouble, way_out = LIGHTGBM_TROUBLES[objective]
        return f"with objective {objective!r} {trouble}", way_out
    return None


def adapt_booster(estimator: Any) -> None:
    """Make the copy of an estimator that is to be converted fit its converter.

    XGBoost's takes no column names but ``f0``, ``f1``, …; LightGBM's thresholds are float64.
    """
    if is_xgboost(estimator):
        estimator.get_booster().feature_names = None
    elif is_lightgbm(estimator):
        estimator._Booster = _with_float32_thresholds(estimator.booster_)  # noqa: SLF001 - there is no other way in


def _with_float32_thresholds(booster: Any) -> Any:
    import lightgbm

    lines = booster.model_to_string().split("\n")
    for number, line in enumerate(lines):
        name, _, values = line.partition("=")
        if name == "threshold" and values:
            lines[number] = "threshold=" + " ".join(repr(floor_float32(float(value))) for value in values.split())
        elif name == "tree_sizes":
            lines[number] = ""  # the sizes of the trees in bytes, which have changed; LightGBM counts them itself
    return lightgbm.Booster(model_str="\n".join(lines), params={"verbose": -1})


def floor_float32(threshold: float) -> float:
    """The largest float32 not above a float64.

    For a float32 x, ``x <= threshold`` holds exactly where ``x <= floor_float32(threshold)`` does; with a threshold
    rounded to nearest it does not, and a row that lies on a threshold takes the other branch.
    """
    import numpy as np

    with np.errstate(over="ignore"):
        near = np.float32(threshold)
    return float(np.nextafter(near, np.float32(-np.inf)) if float(near) > threshold else near)


def estimator_of_xgboost(booster: Any) -> Any:
    """A native Booster as XGBoost's own estimator; the classes are 0 to K − 1."""
    import xgboost

    objective, classes = xgboost_objective(booster)
    if objective.startswith("rank:"):
        estimator = xgboost.XGBRanker()
    elif classes or objective.startswith("binary:"):
        estimator = xgboost.XGBClassifier()
    else:
        estimator = xgboost.XGBRegressor()
    estimator.load_model(bytearray(booster.save_raw("ubj")))
    return estimator


def estimator_of_lightgbm(booster: Any) -> Any:
    """A native Booster as LightGBM's own estimator; the classes are 0 to K − 1."""
    import lightgbm
    import numpy as np

    objective, classes = lightgbm_objective(booster)
    estimator: Any = lightgbm.LGBMRegressor()
    if objective in {"binary", "multiclass", "multiclassova"}:
        estimator = lightgbm.LGBMClassifier()
        estimator._n_classes = max(classes, 2)  # noqa: SLF001 - as `fit` leaves them
        estimator._classes = np.arange(max(classes, 2))  # noqa: SLF001
    estimator._Booster = booster  # noqa: SLF001
    estimator.fitted_ = True
    estimator.boosting_type = booster.params.get("boosting", booster.params.get("boosting_type", "gbdt"))
    return estimator
