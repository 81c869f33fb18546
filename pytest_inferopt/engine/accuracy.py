"""Whether a variant is still right: its answers beside the original's, on the same rows.

Everything here is a pure function of predictions. `ratio ≥ threshold` decides exactly, on the figure as computed;
its interval is always shown, and decides only where the request says so.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pytest_inferopt.domain.result import Accuracy, Check, Conversion, Interval
from pytest_inferopt.engine.metrics import (
    Context,
    Metric,
    align,
    as_labels,
    classes_of,
    codes_of,
    part_of,
    resolve_metric,
    same_labels,
)
from pytest_inferopt.engine.statistics import (
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
# Rows times draws: beyond, there are fewer draws (said in the interval's method). About 2 s of our own metrics, and
# half a minute of scikit-learn's or a user's.
MAX_ROW_DRAWS, MAX_FOREIGN_ROW_DRAWS = 200_000_000, 20_000_000
REPEAT_TOLERANCE = 1e-6
Z = 1.959963984540054


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
        variant: what the variant answers for the same rows.
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
    rows = _check_rows(original, variant, y, groups)
    target = _target(metric, original, y)
    context = Context(tuple(classes) if classes is not None else (), groups)
    notes = [*metric.notes]
    _check_finite(original, "the original")
    _check_columns(original, variant)
    if metric.target == "y" and (original.labels is not None or original.scores is not None):
        notes += _check_classes(target, original, context)
        context = Context(_all_classes(context.classes, target, original.labels, variant.labels), groups)
        notes += _class_notes(metric, target, context)
    score, reference = metric.score(target, variant, context), metric.score(target, original, context)
    ratio = _ratio(metric, score, reference)
    if metric.counts:
        interval, z = _counted(metric, target, (original, variant), threshold)
    else:
        interval, z = _drawn(metric, target, (original, variant), context, random_seed, ratio, threshold)
    straddles = _straddles(interval, threshold)
    return Accuracy(
        metric=metric.name,
        direction=metric.direction,
        rows=rows,
        score=score,
        original=reference,
        ratio=ratio,
        interval=interval,
        rows_to_settle=rows_to_settle(rows, z) if straddles else None,
        disagreements=_label_flips(original, variant),
        notes=tuple(notes),
    )


# --- what must hold before anything is computed ---------------------------------------------------------------


def _rows_of(prediction: Prediction) -> int:
    parts = (prediction.labels, prediction.values, prediction.scores)
    return next((len(part) for part in parts if part is not None), 0)


def _check_rows(original: Prediction, variant: Prediction, y: Any, groups: Any) -> int:
    rows = _rows_of(original)
    if rows < MIN_ROWS:
        raise NotMeasuredError(
            f"{rows or 'no'} validation rows, accuracy needs at least {MIN_ROWS}.",
            "give more rows; an interval of a few percent takes some hundred",
        )
    if _rows_of(variant) != rows:
        raise NotMeasuredError(
            f"the variant answers {_rows_of(variant)} rows, the original {rows}.",
            "convert with a dynamic batch axis",
        )
    for name, values in (("y", y), ("groups", groups)):
        if values is not None and len(values) != rows:
            raise UsageError(f"{name} has {len(values)} entries for {rows} rows.", "give one entry a row")
    return rows


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
            "pass y, or use metric='agreement' (labels) or 'fidelity' (values), which hold the variant to the original",
        )
    target = as_labels(y)
    missing = np.flatnonzero(_is_missing(target).reshape(len(target), -1).any(axis=1))
    if missing.size:
        raise UsageError(f"y is missing (NaN) in row {missing[0]}{_and_more(missing.size)}.", "drop or label such rows")
    return target


def _and_more(count: int) -> str:
    return f" and {count - 1} more" if count > 1 else ""


def _is_missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Where an array has NaN, infinity, None, NaT or pandas' NA."""
    if values.dtype.kind in "fc":
        return np.asarray(~np.isfinite(values), dtype=np.bool_)
    if values.dtype.kind != "O":
        return np.zeros(values.shape, dtype=np.bool_)
    missing = [item is None or type(item).__name__ in {"NAType", "NaTType"} or _is_nan(item) for item in values.flat]
    return np.array(missing, dtype=np.bool_).reshape(values.shape)


def _is_nan(item: Any) -> bool:
    return isinstance(item, float | np.floating) and math.isnan(item)


def _non_finite_rows(values: Any) -> NDArray[np.bool_]:
    """Whether each row (N,) has NaN or infinity."""
    array = np.asarray(values)
    if array.dtype.kind not in "fc":
        return np.zeros(len(array), dtype=np.bool_)
    bad: NDArray[np.bool_] = np.any(~np.isfinite(array.reshape(len(array), -1)), axis=1)
    return bad


def _check_finite(original: Prediction, who: str) -> None:
    for name in ("labels", "scores", "values"):
        values = getattr(original, name)
        bad = np.flatnonzero(_non_finite_rows(values)) if values is not None else np.array([])
        if bad.size:
            raise NotMeasuredError(
                f"{who}'s own {name} are NaN or infinite in {bad.size} of {len(values)} rows, first in row {bad[0]}.",
                "leave such rows out, or impute inside the model",
            )


def _check_columns(original: Prediction, variant: Prediction) -> None:
    """The variant must score as many classes as the original."""
    if original.scores is None or variant.scores is None:
        return
    first, second = (np.shape(as_labels(scores)) for scores in (original.scores, variant.scores))
    if first[1:] != second[1:]:
        raise NotMeasuredError(
            f"the variant's scores have shape {second}, the original's {first}: the classes differ.",
            "convert so that every class keeps its column (skl2onnx: zipmap off)",
        )


def _kind(values: Any) -> str:
    """What labels are made of: ``text`` or ``numbers``."""
    array = np.asarray(values)
    first = array.flat[0] if array.dtype.kind == "O" and array.size else array.dtype.type()
    return "text" if isinstance(first, str | bytes) else "numbers"


def _check_classes(target: Any, original: Prediction, context: Context) -> list[str]:
    """Hold the labels of y against those that the model knows, and tell what does not fit but counts."""
    known = context.classes or (() if original.labels is None else classes_of(original.labels))
    present = classes_of(target)
    if known and _kind(target) != _kind(np.asarray(known, dtype=object)):
        raise NotMeasuredError(
            f"y holds {present[0]!r} ({_kind(target)}), the model answers {known[0]!r} ({_kind(known)}): "
            "no row could ever be right.",
            "give y in the type that the model was trained on",
        )
    answerable = _answerable(original, context)
    if answerable is not None and target.ndim == 1 and len(present) > answerable:
        raise NotMeasuredError(
            f"y holds {len(present)} classes, the model can answer {answerable}.",
            "give the rows of the model's own classes, or a model of all of them",
        )
    return []


def _answerable(original: Prediction, context: Context) -> int | None:
    """How many classes the model can answer, where that is known."""
    if context.classes:
        return len(context.classes)
    if original.scores is None:
        return None
    scores = as_labels(original.scores)
    return 2 if scores.ndim == 1 else int(scores.shape[1])


def _all_classes(classes: tuple[Any, ...], *labels: Any) -> tuple[Any, ...]:
    """The model's classes in its own order, then the labels that it does not know."""
    return (*classes, *(label for label in classes_of(*labels) if label not in set(classes)))


def _class_notes(metric: Metric, target: Any, context: Context) -> list[str]:
    notes = []
    present = classes_of(target)
    if target.ndim == 1 and len(present) == 1:
        notes.append(f"y holds one class only, {present[0]!r}: nothing is said about the others")
    if metric.stratify and not metric.foreign and metric.name != "balanced_accuracy":
        count = len(context.classes)
        notes.append(f"positive class {context.classes[1]!r}" if count == 2 else f"mean over {count} classes")  # noqa: PLR2004 - binary
    return notes


# --- the ratio and its interval -------------------------------------------------------------------------------


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
                "check that y has several classes or values, or use another metric",
            )
    if reference == 0:
        means = "gets nothing right" if metric.direction == "higher" else "makes no error at all"
        other = "accuracy or mae" if metric.direction == "higher" else "r2 or agreement"
        raise NotMeasuredError(
            f"the original's {metric.name} is 0: it {means}, so no ratio to it is defined.",
            f"check that y and the rows belong together, or use another metric ({other})",
        )
    ratio = _quotient(metric, score, reference)
    if math.isnan(ratio):
        raise NotMeasuredError(
            f"{metric.name} is {reference:.4g} for the original and {score:.4g} for the variant: "
            "a ratio with a negative score means nothing.",
            "use a metric that is never negative (rmse, mae, accuracy)",
        )
    return min(ratio, MAX_RATIO)


def _counted(
    metric: Metric, target: Any, models: tuple[Prediction, Prediction], threshold: float
) -> tuple[Interval, float]:
    """The score interval of two shares of right rows, and z at the threshold."""
    first, second = (same_labels(target, prediction.labels) for prediction in models)
    both, only_original, only_variant = ((first & second).sum(), (first & ~second).sum(), (second & ~first).sum())
    counts = int(both), int(only_original), int(only_variant)
    z = paired_proportion_ratio_z(*counts, threshold) if threshold > 0 else math.inf
    if metric.target == "labels":  # the original agrees with itself, so this is one share and cannot exceed 1
        low, high = proportion_interval(counts[0], len(first))
        return Interval(low=low, high=high, level=LEVEL, method="Wilson's score interval of a proportion"), z
    lower, upper = paired_proportion_ratio_interval(*counts)
    method = "score interval of a ratio of paired proportions"
    return Interval(low=lower, high=upper, level=LEVEL, method=method), z


def _drawn(
    metric: Metric,
    target: Any,
    models: tuple[Prediction, Prediction],
    context: Context,
    seed: int,
    ratio: float,
    threshold: float,
) -> tuple[Interval, float]:
    """The paired bootstrap interval, and z at the threshold from the interval's lower half."""
    original, variant = (metric.bind(target, prediction, context) for prediction in models)

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
    unit = "queries" if metric.by_query else "rows" if groups is None else "groups"
    method = f"paired percentile bootstrap over {unit}, {draws} draws, seed {seed}"
    interval = Interval(low=low, high=high, method=method + (", stratified by class" if strata is not None else ""))
    return interval, Z * (ratio - threshold) / (ratio - low) if low is not None and low < ratio else math.inf


def _straddles(interval: Interval | None, threshold: float) -> bool:
    if interval is None or interval.low is None:
        return False
    return interval.low < threshold and (interval.high is None or threshold <= interval.high)


# --- what is judged -------------------------------------------------------------------------------------------


def check_accuracy(
    variant: str, accuracy: Accuracy, *, threshold: float, decision: Literal["point", "lower_bound"]
) -> Check:
    """Judge the ratio: it, or the lower limit of its interval, must reach the threshold.

    Args:
        variant: whose accuracy it is.
        accuracy: as measured.
        threshold: the least ratio; a figure exactly on it passes.
        decision: which of the two decides.
    """
    by_limit = decision == "lower_bound"
    low = accuracy.interval.low if accuracy.interval else None
    deciding = low if by_limit else accuracy.ratio
    if accuracy.ratio is None or deciding is None:
        reason, next_step = "the ratio has no lower limit on these rows", "give more rows"
        outcome: Literal["passed", "failed", "not_measured"] = "not_measured"
    else:
        outcome = "passed" if deciding >= threshold else "failed"
        reason = _accuracy_reason(accuracy, deciding, threshold, by_limit=by_limit)
        next_step = _accuracy_next_step(accuracy, threshold, passed=outcome == "passed", by_limit=by_limit)
    return Check(
        kind="accuracy",
        variant=variant,
        outcome=outcome,
        observed=deciding,
        limit=threshold,
        interval=accuracy.interval,
        reason=reason,
        next_step=next_step,
    )


def _apart(figure: float, limit: float) -> str:
    """A figure with four decimals, or with all where four do not tell it from the limit."""
    short = f"{figure:.4f}"
    return short if figure == limit or float(short) != float(f"{limit:.4f}") else repr(figure)


def _accuracy_reason(accuracy: Accuracy, deciding: float, threshold: float, *, by_limit: bool) -> str:
    subject = "lower limit of the accuracy ratio" if by_limit else "accuracy ratio"
    verb = "reaches" if deciding >= threshold else "is below"
    reason = (
        f"{subject} {_apart(deciding, threshold)} {verb} {threshold:g}: {accuracy.metric} {accuracy.score:.4f} "
        f"against the original's {accuracy.original:.4f} on {accuracy.rows:,} rows"
    )
    if accuracy.interval is None:
        return reason
    low, high = (
        "unknown" if limit is None else f"{limit:.4f}" for limit in (accuracy.interval.low, accuracy.interval.high)
    )
    reason += f", {accuracy.interval.level:.0%} interval {low} to {high}"
    if not _straddles(accuracy.interval, threshold):
        return reason
    settle = f"about {accuracy.rows_to_settle:,} rows would settle it" if accuracy.rows_to_settle else "none will"
    return f"{reason}; not certain on so few rows, {settle}"


def _accuracy_next_step(accuracy: Accuracy, threshold: float, *, passed: bool, by_limit: bool) -> str:
    if _straddles(accuracy.interval, threshold) and accuracy.rows_to_settle and (by_limit or passed):
        return f"validate on about {accuracy.rows_to_settle:,} rows"
    if passed:
        return ""
    rows = f"the {accuracy.disagreements:,} rows whose label differs" if accuracy.disagreements else "the worst rows"
    return f"look at {rows}; use a gentler technique or more calibration rows, or accept less with accuracy_threshold"


def compare_outputs(original: Prediction, variant: Prediction) -> Conversion:
    """Compare the answers of a file with the original's, row by row.

    Values are compared if both answer them, else scores if both are of a kind.

    Raises:
        NotMeasuredError: other numbers of rows or columns.
    """
    _check_rows_agree(original, variant)
    _check_columns(original, variant)
    compared, one, other = _comparable(original, variant)
    bad = np.zeros(_rows_of(original), dtype=np.bool_)
    for name in ("labels", "scores", "values"):
        before, after = getattr(original, name), getattr(variant, name)
        if after is not None:
            bad |= _non_finite_rows(after) & ~(_non_finite_rows(before) if before is not None else np.False_)
    return Conversion(
        rows=_rows_of(original),
        label_flips=_label_flips(original, variant),
        max_difference=_max_difference(one, other) if compared else None,
        compared=compared,
        non_finite=int(bad.sum()),
    )


def _check_rows_agree(original: Prediction, variant: Prediction) -> None:
    if _rows_of(original) != _rows_of(variant):
        raise NotMeasuredError(
            f"the variant answers {_rows_of(variant)} rows, the original {_rows_of(original)}.",
            "convert with a dynamic batch axis",
        )


def _comparable(original: Prediction, variant: Prediction) -> tuple[str, Any, Any]:
    """What both answer in numbers, in words and as arrays; nothing where they have nothing in common."""
    if original.values is not None and variant.values is not None:
        return "values", original.values, variant.values
    same_kind = original.scores_are_probabilities == variant.scores_are_probabilities
    if original.scores is None or variant.scores is None or not same_kind:
        return "", None, None
    kind = "probabilities" if original.scores_are_probabilities else "decision values"
    return kind, original.scores, variant.scores


def _max_difference(one: Any, other: Any) -> float | None:
    """The largest absolute difference of what is finite in both."""
    first, second = (np.asarray(array, dtype=np.float64) for array in align(one, other, "the numbers of both models"))
    both = np.isfinite(first) & np.isfinite(second)
    return float(np.abs(first[both] - second[both]).max()) if both.any() else None


def _label_flips(original: Prediction, variant: Prediction) -> int | None:
    if original.labels is None or variant.labels is None:
        return None
    return int((~same_labels(original.labels, variant.labels)).sum())


def check_conversion(variant: str, conversion: Conversion) -> Check:
    """Judge a conversion: NaN or infinity where the original has none fails; what merely differs is told."""
    if conversion.non_finite:
        return Check(
            kind="conversion",
            variant=variant,
            outcome="failed",
            observed=conversion.non_finite,
            limit=0,
            reason=f"{conversion.non_finite:,} of {conversion.rows:,} rows are NaN or infinite "
            "where the original's are finite",
            next_step="keep float32 (half precision overflows beyond 65,504), or keep the overflowing layers in it",
        )
    parts = []
    if conversion.label_flips is not None:
        parts.append(f"{conversion.label_flips:,} of {conversion.rows:,} labels differ")
    if conversion.max_difference is not None:
        parts.append(f"largest difference of {conversion.compared} {conversion.max_difference:.1g}")
    reason = ", ".join(parts) or f"{conversion.rows:,} rows answered, nothing to compare with the original's"
    return Check(
        kind="conversion", variant=variant, outcome="passed", observed=conversion.max_difference, reason=reason
    )


def check_deterministic(first: Prediction, second: Prediction, what: str) -> None:
    """Hold two answers of one model for the same rows against each other.

    Labels must be the same; numbers may differ by 1e-6 of the largest of them, which threads and their order of
    summation explain.

    Args:
        first: the first answer.
        second: the second answer.
        what: which model, for the message.

    Raises:
        NotMeasuredError: they differ, so that nothing measured of it would hold.
    """
    flips = _label_flips(first, second)
    apart = {name: _relative_difference(getattr(first, name), getattr(second, name)) for name in ("scores", "values")}
    worst = max(apart, key=lambda name: apart[name])
    if not flips and apart[worst] <= REPEAT_TOLERANCE:
        return
    seen = f"{flips} labels differ" if flips else f"{worst} differ by {apart[worst]:.1g} of the largest"
    raise NotMeasuredError(
        f"{what} answers differently for the same rows when asked twice: {seen}.",
        "switch dropout and sampling off (PyTorch: model.eval()), or fix its seed",
    )


def _relative_difference(first: Any, second: Any) -> float:
    if first is None or second is None:
        return 0.0
    one, other = (np.asarray(array, dtype=np.float64) for array in align(first, second, "two answers of one model"))
    finite = np.isfinite(one) & np.isfinite(other)
    if not np.array_equal(one[~finite], other[~finite], equal_nan=True):
        return math.inf
    if not finite.any():
        return 0.0
    return float(np.abs(one[finite] - other[finite]).max() / max(np.abs(one[finite]).max(), np.finfo(np.float64).tiny))
