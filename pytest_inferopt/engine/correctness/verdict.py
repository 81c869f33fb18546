"""The verdict on an accuracy ratio, in figures and in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pytest_inferopt.domain.result import Check

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_inferopt.domain.measured import Accuracy, Slice
    from pytest_inferopt.domain.record import Interval

__all__ = ["check_accuracy", "straddles"]

NAMED_SLICES = 3
FIXED_POINT = (1e-3, 1e4)  # magnitudes that four decimals show


def straddles(interval: Interval | None, threshold: float) -> bool:
    """Whether the threshold lies inside the interval, so that these rows do not settle it."""
    if interval is None or interval.low is None:
        return False
    return interval.low < threshold and (interval.high is None or threshold <= interval.high)


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
    low = accuracy.interval.low if accuracy.interval else None
    deciding = accuracy.ratio if decision == "point" else low
    outcome: Literal["passed", "failed", "not_measured"] = "not_measured"
    if deciding is None:
        what = "accuracy ratio was not measured" if decision == "point" else "accuracy ratio has no lower limit"
        reason, next_step = f"the {what} on {accuracy.rows:,} rows.", "Give more rows."
    else:
        outcome = "passed" if deciding >= threshold else "failed"
        subject = "accuracy ratio" if decision == "point" else "lower limit of the accuracy ratio"
        reason = f"{subject} {_verdict_text(deciding, threshold)}: {_evidence(accuracy, threshold)}."
        if outcome == "failed":
            reason += _losses(accuracy.slices)
        next_step = _next_step(accuracy, threshold, outcome, decision)
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


def _verdict_text(figure: float, limit: float) -> str:
    """``0.9871 is below 0.99``; with all decimals where four do not tell the two apart."""
    short = f"{figure:.4f}"
    shown = short if figure == limit or float(short) != round(limit, 4) else repr(figure)
    return f"{shown} {'reaches' if figure >= limit else 'is below'} {limit!r}"


def _figure_text(figure: float | None) -> str:
    if figure is None:
        return "unknown"
    return f"{figure:.4f}" if figure == 0 or FIXED_POINT[0] <= abs(figure) < FIXED_POINT[1] else f"{figure:.4g}"


def _evidence(accuracy: Accuracy, threshold: float) -> str:
    """The scores, rows and interval that a ratio rests on, in words."""
    text = (
        f"{accuracy.metric} {_figure_text(accuracy.score)} against the original's {_figure_text(accuracy.original)} "
        f"on {accuracy.rows:,} rows"
    )
    interval = accuracy.interval
    if interval is None:
        return text
    text += f", {100 * interval.level:g} % interval {_figure_text(interval.low)} to {_figure_text(interval.high)}"
    if not straddles(interval, threshold):
        return text
    if accuracy.rows_to_settle is None:
        return f"{text}; not certain, and no number of rows would prove a ratio that is not above the threshold"
    return f"{text}; not certain, about {accuracy.rows_to_settle:,} rows would settle it"


def _losses(slices: Sequence[Slice]) -> str:
    """The parts of the rows that lost most, as a sentence; nothing where none lost anything."""
    lost = [part for part in slices if part.lost > 0][:NAMED_SLICES]
    if not lost:
        return ""
    told = (
        f"{part.name} ({_figure_text(part.original)} to {_figure_text(part.variant)} on {part.rows:,} rows)"
        for part in lost
    )
    return f" Lost most, by {lost[0].measure}: {', '.join(told)}."


def _next_step(accuracy: Accuracy, threshold: float, outcome: str, decision: str) -> str:
    settles = straddles(accuracy.interval, threshold) and accuracy.rows_to_settle is not None
    if settles and (outcome == "passed" or decision == "lower_bound"):
        return f"Validate on about {accuracy.rows_to_settle:,} rows."
    if outcome == "passed":
        return ""
    rows = f"the {accuracy.disagreements:,} rows whose label differs" if accuracy.disagreements else "the worst rows"
    return f"Look at {rows}; use a gentler technique or more calibration rows, or accept less with accuracy_threshold."
