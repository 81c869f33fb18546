"""The course of a gate: which of its tests reject at which look, which cells have passed, and when it stops.

Only the replicates are kept; the course is followed anew from the first of them. So what a look has decided stays
decided: later replicates of a cell that has passed are not looked at, whether they were measured or not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pytest_inferopt.engine.gate.looks import LOOKS, MOST_REPLICATES, Share, spend
from pytest_inferopt.engine.statistics.signed_rank import hodges_lehmann, signed_rank_p

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pytest_inferopt.domain.slowdown import SlowdownLimits

__all__ = ["Course", "Verdict", "follow"]

Verdict = Literal["regressed", "passed", "inconclusive"]


@dataclass
class Course:
    """How far a gate has come; cells by their number, from 0.

    Attributes:
        cells: how many there are, and `limits` what they are held against.
        replicates: how many the last look saw.
        looks: how many looks there were.
        passed: the cells that have passed, with the number of replicates at which they did.
        regressed: the cells proven above what is allowed; `improved` those proven faster by as much.
        replicates_together: how many there were when all cells were last live.
        is_regressed_together: whether all cells together are; likewise `is_improved_together`.
    """

    cells: int
    limits: SlowdownLimits
    replicates: int = 0
    looks: int = 0
    passed: dict[int, int] = field(default_factory=dict)
    regressed: set[int] = field(default_factory=set)
    improved: set[int] = field(default_factory=set)
    replicates_together: int = 0
    is_regressed_together: bool = False
    is_improved_together: bool = False

    @property
    def verdict(self) -> Verdict | None:
        """None while it has to go on."""
        if self.regressed or self.is_regressed_together:
            return "regressed"
        if len(self.passed) == self.cells:
            return "passed"
        return "inconclusive" if self.replicates == MOST_REPLICATES else None

    def look(self, rows: NDArray[np.float64], share: Share) -> None:
        """Test all that is live at the look whose replicates are `rows` (P, cells)."""
        self.replicates = share.replicates
        self.looks += 1
        if not self.passed:
            self.replicates_together = share.replicates
            together = rows.mean(axis=1)
            self.is_regressed_together = self._is_above(together, share.together)
            self.is_improved_together |= self._is_above(-together, share.together)
        for cell in [cell for cell in range(self.cells) if cell not in self.passed]:
            self._look_at(cell, rows[:, cell], share)

    def _look_at(self, cell: int, figures: NDArray[np.float64], share: Share) -> None:
        if self._is_above(figures, share.cell):
            self.regressed.add(cell)
        if self._is_above(-figures, share.cell):
            self.improved.add(cell)
        is_below = signed_rank_p(self.limits.caught_log - figures) <= share.passed
        if is_below and hodges_lehmann(figures) <= self.limits.allowed_log:
            self.passed[cell] = share.replicates

    def _is_above(self, figures: NDArray[np.float64], share: float) -> bool:
        # Not asked for nothing: a test without a share is the one of a single cell, or one that has moved on.
        return share > 0 and signed_rank_p(figures - self.limits.allowed_log) <= share


def follow(values: NDArray[np.float64], limits: SlowdownLimits) -> Course:
    """The course of the replicates so far, up to where it stopped.

    Args:
        values: one figure a replicate and cell (P, C), on the log scale; NaN where a cell had passed already.
        limits: what is allowed and what must be caught.

    Raises:
        ValueError: P is no look, there is no cell, or a live cell has a replicate without a finite figure.
    """
    if values.ndim != 2 or not values.shape[1] or len(values) not in {look.replicates for look in LOOKS}:  # noqa: PLR2004 - replicates by cells
        counts = ", ".join(str(look.replicates) for look in LOOKS)
        raise ValueError(f"figures of shape {values.shape}; the gate looks at {counts} replicates of one cell or more")
    course = Course(values.shape[1], limits)
    for share in spend(course.cells):
        if course.verdict is None and share.replicates <= len(values):
            course.look(values[: share.replicates], share)
    return course
