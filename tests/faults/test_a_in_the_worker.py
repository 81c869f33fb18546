"""Faults A that only running the file shows: they stay in the worker, and the table still prints."""

from __future__ import annotations

import time

import numpy as np
import pytest

from pytest_inferopt.api import Subject, run
from pytest_inferopt.domain.artifact import Dataset
from pytest_inferopt.domain.report import Report
from pytest_inferopt.domain.request import parse_request
from pytest_inferopt.engine.store.folder import Store
from pytest_inferopt.engine.worker.driver import Worker
from pytest_inferopt.reporters.terminal import Terminal

ROWS = Dataset(np.random.default_rng(0).normal(size=(40, 16)).astype(np.float32))
GIGABYTE = 1_000_000_000


@pytest.fixture
def optimize(tmp_path):
    def optimize(path, *, memory_limit=4 * GIGABYTE, **fields):
        values = {"model": str(path), "batch_sizes": [1], "iterations": 5, "warmup_iterations": 1, **fields}
        with Worker(memory_limit=memory_limit) as worker:
            return run(
                parse_request(values, where="test"),
                Subject(data=ROWS),
                worker=worker,
                store=Store(tmp_path / "store"),
            )

    return optimize


def outcome_of(result):
    (check,) = result.checks
    return check.outcome, check.reason


def test_a_sound_file_of_the_same_kind_passes(optimize, onnx_models, tmp_path):
    assert optimize(onnx_models.dense(tmp_path / "model.onnx")).passed


def test_a18_a_bomb_of_memory_is_not_measured(optimize, onnx_models, tmp_path):
    outcome, reason = outcome_of(optimize(onnx_models.constant_of_shape_bomb(tmp_path / "model.onnx")))
    assert outcome == "not_measured"
    assert "allocate" in reason or "bad allocation" in reason or "memory" in reason


def test_a19_an_endless_loop_is_ended_within_five_seconds_of_the_deadline(
    optimize, until_reached, onnx_models, tmp_path
):
    path = onnx_models.endless_loop(tmp_path / "model.onnx")

    def loop(minutes):
        started = time.monotonic()
        found = outcome_of(optimize(path, max_time_minutes=minutes))
        assert time.monotonic() - started < 60 * minutes + 5
        return found

    outcome, reason = until_reached(loop, lambda found: found[1].startswith("asking the original"))
    assert (outcome, reason.partition(";")[0]) == ("not_measured", "asking the original: no answer by the deadline")


def test_a20_a_thousand_nested_graphs_are_not_measured(optimize, onnx_models, tmp_path):
    assert outcome_of(optimize(onnx_models.nested_graphs(tmp_path / "model.onnx", 1000)))[0] == "not_measured"


def test_a21_an_operator_that_nobody_knows_is_not_measured_and_its_node_is_named(optimize, onnx_models, tmp_path):
    outcome, reason = outcome_of(optimize(onnx_models.unknown_operator(tmp_path / "model.onnx")))
    assert outcome == "not_measured"
    assert "middle" in reason
    assert "Frobnicate" in reason


def test_a22_a_custom_operator_is_refused(optimize, onnx_models, tmp_path):
    outcome, reason = outcome_of(optimize(onnx_models.custom_domain(tmp_path / "model.onnx")))
    assert outcome == "refused"
    assert "com.example" in reason


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "\x1b[31mred", "::error::pwned", "a\nb", "\u202egnp.exe", "x" * 10_000]
)
def test_a24_hostile_names_in_a_file_leave_the_table_safe(optimize, onnx_models, tmp_path, name):
    result = optimize(onnx_models.hostile_names(tmp_path / "model.onnx", name), name=name[:300])
    text = Terminal().render(Report(results=(result,), environment=result.environment))
    assert result.passed
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert not [line for line in text.splitlines() if line.startswith("::")]
    assert max(map(len, text.splitlines())) < 1_200
