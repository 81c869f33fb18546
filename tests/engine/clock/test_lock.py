from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack

import pytest

from pytest_inferopt.engine.clock.lock import MachineLock

PATIENCE_SECONDS = 20
HOLD = """
import sys, time
from pathlib import Path
from pytest_inferopt.engine.clock.lock import MachineLock
with getattr(MachineLock(Path(sys.argv[1])), sys.argv[2])():
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def lock(tmp_path):
    return MachineLock(tmp_path)


class Contender:
    """A thread that takes a lock, notes its name, and lets go when it is told to."""

    def __init__(self, lock, mode, name, log):
        self.go_on, self.is_inside, self.is_waiting = threading.Event(), threading.Event(), threading.Event()
        lock._on_wait = lambda _: self.is_waiting.set()
        self._lock, self._mode, self._name, self._log = lock, mode, name, log
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        with getattr(self._lock, self._mode)():
            self._log.append(self._name)
            self.is_inside.set()
            self.go_on.wait(PATIENCE_SECONDS)

    def leave(self):
        self.go_on.set()
        self._thread.join(PATIENCE_SECONDS)


@pytest.fixture
def contend(tmp_path):
    log = []
    with ExitStack() as stack:

        def contend(mode, name):
            contender = Contender(MachineLock(tmp_path, patience_seconds=0), mode, name, log)
            stack.callback(contender.leave)
            return contender

        contend.log = log
        yield contend


def test_many_optimize_side_by_side(contend):
    contenders = [contend("optimizing", name) for name in "ab"]
    assert all(contender.is_inside.wait(PATIENCE_SECONDS) for contender in contenders)


@pytest.mark.parametrize(("first", "second"), [("measuring", "measuring"), ("measuring", "optimizing"),
                                               ("optimizing", "measuring")])  # fmt: skip
def test_who_measures_has_the_machine_alone(contend, first, second):
    holder = contend(first, "first")
    assert holder.is_inside.wait(PATIENCE_SECONDS)
    other = contend(second, "second")
    assert other.is_waiting.wait(PATIENCE_SECONDS)
    assert contend.log == ["first"]
    holder.leave()
    assert other.is_inside.wait(PATIENCE_SECONDS)
    assert contend.log == ["first", "second"]


def test_who_comes_after_one_that_wants_to_measure_queues_behind_it(contend):
    reader = contend("optimizing", "reader")
    assert reader.is_inside.wait(PATIENCE_SECONDS)
    writer = contend("measuring", "writer")
    assert writer.is_waiting.wait(PATIENCE_SECONDS)
    late = contend("optimizing", "late")
    assert late.is_waiting.wait(PATIENCE_SECONDS)
    reader.leave()
    assert writer.is_inside.wait(PATIENCE_SECONDS)
    assert contend.log == ["reader", "writer"]
    writer.leave()
    assert late.is_inside.wait(PATIENCE_SECONDS)


@pytest.mark.parametrize("mode", ["measuring", "optimizing"])
def test_f82_a_holder_that_is_killed_leaves_the_lock_free(lock, tmp_path, mode):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path), mode], stdout=subprocess.PIPE, text=True)
    with holder:
        assert holder.stdout.readline() == "held\n"
        os.kill(holder.pid, signal.SIGKILL)
    with lock.measuring():
        pass


def test_the_time_that_was_waited_is_known_and_the_reason_is_told(tmp_path):
    said = []
    waiting = threading.Event()
    lock = MachineLock(tmp_path, on_wait=lambda text: (said.append(text), waiting.set()), patience_seconds=0)
    holder, acquired = MachineLock(tmp_path), threading.Event()

    def wait():
        with lock.optimizing():
            acquired.set()

    with holder.measuring():
        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        assert waiting.wait(PATIENCE_SECONDS)
        time.sleep(0.05)
    assert acquired.wait(PATIENCE_SECONDS)
    thread.join(PATIENCE_SECONDS)
    assert (said, lock.waited_seconds > 0.05) == (["waiting: another run on this machine is measuring"], True)


def test_without_a_folder_for_them_nothing_is_locked(tmp_path):
    lock = MachineLock(tmp_path / "no such folder")
    with lock.measuring(), lock.measuring():
        pass


def test_a_link_that_somebody_planted_is_not_followed(tmp_path):
    target = tmp_path / "precious"
    (tmp_path / "pytest-inferopt-room.lock").symlink_to(target)
    with MachineLock(tmp_path).measuring():
        pass
    assert not target.exists()


def test_the_lock_files_can_be_read_by_every_user_of_the_machine(lock, tmp_path):
    with lock.measuring():
        pass
    modes = {path.name: path.stat().st_mode & 0o044 for path in tmp_path.iterdir()}
    assert modes == {"pytest-inferopt-room.lock": 0o044, "pytest-inferopt-turnstile.lock": 0o044}


def test_a_short_wait_is_not_worth_a_word(tmp_path):
    said = []
    lock, holder = MachineLock(tmp_path, on_wait=said.append, patience_seconds=PATIENCE_SECONDS), MachineLock(tmp_path)
    with ExitStack() as stack:
        stack.enter_context(holder.measuring())
        threading.Timer(0.05, stack.pop_all().close).start()
        with lock.measuring():
            pass
    assert said == []
