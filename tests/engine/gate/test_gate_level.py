"""How often the gate is right: thousands of made-up gates, from the same code as ``benchmarks/gate/simulation.md``."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest

from pytest_inferopt.domain.slowdown import parse_max_slowdown
from pytest_inferopt.engine.gate.coins import toss
from pytest_inferopt.engine.gate.tails import TAIL_CALLS, TAIL_LIMITS
from pytest_inferopt.engine.gate.verdict import decide

LIMITS = parse_max_slowdown("5%")
LOOKS = (9, 12, 16, 24)
GATES = 20_000
# Three standard errors above 1 % of so many gates.
ONE_PERCENT = 0.01 + 3 * math.sqrt(0.01 * 0.99 / GATES)


@pytest.fixture(scope="module")
def many():
    """``benchmarks/gate/many.py``; the benchmarks are no package, so it is loaded by its path."""
    path = Path(__file__).parents[3] / "benchmarks" / "gate" / "many.py"
    spec = importlib.util.spec_from_file_location("many", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def gates(many):
    """`gates([0.05, 0, 0, 0], sd=0.01)`: what became of many gates whose cells are slower by so much."""

    def gates(slowdowns, *, sd=0.01, count=GATES):
        values = many.made_up(np.random.default_rng(7), count, len(slowdowns), sd) + np.log1p(slowdowns)
        return many.run_gates(values, LIMITS)

    return gates


@pytest.mark.parametrize("slowdowns", [[0.0], [0.02], [0.0, 0.03, 0.02], [0.02, 0.02, 0.02, 0.05]])
def test_many_gates_at_once_get_the_verdicts_of_one_by_one(many, slowdowns):
    never, cells = many.NEVER, [str(number) for number in range(len(slowdowns))]
    values = many.made_up(np.random.default_rng(8), 40, len(slowdowns), 0.015) + np.log1p(slowdowns)
    found = many.run_gates(values, LIMITS)
    for number, gate in enumerate(values):
        last = decide(gate, LIMITS, cells=cells)
        stops = {"regressed": (last.replicates, never), "passed": (never, last.replicates)}
        assert (found.red_at[number], found.passed_at[number]) == stops.get(last.verdict, (never, never))
        passed = [cell.slowdown.replicates if cell.state == "passed" else never for cell in last.cells]
        assert found.dropped_at[number].tolist() == passed


@pytest.mark.parametrize("cells", [1, 4, 8])
def test_at_most_one_percent_of_gates_are_red_where_every_cell_is_exactly_at_the_limit(gates, cells):
    assert gates([0.02] * cells).red() <= ONE_PERCENT


def test_no_two_equal_files_are_red(gates):
    assert gates([0.0] * 4).red() == 0
    assert gates([0.0] * 4, sd=0.02).red() == 0


def test_a_gate_with_one_cell_at_what_must_be_caught_hardly_ever_passes(gates):
    assert gates([0.05, 0, 0, 0]).passed() <= 0.005
    assert gates([0.05, 0, 0, 0], sd=0.02).passed() <= 0.005


@pytest.mark.parametrize("cells", [1, 4, 8])
def test_one_cell_that_is_a_fifth_slower_is_always_red_by_the_twelfth_replicate(gates, cells):
    assert gates([0.2, *[0.0] * (cells - 1)], count=2000).red(12) == 1


def test_what_it_catches_is_what_the_table_says(gates):
    one, every, same = gates([0.05, 0, 0, 0]), gates([0.03] * 4), gates([0.0] * 4)
    shares = [[gates.red(by) for gates in (one, every)] + [same.passed(by)] for by in LOOKS[1:]]
    assert np.array(shares) == pytest.approx(
        np.array([[0.80, 0.73, 0.99], [0.90, 0.90, 1.0], [0.99, 0.99, 1.0]]), abs=0.02
    )


def test_one_wild_replicate_anywhere_never_turns_passed_into_regressed(many):
    random = np.random.default_rng(9)
    values = many.made_up(random, GATES, 4, 0.01) + np.log1p(0.01)
    passed = values[many.run_gates(values, LIMITS).passed_at < many.NEVER]
    assert len(passed) > GATES / 2
    wild = passed.copy()
    places = (random.integers(size, size=len(wild)) for size in wild.shape[1:])
    wild[np.arange(len(wild)), *places] = math.log(50)
    assert many.run_gates(wild, LIMITS).red() == 0


@pytest.mark.parametrize(("centre", "without"), [(0.0, 0.99), (0.02, 0.99)])
def test_the_coins_keep_out_what_would_be_red_where_one_arm_always_had_the_worse_seat(many, centre, without):
    values = many.made_up(np.random.default_rng(10), GATES, 4, 0.01) + np.log1p(centre)
    seats = np.array([[toss(seed, index).candidate_starts_first for index in range(24)] for seed in range(1000)])
    signs = np.tile(np.where(seats, -1, 1), (GATES // 1000, 1))[:, :, None]
    assert many.run_gates(values + 0.037, LIMITS).red() > without
    assert many.run_gates(values + 0.037 * signs, LIMITS).red() <= ONE_PERCENT


@pytest.mark.parametrize("percent", [0, 2, 5])
def test_the_interval_of_a_cell_that_stopped_early_holds_the_truth_as_often_as_it_says(many, percent):
    centre = math.log1p(percent / 100)
    values = many.made_up(np.random.default_rng(11), GATES, 4, 0.01) + centre
    stopped_at = many.run_gates(values, LIMITS).stopped_at
    assert 0.95 <= many.covered(values, centre, stopped_at) <= 0.965


def test_a_control_without_a_difference_hardly_ever_contaminates(many):
    # Undecided to the last look, where the control is tested; so wide that its estimate seldom saves it.
    values = many.made_up(np.random.default_rng(0), 1, 1, 0.05)[0] + np.log1p(0.035)
    controls = many.made_up(np.random.default_rng(12), 1500, 1, 0.1)[:, :, 0]
    assert decide(values, LIMITS, cells=["one"]).replicates == 24
    bad = [decide(values, LIMITS, cells=["one"], control=control).is_contaminated for control in controls]
    assert np.mean(bad) <= 0.01 + 3 * math.sqrt(0.01 * 0.99 / 1500)


def test_a_control_that_is_four_percent_slower_is_found(many):
    values = many.made_up(np.random.default_rng(13), 300, 1, 0.01)
    controls = many.made_up(np.random.default_rng(14), 300, 1, 0.01)[:, :, 0] + math.log(1.04)
    found = [
        decide(gate, LIMITS, cells=["one"], control=control).is_contaminated
        for gate, control in zip(values, controls, strict=True)
    ]
    assert np.mean(found) >= 0.8


def test_at_most_one_percent_of_tails_are_red_exactly_at_their_limit(many):
    calls = TAIL_CALLS[95] // 24
    values = np.concatenate([many.tail_values(np.random.default_rng([15, part]), 95, 500, calls) for part in range(6)])
    assert many.run_gates(values + TAIL_LIMITS.allowed_log, TAIL_LIMITS).red() <= 0.01 + 3 * math.sqrt(0.01 / 3000)
    assert many.run_gates(values + math.log(1.3), TAIL_LIMITS).red() == 1
