"""Faults G: a disturbed machine costs certainty and never a verdict; what cannot be measured is asked for in vain."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_inferopt.domain.request import parse_request
from pytest_inferopt.domain.slowdown import parse_max_slowdown
from pytest_inferopt.engine.duet.judging import judge
from pytest_inferopt.engine.duet.process import BASE, DuetCell, measure_duet
from pytest_inferopt.errors import UsageError

pytestmark = pytest.mark.usefixtures("frozen_heap")

WHERE = "pytest.mark.inferopt"
HOW = "write p95<5ms, p99@batch32<40ms or size<50MB."


def wrong(**fields):
    with pytest.raises(UsageError) as caught:
        parse_request(fields, where=WHERE)
    return str(caught.value)


# --- a gate on a simulated machine ------------------------------------------------------------------------------

CELLS = [DuetCell("int8", size) for size in (1, 16, 32, 64)]
CALL_NS = 10_000_000  # as few blocks as there are


class SimulatedArm:
    """A file on a machine whose noise is given: a shift for each process and arm, and one for each burst."""

    def __init__(self, random, slower, process_sd, burst_sd):
        self.random = random
        self.burst_sd = burst_sd
        self.call_ns = CALL_NS * math.exp(slower + random.normal(scale=process_sd))

    def warm_up(self, batch_size):  # noqa: ARG002 - all batch sizes take as long
        return CALL_NS

    def burst(self, batch_size, first, count):  # noqa: ARG002 - as above
        return [round(self.call_ns * math.exp(self.random.normal(scale=self.burst_sd)))] * count

    def close(self):
        pass


def gate(seed, *, percent=0.0, process_sd=0.004, burst_sd=0.02, disturb=lambda found, _: found):
    """The ending of a gate whose candidate is slower by so many percent; `disturb` changes a replicate."""
    random = np.random.default_rng(seed)

    def take(index, live, control):
        def opened(_, role):
            return SimulatedArm(random, 0 if role != "head" else math.log1p(percent / 100), process_sd, burst_sd)

        found = measure_duet(opened, live, control=control, seed=seed, index=index)
        return disturb({**found, "sensors": {"ticks": 200, "stolen_ticks": 0}, "seconds": 1.0}, index)

    return judge(CELLS, limits=parse_max_slowdown("5%"), take=take)


def stolen(found, ticks):
    return {**found, "sensors": {"ticks": 200, "stolen_ticks": ticks}}


def test_g93_a_replicate_of_which_the_host_took_over_5_percent_is_taken_again():
    seen = []

    def disturb(found, index):
        seen.append(index)
        return stolen(found, 11 if len(seen) in {2, 3} else 10)

    ending = gate(0, disturb=disturb)
    assert seen == [0, 1, 1, 1, *range(2, 9)]
    assert (ending.verdict, ending.repeated, len(ending.replicates)) == ("passed", 2, 9)


def test_g93_where_the_host_takes_more_again_and_again_the_gate_is_inconclusive_and_says_why():
    ending = gate(0, percent=50, disturb=lambda found, index: stolen(found, 14 if index == 3 else 0))
    assert (ending.verdict, ending.repeated, len(ending.replicates)) == ("inconclusive", 12, 3)
    assert ending.reason == (
        "too much was going on: the host took up to 7% of the processors' time away, and more than 5% "
        "in 13 of 16 processes"
    )


def test_g94_on_a_busy_core_equal_files_are_not_red():
    verdicts = [gate(seed, process_sd=0.02, burst_sd=0.2).verdict for seed in range(6)]
    assert "regressed" not in verdicts


def test_g94_bursts_that_wait_for_the_core_are_outliers_to_both_sides():
    def disturb(found, index):
        # In every third process one arm waited: by turns the baseline and the candidate.
        waited = math.log(3) * (0 if index % 3 else (-1) ** index)
        return {**found, "cells": [{**cell, "contrast": cell["contrast"] + waited} for cell in found["cells"]]}

    assert {gate(seed, disturb=disturb).verdict for seed in range(4)} <= {"passed", "inconclusive"}


def test_g95_a_fifth_slower_is_caught_at_the_first_look():
    endings = [gate(seed, percent=20) for seed in range(6)]
    assert {(ending.verdict, len(ending.replicates)) for ending in endings} == {("regressed", 9)}


def test_g95_on_a_noisy_machine_it_is_caught_too():
    assert {gate(seed, percent=20, process_sd=0.03, burst_sd=0.2).verdict for seed in range(6)} == {"regressed"}


@pytest.mark.parametrize(("percent", "verdict"), [(0, "passed"), (20, "regressed")])
def test_g96_a_call_that_takes_fifty_times_as_long_flips_nothing(percent, verdict):
    class Hiccup(SimulatedArm):
        def burst(self, batch_size, first, count):
            calls = super().burst(batch_size, first, count)
            return [50 * calls[0], *calls[1:]]

    def hiccups(role):
        return Hiccup if role == BASE else SimulatedArm

    random = np.random.default_rng(1)

    def take(index, live, control):
        def opened(_, role):
            return hiccups(role)(random, math.log1p(percent / 100) * (role == "head"), 0.004, 0.02)

        found = measure_duet(opened, live, control=control, seed=1, index=index)
        return {**found, "sensors": {"ticks": 0, "stolen_ticks": 0}, "seconds": 1.0}

    assert judge(CELLS, limits=parse_max_slowdown("5%"), take=take).verdict == verdict


@pytest.mark.parametrize("factor", [50, 1 / 50])
@pytest.mark.parametrize(("percent", "verdict"), [(0, "passed"), (20, "regressed")])
def test_g96_a_whole_replicate_that_is_fifty_times_off_flips_nothing(percent, verdict, factor):
    def disturb(found, index):
        wild = math.log(factor) if index == 4 else 0.0
        return {**found, "cells": [{**cell, "contrast": cell["contrast"] + wild} for cell in found["cells"]]}

    assert gate(2, percent=percent, disturb=disturb).verdict == verdict


# --- G97: a percentile of too few samples -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget", "iterations", "told"),
    [
        ("p95<5ms", 10, "p95 of fewer than 20 samples; set iterations to 20 or more"),
        ("p95@batch32<5ms", 19, "p95 of fewer than 20 samples; set iterations to 20 or more"),
        ("p99<5ms", 99, "p99 of fewer than 100 samples; set iterations to 100 or more"),
    ],
)
def test_g97_a_budget_on_a_percentile_of_too_few_samples_is_a_usage_error(budget, iterations, told):
    assert wrong(budget=[budget], iterations=iterations) == (
        f"{WHERE}: budget '{budget}' with iterations={iterations} is {told}, or drop the budget."
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"budget": ["p95<5ms"], "iterations": 20},
        {"budget": ["p99<5ms"], "iterations": 100},
        {"budget": ["p50<5ms", "size<5MB"], "iterations": 1},
        {"budget": ["p95<5ms", "p99<5ms"], "iterations": 10, "quick": True},
    ],
    ids=["p95 of 20", "p99 of 100", "p50 and size of one", "quick"],
)
def test_g97_a_budget_that_its_samples_carry_or_a_quick_run_only_shows_is_taken(fields):
    assert parse_request(fields, where=WHERE).budget == tuple(fields["budget"])


# --- G98: a text that is no budget ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("0", f"compares nothing; {HOW}"),
        ("5ms", f"compares nothing; {HOW}"),
        ("p95<0ms", f"has the limit 0, and nothing is below it; {HOW}"),
        ("p95<-5ms", f"has the limit -5, and nothing is below it; {HOW}"),
        ("p95<nanms", f"limits nothing; {HOW}"),
        ("p95<infms", f"limits nothing; {HOW}"),
        ("p95<5", "has no unit; p95 is in us, ms or s; did you mean 'p95<5ms'?"),
        ("p95>5ms", "has the sign >, and a budget is an upper limit; did you mean 'p95<5ms'?"),
        (
            "p97<5ms",
            "judges 'p97', and the figures are p50, p95, p99 and size; write p95<5ms, p99@batch32<40ms or size<50MB.",
        ),
        ("p95@batch0<5ms", f"has batch size '0', which is no whole number from 1 to 65,536; {HOW}"),
    ],
)
def test_g98_what_is_no_budget_is_a_usage_error_that_shows_one(text, told):
    assert wrong(budget=["size<5MB", text]) == f"{WHERE}: budget {text!r} {told}"


@pytest.mark.parametrize(
    "text", ["p95<5ms", "p95 < 5 ms", "p95<0.001ms", "p95@batch1<5ms", "p50<1s", "p99@batch32<40ms", "size<50kB"]
)
def test_g98_what_looks_like_it_and_is_one_is_kept_as_written(text):
    assert parse_request({"budget": text}, where=WHERE).budget == (text,)
    assert parse_request({"budget": [text]}, where=WHERE).budget == (text,)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("p95<5ms", "p95<5ms"),
        ("p95<5ms", "p95<6ms"),
        ("p95<5ms", "p95@batch16<5ms"),
        ("size<5MB", "size<6MB"),
    ],
)
def test_g98_two_budgets_for_one_figure_are_a_usage_error(one, two):
    assert wrong(budget=[one, two], batch_sizes=[16, 1]) == (
        f"{WHERE}: budget '{two}' and '{one}' limit the same figure; keep the one that holds."
    )


def test_g98_budgets_for_different_figures_stand_beside_each_other():
    texts = ("p95<5ms", "p95@batch16<9ms", "p99<9ms", "size<5MB")
    assert parse_request({"budget": texts, "batch_sizes": [1]}, where=WHERE).budget == texts


@pytest.mark.parametrize(("value", "told"), [([5], "budget.0=5: Input should be a valid string."), (5, "budget=5: ")])
def test_g98_what_is_no_text_is_a_usage_error(value, told):
    assert wrong(budget=value).startswith(f"{WHERE}: {told}")
