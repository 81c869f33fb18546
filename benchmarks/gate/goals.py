"""The figures that the gate must reach, beside those it reaches."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.gate.live import series_of as live_series
from benchmarks.gate.series import CONDITIONS, MODELS, SAME, Series
from benchmarks.gate.shares import KINDS, pooled, series_of
from pytest_inferopt.engine.gate.coins import BALANCED_WITHIN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FALSE_AT_MOST = 0.01
PASSED_AT_LEAST = 0.95
POWER_AT_LEAST = {"all+5": 0.95, "all+10": 0.99, "one+10": 0.95}
LIVE_AT_LEAST = 40
SECONDS_AT_MOST = 30.0
GATES_AT_LEAST = 300
SHORT_MS = 1.0
UNKNOWN = "not recorded"


class Goal(NamedTuple):
    """One figure.

    Attributes:
        figure: what it is.
        wished: the goal.
        found: what was found.
        is_met: None where it is not known.
    """

    figure: str
    wished: str
    found: str = UNKNOWN
    is_met: bool | None = None

    @property
    def verdict(self) -> str:
        """As the table shows it."""
        return "–" if self.is_met is None else "yes" if self.is_met else "**no**"


def goals(judged: Mapping[str, Any], live: Mapping[str, Any]) -> list[Goal]:
    """All goals; a figure that does not rest on all that is to be recorded is told, and neither met nor missed.

    Where it is of several models, the worst one is told and all of them together decide, but for false alarms: there
    the worst one does.
    """
    found = list(live.get("gates", ()))
    return [*_false_alarms(judged), *_power(judged), *_passes(judged), *_live(found), _seconds(judged, found)]


def _false_alarms(judged: Mapping[str, Any]) -> Iterator[Goal]:
    for condition in CONDITIONS:
        goal = Goal(f"identical files, {condition}: red gates (resampled)", "at most 1 %")
        found = pooled(judged, SAME, condition, "regressed", is_wished=False)
        if found:
            told = f"{found.count:,} of {found.gates:,}"
            is_enough = found.gates >= GATES_AT_LEAST and _is_whole(judged, SAME, condition)
            goal = goal._replace(found=told, is_met=found.worst_share <= FALSE_AT_MOST if is_enough else None)
        yield goal


def _power(judged: Mapping[str, Any]) -> Iterator[Goal]:
    for arm, least in POWER_AT_LEAST.items():
        for condition in CONDITIONS:
            goal = Goal(f"{KINDS[arm]}, {condition}: red gates (resampled)", f"at least {100 * least:.0f} %")
            yield _share(goal, judged, arm, condition, "regressed", least)


def _passes(judged: Mapping[str, Any]) -> Iterator[Goal]:
    for condition in CONDITIONS:
        goal = Goal(f"identical files, {condition}: passed rather than inconclusive (resampled)", "at least 95 %")
        yield _share(goal, judged, SAME, condition, "passed", PASSED_AT_LEAST)


def _share(goal: Goal, judged: Mapping[str, Any], arm: str, condition: str, verdict: str, least: float) -> Goal:
    found = pooled(judged, arm, condition, verdict, is_wished=True)
    if found is None:
        return goal
    told = f"{100 * found.share:.1f} % (worst: {found.worst_model}, {100 * found.worst_share:.1f} %)"
    return goal._replace(found=told, is_met=found.share >= least if _is_whole(judged, arm, condition) else None)


def _is_whole(judged: Mapping[str, Any], arm: str, condition: str) -> bool:
    """Whether each model has all its replicates: a thousand gates from one four are one four."""
    recorded = series_of(judged, arm, condition)
    wanted = Series(MODELS[0], arm, condition).fours * BALANCED_WITHIN
    return all(model in recorded and recorded[model]["replicates"] >= wanted for model in MODELS)


def _live(gates: list[dict[str, Any]]) -> Iterator[Goal]:
    same = [gate for gate in gates if live_series(gate).arm == SAME]
    slower = [gate for gate in gates if live_series(gate).arm != SAME]
    for name, wished, found, verdict in (
        ("identical files: red gates (live)", "0 of at least 40", same, "regressed"),
        ("identical files: passed (live)", "at least 95 %", same, "passed"),
        ("real extra work: red gates (live)", "told", slower, "regressed"),
    ):
        goal = Goal(name, wished)
        if found:
            count = sum(gate["verdict"] == verdict for gate in found)
            share = count / len(found)
            is_known = found is same and len(found) >= LIVE_AT_LEAST
            is_met = {"regressed": share == 0, "passed": share >= PASSED_AT_LEAST}[verdict] if is_known else None
            goal = goal._replace(found=f"{count} of {len(found)}", is_met=is_met)
        yield goal


def _seconds(judged: Mapping[str, Any], gates: list[dict[str, Any]]) -> Goal:
    """Of live gates of identical files; where there are none, of resampled ones."""
    goal = Goal("identical files, models under 1 ms: median seconds to the verdict", "at most 30")
    short = [model for model in MODELS if _is_short(judged, model)]
    seconds = [gate["seconds"] for gate in gates if live_series(gate).arm == SAME and live_series(gate).model in short]
    source = "live"
    if not seconds:
        source = "resampled"
        seconds = [
            one["gates"]["seconds"]
            for condition in CONDITIONS
            for model, one in series_of(judged, SAME, condition).items()
            if model in short
        ]
    if not seconds:
        return goal
    typical = median(seconds)
    return goal._replace(found=f"{typical:.0f} ({source})", is_met=typical <= SECONDS_AT_MOST)


def _is_short(judged: Mapping[str, Any], model: str) -> bool:
    """Whether a call takes under 1 ms at every batch size."""
    found = series_of(judged, SAME, CONDITIONS[0]).get(model)
    return found is not None and max(found["p50_ms"]) < SHORT_MS
