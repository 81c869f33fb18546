"""A gate's ending as the records that are stored and drawn."""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pytest_inferopt.domain.comparison import CellComparison, Disturbance, Gate, SlowdownEstimate
from pytest_inferopt.domain.record import Interval
from pytest_inferopt.engine.duet.judging import MEDIAN, calls_of, figures_of
from pytest_inferopt.engine.duet.sensors import steal_share
from pytest_inferopt.engine.statistics.signed_rank import signed_rank_interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_inferopt.domain.slowdown import SlowdownLimits
    from pytest_inferopt.engine.duet.judging import Ending, Replicate
    from pytest_inferopt.engine.duet.process import DuetCell
    from pytest_inferopt.engine.gate.decision import Judged, Slowdown

__all__ = ["cell_records", "gate_record", "is_together"]

METHOD = "Walsh averages over fresh processes"

CellOutcome = Literal["regressed", "improved", "passed", "inconclusive", "advisory"]


def gate_record(ending: Ending, limits: SlowdownLimits) -> Gate:
    """The verdict of all cells together, and what it rests on; its notes say what is proven faster."""
    middle = ending.standing.median if ending.standing else None
    looks = (
        max((decision.looks for decision in ending.standing.decisions.values()), default=0) if ending.standing else 0
    )
    return Gate(
        verdict=ending.verdict,
        reason=ending.reason,
        allowed=limits.allowed,
        caught=limits.caught,
        looks=looks,
        replicates=len(ending.replicates),
        together=None if middle is None else _estimate(middle.together.slowdown),
        control=None if ending.control is None else _estimate(ending.control),
        is_contaminated=ending.is_contaminated,
        disturbance=_disturbance(ending),
        seconds=ending.seconds,
        notes=_faster(ending),
    )


def is_together(ending: Ending) -> bool:
    """Whether only all cells together are proven slower, and no single one of them."""
    decisions = ending.standing.decisions.values() if ending.standing else ()
    is_named = any(judged in decision.cells for decision in decisions for judged in decision.regressed)
    return ending.verdict == "regressed" and not is_named


def cell_records(ending: Ending) -> dict[str, tuple[CellComparison, ...]]:
    """By variant, its cells at p50, then at each further percentile; those of one that failed are left out."""
    tails = [tail.percentile for tail in ending.standing.tails] if ending.standing else []
    records: dict[str, list[CellComparison]] = {}
    for percentile in (MEDIAN, *tails):
        for cell in ending.names:
            figures = figures_of(cell, ending.replicates)
            records.setdefault(cell.variant, []).append(_cell_record(cell, percentile, figures, ending))
    return {variant: tuple(found) for variant, found in records.items()}


def _cell_record(
    cell: DuetCell, percentile: int, figures: Sequence[Mapping[str, Any]], ending: Ending
) -> CellComparison:
    name = ending.names[cell]
    judged = _judged(ending, name, percentile)
    logs = [found["contrast"] if percentile == MEDIAN else found["tails"][str(percentile)] for found in figures]
    slowdown = _estimate(judged.slowdown) if judged else _plain(logs)
    advisory = _advisory(ending, name, percentile)
    base_ms, head_ms = (
        median([found["percentiles_ms"][arm][str(percentile)] for found in figures]) if figures else None
        for arm in ("base", "head")
    )
    return CellComparison(
        batch_size=cell.batch_size,
        percentile=percentile,
        outcome="advisory" if advisory else _outcome(judged, ending),
        slowdown=slowdown,
        base_ms=base_ms,
        head_ms=head_ms,
        values=tuple(math.expm1(log) for log in logs[: slowdown.replicates if slowdown else None]),
        base_quantiles_ms=_quantiles_ms(figures, "base") if percentile == MEDIAN else (),
        head_quantiles_ms=_quantiles_ms(figures, "head") if percentile == MEDIAN else (),
        calls=calls_of(figures) if figures else None,
        reason=advisory,
    )


def _judged(ending: Ending, name: str, percentile: int) -> Judged | None:
    decision = ending.standing.decisions.get(percentile) if ending.standing else None
    cells = decision.cells if decision else ()
    return next((judged for judged in cells if judged.name == name), None)


def _advisory(ending: Ending, name: str, percentile: int) -> str:
    tails = ending.standing.tails if ending.standing else ()
    return next((tail.advisory.get(name, "") for tail in tails if tail.percentile == percentile), "")


def _outcome(judged: Judged | None, ending: Ending) -> CellOutcome:
    if judged is None or ending.is_contaminated:
        return "inconclusive"
    if judged.state == "regressed":
        return "regressed"
    if judged.has_improved:
        return "improved"
    return "passed" if judged.state == "passed" else "inconclusive"


def _estimate(slowdown: Slowdown) -> SlowdownEstimate:
    return SlowdownEstimate(
        estimate=slowdown.estimate,
        interval=Interval(low=slowdown.low, high=slowdown.high, method=METHOD),
        replicates=slowdown.replicates,
        detectable=slowdown.detectable,
    )


def _plain(logs: Sequence[float]) -> SlowdownEstimate | None:
    """What replicates say that nobody has judged."""
    if not logs:
        return None
    estimate, low, high = (None if log is None else math.expm1(log) for log in signed_rank_interval(logs))
    return SlowdownEstimate(
        estimate=estimate, interval=Interval(low=low, high=high, method=METHOD), replicates=len(logs)
    )


def _quantiles_ms(figures: Sequence[Mapping[str, Any]], arm: str) -> tuple[float, ...]:
    if not figures:
        return ()
    table = np.array([found["quantiles_ms"][arm] for found in figures])
    return tuple(np.round(np.median(table, axis=0), 6).tolist())


def _faster(ending: Ending) -> tuple[str, ...]:
    """A note for each percentile at which something is proven faster."""
    decisions = ending.standing.decisions if ending.standing and not ending.is_contaminated else {}
    return tuple(
        f"faster{'' if percentile == MEDIAN else f' at p{percentile}'}: "
        + "; ".join(judged.text for judged in decision.improved)
        for percentile, decision in decisions.items()
        if decision.improved
    )


def _disturbance(ending: Ending) -> Disturbance | None:
    taken: Sequence[Replicate] = ending.replicates
    if not taken:
        return Disturbance(repeated=ending.repeated) if ending.repeated else None
    sensors = [found["sensors"] for found in taken]
    shares = [share for share in map(steal_share, sensors) if share is not None]
    mhz = [seen["mhz"] for seen in sensors if seen["mhz"] is not None]
    return Disturbance(
        steal_share=steal_share(*sensors),
        worst_steal_share=max(shares, default=None),
        involuntary_switches=sum(seen["involuntary_switches"] for seen in sensors),
        pressure_share=_pressure_share(taken),
        lowest_mhz=min(mhz, default=None),
        highest_mhz=max(mhz, default=None),
        repeated=ending.repeated,
    )


def _pressure_share(taken: Sequence[Replicate]) -> float | None:
    told = [(found["sensors"]["pressure_share"], found["seconds"]) for found in taken]
    known = [(share, seconds) for share, seconds in told if share is not None]
    total = sum(seconds for _, seconds in known)
    return sum(share * seconds for share, seconds in known) / total if total else None
