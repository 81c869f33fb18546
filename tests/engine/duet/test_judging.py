from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_inferopt.domain.slowdown import parse_max_slowdown
from pytest_inferopt.engine.duet.judging import judge
from pytest_inferopt.engine.duet.process import DuetCell
from pytest_inferopt.errors import NotMeasuredError, WorkerError

LIMITS = parse_max_slowdown("5%")
ALLOWED = "allowed 2.0 % (0.4 × max_slowdown 5 %)"
ONE, TWO, OTHER = DuetCell("int8", 1), DuetCell("int8", 16), DuetCell("fp16", 1)
# Within ±0.4 %, above and below zero in turn, all of different sizes.
SPREAD = [(-1) ** place * (place // 2 * 5 % 12 + 1 - place % 2 / 4) / 12 * 0.004 for place in range(24)]
BROKEN = {"kind": "not_measured", "message": "it is damaged.", "hint": "Make it again."}


def slower(percent, tail=0.0):
    """A cell that is slower by so many percent, with a small spread, and by so many more at its tails."""
    return lambda index: {"contrast": math.log1p(percent / 100) + SPREAD[index], "tail": math.log1p(tail / 100)}


SAME = slower(0)


def wide(percent):
    return lambda index: {"contrast": math.log1p(percent / 100) + 6 * SPREAD[index]}


class Scripted:
    """Replicates whose figures are given by cell; whatever was asked is kept."""

    def __init__(self, cells, *, copy=SAME, steal=(), calls=1000, tails=(), seconds=1.0):
        self.cells = cells
        self.copy = copy
        self.steal = list(steal)
        self.calls = calls
        self.tails = tails
        self.seconds = seconds
        self.asked = []
        self.now = 0.0

    def __call__(self, index, live, control):
        self.asked.append((index, tuple(live), control))
        self.now += self.seconds
        return {
            "cells": [{**cell._asdict(), **self.told(cell, index)} for cell in live],
            "control": {**control._asdict(), "contrast": self.copy(index)["contrast"]},
            "sensors": {"ticks": 100, "stolen_ticks": self.steal.pop(0) if self.steal else 0},
            "seconds": self.seconds,
        }

    def told(self, cell, index):
        found = self.cells[cell](index)
        if "error" in found:
            return found
        calls = self.calls[cell] if isinstance(self.calls, dict) else self.calls
        tail = found.get("tail", 0.0) + SPREAD[index]
        return {
            "contrast": found["contrast"],
            "tails": {str(q): tail for q in self.tails},
            "calls": {"base": calls, "head": calls + 1},
        }


@pytest.fixture
def judged():
    """`judged({cell: figures})`: how the gate ends, and what was asked on the way."""

    def judged(cells, *, said=None, limits=LIMITS, **options):
        script = Scripted(cells, **options)
        ending = judge(
            list(cells),
            limits=limits,
            take=script,
            tails=script.tails,
            on_progress=[].append if said is None else said.append,
            clock=lambda: script.now,
        )
        return ending, script

    return judged


def control_of(script):
    return [control for _, _, control in script.asked]


def live_of(script):
    return [live for _, live, _ in script.asked]


# --- looks ------------------------------------------------------------------------------------------------------


def test_equal_files_pass_at_the_first_look(judged):
    ending, script = judged({ONE: slower(0), TWO: slower(0.5)})
    assert [index for index, _, _ in script.asked] == list(range(9))
    assert (ending.verdict, ending.reason) == ("passed", f"batch 16: +0.5 % [0.3, 0.8], {ALLOWED}")
    assert (ending.repeated, ending.errors, ending.is_contaminated, ending.seconds) == (0, {}, False, 9.0)
    assert ending.names == {ONE: "batch 1", TWO: "batch 16"}
    assert (len(ending.replicates), ending.control.replicates) == (9, 9)


def test_a_regression_stops_the_gate_at_once(judged):
    ending, script = judged({ONE: slower(4)})
    assert (ending.verdict, len(script.asked)) == ("regressed", 9)
    assert ending.reason == f"batch 1: +4.0 % [3.8, 4.3], {ALLOWED}"


def test_a_cell_that_has_passed_is_measured_no_longer_and_the_control_is_taken_among_the_others(judged):
    ending, script = judged({ONE: slower(0), TWO: wide(2.3), OTHER: wide(2.3)})
    assert live_of(script) == [(ONE, TWO, OTHER)] * 9 + [(TWO, OTHER)] * 15
    assert control_of(script) == [(ONE, TWO, OTHER)[index % 3] for index in range(9)] + [
        (TWO, OTHER)[index % 2] for index in range(9, 24)
    ]
    assert (ending.verdict, ending.standing.median.looks) == ("inconclusive", 4)
    assert ending.reason.startswith("not certain after 24 processes: int8 at batch 16: +2")


def test_one_slow_cell_of_several_is_red_at_the_second_look(judged):
    ending, script = judged({ONE: slower(0), TWO: slower(4)})
    assert (ending.verdict, len(script.asked)) == ("regressed", 12)
    assert ending.reason == f"batch 16: +4.0 % [3.8, 4.2], {ALLOWED}"


@pytest.mark.parametrize(("percent", "before"), [(0, "passed"), (4, "regressed")])
def test_a_contaminated_control_makes_any_verdict_inconclusive(judged, percent, before):
    cells = {ONE: slower(percent)}
    assert judged(cells)[0].verdict == before
    ending, script = judged(cells, copy=slower(3))
    assert (ending.verdict, ending.is_contaminated, len(script.asked)) == ("inconclusive", True, 9)
    told = f"contaminated: the baseline beside a second copy of itself: +3.0 % [2.8, 3.3]; {ALLOWED}"
    assert ending.reason == f"{told}, and the copies may differ by half of it"


# --- tails ------------------------------------------------------------------------------------------------------


def test_a_tail_that_is_slower_is_red_where_the_median_is_not(judged):
    ending, script = judged({ONE: slower(0, tail=30)}, tails=(95,), calls=1000)
    assert (ending.verdict, len(script.asked)) == ("regressed", 9)
    assert ending.reason == "p95: batch 1: +30.0 % [29.8, 30.3], allowed 10.0 % (of a tail)"


def test_a_cell_stays_live_until_it_has_passed_at_every_percentile(judged):
    def tail_like(percent):
        return lambda index: {"contrast": SPREAD[index], "tail": math.log1p(percent / 100) + 30 * SPREAD[index]}

    ending, script = judged({ONE: tail_like(10), TWO: slower(0)}, tails=(95,))
    assert live_of(script)[9:] == [(ONE,)] * (len(script.asked) - 9)
    assert len(script.asked) > 9
    assert ending.standing.median.verdict == "passed"


def test_a_tail_waits_for_its_calls_where_it_will_have_them(judged):
    ending, script = judged({ONE: slower(0)}, tails=(95,), calls=200)
    assert len(script.asked) == 16
    assert (ending.verdict, ending.standing.tails[0].advisory) == ("passed", {})
    assert ending.reason.endswith("p95: batch 1: +0.0 % [-0.2, 0.3], allowed 10.0 % (of a tail)")


def test_a_tail_that_will_never_have_its_calls_is_advisory_and_holds_nothing_up(judged):
    ending, script = judged({ONE: slower(0), TWO: slower(0)}, tails=(95, 99), calls={ONE: 1000, TWO: 100})
    assert live_of(script)[9:] == [(ONE,)] * 7
    p95, p99 = ending.standing.tails
    assert p95.advisory == {"batch 16": "too few samples for p95: 900 calls an arm, needs 3,000"}
    assert p99.advisory == {"batch 16": "too few samples for p99: 900 calls an arm, needs 15,000"}
    assert ending.verdict == "passed"


def test_a_contaminated_control_is_carried_to_a_tail_while_the_median_is_undecided(judged):
    def undecided(index):
        return {"contrast": wide(2.3)(index)["contrast"], "tail": math.log(1.5)}

    plain, _ = judged({ONE: undecided}, tails=(95,))
    assert (plain.verdict, plain.standing.median.verdict) == ("regressed", None)
    ending, _ = judged({ONE: undecided}, tails=(95,), copy=slower(4))
    assert (ending.verdict, ending.is_contaminated) == ("inconclusive", True)
    assert ending.reason.startswith("contaminated: the baseline beside a second copy of itself: +4.0 %")


def test_a_tail_that_stays_undecided_makes_the_gate_inconclusive(judged):
    def uncertain(index):
        return {"contrast": SPREAD[index], "tail": math.log(1.11) + 60 * SPREAD[index]}

    ending, script = judged({ONE: uncertain}, tails=(95,))
    assert (ending.verdict, len(script.asked)) == ("inconclusive", 24)
    assert ending.reason.startswith("p95: not certain after 24 processes: batch 1: +1")


# --- replicates that do not count -------------------------------------------------------------------------------


def test_a_replicate_with_much_steal_is_taken_again_with_its_number(judged):
    ending, script = judged({ONE: slower(0)}, steal=[0, 6, 30, 5])
    assert [index for index, _, _ in script.asked] == [0, 1, 1, 1, *range(2, 9)]
    assert (ending.verdict, ending.repeated, len(ending.replicates)) == ("passed", 2, 9)


@pytest.mark.parametrize("percent", [-50, 0, 50])
def test_what_a_replicate_shows_has_no_say_in_whether_it_is_taken_again(judged, percent):
    _, script = judged({ONE: slower(percent)}, steal=[0, 6, 5, 6])
    assert [index for index, _, _ in script.asked][:5] == [0, 1, 1, 2, 2]


def test_where_steal_is_not_counted_nothing_is_taken_again():
    script = Scripted({ONE: slower(0)})

    def take(*asked):
        return {**script(*asked), "sensors": {"ticks": 0, "stolen_ticks": 0}}

    assert judge([ONE], limits=LIMITS, take=take).repeated == 0


# --- what cannot be measured ------------------------------------------------------------------------------------


def test_a_variant_that_fails_is_left_out_and_the_others_are_judged(judged):
    ending, script = judged({ONE: lambda _: {"error": BROKEN}, TWO: slower(0), OTHER: slower(0)})
    assert live_of(script) == [(ONE, TWO, OTHER)] + [(OTHER,)] * 9
    assert ending.verdict == "passed"
    assert ending.names == {OTHER: "fp16 at batch 1"}
    error = ending.errors["int8"]
    assert (type(error), error.message, error.hint) == (NotMeasuredError, "it is damaged.", "Make it again.")


def test_where_every_variant_fails_nothing_is_measured(judged):
    ending, script = judged({ONE: lambda _: {"error": BROKEN}, OTHER: lambda _: {"error": BROKEN}})
    assert len(script.asked) == 1
    assert (ending.verdict, ending.reason) == ("not_measured", "it is damaged; it is damaged")
    assert (ending.replicates, ending.standing, ending.control) == ((), None, None)


def test_a_variant_that_fails_late_leaves_those_that_had_passed_their_verdict(judged):
    def late(index):
        return {"error": BROKEN} if index == 10 else wide(2.3)(index)

    ending, script = judged({ONE: slower(0), OTHER: late})
    assert len(script.asked) == 11
    assert (ending.verdict, len(ending.replicates)) == ("passed", 9)
    assert ending.reason == f"int8 at batch 1: +0.0 % [-0.2, 0.3], {ALLOWED}"
    assert list(ending.errors) == ["fp16"]


def test_what_ends_a_process_ends_the_gate():
    def crash(*_):
        raise WorkerError("gate of churn, process 1: the worker crashed (SIGSEGV).")

    with pytest.raises(WorkerError, match="process 1: the worker crashed"):
        judge([ONE], limits=LIMITS, take=crash)


# --- progress ---------------------------------------------------------------------------------------------------


def test_progress_is_told_now_and_then_with_what_is_left_at_most(judged):
    said = []
    judged({ONE: slower(0)}, said=said, seconds=2.0)
    assert said == [
        "3 of at most 24 processes, at most about 42 s left",
        "6 of at most 24 processes, at most about 36 s left",
        "9 of at most 24 processes, at most about 30 s left",
    ]


def test_a_quick_gate_says_nothing_on_its_way(judged):
    said = []
    judged({ONE: slower(0)}, said=said, seconds=0.1)
    assert said == []


def test_nothing_is_left_after_the_last_process(judged):
    said = []
    judged({ONE: wide(2.3)}, said=said, seconds=5.0)
    assert [text.split()[0] for text in said] == [str(number) for number in range(1, 24)]


def test_verdicts_do_not_depend_on_what_dropped_cells_would_have_shown(judged):
    def late_trouble(index):
        return {"contrast": SPREAD[index] if index < 9 else 5.0}

    ending, _ = judged({ONE: late_trouble, TWO: wide(1.0)})
    first = next(cell for cell in ending.standing.median.cells if cell.name == "batch 1")
    assert (first.state, first.slowdown.replicates) == ("passed", 9)
    assert all(np.isfinite([first.slowdown.estimate, first.slowdown.high]))
