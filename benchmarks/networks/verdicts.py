"""Ours beside one other tool on one network: who is more right, who is faster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from scipy.stats import gmean

from benchmarks.networks.tools import KINDS, OURS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# One row of the 599 that judge, and what a cosine may differ by.
SAME_SCORE = {"accuracy": 0.002, "cosine": 0.001}
# What two measurements of the same file differ by.
SAME_SPEED = 0.03
# A model that is less right than this answers something else, however fast.
LEAST_RATIO = 0.97

Standing = Literal["better", "same", "worse"]


class Verdict(NamedTuple):
    """How ours stands.

    Attributes:
        model: the network.
        kind: of file.
        tool: the other one.
        score: ours and theirs; `float_score` the one of the float file.
        ratio: how many times as fast ours is, the geometric mean over the batch sizes; None where there is no file.
        accuracy: how ours stands in that; `speed` likewise.
        is_broken: whether theirs is so wrong that its speed is of no use.
    """

    model: str
    kind: str
    tool: str
    score: tuple[float, float]
    float_score: float
    ratio: float
    accuracy: Standing
    speed: Standing
    is_broken: bool

    @property
    def is_lost(self) -> bool:
        """Whether theirs is of use, and better in one and no worse in the other, or better in what decides."""
        return not self.is_broken and "worse" in (self.accuracy, self.speed)


def verdicts(found: Mapping[str, Any]) -> Iterator[Verdict]:
    """One for every network, kind and tool of which there is a file."""
    for model, parts in found.items():
        metric = parts["ours"]["metric"]
        for kind in KINDS:
            sides = parts.get("duel", {}).get(kind, {})
            ours = sides.get(OURS)
            if ours is None or "failure" in ours:
                continue
            for tool, theirs in sides.items():
                if tool in {OURS, "float"} or "failure" in theirs:
                    continue
                yield _verdict(model, kind, tool, metric, sides)


def _verdict(model: str, kind: str, tool: str, metric: str, sides: Mapping[str, Any]) -> Verdict:
    ours, theirs, plain = sides[OURS], sides[tool], sides["float"]
    ratio = 1 / float(gmean([estimate for estimate, *_ in theirs["speed"].values()]))
    return Verdict(
        model,
        kind,
        tool,
        (ours["score"], theirs["score"]),
        plain["score"],
        ratio,
        _standing(ours["score"] - theirs["score"], SAME_SCORE[metric]),
        _standing(ratio - 1, SAME_SPEED),
        is_broken=theirs["score"] < LEAST_RATIO * plain["score"],
    )


def _standing(lead: float, same: float) -> Standing:
    if abs(lead) <= same:
        return "same"
    return "better" if lead > 0 else "worse"
