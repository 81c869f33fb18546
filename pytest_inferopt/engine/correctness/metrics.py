"""What "right" means for a model: a metric by name, a scikit-learn scorer, or the user's own function."""

from __future__ import annotations

import numbers
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pytest_inferopt.engine.correctness import figures
from pytest_inferopt.engine.correctness.answers import classes_of, part_of, score_columns, without_column_axis
from pytest_inferopt.engine.correctness.figures import Context
from pytest_inferopt.errors import MissingDependencyError, NotMeasuredError, UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from pytest_inferopt.domain.artifact import Prediction, Task
    from pytest_inferopt.engine.correctness.answers import Part
    from pytest_inferopt.engine.correctness.figures import Bind, Scorer

__all__ = ["METRICS", "Context", "Direction", "Metric", "resolve_metric"]

Direction = Literal["higher", "lower"]

# Figures by class vary with the classes' sizes, which a stratified draw keeps; a figure of all rows alike does not.
STRATIFIED_SCORERS = ("roc_auc", "f1", "average_precision", "precision", "recall", "jaccard", "balanced_accuracy")


@dataclass(frozen=True)
class Metric:
    """A figure of merit.

    Attributes:
        name: what a report calls it.
        direction: whether more or less of it is better.
        bind: takes the target, a prediction and the context, and gives a function from rows' positions to a score.
        needs: the part of a prediction that it reads.
        target: what it is held against: the dataset's y, or the original's own labels or numbers.
        counts: whether it is the share of rows that are right, so that a score interval applies.
        stratify: whether it goes by class, so that draws keep the classes' sizes.
        has_positive_class: whether it is of the second class where there are two, and else a mean over classes.
        by_query: whether `bind`'s function takes the positions of queries and not of rows.
        foreign: whether somebody else's code computes it, which is slower.
        notes: what a reader must know to read it.
    """

    name: str
    direction: Direction
    bind: Bind = field(repr=False)
    needs: Part = "any"
    target: Literal["y", "labels", "numbers"] = "y"
    counts: bool = False
    stratify: bool = False
    has_positive_class: bool = False
    by_query: bool = False
    foreign: bool = False
    notes: tuple[str, ...] = ()

    def score(self, y: Any, prediction: Prediction, context: Context | None = None) -> float:
        """The figure of all rows.

        Args:
            y: the target (N,) or (N, K).
            prediction: of the same N rows.
            context: classes in the order of the scores' columns, and queries; if None, the classes that occur.

        Raises:
            NotMeasuredError: it cannot be computed of what there is.
        """
        context = context or Context(classes_of(y, prediction.labels))
        scorer = self.bind(y, prediction, context)
        return scorer(np.arange(self.units(len(y), context), dtype=np.intp))

    def units(self, rows: int, context: Context) -> int:
        """How many rows, or queries, it is a figure of."""
        return len(classes_of(context.groups)) if self.by_query else rows


def resolve_metric(
    name: str | None,
    *,
    task: Task,
    y: Any,
    groups: Any = None,
    function: Callable[[Any, Any], Any] | None = None,
    direction: Direction | None = None,
) -> Metric:
    """The metric that a request names, or the task's default.

    Args:
        name: one of ours, or a scikit-learn scorer (``neg_…`` loses its sign); None for the default: ``accuracy``
            of classes, ``rmse`` of values, ``ndcg`` of ranked queries; without a truth, agreement with the original:
            ``agreement`` of labels, ``fidelity`` of values and ranks, ``cosine`` of transformed rows.
        task: what the model answers.
        y: the target, or None.
        groups: the query of each row, for rankings.
        function: an own metric, ``f(y_true, y_pred) -> float``; `y_pred` are labels if there are any, else values.
        direction: whether more of an own metric is better; for others, it must be what is known.

    Raises:
        UsageError: an unknown name, an own metric without direction, or a direction against what is known.
        MissingDependencyError: the name is not ours, and scikit-learn is not installed.
    """
    if function is not None:
        return _own_metric(name or str(getattr(function, "__name__", "own metric")), function, direction)
    name = name or _default_name(task, has_target=y is not None, has_queries=groups is not None)
    metric = METRICS.get(name) or _sklearn_metric(name, task)
    if direction not in {None, metric.direction}:
        raise UsageError(
            f"metric_direction={direction!r}: {metric.direction} is better for {name!r}.", "Leave the direction out."
        )
    return metric


def _default_name(task: Task, *, has_target: bool, has_queries: bool) -> str:
    if has_target and task == "classification":
        return "accuracy"
    if has_target and task == "regression":
        return "rmse"
    if has_target and has_queries and task == "ranking":
        return "ndcg"
    # Clusters and outliers: the labels are the model's own, so that a y need not be in the same terms.
    if task in {"classification", "clustering", "outlier"}:
        return "agreement"
    return "cosine" if task == "transform" else "fidelity"


_F1 = figures.from_confusion(lambda right, true, predicted: (2 * right, true + predicted))
_PRECISION = figures.from_confusion(lambda right, _, predicted: (right, predicted))
_RECALL = figures.from_confusion(lambda right, true, _: (right, true))
_ROC_AUC, _AVERAGE_PRECISION = (figures.by_ranking(figure) for figure in (figures.area, figures.average_precision))
_FIDELITY_NOTE = "the share of the variance of the original's answers that the variant reproduces"

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "higher", figures.accuracy, "labels", counts=True),
        Metric("agreement", "higher", figures.accuracy, "labels", "labels", counts=True),
        Metric("balanced_accuracy", "higher", figures.balanced_accuracy, "labels", stratify=True),
        Metric("f1", "higher", _F1, "labels", stratify=True, has_positive_class=True),
        Metric("precision", "higher", _PRECISION, "labels", stratify=True, has_positive_class=True),
        Metric("recall", "higher", _RECALL, "labels", stratify=True, has_positive_class=True),
        Metric("roc_auc", "higher", _ROC_AUC, "scores", stratify=True, has_positive_class=True),
        Metric("average_precision", "higher", _AVERAGE_PRECISION, "scores", stratify=True, has_positive_class=True),
        Metric("log_loss", "lower", figures.log_loss, "probabilities"),
        Metric("rmse", "lower", figures.rmse, "values"),
        Metric("mae", "lower", figures.mae, "values"),
        Metric("r2", "higher", figures.r2, "values"),
        Metric("ndcg", "higher", figures.ndcg, "numbers", by_query=True),
        Metric("cosine", "higher", figures.cosine, "numbers", "numbers"),
        Metric("fidelity", "higher", figures.fidelity, "numbers", "numbers", notes=(_FIDELITY_NOTE,)),
    )
}


# --- the user's own ---------------------------------------------------------------------------------------------


def _own_metric(name: str, function: Callable[[Any, Any], Any], direction: Direction | None) -> Metric:
    if direction is None:
        raise UsageError(f"own metric {name!r} has no direction.", 'Say metric_direction="higher" or "lower".')

    def bind(y: Any, prediction: Prediction, _: Context) -> Scorer:
        # (N,) minus (N, 1) would be (N, N): the function gets columns as (N,) on both sides.
        truth, answer = without_column_axis(y), without_column_axis(part_of(prediction, "any"))
        return lambda rows: _call(name, lambda: function(truth[rows], answer[rows]))

    return Metric(name, direction, bind, foreign=True)


def _call(name: str, compute: Callable[[], Any]) -> float:
    """A number from somebody else's code.

    Raises:
        NotMeasuredError: it raises, or gives something else.
    """
    try:
        value = compute()
    except Exception as error:
        raise NotMeasuredError(
            f"metric {name!r} raised {type(error).__name__}: {' '.join(str(error).split())[:300]}",
            "Call it on y and the predictions to see why.",
        ) from error
    if getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        shape = f" of shape {value.shape}" if hasattr(value, "shape") else ""
        raise NotMeasuredError(f"metric {name!r} gave {type(value).__name__}{shape}, not a number.", "Return a float.")
    return float(value)


# --- scikit-learn's scorers -------------------------------------------------------------------------------------


def _sklearn_metric(name: str, task: Task) -> Metric:
    try:
        import sklearn
        from sklearn.metrics import get_scorer, get_scorer_names
    except ImportError:
        raise MissingDependencyError(
            f"metric {name!r} is not one of ours ({did_you_mean(name, METRICS)}), "
            "and scikit-learn, whose scorers are known by name too, is not installed.",
            'pip install "pytest-inferopt[sklearn]"',
        ) from None
    if name not in get_scorer_names():
        raise UsageError(f"no metric named {name!r};", did_you_mean(name, {*METRICS, *get_scorer_names()}))
    is_loss, shown, scorer = name.startswith("neg_"), name.removeprefix("neg_"), get_scorer(name)

    def bind(y: Any, prediction: Prediction, context: Context) -> Scorer:
        truth, recorded = np.asarray(y), _recorded(prediction, context, task)

        def compute(rows: NDArray[np.intp]) -> Any:
            quickly = sklearn.config_context(skip_parameter_validation=True, assume_finite=True)
            with warnings.catch_warnings(), quickly:
                warnings.simplefilter("ignore")  # undefined figures are NaN, which is told
                return scorer(recorded, rows, truth[rows])

        return lambda rows: _call(shown, lambda: compute(rows)) * (-1 if is_loss else 1)

    return Metric(
        shown,
        "lower" if is_loss else "higher",
        bind,
        stratify=name.startswith(STRATIFIED_SCORERS),
        foreign=True,
        notes=(f"scikit-learn's scorer {name!r}",),
    )


def _recorded(prediction: Prediction, context: Context, task: Task) -> Any:
    """An estimator that answers what is recorded, for rows that are given by their positions."""
    from sklearn.base import BaseEstimator, ClassifierMixin, ClusterMixin, OutlierMixin, RegressorMixin

    answer = without_column_axis(part_of(prediction, "any"))
    methods = {"predict": answer}
    if prediction.scores is not None and prediction.scores_are_probabilities:
        methods["predict_proba"] = score_columns(prediction.scores, are_probabilities=True)
    elif prediction.scores is not None:
        columns = score_columns(prediction.scores, are_probabilities=False)
        is_binary = columns.shape[1] == figures.BINARY and answer.ndim == 1
        methods["decision_function"] = columns[:, 1] if is_binary else columns
    mixin = {"classification": ClassifierMixin, "clustering": ClusterMixin, "outlier": OutlierMixin}
    bases = (mixin.get(task, RegressorMixin), BaseEstimator)
    recorded: Any = type("Recorded", bases, {name: _lookup(name, answers) for name, answers in methods.items()})()
    # Of several labels a row, scikit-learn keeps the classes of each; they are indicators, 0 and 1.
    recorded.classes_ = np.asarray(context.classes) if answer.ndim == 1 else [np.array([0, 1])] * answer.shape[1]
    return recorded


def _lookup(name: str, answers: Any) -> Callable[[Any, NDArray[np.intp]], Any]:
    """A method that gives the recorded answers of rows; scorers read its name."""

    def method(_: Any, rows: NDArray[np.intp]) -> Any:
        return answers[rows]

    method.__name__ = name
    return method
