from __future__ import annotations

import gc
import math
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferopt.domain.measured import Latency
from pytest_inferopt.domain.record import Interval
from pytest_inferopt.domain.request import BenchmarkSpec
from pytest_inferopt.engine.clock.measure import (
    BLOCKS,
    FEEDS,
    SETTLE_BELOW_NS,
    Arm,
    Cell,
    Timings,
    measure,
    measure_cell,
    plan_calls,
    summarize,
)

MS = 1_000_000
SECOND = 1_000_000_000
LONG = 3600 * SECOND
ROWS = np.arange(100.0).reshape(50, 2)
BY_ORDER = "order statistics of one process"
BY_BLOCK = "order statistics of the median over alternating blocks"


def spec(**changes):
    defaults = {
        "warmup_iterations": 2,
        "iterations": 4,
        "batch_sizes": (1,),
        "measure_seconds": 3600.0,
        "threads": 1,
        "provider": "cpu",
    }
    return BenchmarkSpec(**{**defaults, **changes})


@pytest.fixture
def cell(clock):
    """Measure scripted sessions at batch size 1; each cycles through the feeds 0, 1 and 2."""

    def cell(*sessions, budget_ns=LONG, **changes):
        arms = {session.name: Arm(session.run, (0, 1, 2), (MS,)) for session in sessions}
        return measure_cell(arms, 1, spec(**changes), budget_ns=budget_ns, clock=clock)

    return cell


# --- one arm ----------------------------------------------------------------------------------------------------


def test_warmup_calls_are_not_counted(cell, scripted):
    timings = cell(scripted("a", 50, 9, 9, 11, 12, 13, 14)).arms["a"]
    assert timings == Timings(
        blocks_ns=((11 * MS,), (12 * MS,), (13 * MS,), (14 * MS,)),
        cold_ns=50 * MS,
        warmup_ns=(9 * MS, 9 * MS),
        feed_ns=(MS,),
    )
    assert timings.samples_ns == (11 * MS, 12 * MS, 13 * MS, 14 * MS)


def test_g92_the_cold_call_is_excluded_and_shown(cell, scripted):
    found = cell(scripted("a", 5000, 10))
    latencies, _ = summarize(found, spec(), reference="a")
    assert (latencies["a"].cold_call_ms, latencies["a"].p99_ms) == (5000.0, 10.0)
    assert 5000 * MS not in found.arms["a"].samples_ns


def test_without_warmup_the_cold_call_foretells_how_long_calls_take(cell, scripted):
    session = scripted("a", 10)
    found = cell(session, warmup_iterations=0, iterations=1000, budget_ns=100 * MS)
    assert (len(found.arms["a"].warmup_ns), len(found.arms["a"].samples_ns)) == (0, 9)


def test_calls_cycle_through_different_feeds(cell, scripted):
    session = scripted("a", 10)
    cell(session, warmup_iterations=4, iterations=8)
    cold, warmup, timed = session.feeds[:1], session.feeds[1:5], session.feeds[5:]
    assert (cold, warmup, timed) == ([0], [0, 1, 2, 0], [0, 1, 2, 0, 1, 2, 0, 1])


def test_warmup_ends_early_where_it_would_eat_the_time_of_the_timed_calls(cell, scripted):
    found = cell(scripted("a", 10), warmup_iterations=1000, iterations=20, budget_ns=300 * MS)
    # A fifth of 300 ms holds six calls of 10 ms; the cold call and the timed ones have the rest.
    assert (len(found.arms["a"].warmup_ns), len(found.arms["a"].samples_ns)) == (6, 20)


def test_the_settling_call_is_made_only_where_calls_are_short(cell, scripted):
    short, long = scripted("short", 1), scripted("long", 5)
    found = cell(short, long, warmup_iterations=1, iterations=4)
    assert {name: len(arm.samples_ns) for name, arm in found.arms.items()} == {"short": 4, "long": 4}
    # Beside one cold and one warm-up call, four timed ones; short ones settle once in each of four blocks.
    assert (len(short.feeds), len(long.feeds)) == (2 + 4 + 4, 2 + 4)


def test_the_settling_call_takes_the_feed_of_the_call_after_it(cell, scripted):
    session = scripted("a", 1)
    cell(session, scripted("b", 1), warmup_iterations=0, iterations=4)
    assert session.feeds == [0, 0, 0, 1, 1, 2, 2, 0, 0]


def test_an_arm_that_is_alone_has_no_caches_to_refill(cell, scripted):
    session = scripted("a", 1)
    cell(session, warmup_iterations=0, iterations=4)
    assert session.feeds == [0, 0, 1, 2, 0]


def test_a_slow_first_call_after_a_switch_of_arms_is_not_timed(cell, scripted):
    # Cold and warm-up, then in both blocks a settling call of 3 ms before the timed ones of 1 ms.
    found = cell(scripted("a", 1, 1, 3, 1, 3, 1), scripted("b", 1), warmup_iterations=1, iterations=2)
    assert found.arms["a"].samples_ns == (MS, MS)


# --- several arms -----------------------------------------------------------------------------------------------


def test_arms_alternate_forward_and_backward(cell, scripted, diary):
    cell(scripted("a", 10), scripted("b", 10), scripted("c", 10), warmup_iterations=1, iterations=4)
    assert diary[:6] == ["a", "b", "c", "a", "b", "c"]
    assert diary[6:] == [*"abc", *"cba", *"abc", *"cba"]


def test_a_block_holds_its_share_of_the_calls(cell, scripted, diary):
    found = cell(scripted("a", 10), scripted("b", 10), warmup_iterations=0, iterations=100)
    assert [len(block) for block in found.arms["a"].blocks_ns] == [
        100 * (block + 1) // BLOCKS - 100 * block // BLOCKS for block in range(BLOCKS)
    ]
    assert [name for name, _ in groupby(diary[2:])] == [*("a", "b") * (BLOCKS // 2), "a"]
    assert diary[2:].count("a") == diary[2:].count("b") == 100


def test_as_many_blocks_go_forward_as_backward(cell, scripted):
    found = cell(scripted("a", 10), iterations=5)
    assert [len(block) for block in found.arms["a"].blocks_ns] == [1, 1, 1, 2]


def test_one_iteration_is_one_block(cell, scripted):
    found = cell(scripted("a", 10), scripted("b", 10), iterations=1)
    assert [arm.blocks_ns for arm in found.arms.values()] == [((10 * MS,),), ((10 * MS,),)]


def test_a_slow_arm_gets_fewer_calls_in_as_many_blocks(cell, scripted):
    found = cell(scripted("fast", 10), scripted("slow", 1000), iterations=64, budget_ns=60 * SECOND)
    counts = {name: (len(arm.blocks_ns), len(arm.samples_ns)) for name, arm in found.arms.items()}
    assert counts == {"fast": (32, 64), "slow": (32, 56)}
    assert not found.was_cut


def test_time_that_runs_out_before_the_last_block_cuts_the_cell_and_is_told(cell, scripted):
    # Warm-up promises 10 ms a call, the timed calls take 100.
    found = cell(scripted("a", 10, 10, 10, 100), scripted("b", 10), iterations=32, budget_ns=SECOND)
    assert found.was_cut
    assert {len(arm.blocks_ns) for arm in found.arms.values()} == {9}


def test_a_cell_whose_last_block_runs_over_time_is_whole(cell, scripted):
    found = cell(scripted("a", 10, 10, 10, 10, 10, 10, 5000), iterations=4, budget_ns=SECOND)
    assert (found.was_cut, len(found.arms["a"].samples_ns)) == (False, 4)


# --- the plan ---------------------------------------------------------------------------------------------------

COSTS = st.dictionaries(st.text(max_size=3), st.integers(0, 10 * SECOND), min_size=1, max_size=6)


def cost_of(plan, estimates, name):
    """What an arm takes: its calls, and beside other arms a settling call in each block where calls are short."""
    cost = max(estimates[name], 1)
    return (plan[name] + (BLOCKS if cost < SETTLE_BELOW_NS and len(estimates) > 1 else 0)) * cost


@given(COSTS, st.integers(1, 100_000), st.integers(0, 1000 * SECOND))
def test_a_plan_gives_each_arm_two_calls_at_least_and_never_more_than_were_asked_for(estimates, iterations, budget_ns):
    plan = plan_calls(estimates, iterations, budget_ns=budget_ns)
    assert plan.keys() == estimates.keys()
    assert all(min(2, iterations) <= calls <= iterations for calls in plan.values())


@given(COSTS, st.integers(3, 100_000), st.integers(0, 1000 * SECOND))
def test_what_a_plan_gives_beyond_the_least_fits_the_time(estimates, iterations, budget_ns):
    plan = plan_calls(estimates, iterations, budget_ns=budget_ns)
    assert sum(cost_of(plan, estimates, name) for name, calls in plan.items() if calls > 2) <= budget_ns


@given(COSTS, st.integers(3, 100_000), st.integers(0, 1000 * SECOND))
def test_a_plan_leaves_less_than_a_call_of_an_arm_that_wants_more(estimates, iterations, budget_ns):
    plan = plan_calls(estimates, iterations, budget_ns=budget_ns)
    wanting = [name for name, calls in plan.items() if calls < iterations]
    slowest = max(estimates, key=lambda name: (estimates[name], list(estimates).index(name)))
    if slowest in wanting:
        left_ns = budget_ns - sum(cost_of(plan, estimates, name) for name in plan)
        assert left_ns < max(estimates[slowest], 1)


@given(COSTS, st.integers(1, 100_000))
def test_where_time_suffices_every_arm_gets_what_was_asked_for(estimates, iterations):
    enough_ns = len(estimates) * (iterations + BLOCKS) * max(1, *estimates.values(), 1)
    assert set(plan_calls(estimates, iterations, budget_ns=enough_ns).values()) == {iterations}


def test_arms_that_need_little_leave_the_rest_to_those_that_need_more():
    estimates = {"slow": 10 * MS, "fast": 5 * MS}
    assert plan_calls(estimates, 100, budget_ns=1500 * MS) == {"fast": 100, "slow": 100}
    assert plan_calls(estimates, 100, budget_ns=1000 * MS) == {"fast": 100, "slow": 50}
    assert plan_calls(estimates, 100, budget_ns=600 * MS) == {"fast": 60, "slow": 30}
    assert plan_calls(estimates, 100, budget_ns=0) == {"fast": 2, "slow": 2}


# --- all batch sizes --------------------------------------------------------------------------------------------


def test_every_batch_size_is_a_cell_of_all_sessions(clock, scripted):
    sessions = {name: scripted(name, 10) for name in ("a", "b")}
    cells = measure(sessions, ROWS, spec(batch_sizes=(1, 16)), clock=clock)
    assert [(cell.batch_size, list(cell.arms), cell.was_cut) for cell in cells] == [
        (1, ["a", "b"], False),
        (16, ["a", "b"], False),
    ]
    assert {feed.shape for feed in sessions["a"].feeds} == {(1, 2), (16, 2)}


def test_building_the_feeds_is_timed_apart_and_in_no_call(clock, scripted):
    (cell,) = measure({"a": scripted("a", 10, prepare_ms=7)}, ROWS, spec(), clock=clock)
    assert (cell.arms["a"].feed_ns, set(cell.arms["a"].samples_ns)) == ((7 * MS,) * FEEDS, {10 * MS})


def test_feeds_are_different_rows_in_an_order_that_the_seed_decides(clock, scripted):
    def feeds(seed):
        session = scripted("a", 10)
        measure({"a": session}, ROWS, spec(iterations=FEEDS, batch_sizes=(5,)), clock=clock, random_seed=seed)
        return np.array(session.feeds[-FEEDS:])

    np.testing.assert_array_equal(feeds(1), feeds(1))
    assert not np.array_equal(feeds(1), feeds(2))
    assert len(np.unique(feeds(1)[:, :, 0])) == FEEDS * 5


def test_all_arms_get_the_same_rows(clock, scripted):
    sessions = {name: scripted(name, 10) for name in ("a", "b")}
    measure(sessions, ROWS, spec(batch_sizes=(3,)), clock=clock)
    np.testing.assert_array_equal(sessions["a"].feeds, sessions["b"].feeds)


def test_a_batch_larger_than_the_table_takes_rows_again(clock, scripted):
    session = scripted("a", 10)
    measure({"a": session}, ROWS[:3], spec(batch_sizes=(7,)), clock=clock)
    for feed in session.feeds:
        assert feed.shape == (7, 2)
        assert set(map(tuple, feed)) == set(map(tuple, ROWS[:3]))


def test_the_time_that_is_left_is_shared_evenly_by_the_cells_to_come(clock, scripted):
    said = []
    measure(
        {"a": scripted("a", 1000)},
        ROWS,
        spec(batch_sizes=(1, 16, 32), measure_seconds=90.0, warmup_iterations=1, iterations=4),
        clock=clock,
        on_progress=said.append,
    )
    # Each cell takes 6 of its 30 seconds, and leaves the others to the rest.
    assert said == [
        "batch 1 (1 of 3), at most 30 s",
        "batch 16 (2 of 3), at most 42 s",
        "batch 32 (3 of 3), at most 78 s",
    ]


def test_cells_for_which_no_time_is_left_are_measured_at_the_least(clock, scripted):
    cells = measure(
        {"a": scripted("a", 60_000)}, ROWS, spec(batch_sizes=(1, 2), measure_seconds=1.0, iterations=50), clock=clock
    )
    assert [(len(cell.arms["a"].samples_ns), len(cell.arms["a"].warmup_ns)) for cell in cells] == [(1, 1), (1, 1)]
    assert all(cell.was_cut for cell in cells)


# --- the garbage collector --------------------------------------------------------------------------------------


@pytest.fixture
def collector():
    """Whatever a test does to the garbage collector is undone."""
    was_enabled = gc.isenabled()
    yield
    (gc.enable if was_enabled else gc.disable)()


@pytest.mark.usefixtures("collector")
@pytest.mark.parametrize("switch", [gc.enable, gc.disable])
def test_no_garbage_is_collected_inside_and_the_collector_is_as_it_was_after(clock, switch):
    seen = []

    def run(_):
        seen.append((gc.isenabled(), gc.get_freeze_count() > 0))
        clock.pass_ms(10)

    switch()
    before = gc.isenabled()
    measure_cell({"a": Arm(run, (0,))}, 1, spec(), budget_ns=LONG, clock=clock)
    assert (set(seen), gc.isenabled(), gc.get_freeze_count()) == ({(False, True)}, before, 0)


@pytest.mark.usefixtures("collector")
def test_the_collector_is_as_it_was_after_a_call_that_fails(clock):
    def run(_):
        raise ZeroDivisionError

    gc.enable()
    with pytest.raises(ZeroDivisionError):
        measure_cell({"a": Arm(run, (0,))}, 1, spec(), budget_ns=LONG, clock=clock)
    assert (gc.isenabled(), gc.get_freeze_count()) == (True, 0)


# --- what is made of it -----------------------------------------------------------------------------------------


def timings(*blocks_ms, feed_ms=()):
    blocks = tuple(tuple(sample * MS for sample in block) for block in blocks_ms)
    return Timings(blocks, cold_ns=50 * MS, warmup_ns=(30 * MS, 20 * MS), feed_ns=tuple(ms * MS for ms in feed_ms))


def test_a_cell_is_summed_up_with_what_its_calls_can_and_cannot_carry():
    original = timings((10, 10, 10), (20, 20, 20), feed_ms=(1, 2, 9))
    variant = timings((5, 5, 5), (4, 4, 4))
    latencies, speedups = summarize(
        Cell(16, {"original": original, "fast": variant}), spec(iterations=6), reference="original"
    )
    drawn = {"mean_ms", "stddev_ms", "quantiles_ms", "warmup_ms"}
    assert {name: Latency(**found.model_dump(exclude=drawn)) for name, found in latencies.items()} == {
        "original": Latency(
            batch_size=16,
            iterations=6,
            iterations_requested=6,
            warmup_iterations=2,
            p50_ms=15.0,
            p95_ms=20.0,
            p99_ms=20.0,
            intervals={
                "p50": Interval(low=10.0, high=20.0, method=BY_ORDER),
                "p95": Interval(low=20.0, high=None, method=BY_ORDER),
                "p99": Interval(low=20.0, high=None, method=BY_ORDER),
            },
            throughput_rows_per_second=16 * 6 * SECOND / (90 * MS),
            cold_call_ms=50.0,
            feed_ms=2.0,
            advisory=("p95", "p99"),
        ),
        "fast": Latency(
            batch_size=16,
            iterations=6,
            iterations_requested=6,
            warmup_iterations=2,
            p50_ms=4.5,
            p95_ms=5.0,
            p99_ms=5.0,
            intervals={
                "p50": Interval(low=4.0, high=5.0, method=BY_ORDER),
                "p95": Interval(low=5.0, high=None, method=BY_ORDER),
                "p99": Interval(low=5.0, high=None, method=BY_ORDER),
            },
            throughput_rows_per_second=16 * 6 * SECOND / (27 * MS),
            cold_call_ms=50.0,
            feed_ms=None,
            advisory=("p95", "p99"),
        ),
    }
    original_ms, fast_ms = (latencies[name] for name in ("original", "fast"))
    assert (original_ms.mean_ms, fast_ms.mean_ms) == (15.0, 4.5)
    assert (original_ms.stddev_ms, fast_ms.stddev_ms) == pytest.approx((math.sqrt(30), math.sqrt(0.3)))
    assert [original_ms.quantiles_ms[percent] for percent in (0, 50, 100)] == [10.0, 15.0, 20.0]
    assert (len(original_ms.quantiles_ms), original_ms.warmup_ms) == (101, (30.0, 20.0))
    assert speedups.keys() == {"fast"}
    assert speedups["fast"].model_dump() == {
        "batch_size": 16,
        "estimate": pytest.approx(math.sqrt(2 * 5)),
        "interval": {"low": None, "high": None, "level": 0.95, "method": BY_BLOCK},
        "blocks": 2,
    }


def test_the_speed_up_is_the_median_over_blocks_that_saw_the_same_mood_of_the_machine():
    moods = (1, 1, 1, 4, 4, 4, 1, 50)
    original = timings(*((8 * mood,) for mood in moods))
    variant = timings(*((4 * mood,) for mood in moods))
    _, speedups = summarize(Cell(1, {"original": original, "fast": variant}), spec(), reference="original")
    two = pytest.approx(2.0)
    assert speedups["fast"].model_dump() == {
        "batch_size": 1,
        "estimate": two,
        "interval": {"low": two, "high": two, "level": 0.95, "method": BY_BLOCK},
        "blocks": 8,
    }


def test_enough_calls_carry_every_percentile():
    latencies, _ = summarize(Cell(1, {"a": timings(range(1, 1001))}), spec(iterations=1000), reference="a")
    found = latencies["a"]
    assert (found.p50_ms, found.p95_ms, found.p99_ms) == pytest.approx((500.5, 950.05, 990.01))
    assert found.advisory == ()
    assert all(None not in (interval.low, interval.high) for interval in found.intervals.values())


def test_one_call_has_no_standard_deviation():
    latencies, _ = summarize(Cell(1, {"a": timings((7,))}), spec(iterations=1), reference="a")
    assert (latencies["a"].mean_ms, latencies["a"].stddev_ms) == (7.0, None)
