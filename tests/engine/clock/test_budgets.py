from __future__ import annotations

import pytest

from pytest_inferopt.domain.budget import parse_budget
from pytest_inferopt.domain.measured import Latency
from pytest_inferopt.domain.record import Interval
from pytest_inferopt.domain.result import Check
from pytest_inferopt.engine.clock.budgets import (
    Figures,
    budget_unmeasured,
    judge_latency,
    judge_quick_latency,
    judge_size,
)
from pytest_inferopt.errors import NotMeasuredError, RefusedError

SIX = (1.0, 1.1, 0.9, 1.2, 0.8, 1.05)
BY_RANKS = Interval(low=0.8, high=1.2, method="signed ranks over 6 processes")
CENTRE = 1.0  # the median of the geometric means of all pairs


def latency_check(text, each_ms=SIX, calls=200):
    """The check, its figures to the nanosecond."""
    check = judge_latency("int8", parse_budget(text), Figures(each_ms, calls))
    low, high = (None if limit is None else round(limit, 6) for limit in (check.interval.low, check.interval.high))
    interval = check.interval.model_copy(update={"low": low, "high": high})
    return check.model_copy(update={"observed": round(check.observed, 6), "interval": interval})


def told(check):
    return check.outcome, check.reason, check.next_step


# --- sizes ------------------------------------------------------------------------------------------------------


def test_a_file_below_the_limit_passes_and_one_on_it_fails():
    budget = parse_budget("size<9.8MB")
    assert judge_size("int8", budget, 9_799_999) == Check(
        kind="budget",
        variant="int8",
        subject="size<9.8MB",
        outcome="passed",
        observed=9_799_999,
        limit=9_800_000,
        reason="9.8 MB.",
    )
    assert told(judge_size("int8", budget, 9_800_000)) == (
        "failed",
        "9.8 MB, 9,800,000 bytes.",
        "Use a smaller model or a technique that shrinks it, or allow more.",
    )


# --- latencies --------------------------------------------------------------------------------------------------


def test_an_interval_below_the_limit_passes():
    assert latency_check("p95@batch32<1.3ms") == Check(
        kind="budget",
        variant="int8",
        subject="p95@batch32<1.3ms",
        outcome="passed",
        observed=CENTRE,
        limit=1.3,
        interval=BY_RANKS,
        reason="1.00 ms [0.800, 1.20] over 6 processes of 200 calls.",
    )


def test_an_interval_above_the_limit_fails():
    check = latency_check("p95<0.7ms")
    assert told(check) == (
        "failed",
        "1.00 ms [0.800, 1.20] over 6 processes of 200 calls.",
        "Use a faster technique, a smaller model or fewer rows a call, or allow more.",
    )
    assert (check.observed, check.interval) == (CENTRE, BY_RANKS)


@pytest.mark.parametrize("limit", ["0.9ms", "1.1ms"])
def test_a_limit_inside_the_interval_decides_nothing(limit):
    assert told(latency_check(f"p95<{limit}")) == (
        "advisory",
        "not certain: 1.00 ms [0.800, 1.20] over 6 processes of 200 calls.",
        "Measure on a quieter machine, or leave more room below the budget.",
    )


@pytest.mark.parametrize(("limit_ms", "outcome"), [(2.0, "failed"), (2.000001, "passed")])
def test_a_figure_on_the_limit_is_not_below_it(limit_ms, outcome):
    assert latency_check(f"p95<{limit_ms}ms", (2.0,) * 6).outcome == outcome


def test_fewer_than_six_processes_decide_nothing():
    check = latency_check("p95<9ms", (1.0, 2.0, 4.0))
    assert told(check)[:2] == ("advisory", "not certain: 2.00 ms over 3 processes of 200 calls.")


@pytest.mark.parametrize(("percentile", "needed"), [("p50", 50), ("p95", 200), ("p99", 1000)])
def test_too_few_calls_for_the_percentile_decide_nothing_however_clear_they_look(percentile, needed):
    assert latency_check(f"{percentile}<9ms", calls=needed).outcome == "passed"
    reason = (
        f"too few samples for {percentile}: {needed - 1:,} calls a process, needs {needed:,}; "
        f"1.00 ms [0.800, 1.20] over 6 processes of {needed - 1:,} calls."
    )
    few = latency_check(f"{percentile}<9ms", calls=needed - 1)
    assert told(few) == ("advisory", reason, "Raise measure_seconds.")


def test_one_wild_process_leaves_the_verdict_open_and_the_estimate_in_place():
    check = latency_check("p95<1.3ms", (*SIX[1:], 50.0))
    assert (check.outcome, check.observed) == ("advisory", pytest.approx(1.08, abs=0.03))


def test_a_call_too_short_for_the_clock_counts_as_its_resolution():
    assert latency_check("p50<1us", (0.0,) * 6).observed == pytest.approx(1e-6)


# --- quick runs and what was not measured -----------------------------------------------------------------------


def test_a_quick_run_shows_the_figure_of_its_process_and_judges_nothing():
    latency = Latency(
        batch_size=1, iterations=50, iterations_requested=50, warmup_iterations=10, p50_ms=1.0, p95_ms=9.0
    )
    assert judge_quick_latency("int8", parse_budget("p95<5ms"), latency) == Check(
        kind="budget",
        variant="int8",
        subject="p95<5ms",
        outcome="advisory",
        observed=9.0,
        limit=5.0,
        reason="not certain in a quick run: 9.00 ms in one process of 50 calls.",
        next_step="Run without quick to have it judged.",
    )


def test_a_quick_run_says_which_batch_it_did_not_measure():
    check = judge_quick_latency("int8", parse_budget("p95@batch32<5ms"), None)
    assert (check.outcome, check.observed) == ("advisory", None)
    assert check.reason == "not certain in a quick run: this batch size was not measured."


@pytest.mark.parametrize(("error", "outcome"), [(NotMeasuredError, "not_measured"), (RefusedError, "refused")])
def test_what_was_not_measured_has_not_passed(error, outcome):
    assert budget_unmeasured("int8", parse_budget("p95<5ms"), error("the worker crashed.", "Mend it.")) == Check(
        kind="budget",
        variant="int8",
        subject="p95<5ms",
        outcome=outcome,
        limit=5.0,
        reason="the worker crashed.",
        next_step="Mend it.",
    )
