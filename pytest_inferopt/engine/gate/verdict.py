"""The verdict of a latency gate: is the candidate slower than its baseline by more than is allowed?

A pure function of the replicates so far, each of them the contrast of both files in one fresh process: no clock, no
process, no model. Red means proven slower than allowed, and at most 1 % of gates are red by chance; passed means proven
not to be as slow as what must be caught; what is neither after the last replicate is inconclusive.

Sources: those of `pytest_inferopt.engine.statistics.signed_rank` for the test, the estimate and the interval, and those
of `pytest_inferopt.engine.gate.looks` for the shares. How often which slow-down is caught:
``benchmarks/gate/simulation.md``.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np

from pytest_inferopt.engine.gate.course import Course, follow
from pytest_inferopt.engine.gate.decision import Decision, Judged, Slowdown, State
from pytest_inferopt.engine.statistics.signed_rank import signed_rank_interval, signed_rank_p

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from pytest_inferopt.domain.slowdown import SlowdownLimits

__all__ = ["CONTROL_LEVEL", "TOGETHER", "contamination", "decide", "examine_control"]

TOGETHER = "all batch sizes together"
CONTROL_LEVEL = 0.01


def decide(
    values: ArrayLike, limits: SlowdownLimits, *, cells: Sequence[str], control: ArrayLike | None = None
) -> Decision:
    """Decide a gate from its replicates so far.

    All looks are taken anew, from the first one, so whatever an earlier one decided holds, and replicates beyond the
    stop are not looked at.

    Args:
        values: ln(candidate / baseline) of each replicate and cell (P, C), P being one of the looks; NaN where a cell
            had passed already and was no longer measured.
        limits: what is allowed and what must be caught.
        cells: their names (C,).
        control: ln(second copy of the baseline / baseline), one for each replicate (P,), of whichever cell had its
            turn; tested once, at the stop. None where there was no such copy.

    Raises:
        ValueError: P is no look, the shapes do not fit, or a live cell or the control lacks a finite figure.
    """
    figures = np.asarray(values, dtype=np.float64)
    course = follow(figures, limits)
    decision = Decision(
        verdict=course.verdict,
        replicates=course.replicates,
        looks=course.looks,
        cells=tuple(_cell(number, name, course, figures) for number, name in _numbered(cells, course)),
        together=_together(course, figures),
    )
    if control is not None:
        decision = _controlled(decision, np.asarray(control, dtype=np.float64), limits)
    return replace(decision, reason=_reason(decision, limits))


def _numbered(cells: Sequence[str], course: Course) -> list[tuple[int, str]]:
    return list(zip(range(course.cells), cells, strict=True))


def _cell(number: int, name: str, course: Course, figures: NDArray[np.float64]) -> Judged:
    slowdown = _slowdown(figures[: course.passed.get(number, course.replicates), number], course.limits)
    state = _state(is_regressed=number in course.regressed, has_passed=number in course.passed)
    return Judged(name, state, slowdown, number in course.improved)


def _together(course: Course, figures: NDArray[np.float64]) -> Judged:
    slowdown = _slowdown(figures[: course.replicates_together].mean(axis=1), course.limits)
    state = _state(is_regressed=course.is_regressed_together, has_passed=len(course.passed) == course.cells)
    return Judged(TOGETHER, state, slowdown, course.is_improved_together)


def _state(*, is_regressed: bool, has_passed: bool) -> State:
    if is_regressed:
        return "regressed"
    return "passed" if has_passed else "live"


def _slowdown(figures: NDArray[np.float64], limits: SlowdownLimits) -> Slowdown:
    # The first look has more than the six figures that carry both limits.
    estimate, low, high = cast("tuple[float, float, float]", signed_rank_interval(figures))
    # A centre at τ + 2h has its estimate above τ + h in nearly all runs, and so its lower limit above τ.
    detectable = limits.allowed_log + 2 * (estimate - low)
    shares = (math.expm1(log) for log in (estimate, low, high, detectable))
    return Slowdown(figures.size, *shares)


def _controlled(decision: Decision, copy: NDArray[np.float64], limits: SlowdownLimits) -> Decision:
    """The decision beside its control, which overrules a verdict where the copies of the baseline differ."""
    if copy.ndim != 1 or copy.size < decision.replicates:
        raise ValueError(f"the control has figures of shape {copy.shape} for {decision.replicates} replicates")
    measured, differs = examine_control(copy[: decision.replicates], limits)
    if decision.verdict is None or not differs:
        return replace(decision, control=measured)
    return replace(decision, control=measured, is_contaminated=True, verdict="inconclusive")


def examine_control(copy: ArrayLike, limits: SlowdownLimits) -> tuple[Slowdown, bool]:
    """How a second copy of the baseline differs from it, and whether by so much that nothing can be said.

    It keeps its 1 % only where it is asked once, at the stop.

    Args:
        copy: ln(copy / baseline), one for each replicate (P,), P ≥ 6.
        limits: what is allowed; copies may differ by half of it.
    """
    seen = np.asarray(copy, dtype=np.float64)
    measured = _slowdown(seen, limits)
    p = 2 * min(signed_rank_p(seen), signed_rank_p(-seen))
    return measured, p <= CONTROL_LEVEL and abs(math.log1p(measured.estimate)) > limits.allowed_log / 2


def contamination(control: Slowdown, limits: SlowdownLimits) -> str:
    """Why nothing can be said, in one sentence."""
    copies = f"the baseline beside a second copy of itself: {control.text}"
    return f"contaminated: {copies}; allowed {limits.text}, and the copies may differ by half of it"


def _reason(decision: Decision, limits: SlowdownLimits) -> str:
    """What was found, against what is allowed, in one sentence."""
    allowed = f"allowed {limits.text}"
    if decision.is_contaminated and decision.control:
        return contamination(decision.control, limits)
    if decision.verdict == "regressed":
        return f"{'; '.join(judged.text for judged in decision.regressed)}, {allowed}"
    if decision.verdict == "passed":
        return f"{max(decision.cells, key=_estimate).text}, {allowed}"
    worst = max((cell for cell in decision.cells if cell.state == "live"), key=_estimate)
    told = f"not certain after {decision.replicates} processes: {worst.text}, {allowed}"
    detectable = max(cell.slowdown.detectable for cell in decision.cells if cell.state == "live")
    return f"{told}; a slow-down of {100 * detectable:.1f} % would have been caught" if decision.verdict else told


def _estimate(judged: Judged) -> float:
    return judged.slowdown.estimate
