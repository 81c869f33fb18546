"""The clock: warm-up, timed calls, batch sizes; all arms of a request take turns in one process.

Arms that run one after the other are compared with the machine's mood of two different minutes; arms that alternate
in short bursts share it. A burst's first call is not timed where calls are short: it refills the caches that the
other arm evicted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import cycle, islice
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_inferopt.domain.artifact import row_count, take_rows
from pytest_inferopt.domain.measured import Latency, Speedup
from pytest_inferopt.domain.record import Interval
from pytest_inferopt.engine.duet.arm import quiet
from pytest_inferopt.engine.statistics.intervals import block_ratio_interval, percentile_interval_ms, percentile_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import ArrayLike

    from pytest_inferopt.domain.artifact import Rows, Session
    from pytest_inferopt.domain.request import BenchmarkSpec

__all__ = ["Arm", "Cell", "Timings", "measure", "measure_cell", "plan_calls", "summarize"]

PERCENTILES = (50, 95, 99)
BLOCKS = 32
FEEDS = 8
NS_PER_SECOND = 1_000_000_000
NS_PER_MS = 1_000_000
WARMUP_SHOWN = 100
# Warm-up may take this share of a cell's time before it is cut; the rest belongs to the timed calls.
WARMUP_SHARE = 0.2
# Above this, what a switch of arms costs is lost in the call itself, and an untimed call would be dear.
SETTLE_BELOW_NS = 5 * NS_PER_MS


@dataclass(frozen=True, eq=False)
class Arm:
    """One contestant at one batch size: the timed call and the feeds it cycles through."""

    run: Callable[[Any], Any]
    feeds: Sequence[Any]
    feed_ns: Sequence[int] = ()


@dataclass(frozen=True)
class Timings:
    """What the clock saw of one arm, in nanoseconds, block by block."""

    blocks_ns: tuple[tuple[int, ...], ...]
    cold_ns: int
    warmup_ns: tuple[int, ...] = ()
    feed_ns: tuple[int, ...] = ()

    @property
    def samples_ns(self) -> tuple[int, ...]:
        """All timed calls in the order they were made."""
        return tuple(sample for block in self.blocks_ns for sample in block)


@dataclass(frozen=True)
class Cell:
    """One batch size of all arms."""

    batch_size: int
    arms: Mapping[str, Timings]
    was_cut: bool = False


@dataclass
class _Tally:
    cold_ns: int = 0
    warmup_ns: list[int] = field(default_factory=list)
    blocks_ns: list[tuple[int, ...]] = field(default_factory=list)


def measure(
    sessions: Mapping[str, Session],
    rows: Rows,
    spec: BenchmarkSpec,
    *,
    random_seed: int = 0,
    clock: Callable[[], int] = perf_counter_ns,
    on_progress: Callable[[str], None] = lambda _: None,
) -> list[Cell]:
    """Time all sessions at all batch sizes within `spec.measure_seconds`.

    Batches come from the real rows in a seeded random order, `FEEDS` different ones that the calls cycle through;
    a batch larger than the table takes rows again. The time that is left is shared evenly by the cells to come.
    """
    start = clock()
    end = start + int(spec.measure_seconds * NS_PER_SECOND)
    order = np.random.default_rng(random_seed).permutation(row_count(rows))
    cells = []
    for index, batch_size in enumerate(spec.batch_sizes):
        share_ns = max(end - clock(), 0) // (len(spec.batch_sizes) - index)
        on_progress(f"batch {batch_size} ({index + 1} of {len(spec.batch_sizes)}), at most {share_ns / 1e9:.0f} s")
        tables = [take_rows(rows, np.resize(np.roll(order, -batch_size * turn), batch_size)) for turn in range(FEEDS)]
        arms = {name: _arm(session, tables, clock) for name, session in sessions.items()}
        cells.append(measure_cell(arms, batch_size, spec, budget_ns=share_ns, clock=clock))
    return cells


def _arm(session: Session, tables: Sequence[Rows], clock: Callable[[], int]) -> Arm:
    feeds, feed_ns = [], []
    for table in tables:
        before = clock()
        feed = session.prepare(table)
        feed_ns.append(clock() - before)
        feeds.append(feed)
    return Arm(session.run, feeds, feed_ns)


def measure_cell(
    arms: Mapping[str, Arm],
    batch_size: int,
    spec: BenchmarkSpec,
    *,
    budget_ns: int,
    clock: Callable[[], int] = perf_counter_ns,
) -> Cell:
    """Time all arms at one batch size: cold call, warm-up, then blocks in alternating order.

    Where `budget_ns` does not suffice for `spec.iterations`, the slow arms get fewer calls, and a cell whose calls
    turn out slower than its warm-up promised ends after the block in which time ran out.
    """
    end = clock() + budget_ns
    tallies = {name: _Tally() for name in arms}
    with quiet():
        for name, arm in arms.items():
            before = clock()
            arm.run(arm.feeds[0])
            tallies[name].cold_ns = clock() - before
        for name, arm in arms.items():
            warmup_end = clock() + int(budget_ns * WARMUP_SHARE / len(arms))
            _warm_up(arm, spec.warmup_iterations, warmup_end, tallies[name].warmup_ns, clock)
        estimates = {name: _typical_ns(tally) for name, tally in tallies.items()}
        calls = plan_calls(estimates, spec.iterations, budget_ns=max(end - clock(), 0))
        was_cut = _run_blocks(arms, tallies, calls, estimates, end, clock)
    timings = {
        name: Timings(tuple(tally.blocks_ns), tally.cold_ns, tuple(tally.warmup_ns), tuple(arms[name].feed_ns))
        for name, tally in tallies.items()
    }
    return Cell(batch_size, timings, was_cut)


def plan_calls(estimates_ns: Mapping[str, int], iterations: int, *, budget_ns: int) -> dict[str, int]:
    """How many timed calls each arm gets, so that all of them fit: at least two, at most `iterations`.

    Arms that need less than an even share of the time leave the rest to those that need more.
    """
    plan: dict[str, int] = {}
    left_ns = budget_ns
    by_need = sorted(estimates_ns, key=lambda name: estimates_ns[name])
    for index, name in enumerate(by_need):
        cost_ns = max(estimates_ns[name], 1)
        share_ns = left_ns // (len(by_need) - index)
        settling = BLOCKS if _settles(name, estimates_ns) else 0
        plan[name] = min(iterations, max(2, share_ns // cost_ns - settling))
        left_ns = max(left_ns - (plan[name] + settling) * cost_ns, 0)
    return plan


def _warm_up(arm: Arm, count: int, end: int, samples_ns: list[int], clock: Callable[[], int]) -> None:
    while len(samples_ns) < count and (not samples_ns or clock() < end):
        _burst(arm, len(samples_ns), 1, samples_ns, clock)


def _typical_ns(tally: _Tally) -> int:
    late = tally.warmup_ns[len(tally.warmup_ns) // 2 :]
    return int(np.median(late)) if late else tally.cold_ns


def _run_blocks(
    arms: Mapping[str, Arm],
    tallies: Mapping[str, _Tally],
    calls: Mapping[str, int],
    estimates_ns: Mapping[str, int],
    end: int,
    clock: Callable[[], int],
) -> bool:
    """Alternate the arms, first to last and last to first in turn; True if time ran out before the last block."""
    blocks = min(BLOCKS, *calls.values())
    blocks -= blocks % 2 if blocks > 1 else 0
    forward = list(arms)
    for block in range(blocks):
        for name in forward if block % 2 == 0 else reversed(forward):
            first, last = (calls[name] * (block + turn) // blocks for turn in (0, 1))
            if _settles(name, estimates_ns):
                arms[name].run(arms[name].feeds[first % len(arms[name].feeds)])
            samples_ns: list[int] = []
            _burst(arms[name], first, last - first, samples_ns, clock)
            tallies[name].blocks_ns.append(tuple(samples_ns))
        if clock() > end and block + 1 < blocks:
            return True
    return False


def _settles(name: str, estimates_ns: Mapping[str, int]) -> bool:
    """Whether an arm's burst begins with an untimed call; one that is alone finds its caches as it left them."""
    return len(estimates_ns) > 1 and estimates_ns[name] < SETTLE_BELOW_NS


def _burst(arm: Arm, first: int, count: int, samples_ns: list[int], clock: Callable[[], int]) -> None:
    """Time `count` calls, from the feed that call number `first` takes; between the calls stands next to nothing."""
    run, record = arm.run, samples_ns.append
    start = first % len(arm.feeds)
    for feed in islice(cycle(arm.feeds), start, start + count):
        before = clock()
        run(feed)
        record(clock() - before)


def summarize(cell: Cell, spec: BenchmarkSpec, *, reference: str) -> tuple[dict[str, Latency], dict[str, Speedup]]:
    """The latencies of a cell's arms, and how many times faster each is than the `reference` arm."""
    latencies = {name: _latency(cell.batch_size, timings, spec) for name, timings in cell.arms.items()}
    base = cell.arms[reference]
    speedups = {
        name: _speedup(cell.batch_size, base, timings) for name, timings in cell.arms.items() if name != reference
    }
    return latencies, speedups


def _latency(batch_size: int, timings: Timings, spec: BenchmarkSpec) -> Latency:
    samples_ns = np.asarray(timings.samples_ns)
    points, intervals, advisory = {}, {}, []
    for percentile in PERCENTILES:
        name = f"p{percentile}"
        low, high = percentile_interval_ms(samples_ns, percentile)
        points[f"{name}_ms"] = percentile_ms(samples_ns, percentile)
        intervals[name] = Interval(low=low, high=high, method="order statistics of one process")
        if low is None or high is None:
            advisory.append(name)
    return Latency(
        batch_size=batch_size,
        iterations=samples_ns.size,
        iterations_requested=spec.iterations,
        warmup_iterations=len(timings.warmup_ns),
        intervals=intervals,
        throughput_rows_per_second=batch_size * samples_ns.size * NS_PER_SECOND / float(samples_ns.sum()),
        cold_call_ms=timings.cold_ns / NS_PER_MS,
        feed_ms=float(np.median(timings.feed_ns)) / NS_PER_MS if timings.feed_ns else None,
        advisory=tuple(advisory),
        mean_ms=float(samples_ns.mean()) / NS_PER_MS,
        stddev_ms=float(samples_ns.std(ddof=1)) / NS_PER_MS if samples_ns.size > 1 else None,
        quantiles_ms=_rounded_ms(np.percentile(samples_ns, range(101))),
        warmup_ms=_rounded_ms(timings.warmup_ns[:WARMUP_SHOWN]),
        **points,
    )


def _rounded_ms(durations_ns: ArrayLike) -> tuple[float, ...]:
    """Durations for drawing: to the nanosecond, which is what the clock resolves."""
    return tuple(np.round(np.asarray(durations_ns, dtype=np.float64) / NS_PER_MS, 6).tolist())


def _speedup(batch_size: int, base: Timings, other: Timings) -> Speedup:
    ratios = [
        np.log(np.median(mine) / np.median(theirs))
        for mine, theirs in zip(base.blocks_ns, other.blocks_ns, strict=True)
    ]
    estimate, low, high = block_ratio_interval(np.asarray(ratios))
    return Speedup(
        batch_size=batch_size,
        estimate=float(np.exp(estimate)),
        interval=Interval(
            low=None if low is None else float(np.exp(low)),
            high=None if high is None else float(np.exp(high)),
            method="order statistics of the median over alternating blocks",
        ),
        blocks=len(ratios),
    )
