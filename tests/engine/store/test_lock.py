from __future__ import annotations

import fcntl
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_inferopt.engine.store import lock as store_lock
from pytest_inferopt.engine.store.lock import alone, beside_others

HOLDER = """
import sys, time
from pathlib import Path
from pytest_inferopt.engine.store.lock import alone
with alone(Path(sys.argv[1])) as is_alone:
    print(is_alone, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that has the store alone."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "True\n"
    yield process
    process.kill()
    process.communicate()


def is_alone(root):
    with alone(root) as answer:
        return answer


def test_one_who_is_alone_shares_with_nobody_and_those_beside_others_do(tmp_path):
    assert is_alone(tmp_path)
    with beside_others(tmp_path), beside_others(tmp_path):
        assert not is_alone(tmp_path)
    with alone(tmp_path):
        assert not is_alone(tmp_path)
    assert is_alone(tmp_path)


def test_f82_a_holder_that_is_killed_holds_nothing(tmp_path, holder):
    assert not is_alone(tmp_path)
    holder.kill()
    holder.wait()
    assert is_alone(tmp_path)


def test_f82_a_holder_that_was_stopped_stops_nobody_who_saves(tmp_path, holder, monkeypatch):
    holder.send_signal(signal.SIGSTOP)
    monkeypatch.setattr(store_lock, "PATIENCE_SECONDS", 0.05)
    with beside_others(tmp_path):
        assert not is_alone(tmp_path)


def test_who_saves_waits_for_who_prunes(tmp_path, monkeypatch):
    waited = []
    with alone(tmp_path) as pruning:

        def pass_on(seconds):
            waited.append(seconds)
            fcntl.flock(held, fcntl.LOCK_UN)

        held = int(next(fd.name for fd in Path("/proc/self/fd").iterdir() if leads_to(fd, tmp_path / ".lock")))
        monkeypatch.setattr(store_lock.time, "sleep", pass_on)
        with beside_others(tmp_path):
            assert (pruning, waited) == (True, [store_lock.POLL_SECONDS])


def leads_to(fd, path):
    try:
        return fd.readlink() == path
    except OSError:
        return False


def test_a_filesystem_without_locks_keeps_nobody_from_working(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(store_lock.fcntl, "flock", fail)
    assert is_alone(tmp_path)
    with beside_others(tmp_path):
        pass


def test_where_there_is_no_store_nobody_prunes_and_nothing_is_made(tmp_path):
    assert not is_alone(tmp_path / "none")
    with beside_others(tmp_path / "none"):
        assert list(tmp_path.iterdir()) == []


def test_f85_a_lock_that_is_a_link_is_not_followed(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / ".lock").symlink_to(tmp_path / "made")
    assert not is_alone(tmp_path / "store")
    with beside_others(tmp_path / "store"):
        assert not (tmp_path / "made").exists()
