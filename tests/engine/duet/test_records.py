from __future__ import annotations

import math

import pytest

from pytest_inferopt.domain.comparison import Disturbance, SlowdownEstimate
from pytest_inferopt.domain.record import Interval
from pytest_inferopt.domain.slowdown import parse_max_slowdown
from pytest_inferopt.engine.duet.judging import judge
from pytest_inferopt.engine.duet.process import DuetCell
from pytest_inferopt.engine.duet.records import METHOD, cell_records, gate_record, is_together

LIMITS = parse_max_slowdown("5%")
ALLOWED = "allowed 2.0 % (0.4 × max_slowdown 5 %)"
ONE, TWO, OTHER = DuetCell("int8", 1), DuetCell("int8", 16), DuetCell("fp16", 1)
SPREAD = [(-1) ** place * (place // 2 * 5 % 12 + 1 - place % 2 / 4) / 12 * 0.004 for place in range(24)]
QUIET = {"ticks": 100, "stolen_ticks": 0, "involuntary_switches": 0, "pressure_share": None, "mhz": None}


def slower(percent, tail=0.0, calls=1000):
    return lambda index: (math.log1p(percent / 100) + SPREAD[index], math.log1p(tail / 100) + SPREAD[index], calls)


@pytest.fixture
def ended():
    """`ended({cell: figures})`: the ending of a gate with these figures."""

    def ended(cells, *, tails=(), copy=0.0, sensors=lambda _: QUIET):
        taken = []

        def take(index, live, control):
            taken.append(index)
            return {
                "cells": [figures(cell, index) for cell in live],
                "control": {**control._asdict(), "contrast": copy + SPREAD[index]},
                "sensors": sensors(len(taken) - 1),
                "seconds": 1.0 + index,
            }

        def figures(cell, index):
            log, tail, calls = cells[cell](index)
            return {
                **cell._asdict(),
                "contrast": log,
                "tails": {str(q): tail for q in tails},
                "calls": {"base": calls + 5, "head": calls},
                "percentiles_ms": {
                    "base": {"50": 1.0 + index, "95": 3.0},
                    "head": {"50": 2.0 + index, "95": 6.0},
                },
                "quantiles_ms": {"base": [0.5 + index] * 101, "head": [0.7 + index] * 101},
            }

        return judge(list(cells), limits=LIMITS, take=take, tails=tails, clock=lambda: float(len(taken)))

    return ended


def outcomes(ending):
    return {
        variant: [(cell.batch_size, cell.percentile, cell.outcome) for cell in cells]
        for variant, cells in cell_records(ending).items()
    }


def test_a_cell_tells_what_it_rests_on(ended):
    (cell,) = cell_records(ended({ONE: slower(0)}))["int8"]
    assert cell.slowdown.text == "+0.0 % [-0.2, 0.3]"
    assert (cell.slowdown.replicates, cell.slowdown.interval.method) == (9, METHOD)
    assert 0.02 < cell.slowdown.detectable < 0.03
    assert cell.values == pytest.approx([math.expm1(log) for log in SPREAD[:9]])
    assert (cell.base_ms, cell.head_ms, cell.calls, cell.reason) == (5.0, 6.0, 9000, "")
    assert (cell.base_quantiles_ms, cell.head_quantiles_ms) == ((4.5,) * 101, (4.7,) * 101)


def test_a_gate_tells_its_verdict_and_what_it_rests_on(ended):
    gate = gate_record(ended({ONE: slower(0), TWO: slower(0.5)}), LIMITS)
    assert gate.reason == f"batch 16: +0.5 % [0.3, 0.8], {ALLOWED}"
    assert (gate.verdict, gate.allowed, gate.caught, gate.looks, gate.replicates) == ("passed", 0.02, 0.05, 1, 9)
    assert (gate.together.text, gate.control.text) == ("+0.3 % [0.1, 0.5]", "+0.0 % [-0.2, 0.3]")
    assert (gate.is_contaminated, gate.baseline, gate.seconds, gate.notes) == (False, None, 9.0, ())


def test_a_regressed_cell_is_named_and_the_others_keep_their_verdicts(ended):
    ending = ended({ONE: slower(0), TWO: slower(4), OTHER: slower(2)})
    assert outcomes(ending) == {
        "int8": [(1, 50, "passed"), (16, 50, "regressed")],
        "fp16": [(1, 50, "inconclusive")],
    }
    assert not is_together(ending)
    first, slow = cell_records(ending)["int8"]
    assert (len(first.values), len(slow.values)) == (9, 12)


def test_where_only_all_cells_together_are_proven_no_single_one_is_called_so(ended):
    ending = ended({ONE: slower(3), TWO: slower(3)})
    assert (ending.verdict, is_together(ending)) == ("regressed", True)
    assert outcomes(ending) == {"int8": [(1, 50, "inconclusive"), (16, 50, "inconclusive")]}


def test_what_is_faster_has_improved_and_a_note_says_so(ended):
    ending = ended({ONE: slower(-4, tail=-30)}, tails=(95,))
    assert outcomes(ending) == {"int8": [(1, 50, "improved"), (1, 95, "improved")]}
    assert gate_record(ending, LIMITS).notes == (
        "faster: batch 1: -4.0 % [-4.2, -3.8]",
        "faster at p95: batch 1: -30.0 % [-30.1, -29.8]",
    )


def test_of_a_contaminated_gate_nothing_is_said(ended):
    ending = ended({ONE: slower(-4)}, copy=0.05)
    gate = gate_record(ending, LIMITS)
    assert outcomes(ending) == {"int8": [(1, 50, "inconclusive")]}
    assert (gate.verdict, gate.is_contaminated, gate.notes, gate.control.text) == (
        "inconclusive",
        True,
        (),
        "+5.2 % [5.0, 5.4]",
    )


def test_a_tail_has_its_own_figures_and_one_with_too_few_calls_is_advisory(ended):
    ending = ended({ONE: slower(0), TWO: slower(0, tail=50, calls=10)}, tails=(95,))
    one, few = cell_records(ending)["int8"][2:]
    assert (one.percentile, one.outcome, one.base_ms, one.head_ms, one.base_quantiles_ms) == (
        95,
        "passed",
        3.0,
        6.0,
        (),
    )
    assert (few.batch_size, few.outcome) == (16, "advisory")
    assert few.reason == "too few samples for p95: 90 calls an arm, needs 3,000"
    assert few.slowdown.estimate == pytest.approx(0.5, abs=0.01)


def test_what_the_machine_did_is_summed_up_over_the_replicates_that_count(ended):
    def sensors(index):
        seen = {
            "ticks": 100,
            "involuntary_switches": 2,
            "pressure_share": 0.5 if index else None,
            "mhz": 2000.0 + index,
        }
        return {**seen, "stolen_ticks": {0: 4, 3: 90}.get(index, 0)}

    gate = gate_record(ended({ONE: slower(0)}, sensors=sensors), LIMITS)
    assert gate.disturbance == Disturbance(
        steal_share=4 / 900,
        worst_steal_share=0.04,
        involuntary_switches=18,
        pressure_share=0.5,
        lowest_mhz=2000.0,
        highest_mhz=2009.0,
        repeated=1,
    )


def test_what_nobody_counts_is_not_known(ended):
    gate = gate_record(ended({ONE: slower(0)}, sensors=lambda _: {**QUIET, "ticks": 0}), LIMITS)
    assert gate.disturbance == Disturbance()


@pytest.mark.parametrize("quiet", [0, 2, 7])
def test_a_gate_that_ends_before_its_first_look_shows_what_it_has(ended, quiet):
    ending = ended({ONE: slower(4)}, sensors=lambda index: {**QUIET, "stolen_ticks": 0 if index < quiet else 50})
    gate = gate_record(ending, LIMITS)
    assert (gate.verdict, gate.looks, gate.replicates, gate.together, gate.control) == (
        "inconclusive",
        0,
        quiet,
        None,
        None,
    )
    assert gate.disturbance.repeated == 12
    (cell,) = cell_records(ending)["int8"]
    assert (cell.outcome, len(cell.values)) == ("inconclusive", quiet)
    if not quiet:
        assert (cell.slowdown, cell.base_ms, cell.calls, cell.head_quantiles_ms) == (None, None, None, ())
    elif quiet == 2:
        assert cell.slowdown == SlowdownEstimate(
            estimate=cell.slowdown.estimate, interval=Interval(low=None, high=None, method=METHOD), replicates=2
        )
    else:
        assert cell.slowdown.interval.low < cell.slowdown.estimate < cell.slowdown.interval.high


def test_a_variant_that_could_not_be_measured_has_no_cells():
    def take(_, live, __):
        error = {"kind": "refused", "message": "no.", "hint": ""}
        return {"cells": [{**cell._asdict(), "error": error} for cell in live], "sensors": QUIET, "control": None}

    ending = judge([ONE], limits=LIMITS, take=take)
    gate = gate_record(ending, LIMITS)
    assert cell_records(ending) == {}
    assert (gate.verdict, gate.reason, gate.disturbance, is_together(ending)) == ("not_measured", "no", None, False)
