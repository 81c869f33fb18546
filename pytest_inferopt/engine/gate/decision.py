"""What a latency gate has decided: the record, which others draw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pytest_inferopt.engine.gate.course import Verdict

__all__ = ["Decision", "Judged", "Slowdown", "State"]

State = Literal["live", "passed", "regressed"]


@dataclass(frozen=True)
class Slowdown:
    """A slow-down relative to the baseline, 0.05 being 5 % slower, with its 95 % interval.

    Attributes:
        replicates: how many it was estimated from.
        estimate: by Hodges and Lehmann.
        low: the lower limit from Walsh averages, `high` the upper one.
        detectable: the slow-down that as many replicates would surely have shown.
    """

    replicates: int
    estimate: float
    low: float
    high: float
    detectable: float

    @property
    def text(self) -> str:
        """``+3.1 % [2.4, 3.9]``."""
        return f"{100 * self.estimate:+z.1f} % [{100 * self.low:z.1f}, {100 * self.high:z.1f}]"


@dataclass(frozen=True)
class Judged:
    """One cell, or all cells together.

    Attributes:
        name: what it is called.
        state: whether it is still to be measured, has passed for good, or is proven slower than allowed.
        slowdown: by how much, over the replicates up to the one at which it passed.
        has_improved: whether it is proven faster by as much as it may be slower.
    """

    name: str
    state: State
    slowdown: Slowdown
    has_improved: bool = False

    @property
    def text(self) -> str:
        """``batch 16: +3.1 % [2.4, 3.9]``."""
        return f"{self.name}: {self.slowdown.text}"


@dataclass(frozen=True)
class Decision:
    """What a look at the replicates decides.

    Attributes:
        verdict: None while the gate has to go on.
        replicates: how many it rests on; `looks` is how often they were looked at.
        cells: in the order they were given.
        together: all of them, over the replicates in which all were live; "passed" once each of them is.
        control: the baseline against a second copy of itself; None where none was measured.
        is_contaminated: whether the copies differ so much that nothing can be said, whatever the cells show.
        reason: one sentence.
    """

    verdict: Verdict | None
    replicates: int
    looks: int
    cells: tuple[Judged, ...]
    together: Judged
    control: Slowdown | None = None
    is_contaminated: bool = False
    reason: str = ""

    @property
    def regressed(self) -> tuple[Judged, ...]:
        """What a red verdict names: the proven cells, or all of them together where no single one is proven."""
        if self.verdict != "regressed":
            return ()
        return tuple(cell for cell in self.cells if cell.state == "regressed") or (self.together,)

    @property
    def improved(self) -> tuple[Judged, ...]:
        """The cells that are proven faster, or all of them together where no single one is; never of a bad control."""
        if self.is_contaminated:
            return ()
        found = tuple(cell for cell in self.cells if cell.has_improved)
        return found or ((self.together,) if self.together.has_improved else ())
