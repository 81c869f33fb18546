"""Metrics: what "right" means for a model, by name, by scikit-learn's scorers, or by the user's own function.

Ours need NumPy only and follow scikit-learn's definitions (its scorers are the tests' oracle), so that a bootstrap
of thousands of draws takes about a second. A metric is bound once to the target and a prediction, and then scores
any selection of their rows.
"""

from __future__ import annotations

import numbers
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pytest_inferopt.errors import MissingDependencyError, NotMeasuredError, UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from pytest_inferopt.domain.artifact import Prediction, Task

__all__ = ["Context", "Metric", "align", "as_labels", "codes_of", "resolve_metric", "same_labels"]

Array = Any
Direction = Literal["higher", "lower"]
Scorer = Callable[["NDArray[np.intp]"], float]
Part = Literal["labels", "scores", "probabilities", "values", "numbers", "any"]

# Both arms are clipped alike: clipping each at its own type's resolution makes float32 look better than float64.
LEAST_PROBABILITY = float(np.finfo(np.float32).eps)
BINARY = 2
MATRIX = 2
# Tasks whose answers have no truth to be held against by default: their labels are arbitrary.
LABELS_BY_CONVENTION = ("clustering", "outlier")


@dataclass(frozen=True, eq=False)
class Context:
    """What a metric must know beside target and prediction.

    Attributes:
        classes: the labels in the order of the scores' columns; the second of two is the positive class.
        groups: the query of each row (N,), for rankings.
    """

    classes: tuple[Any, ...] = ()
    groups: Array | None = None


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
        by_query: whether `bind`'s function takes the positions of queries and not of rows.
        foreign: whether somebody else's code computes it, which is slower.
        notes: what a reader must know to read it.
    """

    name: str
    direction: Direction
    bind: Callable[[Any, Prediction, Context], Scorer] = field(repr=False)
    needs: Part = "any"
    target: Literal["y", "labels", "numbers"] = "y"
    counts: bool = False
    stratify: bool = False
    by_query: bool = False
    foreign: bool = False
    notes: tuple[str, ...] = ()

    def score(self, y: Array, prediction: Prediction, context: Context | None = None) -> float:
        """The figure of all rows.

        Args:
            y: the target (N,) or (N, K).
            prediction: of the same N rows.
            context: classes in the order of the scores' columns, and queries.

        Raises:
            NotMeasuredError: it cannot be computed of what there is.
        """
        context = context or Context(classes_of(y, prediction.labels))
        return self.bind(y, prediction, context)(np.arange(self.units(len(y), context), dtype=np.intp))

    def units(self, rows: int, context: Context) -> int:
        """How many rows, or queries, it is a figure of."""
        return len(set(np.asarray(context.groups).tolist())) if self.by_query else rows


def resolve_metric(
    name: str | None,
    *,
    task: Task,
    y: Array,
    groups: Array | None = None,
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
        return _own_metric(name or str(getattr(function, "__name__", "metric")), function, direction)
    name = name or _default_name(task, has_target=y is not None, has_queries=groups is not None)
    metric = METRICS.get(name) or _sklearn_metric(name, task)
    if direction not in {None, metric.direction}:
        raise UsageError(f"metric_direction={direction!r}: of {name!r}, {metric.direction} is better.", "leave it out")
    return metric


def _default_name(task: Task, *, has_target: bool, has_queries: bool) -> str:
    if has_target and task == "classification":
        return "accuracy"
    if has_target and task == "regression":
        return "rmse"
    if has_target and task == "ranking" and has_queries:
        return "ndcg"
    if task in {"classification", *LABELS_BY_CONVENTION}:
        return "agreement"
    return "cosine" if task == "transform" else "fidelity"


# --- arrays -----------------------------------------------------------------------------------------------------


def as_labels(values: Any) -> Array:
    """Labels as an array (N,) or (N, K); a column (N, 1) becomes (N,)."""
    array = np.asarray(values)
    return array[:, 0] if array.ndim == MATRIX and array.shape[1] == 1 else array


def align(one: Array, other: Array, what: str) -> tuple[Array, Array]:
    """Bring (N,) and (N, 1) together.

    Raises:
        NotMeasuredError: other shapes that differ.
    """
    first, second = as_labels(one), as_labels(other)
    if first.shape != second.shape:
        raise NotMeasuredError(
            f"{what}: shapes {np.shape(one)} and {np.shape(other)} do not belong together.",
            "give one target a row, or as many as the model answers",
        )
    return first, second


def same_labels(one: Array, other: Array) -> NDArray[np.bool_]:
    """Whether each row (N,) has the same label; of several labels a row, whether all of them are."""
    first, second = align(one, other, "labels")
    same: NDArray[np.bool_] = np.asarray(first == second, dtype=np.bool_)
    every: NDArray[np.bool_] = np.all(same.reshape(len(same), -1), axis=1)
    return every


def classes_of(*labels: Any) -> tuple[Any, ...]:
    """The distinct labels of several arrays, sorted if they can be; None is skipped."""
    found = {item for array in labels if array is not None for item in np.asarray(array).ravel().tolist()}
    try:
        return tuple(sorted(found))
    except TypeError:
        return tuple(sorted(found, key=str))


def codes_of(labels: Array, classes: Iterable[Any]) -> NDArray[np.intp]:
    """The position of each label (N,) among the classes; equal numbers of any type are the same label.

    Raises:
        NotMeasuredError: several labels a row.
    """
    array = as_labels(labels)
    if array.ndim != 1:
        raise NotMeasuredError(
            f"labels of shape {array.shape} hold several a row, which this metric does not take.",
            "use accuracy, a scikit-learn scorer such as 'f1_macro', or an own metric",
        )
    position = {label: index for index, label in enumerate(classes)}
    return np.array([position[label] for label in array.tolist()], dtype=np.intp)


def _floats(values: Any, what: str) -> NDArray[np.float64]:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise UsageError(f"{what} must be numbers for this metric,", f"not {np.asarray(values).dtype}") from None


def part_of(prediction: Prediction, needs: Part) -> Array:
    """The part of a prediction that a metric reads; for ``any``, labels if there are any, else numbers.

    Raises:
        NotMeasuredError: the model does not answer it.
    """
    found = {
        "labels": prediction.labels,
        "scores": prediction.scores,
        "probabilities": prediction.scores if prediction.scores_are_probabilities else None,
        "values": prediction.values,
        "numbers": prediction.numbers,
        "any": prediction.labels if prediction.labels is not None else prediction.numbers,
    }[needs]
    if found is None:
        have = [name for name in ("labels", "scores", "values") if getattr(prediction, name) is not None]
        raise NotMeasuredError(
            f"the metric needs {needs}, and the model answers {' and '.join(have) or 'nothing'}.",
            "use a metric of what it answers (labels: accuracy, f1; scores: roc_auc; values: rmse, cosine)",
        )
    return found


def _columns(prediction: Prediction, context: Context, needs: Part) -> NDArray[np.float64]:
    """Scores (N, K), a column per class; a single column is the positive class of two."""
    scores = np.asarray(part_of(prediction, needs), dtype=np.float64)
    positive = as_labels(scores)
    if positive.ndim == 1:
        scores = np.column_stack([1 - positive if needs == "probabilities" else -positive, positive])
    if scores.shape[1] != len(context.classes):
        raise NotMeasuredError(
            f"{scores.shape[1]} columns of scores for {len(context.classes)} classes {context.classes[:10]!r}.",
            "use labels that the model knows, or a metric of labels (accuracy, f1)",
        )
    return scores


# --- means over rows --------------------------------------------------------------------------------------------


def _mean_of(figures: NDArray[np.float64]) -> Scorer:
    return lambda rows: float(figures[rows].mean())


def _accuracy(y: Array, prediction: Prediction, _: Context) -> Scorer:
    return _mean_of(same_labels(y, part_of(prediction, "labels")).astype(np.float64))


def _residuals(y: Array, prediction: Prediction, needs: Part = "values") -> tuple[Array, Array]:
    """Target and residuals, both (N, outputs)."""
    target, answer = align(y, part_of(prediction, needs), "y and the values")
    truth = _floats(target, "y").reshape(len(target), -1)
    return truth, _floats(answer, "the values").reshape(truth.shape) - truth


def _rmse(y: Array, prediction: Prediction, _: Context) -> Scorer:
    squares = _residuals(y, prediction)[1] ** 2
    return lambda rows: float(np.sqrt(squares[rows].mean(axis=0)).mean())


def _mae(y: Array, prediction: Prediction, _: Context) -> Scorer:
    return _mean_of(np.abs(_residuals(y, prediction)[1]).mean(axis=1))


def _r2(y: Array, prediction: Prediction, _: Context) -> Scorer:
    truth, residuals = _residuals(y, prediction)

    def score(rows: NDArray[np.intp]) -> float:
        spread = truth[rows].var(axis=0)
        shares = (residuals[rows] ** 2).mean(axis=0) / np.where(spread > 0, spread, np.nan)
        return float((1 - shares).mean())

    return score


def _fidelity(reference: Array, prediction: Prediction, _: Context) -> Scorer:
    truth, residuals = _residuals(reference, prediction, "numbers")

    def score(rows: NDArray[np.intp]) -> float:
        spread = truth[rows].var(axis=0).sum()
        return float(1 - (residuals[rows] ** 2).mean(axis=0).sum() / spread) if spread > 0 else float("nan")

    return score


def _cosine(reference: Array, prediction: Prediction, _: Context) -> Scorer:
    one, other = align(reference, part_of(prediction, "numbers"), "the numbers of both models")
    if one.ndim == 1:
        raise NotMeasuredError(
            "metric 'cosine': one number a row has no direction, only a sign.", "use metric='fidelity'"
        )
    first, second = (_floats(array, "outputs").reshape(len(one), -1) for array in (one, other))
    lengths = np.linalg.norm(first, axis=1), np.linalg.norm(second, axis=1)
    product, both_zero = lengths[0] * lengths[1], (lengths[0] == 0) & (lengths[1] == 0)
    cosines = (first * second).sum(axis=1) / np.where(product > 0, product, 1)
    return _mean_of(np.where(both_zero, 1.0, cosines))


def _log_loss(y: Array, prediction: Prediction, context: Context) -> Scorer:
    probabilities = _columns(prediction, context, "probabilities")
    own = probabilities[np.arange(len(probabilities)), codes_of(y, context.classes)]
    return _mean_of(-np.log(np.clip(own, LEAST_PROBABILITY, 1)))


# --- by class ---------------------------------------------------------------------------------------------------


def _from_confusion(figure: Callable[[Array, Array, Array], tuple[Array, Array]]) -> Callable[..., Scorer]:
    """A metric of right, true and predicted counts by class: of the second of two classes, else their mean.

    `figure` gives numerators and denominators; a class without any row is left out of the mean.
    """

    def bind(y: Array, prediction: Prediction, context: Context) -> Scorer:
        size = len(context.classes)
        cells = codes_of(y, context.classes) * size + codes_of(part_of(prediction, "labels"), context.classes)

        def score(rows: NDArray[np.intp]) -> float:
            table = np.bincount(cells[rows], minlength=size * size).reshape(size, size)
            right, true, predicted = table.diagonal(), table.sum(axis=1), table.sum(axis=0)
            numerator, denominator = figure(right, true, predicted)
            shares = numerator / np.maximum(denominator, 1)
            return float(shares[1] if size == BINARY else shares[(true + predicted) > 0].mean())

        return score

    return bind


def _balanced_accuracy(y: Array, prediction: Prediction, context: Context) -> Scorer:
    truth = codes_of(y, context.classes)
    right = truth == codes_of(part_of(prediction, "labels"), context.classes)

    def score(rows: NDArray[np.intp]) -> float:
        sizes = np.bincount(truth[rows])
        return float((np.bincount(truth[rows], weights=right[rows])[sizes > 0] / sizes[sizes > 0]).mean())

    return score


def _by_ranking(figure: Callable[[Array, Array], float]) -> Callable[..., Scorer]:
    """A metric of how scores rank each class against the rest: of the second of two classes, else their mean.

    `figure` gets the numbers of positive and negative rows at each distinct score, in falling order.
    """

    def bind(y: Array, prediction: Prediction, context: Context) -> Scorer:
        scores, truth = _columns(prediction, context, "scores"), codes_of(y, context.classes)
        judged = [1] if len(context.classes) == BINARY else range(len(context.classes))
        columns = [(np.unique(-scores[:, k], return_inverse=True)[1], truth == k) for k in judged]

        def of_column(place: NDArray[np.intp], is_positive: NDArray[np.bool_]) -> float:
            positive = np.bincount(place, weights=is_positive)
            count = np.bincount(place)
            inside = 0 < positive.sum() < place.size
            return figure(positive, count - positive) if inside else float("nan")

        def score(rows: NDArray[np.intp]) -> float:
            figures = [of_column(place[rows], is_positive[rows]) for place, is_positive in columns]
            defined = [value for value in figures if not np.isnan(value)]
            return float(np.mean(defined)) if defined else float("nan")

        return score

    return bind


def _area(positive: Array, negative: Array) -> float:
    after = negative.sum() - np.cumsum(negative)
    return float((positive * (after + negative / 2)).sum() / (positive.sum() * negative.sum()))


def _average_precision(positive: Array, negative: Array) -> float:
    found = np.cumsum(positive)
    precision = found / np.maximum(found + np.cumsum(negative), 1)
    return float((positive * precision).sum() / positive.sum())


# --- by query ---------------------------------------------------------------------------------------------------


def _ndcg(y: Array, prediction: Prediction, context: Context) -> Scorer:
    relevance, scores = align(y, part_of(prediction, "numbers"), "y and the ranking scores")
    if context.groups is None or relevance.ndim != 1:
        raise NotMeasuredError("metric 'ndcg' needs the query of each row.", "pass groups, one query a row")
    gains, ranks = _floats(relevance, "y"), _floats(scores, "the ranking scores")
    queries = codes_of(context.groups, dict.fromkeys(np.asarray(context.groups).tolist()))
    figures = np.array([_query_ndcg(gains[queries == k], ranks[queries == k]) for k in range(queries.max() + 1)])

    def score(drawn: NDArray[np.intp]) -> float:
        defined = figures[drawn][~np.isnan(figures[drawn])]
        return float(defined.mean()) if defined.size else float("nan")

    return score


def _query_ndcg(gains: NDArray[np.float64], scores: NDArray[np.float64]) -> float:
    """NDCG of one query with linear gains; rows with equal scores share the mean gain. NaN without relevant rows.

    Source: F. McSherry, M. Najork: Computing information retrieval performance measures efficiently in the
    presence of tied scores (ECIR 2008), as in scikit-learn's ``ndcg_score``.
    """
    discounts = 1 / np.log2(np.arange(gains.size) + 2)
    best = float((np.sort(gains)[::-1] * discounts).sum())
    if best <= 0:
        return float("nan")
    _, place, counts = np.unique(-scores, return_inverse=True, return_counts=True)
    mean_gains = np.bincount(place, weights=gains) / counts
    edges = np.concatenate(([0], np.cumsum(counts)[:-1]))
    return float((mean_gains * np.add.reduceat(discounts, edges)).sum()) / best


# --- the user's own, and scikit-learn's -----------------------------------------------------------------------


def _own_metric(name: str, function: Callable[[Any, Any], Any], direction: Direction | None) -> Metric:
    if direction is None:
        raise UsageError(f"own metric {name!r} has no direction.", 'say metric_direction="higher" or "lower"')

    def bind(y: Array, prediction: Prediction, _: Context) -> Scorer:
        truth, answer = np.asarray(y), np.asarray(part_of(prediction, "any"))
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
            f"metric {name!r} raised {type(error).__name__}: {error}.", "call it on y and the predictions to see why"
        ) from error
    if getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        shape = f" of shape {value.shape}" if hasattr(value, "shape") else ""
        raise NotMeasuredError(f"metric {name!r} gave {type(value).__name__}{shape}.", "return one number")
    return float(value)


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
    is_loss, scorer = name.startswith("neg_"), get_scorer(name)
    shown = name.removeprefix("neg_")

    def bind(y: Array, prediction: Prediction, context: Context) -> Scorer:
        truth, recorded = np.asarray(y), _recorded(prediction, context, task)

        def compute(rows: NDArray[np.intp]) -> float:
            with (
                warnings.catch_warnings(),
                sklearn.config_context(skip_parameter_validation=True, assume_finite=True),
            ):
                warnings.simplefilter("ignore")  # of undefined figures, which we tell as such
                value = float(scorer(recorded, rows, truth[rows]))
            return -value if is_loss else value

        return lambda rows: _call(shown, lambda: compute(rows))

    return Metric(
        shown, "lower" if is_loss else "higher", bind, stratify=task == "classification", foreign=True,
        notes=(f"scikit-learn's scorer {name!r}",),
    )  # fmt: skip


def _recorded(prediction: Prediction, context: Context, task: Task) -> Any:
    """An estimator that answers what is recorded, for rows that are given by their positions."""
    from sklearn.base import BaseEstimator, ClassifierMixin, ClusterMixin, OutlierMixin, RegressorMixin

    mixin = {"classification": ClassifierMixin, "clustering": ClusterMixin, "outlier": OutlierMixin}
    methods = {"predict": part_of(prediction, "any")}
    if prediction.scores is not None and prediction.scores_are_probabilities:
        methods["predict_proba"] = _columns(prediction, context, "probabilities")
    elif prediction.scores is not None:
        scores = as_labels(prediction.scores)
        is_binary = scores.ndim == MATRIX and scores.shape[1] == BINARY
        methods["decision_function"] = scores[:, 1] if is_binary else scores
    bases = (mixin.get(task, RegressorMixin), BaseEstimator)
    recorded: Any = type("Recorded", bases, {name: _lookup(name, answers) for name, answers in methods.items()})()
    recorded.classes_ = np.asarray(context.classes)
    return recorded


def _lookup(name: str, answers: Array) -> Callable[[Any, NDArray[np.intp]], Array]:
    """A method that gives the recorded answers of rows; scorers read its name."""

    def method(_: Any, rows: NDArray[np.intp]) -> Array:
        return answers[rows]

    method.__name__ = name
    return method


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "higher", _accuracy, "labels", counts=True),
        Metric("agreement", "higher", _accuracy, "labels", "labels", counts=True),
        Metric("balanced_accuracy", "higher", _balanced_accuracy, "labels", stratify=True),
        Metric("f1", "higher", _from_confusion(lambda r, t, p: (2 * r, t + p)), "labels", stratify=True),
        Metric("precision", "higher", _from_confusion(lambda r, _, p: (r, p)), "labels", stratify=True),
        Metric("recall", "higher", _from_confusion(lambda r, t, _: (r, t)), "labels", stratify=True),
        Metric("roc_auc", "higher", _by_ranking(_area), "scores", stratify=True),
        Metric("average_precision", "higher", _by_ranking(_average_precision), "scores", stratify=True),
        Metric("log_loss", "lower", _log_loss, "probabilities"),
        Metric("rmse", "lower", _rmse, "values"),
        Metric("mae", "lower", _mae, "values"),
        Metric("r2", "higher", _r2, "values"),
        Metric("ndcg", "higher", _ndcg, "numbers", by_query=True),
        Metric("cosine", "higher", _cosine, "numbers", "numbers"),
        Metric("fidelity", "higher", _fidelity, "numbers", "numbers",
               notes=("the share of the variance of the original's answers that the variant reproduces",)),
    )
}  # fmt: skip
