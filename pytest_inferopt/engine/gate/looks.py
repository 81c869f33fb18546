"""When the gate looks at its replicates, and how much of its chance of error it spends at each look.

Every test at every look has a share of its own, and the shares add up to at most 1 %. Nothing is supposed about how
looks and cells depend on each other, so a run may stop, and a cell may be dropped, at any look for any reason.

Sources:
    * O. J. Dunn: Multiple comparisons among means. Journal of the American Statistical Association 56 (1961): shares
      that are added up (Bonferroni).
    * K. K. G. Lan, D. L. DeMets: Discrete sequential boundaries for clinical trials. Biometrika 70 (1983): spending a
      level over looks. How much each look gets was chosen by simulation: ``benchmarks/gate/simulation.md``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["LOOKS", "MOST_REPLICATES", "Look", "Share", "spend"]


class Look(NamedTuple):
    """One row of the table.

    Attributes:
        replicates: how many there are when the gate looks.
        together: the share of the test on all cells together.
        cells: the share of the tests on single cells, all of them together.
        passed: the share of the test by which one cell passes; each cell owns one.
    """

    replicates: int
    together: float
    cells: float
    passed: float


LOOKS = (
    Look(9, 0.0020, 0.0, 0.004),
    Look(12, 0.0005, 0.0025, 0.006),
    Look(16, 0.0005, 0.0020, 0.007),
    Look(24, 0.0005, 0.0020, 0.008),
)
MOST_REPLICATES = LOOKS[-1].replicates


class Share(NamedTuple):
    """What one look may spend: the largest p value that rejects.

    Attributes:
        replicates: how many there are when the gate looks.
        together: on all cells together; 0 where there is only one.
        cell: on each single cell.
        passed: for a cell to pass.
    """

    replicates: int
    together: float
    cell: float
    passed: float


def spend(cells: int) -> tuple[Share, ...]:
    """What a gate of so many cells spends at each look.

    One cell alone is all cells together, and gets both shares. With P replicates no p value is below 2⁻ᴾ; a share
    below that could reject nothing, so it moves on to the next look.

    Args:
        cells: how many, at least 1; those that pass on the way still count.
    """
    together = [look.together for look in LOOKS]
    single = [look.cells / cells for look in LOOKS]
    if cells == 1:
        together, single = [0.0] * len(LOOKS), [look.together + look.cells for look in LOOKS]
    passed = (look.passed for look in LOOKS)
    columns = map(_carried, (together, single, passed))
    return tuple(Share(look.replicates, *shares) for look, *shares in zip(LOOKS, *columns, strict=True))


def _carried(shares: Iterable[float]) -> list[float]:
    """The shares, each moved on until a look can spend it."""
    usable, waiting = [], 0.0
    for look, share in zip(LOOKS, shares, strict=True):
        total = waiting + share
        can_reject = total >= 2.0**-look.replicates
        usable.append(total if can_reject else 0.0)
        waiting = 0.0 if can_reject else total
    return usable
