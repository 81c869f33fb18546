"""One replicate of a gate: a baseline beside its candidate in this process, one figure for each cell.

Both are called in bursts that alternate, so what disturbs the machine disturbs both; who is loaded, warmed up and
called first is tossed for, so what such a seat is worth falls on either side (see
`pytest_inferopt.engine.gate.coins`). In one cell a second copy of the baseline takes part, which shows whether equal
files are found equal.
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import numpy as np

from pytest_inferopt.domain.artifact import row_count, take_rows
from pytest_inferopt.engine.duet.arm import SETTLING_CALLS, burst, quiet, warm_up
from pytest_inferopt.engine.gate.coins import own_seed, toss
from pytest_inferopt.engine.gate.contrast import block_contrast, tail_contrast
from pytest_inferopt.engine.statistics.intervals import percentile_ms
from pytest_inferopt.errors import InferoptError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike

    from pytest_inferopt.domain.artifact import Rows, Session
    from pytest_inferopt.engine.gate.coins import Coins

__all__ = [
    "BASE",
    "COPY",
    "HEAD",
    "DuetArm",
    "DuetCell",
    "Plan",
    "Role",
    "Samples",
    "Seats",
    "SessionArm",
    "batches",
    "block_order",
    "measure_duet",
    "plan_blocks",
]

Role = Literal["base", "head", "copy"]
BASE: Role = "base"
HEAD: Role = "head"
COPY: Role = "copy"

BLOCKS = 32
LEAST_BLOCKS = 8
BURST_NS = 5_000_000
LEAST_CALLS = 3
CELL_NS = 450_000_000
FEEDS = 8
MEDIAN = 50
NS_PER_MS = 1_000_000
LAST_WORDS = 300

Samples = dict[Role, "list[Sequence[int]]"]
"""By arm, the timed calls of each block in nanoseconds."""


class DuetCell(NamedTuple):
    """What is judged by itself.

    Attributes:
        variant: whose files.
        batch_size: rows a call.
    """

    variant: str
    batch_size: int


class DuetArm(Protocol):
    """One file that is ready to be timed: in this process, or in one of its own."""

    def warm_up(self, batch_size: int) -> int:
        """Make the feeds and the first calls of a batch size; what a call then takes, in nanoseconds."""

    def burst(self, batch_size: int, first: int, count: int) -> Sequence[int]:
        """Make two calls untimed, then time `count` calls, the first of which is number `first`, in nanoseconds."""

    def close(self) -> None:
        """Let go of the file."""


class SessionArm:
    """An arm in this process.

    Args:
        session: the file, loaded.
        tables: makes the tables of a batch size that the calls cycle through.
        clock: nanoseconds.
    """

    def __init__(
        self, session: Session, tables: Callable[[int], Sequence[Rows]], clock: Callable[[], int] = perf_counter_ns
    ) -> None:
        self._session = session
        self._tables = tables
        self._clock = clock
        self._feeds: dict[int, list[Any]] = {}

    def warm_up(self, batch_size: int) -> int:
        """Make the feeds and the first calls of a batch size."""
        self._feeds[batch_size] = [self._session.prepare(table) for table in self._tables(batch_size)]
        return warm_up(self._session.run, self._feeds[batch_size], self._clock)

    def burst(self, batch_size: int, first: int, count: int) -> Sequence[int]:
        """Time calls; see `DuetArm.burst`."""
        return burst(self._session.run, self._feeds[batch_size], first, count, self._clock)

    def close(self) -> None:
        """Let go of the feeds; the session goes with the last one who holds it."""
        self._feeds.clear()


def batches(rows: Rows, batch_size: int, *, seed: int, index: int) -> list[Rows]:
    """Eight tables of `batch_size` rows: other ones in each replicate, and the same ones for all its arms."""
    order = np.random.default_rng([seed, index]).permutation(row_count(rows))
    return [take_rows(rows, np.resize(np.roll(order, -batch_size * turn), batch_size)) for turn in range(FEEDS)]


class Plan(NamedTuple):
    """How a cell is measured.

    Attributes:
        blocks: how often the arms take turns, an even number.
        calls: timed calls of each arm in each block.
    """

    blocks: int
    calls: int

    def ns(self, *typical_ns: int) -> int:
        """What the blocks of arms whose calls take so long take together."""
        return self.blocks * (self.calls + SETTLING_CALLS) * sum(typical_ns)


def plan_blocks(base_ns: int, head_ns: int) -> Plan:
    """Bursts of 5 ms and three calls at least of the faster arm; 32 blocks, or 8 at least where 0.45 s are over before.

    The same for both arms, and the same if they were swapped.

    Args:
        base_ns: what a call of the baseline takes, at least 1.
        head_ns: what one of the candidate takes, at least 1.
    """
    calls = max(LEAST_CALLS, math.ceil(BURST_NS / min(base_ns, head_ns)))
    fitting = CELL_NS // Plan(1, calls).ns(base_ns, head_ns)
    return Plan(min(BLOCKS, max(LEAST_BLOCKS, fitting - fitting % 2)), calls)


def block_order(roles: Sequence[Role], block: int) -> tuple[Role, ...]:
    """Who follows whom in a block.

    Two arms start in turn. Of three, each odd block is the one before in reverse, and each pair of blocks begins with
    the next one: in six blocks every order comes once, so none of them has the same neighbour all the time.
    """
    turn = block // 2 % len(roles) if len(roles) > 2 else 0  # noqa: PLR2004 - with the copy there are three
    order = (*roles[turn:], *roles[:turn])
    return order[::-1] if block % 2 else order


class Seats(NamedTuple):
    """Who goes first among the arms of one variant in one replicate.

    The copy of the baseline comes before the pair or after it, by coins of its own and whatever the pair's order: so it
    treats both alike, and is itself before the baseline as often as after it.
    """

    pair: Coins
    copy: Coins

    @classmethod
    def tossed(cls, seed: int, variant: str, index: int) -> Seats:
        """Each variant has its own, so that several do not lean to the same side together."""
        return cls(toss(own_seed(seed, variant), index), toss(own_seed(seed, f"copy of {variant}"), index))

    def loading(self, *, with_copy: bool) -> tuple[Role, ...]:
        """The order in which the files are loaded."""
        return _seated(self.pair.candidate_loads_first, self.copy.candidate_loads_first, with_copy=with_copy)

    def warming(self, *, with_copy: bool) -> tuple[Role, ...]:
        """The order in which they are warmed up."""
        return _seated(self.pair.candidate_warms_first, self.copy.candidate_warms_first, with_copy=with_copy)

    def starting(self, *, with_copy: bool) -> tuple[Role, ...]:
        """The order of the first block."""
        return _seated(self.pair.candidate_starts_first, self.copy.candidate_starts_first, with_copy=with_copy)


def _seated(candidate_is_first: bool, copy_is_first: bool, *, with_copy: bool) -> tuple[Role, ...]:
    pair = (HEAD, BASE) if candidate_is_first else (BASE, HEAD)
    if not with_copy:
        return pair
    return (COPY, *pair) if copy_is_first else (*pair, COPY)


def measure_duet(
    open_arm: Callable[[str, Role], DuetArm],
    cells: Sequence[DuetCell],
    *,
    control: DuetCell | None,
    seed: int,
    index: int,
    percentiles: Sequence[int] = (),
    samples: Path | None = None,
) -> dict[str, Any]:
    """Measure the cells, variant after variant; an error of one leaves the others alone.

    Args:
        open_arm: loads a variant's file anew; its ``copy`` is its ``base`` once more.
        cells: what is to be measured.
        control: the one of them in which the baseline's copy takes part; None for none.
        seed: of the coins.
        index: the replicate's number.
        percentiles: of the tails, in percent.
        samples: where all timed calls are written, as arrays ``<variant>/<batch size>/<arm>`` (blocks, calls) in
            nanoseconds; None for nowhere.

    Returns:
        ``cells``: for each its ``variant`` and ``batch_size``, and either the ``error`` that befell it or the
        ``contrast`` of the medians, ``tails`` (the contrasts of the percentiles, keyed by them as text), and by arm
        (``base``, ``head``) its ``calls``, ``percentiles_ms`` (p50 and the asked ones) and 101 ``quantiles_ms``;
        ``control``: the cell in which the copy took part and its ``contrast`` against the baseline, or None.
    """
    answers: list[dict[str, Any]] = []
    controls: list[dict[str, Any]] = []
    arrays: dict[str, ArrayLike] = {}
    with quiet():
        for variant in dict.fromkeys(cell.variant for cell in cells):
            seats = Seats.tossed(seed, variant, index)
            wanted = [cell for cell in cells if cell.variant == variant]
            for cell, found in _measure_variant(open_arm, wanted, control, seats):
                if isinstance(found, Exception):
                    answers.append({**cell._asdict(), "error": _document(found, cell)})
                    continue
                answers.append({**cell._asdict(), **_figures(found, percentiles)})
                arrays |= {f"{variant}/{cell.batch_size}/{role}": blocks for role, blocks in found.items()}
                if COPY in found:
                    controls.append({**cell._asdict(), "contrast": block_contrast(found[BASE], found[COPY])})
    if samples is not None:
        with samples.open("wb") as stream:
            np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]  # as `timing.keep_samples`
    return {"cells": answers, "control": controls[0] if controls else None}


def _measure_variant(
    open_arm: Callable[[str, Role], DuetArm], cells: Sequence[DuetCell], control: DuetCell | None, seats: Seats
) -> Iterator[tuple[DuetCell, Samples | Exception]]:
    """Each cell of a variant with its samples, or with what befell it; its files are let go of at the end."""
    arms: dict[Role, DuetArm] = {}
    with ExitStack() as stack:
        try:
            for role in seats.loading(with_copy=control in cells):
                arms[role] = open_arm(cells[0].variant, role)
                stack.callback(arms[role].close)
        # A model's own code or its runtime may raise anything.
        except Exception as error:  # noqa: BLE001
            yield from ((cell, error) for cell in cells)
            return
        for cell in cells:
            try:
                samples = _measure_cell(arms, cell.batch_size, seats, with_copy=cell == control)
            except Exception as error:  # noqa: BLE001 - as above
                yield cell, error
            else:
                yield cell, samples


def _measure_cell(arms: Mapping[Role, DuetArm], batch_size: int, seats: Seats, *, with_copy: bool) -> Samples:
    typical_ns = {role: arms[role].warm_up(batch_size) for role in seats.warming(with_copy=with_copy)}
    plan = plan_blocks(typical_ns[BASE], typical_ns[HEAD])
    start = seats.starting(with_copy=with_copy)
    samples: Samples = {role: [] for role in start}
    for block in range(plan.blocks):
        for role in block_order(start, block):
            samples[role].append(arms[role].burst(batch_size, block * plan.calls, plan.calls))
    return samples


def _figures(samples: Samples, percentiles: Sequence[int]) -> dict[str, Any]:
    calls_ns = {role: np.concatenate([np.asarray(block) for block in samples[role]]) for role in (BASE, HEAD)}
    return {
        "contrast": block_contrast(samples[BASE], samples[HEAD]),
        "tails": {str(q): tail_contrast(calls_ns[BASE], calls_ns[HEAD], q) for q in percentiles},
        "calls": {role: int(found.size) for role, found in calls_ns.items()},
        "percentiles_ms": {
            role: {str(q): percentile_ms(found, q) for q in (MEDIAN, *percentiles)} for role, found in calls_ns.items()
        },
        "quantiles_ms": {
            role: np.round(np.percentile(found, range(101)) / NS_PER_MS, 6).tolist() for role, found in calls_ns.items()
        },
    }


def _document(error: Exception, cell: DuetCell) -> dict[str, str]:
    """What befell a cell, as it crosses the worker's pipe."""
    if isinstance(error, InferoptError):
        return {"kind": error.kind, "message": error.message, "hint": error.hint}
    text = " ".join(str(error).split())[:LAST_WORDS]
    message = f"variant {cell.variant!r}, batch size {cell.batch_size} failed: {type(error).__name__}: {text}"
    return {"kind": "not_measured", "message": message, "hint": ""}
