"""Budgets of a request on real models, in real processes; every limit is far from what the models take."""

from __future__ import annotations

import sys
from typing import ClassVar

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from pytest_inferopt.api import Subject, run
from pytest_inferopt.domain.artifact import Dataset
from pytest_inferopt.domain.request import parse_request
from pytest_inferopt.engine.clock import budget_processes
from pytest_inferopt.engine.store.folder import Store
from pytest_inferopt.engine.worker.driver import Worker
from pytest_inferopt.errors import WorkerError
from pytest_inferopt.registry import discover

ROWS = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
LABELS = (ROWS[:, 0] > 0).astype(int)
MODEL = LogisticRegression().fit(ROWS, LABELS)
FEW = {"iterations": 100, "warmup_iterations": 1, "batch_sizes": [1]}


@pytest.fixture(scope="module")
def worker():
    with Worker() as running:
        yield running


@pytest.fixture
def optimize(tmp_path, worker):
    def optimize(*budgets, model=MODEL, using=None, training=None, **fields):
        request = parse_request({**FEW, "budget": budgets, **fields}, where="test")
        subject = Subject(model, Dataset(ROWS, LABELS), training, by_value=(sys.modules[__name__],))
        # Found anew, because a test brings a technique of its own.
        registry = discover.__wrapped__()
        return run(request, subject, worker=using or worker, registry=registry, store=Store(tmp_path / "store"))

    return optimize


def budgets(result):
    return {
        name: [(check.subject, check.outcome) for check in variant.checks if check.kind == "budget"]
        for name, variant in result.variants.items()
    }


def test_generous_budgets_pass_and_impossible_ones_fail_with_certainty(optimize):
    result = optimize("size<1MB", "p95<10s", "p50@batch7<0.0001ms", "p99<0.001us")
    assert budgets(result) == {
        "optimized": [
            ("size<1MB", "passed"),
            ("p95<10s", "passed"),
            ("p50@batch7<0.0001ms", "failed"),
            ("p99<0.001us", "failed"),
        ]
    }
    assert result.best is None
    assert 0 < result.probe_ms < 10_000
    for check in result.optimized.checks[-3:]:
        assert check.interval.method == "signed ranks over 6 processes"
        assert 0 < check.interval.low <= check.observed <= check.interval.high < 10_000
    assert result.optimized.checks[-3].reason.endswith(" over 6 processes of 1,000 calls.")
    assert result.optimized.checks[-2].reason.endswith(" over 6 processes of 50 calls.")


def test_a_process_that_makes_the_variant_again_has_the_time_that_it_took(optimize, monkeypatch):
    given = []

    def replicates(*_, seconds, **__):
        given.append(seconds)
        yield from ()
        raise WorkerError("not measured here")

    monkeypatch.setattr(budget_processes, "run_replicates", replicates)
    result = optimize("p95<10s", measure_seconds=6.0)
    made = result.seconds["load"] + result.seconds["optimize"]
    assert given == [pytest.approx(2 * (1.0 + made) + budget_processes.GRACE_SECONDS)]


def test_a_file_that_is_too_large_is_red_and_another_variant_is_the_best(optimize):
    small = optimize().optimized.size_bytes
    result = optimize(f"size<{small / 1000}kB")
    assert budgets(result) == {"optimized": [(f"size<{small / 1000}kB", "failed")]}
    assert (result.passed, result.best, result.probe_ms) == (False, None, None)
    assert "budgets" not in result.seconds


MEMORY_PROCESSES = 2  # the original's, and that of the one file


class Crowded(Worker):
    """A worker that counts the processes that are opened beside it, which crash at the stage that a test names."""

    opened: ClassVar[list[str]] = []
    crash_in: ClassVar[str] = "no stage"

    def another(self):
        self.opened.append("process")
        return Crowded()

    def call(self, command, parameters, *, stage, deadline, **rest):
        if self.crash_in in stage:
            raise WorkerError(f"{stage}: the worker crashed (SIGSEGV).")
        return super().call(command, parameters, stage=stage, deadline=deadline, **rest)


@pytest.fixture
def crowded(monkeypatch):
    monkeypatch.setattr(Crowded, "opened", [])
    with Crowded() as running:
        yield running


TWO = {"variants": {"first": ["onnx_conversion"], "same": ["onnx_conversion", "quantization"]}}


def test_variants_that_are_the_same_file_are_measured_once(optimize, crowded):
    result = optimize("p50<10s", using=crowded, **TWO)
    assert budgets(result) == {"first": [("p50<10s", "passed")], "same": [("p50<10s", "passed")]}
    assert result.variants["first"].checks[-1].observed == result.variants["same"].checks[-1].observed
    assert len(crowded.opened) == 6 + MEMORY_PROCESSES


def test_a_process_that_crashes_leaves_the_variants_latency_unmeasured_with_its_stage(optimize, crowded, monkeypatch):
    monkeypatch.setattr(Crowded, "crash_in", "process 3 of 6")
    result = optimize("p50<10s", "size<1MB", using=crowded)
    assert budgets(result) == {"optimized": [("size<1MB", "passed"), ("p50<10s", "not_measured")]}
    stage = "budgets of 'optimized', process 3 of 6"
    assert result.optimized.checks[-1].reason == f"{stage}: the worker crashed (SIGSEGV)."
    assert len(crowded.opened) == 3 + MEMORY_PROCESSES


def test_a_quick_run_opens_no_processes_and_judges_no_latency(optimize, crowded):
    result = optimize("p95<0.001us", "p95@batch32<10s", "size<1MB", using=crowded, quick=True)
    assert budgets(result) == {
        "optimized": [("size<1MB", "passed"), ("p95<0.001us", "advisory"), ("p95@batch32<10s", "advisory")]
    }
    assert (result.passed, crowded.opened, result.probe_ms) == (True, [], None)


REFIT = """
from typing import ClassVar
from pytest_inferopt.domain.plugins import Technique

class Refit(Technique):
    '''Leaves the model as it is, alive.'''
    name: ClassVar[str] = "refit"
    def gives(self, takes):
        return takes
    def apply(self, model, bench):
        path = bench.folder / "model.pkl"
        path.write_bytes(model.path.read_bytes())
        return model.evolve(self.name, path=path, model=model.model)
"""


def test_a_variant_that_lives_in_its_worker_is_made_again_in_each_process(optimize, crowded, tmp_path, monkeypatch):
    info = tmp_path / "refit-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: refit\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[pytest_inferopt.techniques]\nrefit = refit_of_mine:Refit\n")
    (tmp_path / "refit_of_mine.py").write_text(REFIT)
    monkeypatch.syspath_prepend(tmp_path)
    result = optimize("p50<10s", using=crowded, optimizations=["refit", "refit"], training=Dataset(ROWS))
    assert [check.reason for check in result.checks if check.is_red] == []
    assert budgets(result) == {"optimized": [("p50<10s", "passed")]}
    assert result.optimized.format == "sklearn"


def test_a_file_with_a_fixed_batch_is_measured_there_and_not_measured_elsewhere(optimize, onnx_fixed):
    result = optimize("p50<10s", "p50@batch32<10s", model=onnx_fixed)
    fixed, other = result.optimized.checks[-2:]
    assert (fixed.outcome, other.outcome) == ("passed", "not_measured")
    assert other.reason == "batch size 32 failed: input 'x' was exported with fixed batch 1."
    assert other.next_step == "Export with a dynamic batch axis, or set batch_sizes=[1]."


@pytest.fixture
def onnx_fixed():
    from onnx import TensorProto, helper, numpy_helper

    weights = numpy_helper.from_array(np.ones((4, 2), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["values"])],
        "fixed",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("values", TensorProto.FLOAT, [1, 2])],
        initializer=[weights],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
