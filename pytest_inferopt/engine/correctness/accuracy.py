"""Whether a variant is still right: its answers beside the original's, on the same rows.

Everything here is a pure function of predictions. `ratio ≥ threshold` decides exactly, on the figure as computed;
its interval is always shown, and decides only where the request says so.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_inferopt.domain.measured import Accuracy
from pytest_inferopt.domain.record import Interval
from pytest_inferopt.engine.correctness.answers import (
    PARTS,
    check_kinds,
    classes_of,
    codes_of,
    is_missing,
    label_flips,
    non_finite_rows,
    part_of,
    row_count_of,
    same_labels,
    score_columns,
    without_column_axis,
)
from pytest_inferopt.engine.correctness.conversion import (
    check_comparable,
    check_conversion,
    check_deterministic,
    compare_outputs,
)
from pytest_inferopt.engine.correctness.metrics import Context, Metric, resolve_metric
from pytest_inferopt.engine.correctness.slices import slices_of
from pytest_inferopt.engine.correctness.verdict import check_accuracy, straddles
from pytest_inferopt.engine.statistics.intervals import (
    LEVEL,
    paired_bootstrap,
    paired_proportion_ratio_interval,
    paired_proportion_ratio_z,
    proportion_interval,
    rows_to_settle,
)
from pytest_inferopt.errors import NotMeasuredError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pytest_inferopt.domain.artifact import Prediction

__all__ = [
    "MIN_ROWS",
    "Metric",
    "check_accuracy",
    "check_conversion",
    "check_deterministic",
    "compare_outputs",
    "measure_accuracy",
    "resolve_metric",
]

# One flipped label moves the ratio of fewer rows by more than 10 %, and a bootstrap of them repeats itself.
MIN_ROWS = 10
MAX_RATIO = 1e6  # of a variant without any error: JSON has no infinity
DRAWS, MIN_DRAWS = 2000, 200
# Rows times draws: beyond, there are fewer draws, and the interval's method says so.
MAX_ROW_DRAWS, MAX_FOREIGN_ROW_DRAWS = 200_000_000, 20_000_000
BINARY = 2


def measure_accuracy(  # noqa: PLR0913 - what is compared, on which rows, by what, against what
    original: Prediction,
    variant: Prediction,
    *,
    y: Any,
    groups: Any,
    metric: Metric,
    threshold: float,
    random_seed: int,
    classes: Sequence[Any] | None = None,
) -> Accuracy:
    """Score both models on the same rows, with the paired interval of their ratio.

    Args:
        original: what the original answers for N rows.
        variant: what the variant answers for the same rows; the original itself gets no interval.
        y: the target (N,) or (N, K); None where there is none.
        groups: the query or group of each row (N,): such rows are drawn together. None where there are none.
        metric: of `resolve_metric`.
        threshold: the ratio that is asked for; only `rows_to_settle` depends on it.
        random_seed: of the bootstrap's draws.
        classes: the labels in the order of the scores' columns; if None, read from the labels that occur.

    Raises:
        UsageError: y or groups of another length, a missing value in y.
        NotMeasuredError: fewer than 10 rows, answers or labels that do not fit each other, a score that is zero,
            negative or no number: where a ratio of scores would mean nothing.
    """
    rows = _check_rows(original, y, groups)
    check_comparable(original, variant)
    _check_finite("the original", original, PARTS)
    _check_finite("the variant", variant, _numbers_read_by(metric))
    target = _target(metric, original, y)
    known = _known_classes(original, target, classes)
    notes = [*metric.notes, *_class_notes(metric, original, target, known)]
    occurring = classes_of(target, original.labels, variant.labels) if _is_by_class(metric, original) else ()
    context = Context(
        classes=(*known, *(label for label in occurring if label not in set(known))),
        groups=None if groups is None else without_column_axis(groups),
    )
    score, reference = metric.score(target, variant, context), metric.score(target, original, context)
    ratio = _ratio(metric, score, reference)
    interval, settle = None, None
    if variant is not original:
        compare = _by_counts if metric.counts else _by_draws
        interval, z = compare(metric, target, (original, variant), context, threshold, random_seed)
        notes += _interval_notes(metric, interval)
        settle = rows_to_settle(rows, z) if ratio > threshold and straddles(interval, threshold) else None
    return Accuracy(
        metric=metric.name,
        direction=metric.direction,
        rows=rows,
        score=score,
        original=reference,
        ratio=ratio,
        interval=interval,
        rows_to_settle=settle,
        disagreements=label_flips(original, variant),
        slices=() if variant is original else slices_of(original, variant, y),
        notes=tuple(notes),
    )


# --- what must hold before anything is computed -----------------------------------------------------------------


def _check_rows(original: Prediction, y: Any, groups: Any) -> int:
    rows = row_count_of(original)
    if rows < MIN_ROWS:
        raise NotMeasuredError(
            f"{rows or 'no'} validation rows, accuracy needs at least {MIN_ROWS}.",
            "Give more; an interval of a few percent takes some hundred.",
        )
    for name, values in (("y", y), ("groups", groups)):
        if values is not None and len(values) != rows:
            raise UsageError(f"{name} has {len(values)} entries for {rows} rows.", "Give one a row.")
    return rows


def _numbers_read_by(metric: Metric) -> Sequence[str]:
    """The parts whose NaN would spoil the score; of a label metric none, since a label is right or wrong."""
    return {"scores": ("scores",), "probabilities": ("scores",), "labels": ()}.get(metric.needs, ("scores", "values"))


def _check_finite(who: str, prediction: Prediction, parts: Sequence[str]) -> None:
    for name in parts:
        values = getattr(prediction, name)
        bad = np.flatnonzero(non_finite_rows(values)) if values is not None else np.array([])
        if bad.size:
            raise NotMeasuredError(
                f"{who}'s {name} are NaN or infinite in {bad.size:,} of {len(values):,} rows, first in row {bad[0]}.",
                "Leave such rows out, or look at what the model gets for them.",
            )


def _target(metric: Metric, original: Prediction, y: Any) -> Any:
    """What both are held against.

    Raises:
        NotMeasuredError: there is no y, or the original has nothing to agree with.
        UsageError: a value of y is missing.
    """
    if metric.target != "y":
        return part_of(original, metric.target)
    if y is None:
        raise NotMeasuredError(
            f"metric {metric.name!r} needs y, and there is none.",
            "Pass y, or hold the variant to the original: metric='agreement' (labels) or 'fidelity' (values).",
        )
    target = without_column_axis(y)
    if target.dtype.kind == "O":
        missing = np.array([is_missing(item) for item in target.ravel().tolist()]).reshape(target.shape)
        bad = np.flatnonzero(missing.reshape(len(target), -1).any(axis=1))
    else:
        bad = np.flatnonzero(non_finite_rows(target))
    if bad.size:
        more = f" and {bad.size - 1:,} more" if bad.size > 1 else ""
        raise UsageError(f"y is missing (NaN or infinite) in row {bad[0]}{more}.", "Drop such rows, or label them.")
    return target


def _is_by_class(metric: Metric, original: Prediction) -> bool:
    return metric.target == "y" and (original.labels is not None or original.scores is not None)


def _known_classes(original: Prediction, target: Any, classes: Sequence[Any] | None) -> tuple[Any, ...]:
    """The labels in the order of the scores' columns, as told or, for a network's columns, as their positions."""
    if classes is not None:
        return tuple(label.item() if isinstance(label, np.generic) else label for label in classes)
    if original.scores is None:
        return ()
    columns = score_columns(original.scores, are_probabilities=False).shape[1]
    found = classes_of(target, original.labels)
    are_positions = all(isinstance(label, int) and 0 <= label < columns for label in found)
    return tuple(range(columns)) if are_positions else ()


def _class_notes(metric: Metric, original: Prediction, target: Any, known: tuple[Any, ...]) -> list[str]:
    """Hold the labels of y against those of the model, and tell what counts but must be known.

    Raises:
        NotMeasuredError: texts against numbers, or more classes than the model can answer.
    """
    if not _is_by_class(metric, original):
        return []
    names = np.array(known, dtype=object) if known else original.labels
    if names is not None:
        check_kinds(target, names, "y and the model's labels")
    if target.ndim != 1:
        return []
    present, notes = classes_of(target), []
    columns = None if original.scores is None else score_columns(original.scores, are_probabilities=False).shape[1]
    answerable = len(known) or columns
    if answerable and len(present) > answerable:
        raise NotMeasuredError(
            f"y holds {len(present)} classes, the model can answer {answerable}.",
            "Leave out rows of classes that the model does not know.",
        )
    unknown = [label for label in present if known and label not in set(known)]
    if unknown:
        notes.append(f"y holds labels that the model does not know, always wrong: {unknown[:10]!r}")
    if len(present) == 1:
        notes.append(f"y holds one class only, {present[0]!r}: nothing is said about others")
    if metric.has_positive_class:
        classes = known or classes_of(target, original.labels)
        binary = len(classes) == BINARY and not unknown
        notes.append(f"of the positive class, {classes[1]!r}" if binary else "mean over classes (macro)")
    return notes


# --- the ratio and its interval ---------------------------------------------------------------------------------


def _quotient(metric: Metric, score: float, reference: float) -> float:
    """1 is equal, less is worse; NaN where a ratio means nothing, infinity for a variant without error."""
    if metric.direction == "higher":
        return score / reference if reference > 0 else math.nan
    if score < 0 or reference <= 0:
        return math.nan
    return reference / score if score > 0 else math.inf


def _ratio(metric: Metric, score: float, reference: float) -> float:
    for who, figure in (("original", reference), ("variant", score)):
        if not math.isfinite(figure):
            raise NotMeasuredError(
                f"the {who}'s {metric.name} is {figure}.",
                "Check that y has several classes or values, or use another metric.",
            )
    if reference == 0:
        is_loss = metric.direction == "lower"
        raise NotMeasuredError(
            f"the original's {metric.name} is 0{', no error at all' if is_loss else ''}: no ratio to it is defined.",
            "Judge rows that it was not trained on, or use metric='r2' or 'agreement'."
            if is_loss
            else "Check that y and the rows belong together, or use a metric that is not 0 here.",
        )
    ratio = _quotient(metric, score, reference)
    if math.isnan(ratio):
        raise NotMeasuredError(
            f"{metric.name} is {reference:.4g} for the original and {score:.4g} for the variant: "
            "a ratio to or from a negative score means nothing.",
            "Use a metric that is never negative (rmse, mae, accuracy).",
        )
    return min(ratio, MAX_RATIO)


def _by_counts(
    metric: Metric, target: Any, models: tuple[Prediction, Prediction], _: Context, threshold: float, __: int
) -> tuple[Interval, float]:
    """The score interval of two shares of right rows, and z at the threshold."""
    first, second = (same_labels(target, model.labels) for model in models)
    both, only_original, only_variant = (int(x.sum()) for x in (first & second, first & ~second, second & ~first))
    z = paired_proportion_ratio_z(both, only_original, only_variant, threshold) if threshold > 0 else math.inf
    if metric.target == "labels":  # the original agrees with itself: one share, which cannot exceed 1
        low, high = proportion_interval(both, len(first))
        return Interval(low=low, high=high, level=LEVEL, method="Wilson's score interval of a share"), z
    limits = paired_proportion_ratio_interval(both, only_original, only_variant)
    method = "score interval of a ratio of paired proportions"
    return Interval(low=limits[0], high=limits[1], level=LEVEL, method=method), z


def _by_draws(
    metric: Metric,
    target: Any,
    models: tuple[Prediction, Prediction],
    context: Context,
    threshold: float,
    seed: int,
) -> tuple[Interval, float]:
    """The paired bootstrap interval, and z at the threshold from the interval's lower half."""
    original, variant = (metric.bind(target, model, context) for model in models)

    def score(rows: NDArray[np.intp]) -> float:
        try:
            return _quotient(metric, variant(rows), original(rows))
        except NotMeasuredError:  # somebody else's metric does not take these rows
            return math.nan

    rows = len(target)
    draws = min(DRAWS, max(MIN_DRAWS, (MAX_FOREIGN_ROW_DRAWS if metric.foreign else MAX_ROW_DRAWS) // rows))
    groups = None if context.groups is None or metric.by_query else codes_of(context.groups, classes_of(context.groups))
    strata = codes_of(target, context.classes) if metric.stratify and groups is None and target.ndim == 1 else None
    units = metric.units(rows, context)
    low, high = paired_bootstrap(score, units, seed=seed, groups=groups, strata=strata, draws=draws)
    drawn = "queries" if metric.by_query else "rows" if groups is None else "groups"
    method = f"paired percentile bootstrap over {drawn}, {draws:,} draws, seed {seed}"
    if strata is not None:
        method += ", stratified by class"
    interval = Interval(low=low, high=high, level=LEVEL, method=method)
    estimate = score(np.arange(units, dtype=np.intp))
    if low is None or low >= estimate:
        return interval, math.inf
    return interval, NormalDist().inv_cdf(0.5 + LEVEL / 2) * (estimate - threshold) / (estimate - low)


def _interval_notes(metric: Metric, interval: Interval) -> list[str]:
    if metric.counts:
        return []
    if interval.low is None and interval.high is None:
        return ["no interval: fewer than 10 rows, queries or groups to draw from, or draws without a defined ratio"]
    if interval.low == interval.high:
        return ["the models do not differ on these rows, and a bootstrap knows no difference that it has not seen"]
    return []
