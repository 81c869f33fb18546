from __future__ import annotations

import numpy as np
import pytest

from pytest_inferopt.domain.request import BenchmarkSpec
from pytest_inferopt.engine.clock.solo import measure_alone
from pytest_inferopt.errors import NotMeasuredError, RefusedError

ROWS = np.arange(100.0).reshape(50, 2)
SPEC = BenchmarkSpec(
    warmup_iterations=2, iterations=1, batch_sizes=(7,), measure_seconds=3600.0, threads=1, provider="cpu"
)


def asked(batch_size, calls, *percentiles):
    return {"batch_size": batch_size, "calls": calls, "percentiles": list(percentiles)}


@pytest.fixture
def alone(clock):
    """Time cells with the sessions that stand for their batch sizes; an exception stands for one that cannot open."""

    def alone(by_batch_size, *cells, **changes):
        def opened(batch_size):
            session = by_batch_size[batch_size]
            if isinstance(session, Exception):
                raise session
            return session

        return measure_alone(opened, ROWS, cells, SPEC.model_copy(update=changes), clock=clock)

    return alone


def test_each_cell_has_a_session_of_its_own_and_one_follows_the_other(alone, scripted, diary):
    sessions = {1: scripted("one", 50, 9, 9, 1, 2, 3, 4), 32: scripted("many", 80, 6)}
    answers = alone(sessions, asked(32, 3, 50), asked(1, 2, 95, 99))
    assert answers == [
        {"batch_size": 32, "calls": 3, "percentiles_ms": {"50": 6.0}, "cold_call_ms": 80.0},
        {
            "batch_size": 1,
            "calls": 2,
            "percentiles_ms": {"95": pytest.approx(1.95), "99": pytest.approx(1.99)},
            "cold_call_ms": 50.0,
        },
    ]
    assert diary == ["many"] * 6 + ["one"] * 5
    assert [len(feed) for feed in sessions[32].feeds] == [32] * 6


def test_a_cell_that_fails_leaves_the_others_alone(alone, scripted):
    class Breaking:
        def prepare(self, rows):
            raise ValueError(f"cannot\nreshape {len(rows)} rows" + "x" * 400)

    sessions = {
        1: scripted("sound", 6),
        2: NotMeasuredError("batch size 2 failed: fixed batch 1.", "Set batch_sizes=[1]."),
        3: RefusedError("no."),
        4: Breaking(),
    }
    fixed, refused, broken, sound = alone(sessions, *(asked(size, 2, 50) for size in (2, 3, 4, 1)))
    assert fixed["error"] == {
        "kind": "not_measured",
        "message": "batch size 2 failed: fixed batch 1.",
        "hint": "Set batch_sizes=[1].",
    }
    assert refused == {"batch_size": 3, "error": {"kind": "refused", "message": "no.", "hint": ""}}
    assert broken["error"]["message"].startswith("batch size 4 failed: ValueError: cannot reshape 4 rowsxxx")
    assert len(broken["error"]["message"]) < 350
    assert sound == {"batch_size": 1, "calls": 2, "percentiles_ms": {"50": 6.0}, "cold_call_ms": 6.0}


def test_time_that_runs_out_is_shared_evenly_by_the_cells_to_come(alone, scripted):
    sessions = {1: scripted("slow", 100), 2: scripted("slow too", 100)}
    answers = alone(sessions, asked(1, 200, 95), asked(2, 200, 95), measure_seconds=4.0, warmup_iterations=1)
    assert [answer["calls"] for answer in answers] == [18, 18]


def test_opening_a_session_costs_none_of_the_time_for_measuring(clock, scripted):
    session = scripted("slow", 100)

    def opened(_):
        clock.pass_ms(60_000)
        return session

    spec = SPEC.model_copy(update={"measure_seconds": 4.0, "warmup_iterations": 1})
    answers = measure_alone(opened, ROWS, [asked(1, 200, 95), asked(2, 200, 95)], spec, clock=clock)
    assert [answer["calls"] for answer in answers] == [18, 18]


def test_what_one_cell_leaves_of_the_time_goes_to_the_next(alone, scripted):
    sessions = {1: scripted("fast", 10), 2: scripted("slow", 100)}
    answers = alone(sessions, asked(1, 20, 95), asked(2, 200, 95), measure_seconds=4.0, warmup_iterations=1)
    assert [answer["calls"] for answer in answers] == [20, 35]
