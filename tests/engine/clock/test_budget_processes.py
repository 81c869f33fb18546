from __future__ import annotations

import pytest

from pytest_inferopt.domain.request import parse_request
from pytest_inferopt.engine.clock.budget_processes import Arm, Evidence, measure_in_processes, predicted_seconds
from pytest_inferopt.engine.worker.driver import Worker
from pytest_inferopt.errors import WorkerError

QUIET = {"involuntary_switches": 0, "ticks": 1000, "stolen_ticks": 0}


class Scripted(Worker):
    """Processes whose figures are given, and what they were asked."""

    def __init__(self, figures, diary):
        super().__init__()
        self.figures = figures
        self.diary = diary

    def call(self, command, parameters, *, stage, deadline, late_hint, on_progress):  # noqa: ARG002
        self.diary.append((command, parameters, stage))
        found = self.figures.pop(0)
        if isinstance(found, Exception):
            raise found
        return found


def request(**fields):
    return parse_request({"name": "churn", **fields}, where="test")


def cell(batch_size, calls=1000, **percentiles_ms):
    return {"batch_size": batch_size, "calls": calls, "percentiles_ms": percentiles_ms, "cold_call_ms": 1.0}


def answer(*cells, probe=2.0, sensors=QUIET):
    return {"cells": list(cells), "probe_ms": probe, "sensors": sensors}


def arm(target="a", *variants, p50_ms=None):
    return Arm((), target, {1: 0.5} if p50_ms is None else p50_ms, variants or (target,))


@pytest.fixture
def hold(diary):
    """Measure arms for a request; the processes give the figures in order."""

    def hold(figures, *arms, said=None, **fields):
        return measure_in_processes(
            request(**fields),
            arms or (arm(),),
            open_worker=lambda: Scripted(figures, diary),
            on_progress=[].append if said is None else said.append,
        )

    return hold


def verdicts(checks):
    return [(check.subject, check.outcome, check.observed) for check in checks]


def test_each_arm_gets_six_processes_that_share_the_time_for_measuring(hold, diary):
    figures = [answer(cell(1, **{"95": 1.0})) for _ in range(12)]
    hold(figures, arm("a", "onnx", "same"), arm("b", "int8"), budget="p95<5ms", measure_seconds=24.0, threads=3)
    commands = {command for command, _, _ in diary}
    stages = [stage for _, _, stage in diary]
    assert commands == {"measure_alone"}
    assert stages == [
        *(f"budgets of 'onnx' and 'same', process {number} of 6" for number in range(1, 7)),
        *(f"budgets of 'int8', process {number} of 6" for number in range(1, 7)),
    ]
    asked = diary[0][1]
    assert asked["target"] == "a"
    assert asked["cells"] == [{"batch_size": 1, "percentiles": [95], "calls": 200}]
    assert (asked["spec"]["measure_seconds"], asked["spec"]["threads"]) == (2.0, 3)


def test_budgets_of_one_batch_size_share_its_calls_and_sizes_need_none(hold, diary):
    budget = ["p99<5ms", "p50@batch32<1ms", "size<5MB", "p95@batch8<5ms", "p50<4ms"]
    hold([answer()] * 6, budget=budget, batch_sizes=[8, 16])
    assert diary[0][1]["cells"] == [
        {"batch_size": 8, "percentiles": [50, 95, 99], "calls": 1000},
        {"batch_size": 32, "percentiles": [50], "calls": 50},
    ]


def test_every_latency_budget_is_judged_by_the_figures_of_its_cell():
    wanted = request(budget=["p95<5ms", "size<5MB", "p99@batch32<1ms"])
    cells = cell(1, **{"95": 2.0}), cell(32, **{"99": 3.0})
    evidence = Evidence({"a": [answer(*cells)] * 6})
    assert verdicts(evidence.judge("onnx", "a", wanted)) == [
        ("p95<5ms", "passed", pytest.approx(2.0)),
        ("p99@batch32<1ms", "failed", pytest.approx(3.0)),
    ]


def test_the_process_with_the_fewest_calls_counts():
    cells = [cell(1, calls, **{"95": 2.0}) for calls in (200, 200, 200, 200, 200, 31)]
    (check,) = Evidence({"a": [answer(one) for one in cells]}).judge("onnx", "a", request(budget="p95<5ms"))
    assert check.outcome == "advisory"
    assert check.reason.startswith("too few samples for p95: 31 calls a process, needs 200; ")


def test_a_cell_that_could_not_run_is_not_measured_and_the_others_are():
    wrong = {"batch_size": 32, "error": {"kind": "not_measured", "message": "fixed batch 1.", "hint": "Set it."}}
    evidence = Evidence({"a": [answer(cell(1, **{"95": 2.0}), wrong)] * 6})
    fine, missing = evidence.judge("onnx", "a", request(budget=["p95<5ms", "p95@batch32<5ms"]))
    assert fine.outcome == "passed"
    assert (missing.outcome, missing.reason, missing.next_step) == ("not_measured", "fixed batch 1.", "Set it.")


def test_a_crash_leaves_that_arm_unmeasured_and_the_next_one_measured(hold, diary):
    fine = [answer(cell(1, **{"95": 1.0})) for _ in range(6)]
    evidence = hold([fine[0], WorkerError("it crashed."), *fine], arm("a"), arm("b"), budget="p95<5ms")
    wanted = request(budget="p95<5ms")
    assert verdicts(evidence.judge("x", "a", wanted)) == [("p95<5ms", "not_measured", None)]
    assert verdicts(evidence.judge("y", "b", wanted)) == [("p95<5ms", "passed", pytest.approx(1.0))]
    assert len(diary) == 2 + 6


# --- what it takes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("p50_ms", "seconds"),
    [
        ({1: 5.0}, 6 * (0.6 + 0.3 * 5)),
        ({1: 50.0}, 6 * (0.6 + 10)),
        ({2: 5.0}, 6 * (0.6 + 0.3 * 5)),
        ({}, 6 * 0.6),
    ],
    ids=["calls", "the time there is", "a smaller batch", "nothing known"],
)
def test_what_six_processes_take_is_told_from_what_was_measured(p50_ms, seconds):
    spec = request(measure_seconds=10.0).benchmark
    assert predicted_seconds([{"batch_size": 1, "calls": 200}], p50_ms, spec) == pytest.approx(seconds)


def test_a_batch_size_that_was_not_measured_is_foretold_from_the_nearest_one():
    spec = request().benchmark
    asked = [{"batch_size": 64, "calls": 100}]
    assert predicted_seconds(asked, {1: 1.0, 32: 5.0}, spec) == pytest.approx(6 * (0.6 + 0.2 * 10))


@pytest.mark.parametrize(("p50_ms", "told"), [(5.0, ["churn: budgets: 6 processes, about 13 s"]), (0.5, [])])
def test_only_what_takes_long_is_said_beforehand(hold, p50_ms, told):
    said = []
    hold([answer()] * 6, arm(p50_ms={1: p50_ms}), said=said, budget="p95<5ms")
    assert said == told


# --- the machine ------------------------------------------------------------------------------------------------


def test_the_probe_is_the_median_over_all_processes():
    evidence = Evidence({"a": [answer(probe=1.0), answer(probe=9.0)], "b": [answer(probe=2.0)], "c": WorkerError("x")})
    assert (evidence.probe_ms, evidence.notes) == (2.0, [])
    assert (Evidence().probe_ms, Evidence().notes) == (None, [])


def test_time_that_the_host_stole_is_told():
    busy = {"involuntary_switches": 5, "ticks": 1000, "stolen_ticks": 60}
    evidence = Evidence({"a": [answer(), answer(sensors=busy)]})
    assert evidence.notes == ["budgets: the host took 3% of the processors' time away while they were measured"]
