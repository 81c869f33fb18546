"""The formulas of our metrics, in NumPy only.

Each is bound once to a target and a prediction, and gives a function from rows' positions to the figure of those
rows, so that a bootstrap of thousands of draws takes about a tenth of a second. Definitions are scikit-learn's,
whose functions are the tests' oracle, except where a docstring says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pytest_inferopt.engine.correctness.answers import (
    align,
    codes_of,
    floats_of,
    part_of,
    positions_by_key,
    same_labels,
    score_columns,
)
from pytest_inferopt.errors import NotMeasuredError

if TYPE_CHECKING:
    from pytest_inferopt.domain.artifact import Prediction
    from pytest_inferopt.engine.correctness.answers import Part

__all__ = [
    "Bind",
    "Context",
    "Scorer",
    "accuracy",
    "area",
    "average_precision",
    "balanced_accuracy",
    "by_ranking",
    "cosine",
    "fidelity",
    "from_confusion",
    "log_loss",
    "mae",
    "ndcg",
    "r2",
    "rmse",
]

Scorer = Callable[[NDArray[np.intp]], float]

# Both models are clipped alike: clipping each at its own type's resolution makes float32 look better than float64.
LEAST_PROBABILITY = float(np.finfo(np.float32).eps)
BINARY = 2


@dataclass(frozen=True, eq=False)
class Context:
    """What a metric must know beside target and prediction.

    Attributes:
        classes: the labels in the order of the scores' columns; the second of two is the positive class.
        groups: the query of each row (N,), for rankings.
    """

    classes: tuple[Any, ...] = ()
    groups: Any = None


Bind = Callable[[Any, "Prediction", Context], Scorer]


# --- means over rows --------------------------------------------------------------------------------------------


def _mean_of(figures: NDArray[np.float64]) -> Scorer:
    return lambda rows: float(figures[rows].mean())


def accuracy(y: Any, prediction: Prediction, _: Context) -> Scorer:
    """The share of rows with the right label; of several labels a row, with all of them right."""
    return _mean_of(same_labels(y, part_of(prediction, "labels"), "y and the labels").astype(np.float64))


def _residuals(y: Any, prediction: Prediction, part: Part = "values") -> tuple[Any, Any]:
    """Target and residuals, both (N, outputs)."""
    target, answer = align(y, part_of(prediction, part), "y and the values")
    truth = floats_of(target, "y").reshape(len(target), -1)
    return truth, floats_of(answer, "the values").reshape(truth.shape) - truth


def rmse(y: Any, prediction: Prediction, _: Context) -> Scorer:
    """The root of the mean squared error; of several outputs, their mean."""
    squares = _residuals(y, prediction)[1] ** 2
    return lambda rows: float(np.sqrt(squares[rows].mean(axis=0)).mean())


def mae(y: Any, prediction: Prediction, _: Context) -> Scorer:
    """The mean absolute error, over all outputs."""
    return _mean_of(np.abs(_residuals(y, prediction)[1]).mean(axis=1))


def r2(y: Any, prediction: Prediction, _: Context) -> Scorer:
    """The coefficient of determination; of several outputs, their mean. NaN where a target is constant."""
    truth, residuals = _residuals(y, prediction)

    def score(rows: NDArray[np.intp]) -> float:
        spread = truth[rows].var(axis=0)
        shares = (residuals[rows] ** 2).mean(axis=0) / np.where(spread > 0, spread, np.nan)
        return float((1 - shares).mean())

    return score


def fidelity(reference: Any, prediction: Prediction, _: Context) -> Scorer:
    """The share of the variance of the reference's numbers that is reproduced, over all outputs together."""
    truth, residuals = _residuals(reference, prediction, "numbers")

    def score(rows: NDArray[np.intp]) -> float:
        spread = truth[rows].var(axis=0).sum()
        return float(1 - (residuals[rows] ** 2).mean(axis=0).sum() / spread) if spread > 0 else float("nan")

    return score


def cosine(reference: Any, prediction: Prediction, _: Context) -> Scorer:
    """The mean cosine of each row's numbers to the reference's; two rows of zeros are alike.

    Raises:
        NotMeasuredError: one number a row.
    """
    one, other = align(reference, part_of(prediction, "numbers"), "the numbers of both models")
    if one.ndim == 1:
        raise NotMeasuredError(
            "metric 'cosine': one number a row has no direction, only a sign.", "Use metric='fidelity'."
        )
    first, second = (floats_of(array, "outputs").reshape(len(one), -1) for array in (one, other))
    lengths = np.linalg.norm(first, axis=1), np.linalg.norm(second, axis=1)
    product, both_zero = lengths[0] * lengths[1], (lengths[0] == 0) & (lengths[1] == 0)
    cosines = (first * second).sum(axis=1) / np.where(product > 0, product, 1)
    return _mean_of(np.where(both_zero, 1.0, cosines))


# --- scores of classes ------------------------------------------------------------------------------------------


def _columns(prediction: Prediction, context: Context, part: Part) -> NDArray[np.float64]:
    scores = score_columns(part_of(prediction, part), are_probabilities=prediction.scores_are_probabilities)
    if scores.shape[1] != len(context.classes):
        raise NotMeasuredError(
            f"{scores.shape[1]} columns of scores for {len(context.classes)} classes {context.classes[:10]!r}.",
            "Leave out rows of classes that the model does not know, or use a metric of labels (accuracy, f1).",
        )
    return scores


def log_loss(y: Any, prediction: Prediction, context: Context) -> Scorer:
    """The mean negative log of the true class's probability, clipped at float32's resolution (1.2e-7)."""
    truth, probabilities = codes_of(y, context.classes), _columns(prediction, context, "probabilities")
    own = probabilities[np.arange(len(truth)), truth]
    return _mean_of(-np.log(np.clip(own, LEAST_PROBABILITY, 1)))


def by_ranking(figure: Callable[[Any, Any], float]) -> Bind:
    """A metric of how scores rank each class against the rest: of the second of two classes, else their mean.

    A class that is absent from the rows, or alone in them, is left out of the mean, because it cannot be ranked.

    Args:
        figure: gets the numbers of positive and negative rows at each distinct score, in falling order.
    """

    def bind(y: Any, prediction: Prediction, context: Context) -> Scorer:
        truth, scores = codes_of(y, context.classes), _columns(prediction, context, "scores")
        judged = [1] if len(context.classes) == BINARY else range(len(context.classes))
        columns = [(np.unique(-scores[:, k], return_inverse=True)[1], truth == k) for k in judged]

        def of_column(place: NDArray[np.intp], is_positive: NDArray[np.bool_]) -> float:
            positive, count = np.bincount(place, weights=is_positive), np.bincount(place)
            return figure(positive, count - positive) if 0 < positive.sum() < place.size else float("nan")

        def score(rows: NDArray[np.intp]) -> float:
            return _mean_of_defined(np.array([of_column(place[rows], truth[rows]) for place, truth in columns]))

        return score

    return bind


def area(positive: Any, negative: Any) -> float:
    """The area under the ROC curve: how often a positive row outranks a negative one, ties counting half."""
    after = negative.sum() - np.cumsum(negative)
    return float((positive * (after + negative / 2)).sum() / (positive.sum() * negative.sum()))


def average_precision(positive: Any, negative: Any) -> float:
    """The mean, over positive rows, of the precision at their score."""
    found = np.cumsum(positive)
    precision = found / np.maximum(found + np.cumsum(negative), 1)
    return float((positive * precision).sum() / positive.sum())


# --- labels by class --------------------------------------------------------------------------------------------


def from_confusion(figure: Callable[[Any, Any, Any], tuple[Any, Any]]) -> Bind:
    """A metric of counts by class: of the second of two classes, else the mean over the classes that occur.

    Args:
        figure: gets right, true and predicted rows by class, and gives numerators and denominators; 0/0 is 0.
    """

    def bind(y: Any, prediction: Prediction, context: Context) -> Scorer:
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


def balanced_accuracy(y: Any, prediction: Prediction, context: Context) -> Scorer:
    """The mean, over the classes in y, of the share of their rows that are right."""
    truth = codes_of(y, context.classes)
    right = truth == codes_of(part_of(prediction, "labels"), context.classes)

    def score(rows: NDArray[np.intp]) -> float:
        sizes = np.bincount(truth[rows])
        return float((np.bincount(truth[rows], weights=right[rows])[sizes > 0] / sizes[sizes > 0]).mean())

    return score


# --- queries ----------------------------------------------------------------------------------------------------


def ndcg(y: Any, prediction: Prediction, context: Context) -> Scorer:
    """The mean NDCG of queries; its function takes the positions of queries, in order of appearance.

    Queries without a relevant row say nothing about an order and are left out.

    Raises:
        NotMeasuredError: without queries.
    """
    relevance, scores = align(y, part_of(prediction, "numbers"), "y and the ranking scores")
    if context.groups is None or relevance.ndim != 1:
        raise NotMeasuredError("metric 'ndcg' needs one relevance and the query of each row.", "Pass groups.")
    gains, ranks = floats_of(relevance, "y"), floats_of(scores, "the ranking scores")
    figures = np.array([_query_ndcg(gains[rows], ranks[rows]) for rows in positions_by_key(context.groups)])
    return lambda queries: _mean_of_defined(figures[queries])


def _query_ndcg(gains: NDArray[np.float64], scores: NDArray[np.float64]) -> float:
    """NDCG of one query with linear gains; rows with equal scores share the mean gain. NaN without relevant rows.

    Source: F. McSherry, M. Najork: Computing information retrieval performance measures efficiently in the
    presence of tied scores (ECIR 2008).
    """
    discounts = 1 / np.log2(np.arange(gains.size) + 2)
    best = float((np.sort(gains)[::-1] * discounts).sum())
    if best <= 0:
        return float("nan")
    _, place, counts = np.unique(-scores, return_inverse=True, return_counts=True)
    mean_gains = np.bincount(place, weights=gains) / counts
    edges = np.concatenate(([0], np.cumsum(counts)[:-1]))
    return float((mean_gains * np.add.reduceat(discounts, edges)).sum()) / best


def _mean_of_defined(figures: NDArray[np.float64]) -> float:
    defined = figures[~np.isnan(figures)]
    return float(defined.mean()) if defined.size else float("nan")
