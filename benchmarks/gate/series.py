"""What is to be recorded, and what comes next: whole fours of replicates, so that the coins of each are balanced."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pytest_inferopt.engine.gate.coins import BALANCED_WITHIN, own_seed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SAME = "same"
LOADED = "loaded"
CONDITIONS = ("quiet", LOADED)
MODELS = ("small", "forest", "mlp", "large")
BATCH_SIZES = (1, 16, 32, 64)
SLOWDOWNS = (0.03, 0.05, 0.10)
SAME_REPLICATES = 120
SLOWER_REPLICATES = 36
MOST_TOGETHER = 2


class Arm(NamedTuple):
    """What the candidate is.

    Attributes:
        name: ``same``, or as ``all+5`` and ``one+10``.
        slowdown: what its extra work was to cost, 0.05 being 5 %; 0 for a copy of the baseline's file.
        is_everywhere: whether at every batch size, or only at one of the model's.
    """

    name: str
    slowdown: float
    is_everywhere: bool


ARMS = {
    SAME: Arm(SAME, 0.0, True),
    **{
        f"{scope}+{100 * slowdown:.0f}": Arm(f"{scope}+{100 * slowdown:.0f}", slowdown, scope == "all")
        for scope in ("all", "one")
        for slowdown in SLOWDOWNS
    },
}


class Series(NamedTuple):
    """Replicates of the same thing."""

    model: str
    arm: str
    condition: str

    @property
    def key(self) -> str:
        """``forest.all+5.quiet``, which is also its folder."""
        return ".".join(self)

    @property
    def seed(self) -> int:
        """Of its coins and of its rows' order."""
        return own_seed(0, self.key)

    @property
    def fours(self) -> int:
        """How many are to be recorded."""
        return (SAME_REPLICATES if self.arm == SAME else SLOWER_REPLICATES) // BALANCED_WITHIN


def all_series(models: Iterable[str] = MODELS, conditions: Iterable[str] = CONDITIONS) -> tuple[Series, ...]:
    """Every series, those of one condition together."""
    names = tuple(models)
    return tuple(Series(model, arm, condition) for condition in conditions for model in names for arm in ARMS)


def next_series(wanted: Mapping[Series, int], done: Mapping[Series, int]) -> Series | None:
    """The series that has the smallest part of what is wanted, the first one of several; None when all have all.

    So a recording that is stopped at any time has about the same part of each.

    Args:
        wanted: how much of each, in the order in which they are begun.
        done: how much there is.
    """
    left = [series for series, target in wanted.items() if done.get(series, 0) < target]
    return min(left, key=lambda series: done.get(series, 0) / wanted[series], default=None)


def next_together(wanted: Mapping[Series, int], done: Mapping[Series, int]) -> tuple[Series, ...]:
    """The series whose next fours are taken at the same time; none when all have all.

    A quiet one is taken by itself. Under load it has company: of the same model, so that both take about as long, the
    one that has the smallest part of what is wanted; itself alone where no other is left.

    Args:
        wanted: as `next_series`.
        done: as `next_series`.
    """
    first = next_series(wanted, done)
    if first is None or first.condition != LOADED:
        return () if first is None else (first,)
    others = {one: target for one, target in wanted.items() if one != first and one[::2] == first[::2]}
    second = next_series(others, done)
    return (first,) if second is None else (first, second)
