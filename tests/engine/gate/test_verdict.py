from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferopt.domain.slowdown import parse_max_slowdown
from pytest_inferopt.engine.gate.decision import Decision, Judged, Slowdown
from pytest_inferopt.engine.gate.verdict import TOGETHER, decide
from pytest_inferopt.engine.statistics.signed_rank import signed_rank_interval

LIMITS = parse_max_slowdown("5%")
ALLOWED = "allowed 2.0 % (0.4 × max_slowdown 5 %)"
LOOKS = (9, 12, 16, 24)
# Within ±0.4 %, above and below zero in turn, all of different sizes.
SPREAD = np.array([(-1) ** place * (place // 2 * 5 % 12 + 1 - place % 2 / 4) / 12 * 0.004 for place in range(24)])
LOGS = st.floats(-0.1, 0.1, allow_nan=False).map(lambda value: round(value, 4))


def replicates(*percents, count=24, spread=SPREAD):
    """(count, cells): each cell slower by so many percent, with the same small spread."""
    return np.log1p(np.array(percents) / 100) + spread[:count, None]


def names(count):
    return [f"batch {2**number}" for number in range(count)]


def judge(values, **options):
    values = np.asarray(values)
    return decide(values, LIMITS, cells=names(values.shape[1]), **options)


def slowdown(figures):
    """What is estimated from one column of figures."""
    estimate, low, high = signed_rank_interval(figures)
    detectable = LIMITS.allowed_log + 2 * (estimate - low)
    return Slowdown(len(figures), *(math.expm1(log) for log in (estimate, low, high, detectable)))


# --- verdicts ---------------------------------------------------------------------------------------------------


def test_equal_files_pass_at_the_first_look():
    values = replicates(0, 0.5, count=9)
    first, second = (Judged(f"batch {n}", "passed", slowdown(values[:, n - 1])) for n in (1, 2))
    assert judge(values) == Decision(
        verdict="passed",
        replicates=9,
        looks=1,
        cells=(first, second),
        together=Judged(TOGETHER, "passed", slowdown(values.mean(axis=1))),
        reason=f"batch 2: +0.5 % [0.3, 0.8], {ALLOWED}",
    )


def test_one_slow_cell_is_red_at_the_second_look_and_named():
    values = replicates(0, 4, count=12)
    assert judge(values[:9]).verdict is None
    # The first has passed at the first look; what came after does not count.
    assert judge(values) == Decision(
        verdict="regressed",
        replicates=12,
        looks=2,
        cells=(
            Judged("batch 1", "passed", slowdown(values[:9, 0])),
            Judged("batch 2", "regressed", slowdown(values[:, 1])),
        ),
        together=Judged(TOGETHER, "live", slowdown(values[:9].mean(axis=1))),
        reason=f"batch 2: +4.0 % [3.8, 4.2], {ALLOWED}",
    )


def test_several_slow_cells_are_all_named():
    decision = judge(replicates(4, 0, 5, 0, count=12))
    assert [judged.name for judged in decision.regressed] == ["batch 1", "batch 4"]
    assert decision.reason == f"batch 1: +4.0 % [3.8, 4.2]; batch 4: +5.0 % [4.8, 5.2], {ALLOWED}"


def test_where_no_single_cell_is_proven_all_together_are_named():
    decision = judge(replicates(3, 3, 3, 3, count=9))
    assert (decision.verdict, decision.replicates, decision.regressed) == ("regressed", 9, (decision.together,))
    assert decision.reason == f"all batch sizes together: +3.0 % [2.8, 3.3], {ALLOWED}"


def test_one_cell_alone_is_red_at_the_first_look():
    decision = judge(replicates(3, count=9))
    assert (decision.verdict, [judged.name for judged in decision.regressed]) == ("regressed", ["batch 1"])


@pytest.mark.parametrize("count", LOOKS[:3])
def test_what_is_neither_proven_slower_nor_proven_to_be_below_goes_on(count):
    decision = judge(replicates(2, 0, count=count))
    assert (decision.verdict, decision.regressed, decision.improved) == (None, (), ())
    assert decision.reason.startswith(f"not certain after {count} processes: batch 1: +")
    assert decision.reason.endswith(ALLOWED)


def test_what_is_undecided_after_the_last_look_says_what_would_have_been_caught():
    wide = 6 * SPREAD
    values = replicates(2.3, 0, spread=wide)
    decision = judge(values)
    caught = 100 * decision.cells[0].slowdown.detectable
    assert (decision.verdict, decision.replicates, decision.looks) == ("inconclusive", 24, 4)
    assert decision.cells[0] == Judged("batch 1", "live", slowdown(values[:, 0]))
    told = f"not certain after 24 processes: batch 1: {decision.cells[0].slowdown.text}, {ALLOWED}"
    assert decision.reason == f"{told}; a slow-down of {caught:.1f} % would have been caught"
    assert 3 < caught < 4


def test_a_zero_has_no_minus_sign():
    assert Slowdown(9, -0.0004, -0.0001, 0.0002, 0.02).text == "+0.0 % [0.0, 0.0]"


@pytest.mark.parametrize("cells", [1, 4, 8])
@pytest.mark.parametrize("seed", range(5))
def test_one_cell_that_is_a_fifth_slower_is_red_by_the_twelfth_replicate(cells, seed):
    values = np.random.default_rng([cells, seed]).normal(scale=0.01, size=(12, cells))
    values[:, -1] += math.log(1.2)
    assert "regressed" in (judge(values[:9]).verdict, judge(values).verdict)


# --- what holds for all figures ----------------------------------------------------------------------------------


@given(st.lists(st.tuples(LOGS, LOGS), min_size=9, max_size=9))
def test_swapping_the_arms_turns_slower_into_faster(values):
    there, back = judge(values), judge(np.negative(values))
    assert [cell.has_improved for cell in back.cells] == [cell.state == "regressed" for cell in there.cells]
    assert back.together.has_improved == (there.together.state == "regressed")
    for cell, turned in zip(there.cells, back.cells, strict=True):
        assert (1 + cell.slowdown.estimate) * (1 + turned.slowdown.estimate) == pytest.approx(1)
        assert (1 + cell.slowdown.low) * (1 + turned.slowdown.high) == pytest.approx(1)


@given(st.lists(LOGS, min_size=9, max_size=9), st.floats(0.5, 2))
def test_a_constant_factor_shifts_the_estimate(values, factor):
    column = np.array(values)[:, None]
    (before,), (after,) = judge(column).cells, judge(column + math.log(factor)).cells
    assert 1 + after.slowdown.estimate == pytest.approx(factor * (1 + before.slowdown.estimate))


@given(st.lists(LOGS, min_size=9, max_size=9), st.integers(0, 8))
def test_one_wild_replicate_never_turns_a_passed_cell_red(values, place):
    column = np.array(values)[:, None]
    wild = column.copy()
    wild[place] = math.log(50)
    assert judge(column).verdict != "passed" or judge(wild).verdict != "regressed"


@given(st.lists(st.tuples(LOGS, LOGS, LOGS), min_size=24, max_size=24))
def test_a_verdict_stands_whatever_is_measured_after_it(values):
    decisions = [judge(values[:count]) for count in LOOKS]
    stop = next(index for index, decision in enumerate(decisions) if decision.verdict is not None)
    assert decisions[stop:] == [decisions[stop]] * (len(LOOKS) - stop)
    assert [decision.looks for decision in decisions[: stop + 1]] == list(range(1, stop + 2))


@pytest.mark.parametrize("later", [math.nan, 0.5, -0.5])
def test_a_cell_that_has_passed_is_never_looked_at_again(later):
    values = replicates(0, 2)
    dropped = values.copy()
    dropped[9:, 0] = later
    for count in LOOKS:
        assert judge(dropped[:count]).cells[0] == Judged("batch 1", "passed", slowdown(values[:9, 0]))
        assert judge(dropped[:count]) == judge(values[:count])


# --- faster ------------------------------------------------------------------------------------------------------


def test_all_cells_that_are_faster_pass_and_are_said_to_have_improved():
    decision = judge(replicates(-4, -5, count=9))
    assert (decision.verdict, decision.improved) == ("passed", (decision.together,))


def faster_beside(percent):
    """Twelve replicates of a faster cell, two of them so slow that it cannot pass at nine, and of another one."""
    values = replicates(-10, percent, count=12)
    values[2:4, 0] = np.log1p([0.055, 0.056])
    return values


def test_one_cell_that_is_faster_does_not_stop_a_run():
    decision = judge(faster_beside(2))
    assert (decision.verdict, [judged.name for judged in decision.improved]) == (None, ["batch 1"])


def test_a_cell_may_be_faster_while_another_is_slower():
    decision = judge(faster_beside(4))
    assert (decision.verdict, [judged.name for judged in decision.improved]) == ("regressed", ["batch 1"])


def test_what_is_proven_faster_at_one_look_stays_so():
    values = faster_beside(2.6)
    values[2:4, 1] = math.log(0.7)
    values[9:, 0] = math.log(1.2)
    early, late = judge(values[:9]), judge(values)
    assert [decision.verdict for decision in (early, late)] == [None, None]
    assert (early.improved, late.improved) == ((early.together,), (late.together,))


# --- the control -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("percent", "before"), [(0, "passed"), (-10, "passed"), (10, "regressed")])
def test_a_control_that_differs_makes_any_verdict_inconclusive(percent, before):
    values, control = replicates(percent, count=9), replicates(4, count=9)[:, 0]
    assert judge(values).verdict == before
    decision = judge(values, control=control)
    assert (decision.verdict, decision.is_contaminated, decision.control) == ("inconclusive", True, slowdown(control))
    assert (decision.regressed, decision.improved) == ((), ())
    told = f"the baseline beside a second copy of itself: +4.0 % [3.8, 4.3]; {ALLOWED}"
    assert decision.reason == f"contaminated: {told}, and the copies may differ by half of it"


@pytest.mark.parametrize("percent", [-4, 4])
def test_it_may_differ_to_either_side(percent):
    assert judge(replicates(0, count=9), control=replicates(percent, count=9)[:, 0]).is_contaminated


def test_a_difference_of_less_than_half_of_what_is_allowed_is_none():
    for percent, expected in ((0.95, False), (1.05, True)):
        control = replicates(percent, count=9)[:, 0]
        assert judge(replicates(0, count=9), control=control).is_contaminated == expected


def test_it_is_tested_at_the_stop_only_and_over_the_replicates_up_to_it():
    wild = replicates(4, count=12)[:, 0]
    going = judge(replicates(2, count=12), control=wild)
    assert (going.verdict, going.is_contaminated, going.control) == (None, False, slowdown(wild))
    late = np.concatenate([SPREAD[:9], [9.0, 9.0, math.nan]])
    stopped = judge(replicates(0, count=12), control=late)
    assert (stopped.verdict, stopped.replicates, stopped.control) == ("passed", 9, slowdown(SPREAD[:9]))


def test_at_nine_replicates_exactly_four_of_all_512_signs_contaminate():
    values, sizes = replicates(0, count=9), np.arange(1, 10) / 10
    signs = [np.array([1 if bits >> place & 1 else -1 for place in range(9)]) for bits in range(512)]
    assert sum(judge(values, control=sign * sizes).is_contaminated for sign in signs) == 4


# --- what cannot be decided --------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(9,), (8, 2), (10, 2), (25, 2), (9, 0), (0, 2)])
def test_figures_of_another_shape_are_an_error(shape):
    with pytest.raises(ValueError, match="the gate looks at 9, 12, 16, 24 replicates of one cell or more"):
        decide(np.zeros(shape), LIMITS, cells=["a", "b"])


def test_a_live_cell_without_a_figure_is_an_error():
    values = replicates(2, 0, count=12)
    values[10, 0] = math.nan
    with pytest.raises(ValueError, match="each of them finite"):
        judge(values)


def test_as_many_names_as_cells_are_needed():
    with pytest.raises(ValueError, match=r"zip\(\)"):
        decide(replicates(0, 0, count=9), LIMITS, cells=["a"])


@pytest.mark.parametrize("control", [np.zeros(8), np.zeros((9, 1))])
def test_the_control_has_a_figure_for_each_replicate(control):
    with pytest.raises(ValueError, match=r"the control has figures of shape .* for 9 replicates"):
        judge(replicates(0, count=9), control=control)
