"""Faults D: whatever a model does in the worker, the parent stays whole and says what happened at which stage."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression

from pytest_inferopt.api import Subject, run
from pytest_inferopt.domain.artifact import Dataset
from pytest_inferopt.domain.plugins import Technique
from pytest_inferopt.domain.request import parse_request
from pytest_inferopt.engine.store.folder import Store
from pytest_inferopt.engine.worker.driver import KEPT_OUTPUT_BYTES, Worker
from pytest_inferopt.errors import MissingDependencyError
from pytest_inferopt.registry import discover

ROWS = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
LABELS = (ROWS[:, 0] > 0).astype(int)
QUICK = {"iterations": 5, "warmup_iterations": 1, "batch_sizes": [1]}


class Saboteur(ClassifierMixin, BaseEstimator):
    """A classifier whose `predict` runs an act of sabotage; its class lives in this test module only."""

    def __init__(self, act):
        self.act = act
        self.classes_ = np.array([0, 1])
        self.n_features_in_ = 4

    def __sklearn_is_fitted__(self):
        return True

    def fit(self, x, y):  # noqa: ARG002
        return self

    def predict(self, x):
        self.act()
        return (np.asarray(x)[:, 0] > 0).astype(int)


@pytest.fixture
def worker():
    with Worker() as running:
        yield running


@pytest.fixture
def optimize(tmp_path, worker):
    def optimize(model, *, data=None, using=worker, **fields):
        request = parse_request({**QUICK, **fields}, where="test")
        rows = data or Dataset(ROWS, LABELS)
        subject = Subject(model, rows, by_value=(sys.modules[__name__],))
        return run(request, subject, worker=using, store=Store(tmp_path / "store"))

    return optimize


def sound_model():
    return LogisticRegression().fit(ROWS, LABELS)


def verdict_of_the_original(result):
    (check,) = result.original.checks
    return check.outcome, check.reason


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL"])
def test_d50_a_crash_is_not_measured_and_names_the_signal_and_the_stage(optimize, name):
    number = getattr(signal, name)
    result = optimize(Saboteur(lambda: os.kill(os.getpid(), number)))
    assert verdict_of_the_original(result) == ("not_measured", f"asking the original: the worker crashed ({name}).")
    assert not result.passed


def test_d50_after_a_crash_the_same_worker_object_serves_the_next_model(optimize, worker):
    optimize(Saboteur(lambda: os.kill(os.getpid(), signal.SIGSEGV)))
    assert optimize(sound_model()).passed
    assert worker.generation == 2


def test_d51_leaving_without_an_answer_is_not_measured(optimize):
    result = optimize(Saboteur(lambda: os._exit(0)))
    reason = "asking the original: the worker left without an answer (exit status 0)."
    assert verdict_of_the_original(result) == ("not_measured", reason)


def test_d52_a_hang_is_ended_within_five_seconds_of_the_deadline(optimize, until_reached):
    def hang(minutes):
        started = time.monotonic()
        result = optimize(Saboteur(lambda: time.sleep(600)), max_time_minutes=minutes)
        assert time.monotonic() - started < 60 * minutes + 5
        return verdict_of_the_original(result)

    outcome, reason = until_reached(hang, lambda verdict: verdict[1].startswith("asking the original"))
    assert outcome == "not_measured"
    assert reason.startswith("asking the original: no answer by the deadline")


def test_d53_a_memory_balloon_is_not_measured_and_the_parent_lives(optimize):
    def inflate():
        kept = []
        while True:
            kept.append(np.ones(10_000_000))

    with Worker(memory_limit=1_500_000_000) as small:
        result = optimize(Saboteur(inflate), using=small)
        assert verdict_of_the_original(result)[0] == "not_measured"
        assert optimize(sound_model(), using=small).passed


def test_d54_a_grandchild_in_a_session_of_its_own_is_ended_too(optimize, tmp_path):
    note = tmp_path / "pid"

    def leave_a_child_behind():
        child = subprocess.Popen(["/bin/sleep", "600"], start_new_session=True)
        note.write_text(str(child.pid))
        os.kill(os.getpid(), signal.SIGSEGV)

    optimize(Saboteur(leave_a_child_behind))
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)


def test_d54_a_grandchild_is_ended_at_the_deadline_too(optimize, until_reached, tmp_path):
    note = tmp_path / "pid"

    def leave_a_child_behind():
        note.write_text(str(subprocess.Popen(["/bin/sleep", "600"], start_new_session=True).pid))
        time.sleep(600)

    until_reached(
        lambda minutes: optimize(Saboteur(leave_a_child_behind), max_time_minutes=minutes), lambda _: note.exists()
    )
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)


def test_d55_a_hundred_megabytes_on_stdout_are_read_and_only_the_last_are_kept(optimize, worker):
    megabyte = "x" * 999_999 + "\n"

    def chatter():
        for _ in range(50):
            sys.stdout.write(megabyte)
        sys.stdout.flush()
        os.write(2, b"".join([megabyte.encode()] * 50))

    result = optimize(Saboteur(chatter))
    # The classifier itself has no ONNX form, which is what is refused; its chatter did no harm.
    assert [check.outcome for check in result.original.checks] == []
    assert sum(map(len, worker._child._output)) <= KEPT_OUTPUT_BYTES + 65_536


def test_d56_workflow_commands_and_escapes_are_inert_in_the_message(optimize):
    def shout():
        os.write(2, b"\n::error::pwned\n\x1b[31mred\n")
        os.kill(os.getpid(), signal.SIGABRT)

    (check,) = optimize(Saboteur(shout)).original.checks
    assert "\n" not in check.next_step
    assert "\x1b" not in check.next_step
    assert "\\x1b[31mred" in check.next_step


def test_d57_a_changed_folder_environment_umask_and_seed_leave_the_parent_as_it_was(optimize):
    def meddle():
        os.chdir("/")
        os.environ["MEDDLED"] = "yes"
        os.umask(0o777)
        random.seed(99)
        np.random.seed(99)  # noqa: NPY002

    def state():
        mask = os.umask(0)
        os.umask(mask)
        return Path.cwd(), dict(os.environ), mask, random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002

    before = state()
    optimize(Saboteur(meddle))
    assert state() == before


@pytest.mark.parametrize("exception", [KeyboardInterrupt, SystemExit])
def test_d58_an_interrupt_inside_the_model_is_not_measured_and_interrupts_nobody(optimize, exception):
    def interrupt():
        raise exception

    result = optimize(Saboteur(interrupt))
    outcome, reason = verdict_of_the_original(result)
    assert outcome == "not_measured"
    assert exception.__name__ in reason


def test_d59_a_half_written_answer_is_not_measured(optimize):
    def write_half():
        answers = int(sys.argv[2])
        os.write(answers, (1000).to_bytes(8, "big") + b'{"result": {"latency"')
        os._exit(0)

    outcome, reason = verdict_of_the_original(optimize(Saboteur(write_half)))
    assert (outcome, reason) == (
        "not_measured",
        "asking the original: the worker left without an answer (exit status 0), in the middle of its answer.",
    )


def test_d62_a_missing_library_is_named_with_the_extra_that_brings_it():
    class Fancy(Technique):
        """Needs what nobody has."""

        name = "fancy"
        needs = ("no_such_library",)
        extra = "torch"

        def gives(self, takes):
            return takes

        def apply(self, model, bench):  # noqa: ARG002
            return model

    with pytest.raises(MissingDependencyError) as caught:
        discover().require(Fancy())
    assert str(caught.value) == (
        'fancy needs no_such_library, not installed here. pip install "pytest-inferopt[torch]".'
    )


def hide_the_converter():
    import importlib.util

    real = importlib.util.find_spec
    importlib.util.find_spec = lambda name: None if name == "skl2onnx" else real(name)


def test_d62_without_the_converter_the_variant_is_not_measured_and_the_original_stays(optimize):
    result = optimize(Saboteur(hide_the_converter))
    (check,) = result.variants["optimized"].checks
    assert (check.outcome, check.next_step) == ("not_measured", 'pip install "pytest-inferopt[sklearn]"')
    assert "skl2onnx" in check.reason
    assert result.original.accuracy.score == 1.0


def test_d63_the_worker_is_a_program_of_its_own_and_no_fork_of_the_parent(optimize, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "only_in_the_parent", True, raising=False)
    note = tmp_path / "seen"

    def look_around():
        command = Path("/proc/self/cmdline").read_bytes().split(b"\0")
        note.write_text(f"{b'pytest_inferopt.engine.workshop' in command} {hasattr(sys, 'only_in_the_parent')}")

    optimize(Saboteur(look_around))
    assert note.read_text() == "True False"
    assert multiprocessing.get_start_method(allow_none=True) in {None, "fork"}


def test_d63_a_worker_does_not_outlive_a_parent_that_was_killed(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, signal, time\n"
        "from pytest_inferopt.engine.worker.driver import Worker\n"
        "worker = Worker()\n"
        "worker.call('begin', dict(folder='/tmp', options={}, opset=17, random_seed=0, seconds_left=60),"
        " stage='start', deadline=time.monotonic() + 60)\n"
        "print(worker._child._process.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    finished = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, timeout=60)
    reaper = int(finished.stdout)
    deadline = time.monotonic() + 10
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.kill(reaper, 0)
            time.sleep(0.02)
    with pytest.raises(ProcessLookupError):
        os.kill(reaper, 0)
