"""Faults A, C and D again with PyTorch inside; each beside a sound network."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import cloudpickle
import numpy as np
import pytest
import torch
from torch import nn

from pytest_inferopt.api import Subject, run
from pytest_inferopt.domain.artifact import Dataset
from pytest_inferopt.domain.request import parse_request
from pytest_inferopt.engine.store.folder import Store
from pytest_inferopt.engine.worker.driver import Worker

ROWS = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
LABELS = (ROWS[:, 0] > 0).astype(int)
QUICK = {"iterations": 5, "warmup_iterations": 1, "batch_sizes": [1], "quick": True}
MEMORY = 6_000_000_000  # PyTorch's libraries map much before they use any


class Saboteur(nn.Module):
    """Runs an act of sabotage when it is called; its class lives in this test module only."""

    def __init__(self, act=lambda: None):
        super().__init__()
        self.act = act

    def forward(self, x):
        self.act()
        return torch.stack([-x[:, 0], x[:, 0]], dim=1)


class Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture(scope="module")
def worker():
    with Worker() as running:
        yield running


@pytest.fixture
def optimize(tmp_path, worker):
    def optimize(network=None, *, using=worker, **fields):
        request = parse_request({**QUICK, **fields}, where="test")
        subject = Subject(network, Dataset(ROWS, LABELS), by_value=(sys.modules[__name__],))
        return run(request, subject, worker=using, store=Store(tmp_path / "store"))

    return optimize


def verdict_of_the_original(result):
    (check,) = result.original.checks
    return check.outcome, check.reason


def test_a_sound_network_passes(optimize):
    assert optimize(Saboteur()).passed


def test_a12_a_pickle_that_weights_only_refuses_is_refused_and_nothing_weaker_is_tried(optimize, tmp_path):
    path, canary = tmp_path / "network.pt", tmp_path / "canary"
    torch.save({"weights": torch.zeros(2), "trap": Trap(canary)}, path)
    outcome, reason = verdict_of_the_original(optimize(model=str(path)))
    assert (outcome, canary.exists()) == ("refused", False)
    assert reason.endswith("network.pt: a pickle executes code when it is loaded.")


def test_a12_a_pickled_network_that_is_trusted_passes(optimize, tmp_path):
    path = tmp_path / "network.pt"
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    try:
        torch.save(Saboteur(), path, pickle_module=cloudpickle)
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    assert optimize(model=str(path), trust=True).passed


def test_c48_int8_beside_a_baseline_of_other_instructions_has_an_accuracy_that_is_not_comparable(beside_a_baseline):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
    here, elsewhere = beside_a_baseline(network, ROWS, LABELS)
    same, not_comparable = ["unchanged"], ["not_comparable", "unchanged"]
    assert here == {"onnx": same, "dynamic": same, "static": same}
    assert elsewhere == {"onnx": same, "dynamic": not_comparable, "static": not_comparable}


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGFPE"])
def test_d50_a_crash_inside_of_forward_names_the_signal_and_the_stage(optimize, name):
    number = getattr(signal, name)
    result = optimize(Saboteur(lambda: os.kill(os.getpid(), number)))
    assert verdict_of_the_original(result) == ("not_measured", f"asking the original: the worker crashed ({name}).")


def test_d52_a_hang_inside_of_forward_is_ended_within_five_seconds_of_the_deadline(optimize, until_reached):
    def hang(minutes):
        started = time.monotonic()
        result = optimize(Saboteur(lambda: time.sleep(600)), max_time_minutes=minutes)
        assert time.monotonic() - started < 60 * minutes + 5
        return verdict_of_the_original(result)

    outcome, reason = until_reached(hang, lambda verdict: verdict[1].startswith("asking the original"))
    assert (outcome, reason[:49]) == ("not_measured", "asking the original: no answer by the deadline; t")


def test_d53_a_balloon_of_tensors_is_not_measured_and_the_parent_lives(optimize):
    def inflate():
        kept = []
        while True:
            kept.append(torch.ones(50_000_000))

    with Worker(memory_limit=MEMORY) as small:
        assert verdict_of_the_original(optimize(Saboteur(inflate), using=small))[0] == "not_measured"
        assert optimize(Saboteur(), using=small).passed


def test_d54_a_grandchild_of_forward_in_a_session_of_its_own_is_ended_too(optimize, tmp_path):
    note = tmp_path / "pid"

    def leave_a_child_behind():
        note.write_text(str(subprocess.Popen(["/bin/sleep", "600"], start_new_session=True).pid))
        os.kill(os.getpid(), signal.SIGSEGV)

    optimize(Saboteur(leave_a_child_behind))
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)
