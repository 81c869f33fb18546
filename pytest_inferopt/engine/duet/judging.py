"""Takes a gate's replicates one after the other, until their verdict stands.

It looks at them when there are 9, 12, 16 and 24; a cell that has passed is measured no longer. A replicate from which
the host took much of the processors' time is taken again, whatever it showed: the rule looks at no arm, so it favours
none.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pytest_inferopt.engine.duet.process import BASE, HEAD, DuetCell
from pytest_inferopt.engine.duet.sensors import steal_share
from pytest_inferopt.engine.gate.looks import LOOKS, MOST_REPLICATES
from pytest_inferopt.engine.gate.tails import TAIL_CALLS, decide_tail
from pytest_inferopt.engine.gate.verdict import contamination, decide, examine_control
from pytest_inferopt.errors import ERROR_KINDS, InferoptError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from pytest_inferopt.domain.slowdown import SlowdownLimits
    from pytest_inferopt.engine.gate.decision import Decision, Slowdown
    from pytest_inferopt.engine.gate.tails import TailDecision

__all__ = [
    "MEDIAN",
    "MOST_REPEATS",
    "MOST_STEAL",
    "Ending",
    "Replicate",
    "Standing",
    "calls_of",
    "figures_of",
    "judge",
]

MEDIAN = 50

MOST_STEAL = 0.05
MOST_REPEATS = 12
TELL_EVERY_SECONDS = 5.0

Replicate = dict[str, Any]
"""What `duet.measure_duet` answers, with what the `sensors` saw meanwhile and the `seconds` it took."""


@dataclass(frozen=True)
class Standing:
    """What a look at the replicates says.

    Attributes:
        median: at p50.
        tails: at each further percentile that is judged.
    """

    median: Decision
    tails: tuple[TailDecision, ...] = ()

    @property
    def decisions(self) -> dict[int, Decision]:
        """By percentile, of those that have enough calls."""
        tails = {tail.percentile: tail.decision for tail in self.tails if tail.decision is not None}
        return {MEDIAN: self.median, **tails}

    @property
    def is_regressed(self) -> bool:
        """Whether one of them is."""
        return any(decision.verdict == "regressed" for decision in self.decisions.values())


@dataclass(frozen=True)
class Ending:
    """How a gate has ended.

    Attributes:
        verdict: of all cells; `reason` is one sentence, with the figures.
        names: of the cells that were judged, as the decisions call them.
        replicates: those that count, in their order.
        standing: the last look; None where it ended before the first.
        control: the baseline beside its second copy, and `is_contaminated` whether they differ too much.
        repeated: replicates that were thrown away because of steal.
        errors: by variant, what made it impossible to measure.
        seconds: what it took.
    """

    verdict: Literal["regressed", "passed", "inconclusive", "not_measured"]
    reason: str
    names: Mapping[DuetCell, str]
    replicates: tuple[Replicate, ...] = ()
    standing: Standing | None = None
    control: Slowdown | None = None
    is_contaminated: bool = False
    repeated: int = 0
    errors: Mapping[str, InferoptError] = field(default_factory=dict)
    seconds: float = 0.0


def judge(
    cells: Sequence[DuetCell],
    *,
    limits: SlowdownLimits,
    take: Callable[[int, Sequence[DuetCell], DuetCell], Replicate],
    tails: Sequence[int] = (),
    on_progress: Callable[[str], None] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> Ending:
    """Take replicates until the verdict stands.

    Args:
        cells: what is judged.
        limits: what is allowed and what must be caught, at p50.
        take: measures the replicate of this number (from 0): these cells, with a second copy of the baseline in the
            last one named. Asked again with the same number where the replicate did not count.
        tails: the percentiles that are judged beside p50.
        on_progress: told how far it is, now and then.
        clock: seconds.

    Raises:
        InferoptError: what went wrong in a replicate as a whole.
    """
    return _Judging(tuple(cells), limits, take, tuple(tails), on_progress, clock).ending()


class _NothingLeftError(Exception):
    """No live cell can be measured any more."""


class _TooDisturbedError(Exception):
    """Too many replicates did not count; says how many."""


class _Judging:
    def __init__(
        self,
        cells: tuple[DuetCell, ...],
        limits: SlowdownLimits,
        take: Callable[[int, Sequence[DuetCell], DuetCell], Replicate],
        tails: tuple[int, ...],
        on_progress: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        self._cells = self._live = cells
        self._names = cell_names(cells)
        self._limits = limits
        self._take = take
        self._tails = tails
        self._progress = on_progress
        self._clock = clock
        self._started = self._told = clock()
        self._taken: list[Replicate] = []
        self._repeated: list[float] = []
        self._errors: dict[str, InferoptError] = {}
        self._standing: Standing | None = None
        self._looked_at = 0

    def ending(self) -> Ending:
        for look in LOOKS:
            try:
                while len(self._taken) < look.replicates:
                    self._taken.append(self._next())
                    self._tell()
            except _TooDisturbedError as error:
                return self._ended("inconclusive", str(error))
            except _NothingLeftError:
                if not self._cells:
                    return self._ended("not_measured", _sentence(self._errors))
                # The cells of other variants had all passed at the last look; it is theirs alone now.
                del self._taken[self._looked_at :]
            standing = self._standing = self._look()
            self._looked_at = len(self._taken)
            if standing.median.is_contaminated:
                return self._ended("inconclusive", standing.median.reason)
            if standing.is_regressed:
                return self._regressed(standing)
            self._live = tuple(cell for cell in self._live if not self._is_settled(cell, standing))
            if not self._live:
                break
        return self._settled(standing)

    def _next(self) -> Replicate:
        """The next replicate that counts."""
        while True:
            index, live = len(self._taken), self._live
            found = self._take(index, live, live[index % len(live)])
            stolen = steal_share(found["sensors"]) or 0.0
            if stolen > MOST_STEAL:
                self._repeat(stolen)
            elif not self._drop_failed(found):
                return found

    def _repeat(self, stolen: float) -> None:
        if len(self._repeated) == MOST_REPEATS:
            worst = max(*self._repeated, stolen)
            raise _TooDisturbedError(
                f"too much was going on: the host took up to {worst:.0%} of the processors' time away, and more than "
                f"{MOST_STEAL:.0%} in {MOST_REPEATS + 1} of {len(self._taken) + MOST_REPEATS + 1} processes"
            )
        self._repeated.append(stolen)

    def _drop_failed(self, found: Replicate) -> bool:
        """Leave out the variants that cannot be measured; True if there were any, and the others are taken again."""
        failed: dict[str, InferoptError] = {}
        for cell in found["cells"]:
            if "error" in cell:
                error = cell["error"]
                failed.setdefault(cell["variant"], ERROR_KINDS[error["kind"]](error["message"], error["hint"]))
        self._errors |= failed
        self._cells, self._live = (
            tuple(cell for cell in cells if cell.variant not in failed) for cells in (self._cells, self._live)
        )
        if failed and not self._live:
            raise _NothingLeftError
        return bool(failed)

    def _look(self) -> Standing:
        names = [self._names[cell] for cell in self._cells]
        control = [found["control"]["contrast"] for found in self._taken]
        median = decide(self._table(lambda cell: cell["contrast"]), self._limits, cells=names, control=control)
        calls = [self._calls(cell) for cell in self._cells]
        return Standing(median, tuple(self._look_at_tail(q, names, calls) for q in self._tails))

    def _look_at_tail(self, percentile: int, names: Sequence[str], calls: Sequence[int]) -> TailDecision:
        table = self._table(lambda cell: cell["tails"][str(percentile)])
        return decide_tail(percentile, table, calls=calls, cells=names)

    def _table(self, figure: Callable[[dict[str, Any]], float]) -> NDArray[np.float64]:
        """The figures (replicates, cells); NaN where a cell was no longer measured."""
        table = np.full((len(self._taken), len(self._cells)), np.nan)
        for row, found in zip(table, self._taken, strict=True):
            measured = {(cell["variant"], cell["batch_size"]): cell for cell in found["cells"]}
            for column, cell in enumerate(self._cells):
                if cell in measured:
                    row[column] = figure(measured[cell])
        return table

    def _calls(self, cell: DuetCell) -> int:
        """Timed calls so far of the arm that has fewer."""
        return calls_of(figures_of(cell, self._taken))

    def _is_settled(self, cell: DuetCell, standing: Standing) -> bool:
        """Whether it has passed at every percentile, or will never have the calls to be judged there."""
        name = self._names[cell]
        has_passed = {
            percentile
            for percentile, decision in standing.decisions.items()
            if any(judged.name == name and judged.state == "passed" for judged in decision.cells)
        }
        found = figures_of(cell, self._taken)
        expected_calls = calls_of(found) * MOST_REPLICATES / len(found)
        return MEDIAN in has_passed and all(q in has_passed or expected_calls < TAIL_CALLS[q] for q in self._tails)

    def _regressed(self, standing: Standing) -> Ending:
        """Red, unless the copies of the baseline differ; where p50 is undecided, they were not asked yet."""
        if standing.median.verdict is None:
            copies = np.array([found["control"]["contrast"] for found in self._taken])
            control, differs = examine_control(copies, self._limits)
            if differs:
                return self._ended("inconclusive", contamination(control, self._limits), is_contaminated=True)
        return self._ended("regressed", _reasons(standing, "regressed"))

    def _settled(self, standing: Standing) -> Ending:
        verdicts = {decision.verdict for decision in standing.decisions.values()}
        verdict: Literal["passed", "inconclusive"] = "inconclusive" if "inconclusive" in verdicts else "passed"
        return self._ended(verdict, _reasons(standing, verdict))

    def _ended(
        self,
        verdict: Literal["regressed", "passed", "inconclusive", "not_measured"],
        reason: str,
        *,
        is_contaminated: bool = False,
    ) -> Ending:
        median = None if self._standing is None else self._standing.median
        return Ending(
            verdict=verdict,
            reason=reason,
            names={cell: self._names[cell] for cell in self._cells},
            replicates=tuple(self._taken),
            standing=self._standing,
            control=None if median is None else median.control,
            is_contaminated=is_contaminated or (median is not None and median.is_contaminated),
            repeated=len(self._repeated),
            errors=self._errors,
            seconds=self._clock() - self._started,
        )

    def _tell(self) -> None:
        now, done = self._clock(), len(self._taken)
        if now - self._told >= TELL_EVERY_SECONDS and done < MOST_REPLICATES:
            self._told = now
            left = (now - self._started) / done * (MOST_REPLICATES - done)
            self._progress(f"{done} of at most {MOST_REPLICATES} processes, at most about {left:.0f} s left")


def cell_names(cells: Sequence[DuetCell]) -> dict[DuetCell, str]:
    """``batch 16``; beside other variants ``int8 at batch 16``."""
    is_alone = len({cell.variant for cell in cells}) == 1
    return {cell: f"{'' if is_alone else f'{cell.variant} at '}batch {cell.batch_size}" for cell in cells}


def figures_of(cell: DuetCell, replicates: Iterable[Replicate]) -> list[dict[str, Any]]:
    """What the replicates in which a cell was measured say of it."""
    return [
        found for taken in replicates for found in taken["cells"] if (found["variant"], found["batch_size"]) == cell
    ]


def calls_of(figures: Sequence[Mapping[str, Any]]) -> int:
    """Timed calls over all replicates, of the arm that has fewer."""
    return min(sum(int(found["calls"][arm]) for found in figures) for arm in (BASE, HEAD))


def _sentence(errors: Mapping[str, InferoptError]) -> str:
    return "; ".join(error.message.removesuffix(".") for error in errors.values())


def _reasons(standing: Standing, verdict: str) -> str:
    """The reasons of all percentiles that have the verdict."""
    return "; ".join(
        decision.reason if percentile == MEDIAN else f"p{percentile}: {decision.reason}"
        for percentile, decision in standing.decisions.items()
        if decision.verdict == verdict
    )
