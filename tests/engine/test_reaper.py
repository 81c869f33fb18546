from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pytest_inferopt.engine import reaper

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="child subreapers are Linux's")

PATIENCE_SECONDS = 20
LEAVES_A_GRANDCHILD = """
import os, subprocess, sys, time
middle = '''
import subprocess, sys
print(subprocess.Popen(["sleep", "600"], start_new_session=True, stdout=subprocess.DEVNULL).pid, flush=True)
'''
done = subprocess.run([sys.executable, "-c", middle], start_new_session=True, stdout=subprocess.PIPE)
with open(sys.argv[1], "wb") as stream:
    stream.write(done.stdout)
{then}
"""


class Reaped:
    """A command under a reaper, and the other end of its control socket."""

    def __init__(self, *command):
        self.control, theirs = socket.socketpair()
        self.alive, worker_only = os.pipe()
        self.control.settimeout(PATIENCE_SECONDS)
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-I", "-S", reaper.__file__, str(theirs.fileno()), str(worker_only)),
                *map(str, command),
            ],
            pass_fds=(theirs.fileno(), worker_only),
            stderr=subprocess.PIPE,
        )
        theirs.close()
        os.close(worker_only)

    def close(self):
        self.control.close()
        os.close(self.alive)
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def reaped():
    """`reaped(command…)` starts it under a reaper; whatever is left at the end is killed."""
    started = []

    def reaped(*command):
        started.append(Reaped(*command))
        return started[-1]

    yield reaped
    for found in started:
        found.close()


def python(code, *arguments):
    return (sys.executable, "-c", code, *arguments)


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def appears(path):
    """The number in a file, once it is there."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < give_up:
        if path.exists() and path.read_text().strip():
            return int(path.read_text())
        time.sleep(0.01)
    raise TimeoutError(path)


@pytest.mark.parametrize(
    ("code", "status"),
    [("pass", 0), ("import sys; sys.exit(3)", 3 << 8), ("import os; os.abort()", signal.SIGABRT)],
    ids=["returns", "exits", "aborts"],
)
def test_the_wait_status_of_the_command_is_reported(reaped, code, status):
    found = reaped(*python(code))
    reported = int(found.control.recv(32))
    assert reported & 0xFF7F == status
    assert found.process.wait(PATIENCE_SECONDS) == 0


def test_d54_an_orphan_in_a_session_of_its_own_is_killed_when_the_command_ends(reaped, tmp_path):
    found = reaped(*python(LEAVES_A_GRANDCHILD.format(then=""), tmp_path / "pid"))
    assert int(found.control.recv(32)) == 0
    assert found.process.wait(PATIENCE_SECONDS) == 0
    assert not is_alive(appears(tmp_path / "pid"))


def test_d54_closing_the_control_socket_kills_the_command_and_all_below_it(reaped, tmp_path):
    found = reaped(*python(LEAVES_A_GRANDCHILD.format(then="time.sleep(600)"), tmp_path / "pid"))
    grandchild = appears(tmp_path / "pid")
    assert is_alive(grandchild)
    found.control.close()
    assert found.process.wait(PATIENCE_SECONDS) == 0
    assert not is_alive(grandchild)


def test_d54_a_command_that_ignores_signals_is_killed_all_the_same(reaped, tmp_path):
    stubborn = (
        "import os, signal, sys, time\n"
        "for name in ('SIGTERM', 'SIGINT', 'SIGHUP'):\n"
        "    signal.signal(getattr(signal, name), signal.SIG_IGN)\n"
        "open(sys.argv[1], 'w').write(str(os.getpid()))\n"
        "time.sleep(600)\n"
    )
    found = reaped(*python(stubborn, tmp_path / "pid"))
    pid = appears(tmp_path / "pid")
    found.control.close()
    assert found.process.wait(PATIENCE_SECONDS) == 0
    assert not is_alive(pid)


def test_orphans_that_end_before_the_command_do_not_end_it(reaped, tmp_path):
    code = (
        "import subprocess, sys, time\n"
        "for _ in range(20):\n"
        "    subprocess.run(['sh', '-c', 'true & true &'])\n"
        "time.sleep(0.1)\n"
        "open(sys.argv[1], 'w').write('7')\n"
    )
    found = reaped(*python(code, tmp_path / "done"))
    assert int(found.control.recv(32)) == 0
    assert appears(tmp_path / "done") == 7


def test_a_process_whose_name_holds_parentheses_is_found_below_its_parent(tmp_path):
    named = tmp_path / "a) (b"
    named.symlink_to("/bin/sleep")
    child = subprocess.Popen([named, "600"])
    try:
        give_up = time.monotonic() + PATIENCE_SECONDS
        while b"a) (b" not in Path(f"/proc/{child.pid}/stat").read_bytes() and time.monotonic() < give_up:
            time.sleep(0.01)
        assert child.pid in reaper._descendants(os.getpid())
    finally:
        child.kill()
        child.wait()


def test_only_the_command_holds_its_ends_of_the_pipes(reaped):
    found = reaped(*python("import time; time.sleep(0.2)"))
    # Its end of file comes with the command's end and not with the reaper's.
    assert os.read(found.alive, 1) == b""
    assert int(found.control.recv(32)) == 0
