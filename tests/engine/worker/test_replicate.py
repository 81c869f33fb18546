from __future__ import annotations

import math
import time

import numpy as np
import pytest

from pytest_inferopt.engine.worker.driver import Worker
from pytest_inferopt.engine.worker.replicate import run_replicates
from pytest_inferopt.errors import WorkerError


class Scripted(Worker):
    """A worker without a process that writes down what it is asked."""

    def __init__(self, diary):
        super().__init__()
        self.diary = diary

    def call(self, command, parameters, *, stage, deadline, late_hint, on_progress):
        assert 0 < deadline - time.monotonic() <= 60
        assert late_hint.startswith("Raise measure_seconds")
        on_progress(f"doing {command}")
        self.diary.append((command, dict(parameters), stage))
        if parameters.get("crash"):
            raise WorkerError(f"{stage}: the worker crashed (SIGSEGV).")
        return {"answer": len(self.diary)}

    def stop(self):
        self.diary.append("stopped")


@pytest.fixture
def replicates(diary):
    def replicates(count, measure, **rest):
        prepare = [("begin", {"folder": "x"}), ("load_data", {})]
        return run_replicates(
            count,
            open_worker=lambda: Scripted(diary),
            prepare=prepare,
            measure=measure,
            stage="budgets",
            seconds=60,
            **rest,
        )

    return replicates


def test_each_replicate_is_prepared_and_measured_in_a_process_of_its_own(replicates, diary):
    said = []
    answers = list(replicates(2, lambda index: ("measure", {"coin": index % 2}), on_progress=said.append))
    first, second = "budgets, process 1 of 2", "budgets, process 2 of 2"
    assert answers == [{"answer": 3}, {"answer": 7}]
    assert diary == [
        ("begin", {"folder": "x"}, first),
        ("load_data", {}, first),
        ("measure", {"coin": 0}, first),
        "stopped",
        ("begin", {"folder": "x"}, second),
        ("load_data", {}, second),
        ("measure", {"coin": 1}, second),
        "stopped",
    ]
    assert said == ["doing begin", "doing load_data", "doing measure"] * 2


def test_who_has_seen_enough_stops_asking_and_nothing_is_left_running(replicates, diary):
    running = replicates(100, lambda _: ("measure", {}))
    assert diary == []
    next(running)
    running.close()
    assert len(diary) == 4
    assert diary[-1] == "stopped"


def test_a_crash_ends_the_series_with_its_stage(replicates, diary):
    running = replicates(3, lambda index: ("measure", {"crash": index == 1}))
    assert next(running) == {"answer": 3}
    with pytest.raises(WorkerError, match=r"budgets, process 2 of 3: the worker crashed \(SIGSEGV\)\."):
        next(running)
    assert diary.count("stopped") == 2


def test_real_workers_are_fresh_and_end_at_the_deadline(tmp_path):
    began = ("begin", {"folder": str(tmp_path), "options": {}, "opset": 17, "random_seed": 0, "seconds_left": 60.0})
    np.savez(tmp_path / "rows.npz", x=np.zeros((12, 2)))
    source = {"spec": {"source": "npz", "path": str(tmp_path / "rows.npz")}}
    with Worker(memory_limit=3_000_000_000) as one:
        other = one.another()
        assert (other.is_running, other.generation, other._memory_limit) == (False, 0, 3_000_000_000)
        running = {"open_worker": one.another, "prepare": [began], "measure": lambda _: ("load_data", source)}
        (answer,) = run_replicates(1, stage="rows", seconds=60, **running)
        assert answer["rows"] == 12
        assert not one.is_running
        with pytest.raises(WorkerError, match=r"rows, process 1 of 1: no answer by the deadline"):
            list(run_replicates(1, stage="rows", seconds=-math.inf, **running))
