"""Shares over models: what the judged series say together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.gate.peers import PAIRINGS, RULES
from benchmarks.gate.series import CONDITIONS, MODELS, SAME, Series

if TYPE_CHECKING:
    from collections.abc import Mapping

OURS = "pytest-inferopt gate"
KINDS = {SAME: "identical file", "all+5": "all cells +5 %", "all+10": "all cells +10 %", "one+10": "one cell +10 %"}


class RunShare(NamedTuple):
    """How often whole runs are called slower.

    Attributes:
        rule: whose.
        condition: of the machine.
        kind: of the candidate.
        share: over all models, each with the same weight.
    """

    rule: str
    condition: str
    kind: str
    share: float


class Pooled(NamedTuple):
    """A verdict over models.

    Attributes:
        count: gates that have it, of `gates`.
        worst_model: the one whose share is farthest from the wished, and its `worst_share`.
    """

    count: int
    gates: int
    worst_model: str
    worst_share: float

    @property
    def share(self) -> float:
        """Of all gates."""
        return self.count / self.gates


def series_of(judged: Mapping[str, Any], arm: str, condition: str) -> dict[str, dict[str, Any]]:
    """By model, what is known of an arm under a condition."""
    found = {model: judged["series"].get(Series(model, arm, condition).key) for model in MODELS}
    return {model: one for model, one in found.items() if one is not None}


def pooled(judged: Mapping[str, Any], arm: str, condition: str, verdict: str, *, is_wished: bool) -> Pooled | None:
    """How often resampled gates have a verdict; None where nothing is recorded.

    Args:
        judged: what `judge.judged_document` gives.
        arm: whose.
        condition: of the machine.
        verdict: which.
        is_wished: whether few of them are the worst case, or many.
    """
    gates = {model: one["gates"] for model, one in series_of(judged, arm, condition).items()}
    if not gates:
        return None
    shares = {model: one[verdict] / one["gates"] for model, one in gates.items()}
    worst = (min if is_wished else max)(shares, key=lambda model: shares[model])
    count, total = (sum(one[key] for one in gates.values()) for key in (verdict, "gates"))
    return Pooled(count, total, worst, shares[worst])


def mean_share(judged: Mapping[str, Any], arm: str, condition: str, pick: tuple[str, ...]) -> float | None:
    """The mean over models of a figure that lies at this place; None where no model has it."""
    found = []
    for one in series_of(judged, arm, condition).values():
        value: Any = one
        for key in pick:
            value = value.get(key) if value is not None else None
        if value is not None:
            found.append(float(value))
    return sum(found) / len(found) if found else None


def run_shares(judged: Mapping[str, Any], pairing: str = PAIRINGS[0]) -> list[RunShare]:
    """Every rule's share of whole runs called slower, ours first."""
    shares = []
    for condition in CONDITIONS:
        for arm, kind in KINDS.items():
            ours = pooled(judged, arm, condition, "regressed", is_wished=arm != SAME)
            if ours is not None:
                shares.append(RunShare(OURS, condition, kind, ours.share))
            for rule in RULES:
                share = mean_share(judged, arm, condition, ("peers", pairing, rule, "runs"))
                if share is not None:
                    shares.append(RunShare(rule, condition, kind, share))
    return shares
