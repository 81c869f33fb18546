from __future__ import annotations

import gc
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_inferopt.domain.slowdown import parse_max_slowdown
from pytest_inferopt.engine.duet import process as duet
from pytest_inferopt.engine.duet.process import (
    BASE,
    COPY,
    HEAD,
    DuetCell,
    Plan,
    Seats,
    SessionArm,
    batches,
    block_order,
    measure_duet,
    plan_blocks,
)
from pytest_inferopt.engine.gate.coins import Coins, own_seed, toss
from pytest_inferopt.engine.gate.verdict import decide
from pytest_inferopt.errors import NotMeasuredError

pytestmark = pytest.mark.usefixtures("frozen_heap")

ONE, TWO, OTHER = DuetCell("int8", 1), DuetCell("int8", 16), DuetCell("fp16", 1)
NS_PER_MS = 1_000_000


class ScriptedArm:
    """Every call takes as long as it says; whatever is asked of it stands in the diary."""

    def __init__(self, who, call_ms, diary):
        self.who = who
        self.call_ns = round(call_ms * NS_PER_MS)
        self.diary = diary
        diary.append(("load", who))

    def warm_up(self, batch_size):
        self.diary.append(("warm", self.who, batch_size))
        return self.call_ns

    def burst(self, batch_size, first, count):
        self.diary.append(("burst", self.who, batch_size, first, count))
        return [self.call_ns] * count

    def close(self):
        self.diary.append(("close", self.who))


@pytest.fixture
def play(diary):
    """Measure cells with arms whose calls take so many milliseconds; an exception stands for one that cannot open."""

    def play(*cells, base=1.0, head=1.0, copy=1.0, control=None, seed=0, index=0, broken=(), **options):
        def opened(variant, role):
            if (variant, role) in broken:
                raise broken[variant, role]
            return ScriptedArm(role, {BASE: base, HEAD: head, COPY: copy}[role], diary)

        return measure_duet(opened, cells, control=control, seed=seed, index=index, **options)

    return play


def did(diary, what, batch_size=1):
    """Who did something, in order; bursts are of one batch size."""
    return [entry[1] for entry in diary if entry[0] == what and (what in {"load", "close"} or entry[2] == batch_size)]


# --- how a cell is measured -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base_ms", "head_ms", "plan"),
    [
        (0.01, 0.01, Plan(32, 500)),
        (1.0, 1.0, Plan(32, 5)),
        (2.0, 2.0, Plan(22, 3)),
        (1.0, 2.0, Plan(20, 5)),
        (10.0, 10.0, Plan(8, 3)),
        (1000.0, 1000.0, Plan(8, 3)),
    ],
    ids=["5 ms a burst", "nearly 0.45 s", "more than 0.45 s", "a slower candidate", "the least", "very slow"],
)
def test_bursts_are_long_enough_and_blocks_are_as_many_as_there_is_time_for(base_ms, head_ms, plan):
    base_ns, head_ns = (round(each * NS_PER_MS) for each in (base_ms, head_ms))
    assert plan_blocks(base_ns, head_ns) == plan == plan_blocks(head_ns, base_ns)


def test_what_a_plan_takes_counts_the_calls_that_are_not_timed():
    assert Plan(8, 3).ns(10, 20) == 8 * (3 + 2) * (10 + 20)


@given(st.integers(1, 10**10), st.integers(1, 10**10))
def test_blocks_are_even_so_that_each_arm_starts_as_often_as_the_other(base_ns, head_ns):
    blocks, calls = plan_blocks(base_ns, head_ns)
    assert (blocks % 2, 8 <= blocks <= 32) == (0, True)
    assert calls >= 3
    assert calls * min(base_ns, head_ns) >= min(5 * NS_PER_MS, 3 * min(base_ns, head_ns))


def test_two_arms_start_in_turn():
    assert [block_order((HEAD, BASE), block) for block in range(4)] == [(HEAD, BASE), (BASE, HEAD)] * 2


def test_of_three_arms_every_order_comes_once_in_six_blocks_and_each_pair_turns_around():
    orders = [block_order((BASE, HEAD, COPY), block) for block in range(12)]
    assert len(set(orders[:6])) == 6
    assert orders[6:] == orders[:6]
    assert [order[::-1] for order in orders[::2]] == orders[1::2]


# --- an arm of this process -------------------------------------------------------------------------------------


def test_two_calls_after_each_switch_are_not_timed(clock, scripted, diary):
    arm = SessionArm(scripted("a", 50, 9, 9, 7, 7, 1, 2, 3), lambda _: ["x", "y", "z"], clock)
    assert arm.warm_up(1) == 9 * NS_PER_MS
    assert arm.burst(1, 0, 3) == [1 * NS_PER_MS, 2 * NS_PER_MS, 3 * NS_PER_MS]
    assert len(diary) == 3 + 2 + 3


def test_calls_take_the_feeds_in_turn_from_that_of_their_number(clock, scripted):
    session = scripted("a", 20)
    arm = SessionArm(session, lambda size: [f"{size} rows, number {number}" for number in range(3)], clock)
    arm.warm_up(7)
    arm.burst(7, 5, 4)
    order = [int(feed[-1]) for feed in session.feeds]
    assert order == [0, 1, 2, 2, 0, 2, 0, 1, 2]
    assert session.feeds[0] == "7 rows, number 0"
    arm.close()
    with pytest.raises(KeyError):
        arm.burst(7, 0, 1)


def test_a_short_call_is_warmed_up_for_ten_milliseconds(clock, scripted, diary):
    assert SessionArm(scripted("a", 0.5), lambda _: ["x"], clock).warm_up(1) == NS_PER_MS // 2
    assert len(diary) == 20


def test_batches_are_the_same_for_all_arms_and_others_in_each_replicate():
    rows = np.arange(20)
    first = batches(rows, 3, seed=0, index=0)
    assert [len(table) for table in first] == [3] * 8
    assert len(set(np.concatenate(first[:6]))) == 18
    assert np.array_equal(first, batches(rows, 3, seed=0, index=0))
    assert not np.array_equal(first, batches(rows, 3, seed=0, index=1))
    assert {len(table) for table in batches(rows, 64, seed=0, index=0)} == {64}


# --- seats ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("index", range(8))
def test_who_is_loaded_warmed_up_and_called_first_follows_the_coins(play, diary, index):
    play(ONE, seed=3, index=index)
    coins = toss(own_seed(3, "int8"), index)
    first = {True: [HEAD, BASE], False: [BASE, HEAD]}
    start = first[coins.candidate_starts_first]
    assert did(diary, "load") == first[coins.candidate_loads_first]
    assert did(diary, "warm") == first[coins.candidate_warms_first]
    assert did(diary, "burst") == (start + start[::-1]) * 16


@pytest.mark.parametrize("index", range(8))
def test_the_copy_of_the_baseline_comes_before_the_pair_or_after_it_by_coins_of_its_own(play, diary, index):
    play(ONE, TWO, control=TWO, index=index)
    own = toss(own_seed(0, "copy of int8"), index)
    seats = Seats.tossed(0, "int8", index)
    for what, is_first in (("load", own.candidate_loads_first), ("warm", own.candidate_warms_first)):
        order = did(diary, what, 16)
        assert order.index(COPY) == (0 if is_first else 2)
    assert did(diary, "burst", 16)[:3] == list(seats.starting(with_copy=True))
    assert COPY not in did(diary, "burst", 1) + did(diary, "warm", 1)


def test_several_variants_have_coins_of_their_own_and_one_is_gone_before_the_next_comes(play, diary):
    orders = []
    for index in range(16):
        diary.clear()
        play(ONE, OTHER, control=None, index=index)
        loads = did(diary, "load")
        orders.append((loads[:2], loads[2:]))
        kinds = [entry[0] for entry in diary if entry[0] in {"load", "close"}]
        assert kinds == ["load", "load", "close", "close"] * 2
    assert 2 <= sum(one == other for one, other in orders) <= 14


def contrasts(play, monkeypatch, coins, count=16, bias=0.03):
    """Equal files, of which the one that was loaded first is faster for the life of its process."""
    monkeypatch.setattr(duet, "toss", coins)
    figures = []
    for index in range(count):
        first = coins(own_seed(0, "int8"), index).candidate_loads_first
        (cell,) = play(ONE, index=index, head=1.0 if first else 1.0 * math.exp(bias), base=math.exp(bias * first))[
            "cells"
        ]
        figures.append(cell["contrast"])
    return figures


def test_what_a_seat_is_worth_cancels_out_with_coins_and_looks_like_a_slowdown_without(play, monkeypatch):
    limits, names = parse_max_slowdown("5%"), ["batch 1"]
    tossed = contrasts(play, monkeypatch, toss)
    assert sum(tossed) == pytest.approx(0, abs=1e-6)
    assert decide(np.array(tossed)[:, None], limits, cells=names).verdict != "regressed"
    always = contrasts(play, monkeypatch, lambda *_: Coins(*[False] * 3))
    assert decide(np.array(always)[:, None], limits, cells=names).verdict == "regressed"


# --- what comes back --------------------------------------------------------------------------------------------


def test_a_cell_is_told_by_its_contrasts_and_by_what_each_arm_took(play):
    found = play(ONE, base=2.0, head=4.0, percentiles=[95])
    calls = 3 * 14
    assert found == {
        "cells": [
            {
                "variant": "int8",
                "batch_size": 1,
                "contrast": pytest.approx(math.log(2)),
                "tails": {"95": pytest.approx(math.log(2))},
                "calls": {"base": calls, "head": calls},
                "percentiles_ms": {"base": {"50": 2.0, "95": 2.0}, "head": {"50": 4.0, "95": 4.0}},
                "quantiles_ms": {"base": [2.0] * 101, "head": [4.0] * 101},
            }
        ],
        "control": None,
    }


def test_each_block_begins_with_the_number_of_its_first_call(play, diary):
    play(ONE, base=10.0, head=10.0)
    assert [entry[3:] for entry in diary if entry[0] == "burst"] == [(3 * block, 3) for block in range(8) for _ in "ab"]


@settings(max_examples=20, deadline=None)
@given(st.floats(1, 20), st.floats(1, 20), st.integers(0, 30))
def test_swapping_the_arms_negates_the_contrast(base, head, index):
    def measured(base, head):
        def opened(_, role):
            return ScriptedArm(role, {BASE: base, HEAD: head}[role], [])

        (cell,) = measure_duet(opened, [ONE], control=None, seed=0, index=index)["cells"]
        return cell["contrast"]

    assert measured(base, head) == -measured(head, base)


def test_the_control_is_the_copy_against_the_baseline(play):
    found = play(ONE, TWO, OTHER, base=2.0, head=8.0, copy=1.0, control=TWO)
    assert found["control"] == {"variant": "int8", "batch_size": 16, "contrast": pytest.approx(-math.log(2))}
    assert [cell["contrast"] for cell in found["cells"]] == [pytest.approx(math.log(4))] * 3


def test_all_timed_calls_are_written_where_it_is_asked(play, tmp_path):
    play(ONE, TWO, base=10.0, head=20.0, control=TWO, samples=tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as archive:
        shapes = {name: archive[name].shape for name in archive.files}
        assert archive["int8/1/head"].tolist() == [[20 * NS_PER_MS] * 3] * 8
    assert shapes == dict.fromkeys(
        ["int8/1/base", "int8/1/head", "int8/16/base", "int8/16/head", "int8/16/copy"], (8, 3)
    )


def test_nothing_is_collected_while_calls_are_timed(diary):
    class Watched(ScriptedArm):
        def warm_up(self, batch_size):
            seen.append(gc.isenabled())
            return super().warm_up(batch_size)

    seen = []
    measure_duet(lambda _, role: Watched(role, 1, diary), [ONE], control=None, seed=0, index=0)
    assert (seen, gc.isenabled()) == ([False, False], True)


# --- what goes wrong --------------------------------------------------------------------------------------------


def test_a_variant_whose_file_cannot_be_opened_leaves_the_others_alone(play, diary):
    broken = {("int8", HEAD): NotMeasuredError("it is damaged.", "Make it again.")}
    found = play(ONE, TWO, OTHER, control=TWO, broken=broken)
    wrong = {"error": {"kind": "not_measured", "message": "it is damaged.", "hint": "Make it again."}}
    assert found["cells"][:2] == [{**cell._asdict(), **wrong} for cell in (ONE, TWO)]
    assert (found["cells"][2]["contrast"], found["control"]) == (0, None)
    assert len(did(diary, "load")) == len(did(diary, "close"))


def test_a_cell_that_fails_leaves_the_others_alone(diary):
    class Breaking(ScriptedArm):
        def burst(self, batch_size, first, count):
            if batch_size == 1:
                raise ValueError("cannot\nreshape" + "x" * 400)
            return super().burst(batch_size, first, count)

    found = measure_duet(lambda _, role: Breaking(role, 1, diary), [ONE, TWO], control=TWO, seed=0, index=0)
    wrong, fine = found["cells"]
    assert wrong["error"]["kind"] == "not_measured"
    assert wrong["error"]["message"].startswith("variant 'int8', batch size 1 failed: ValueError: cannot reshapexxx")
    assert len(wrong["error"]["message"]) < 400
    assert (fine["contrast"], found["control"]["batch_size"]) == (0, 16)
