from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from pytest_inferopt.engine.worker import reaper

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


# --- each part by itself, with what the operating system says scripted ------------------------------------------


@pytest.fixture
def said(monkeypatch):
    """`said(waitpid=[…])`: the answers of `os.waitpid` in order, an exception is raised; what is killed is noted."""

    def said(**answers):
        killed = []
        waits = iter(answers["waitpid"])

        def waitpid(*_):
            answer = next(waits)
            if isinstance(answer, Exception):
                raise answer
            return answer

        def kill(pid, number):
            killed.append((pid, number))
            if error := answers.get("kill", {}).get(pid):
                raise error

        monkeypatch.setattr(reaper.os, "waitpid", waitpid)
        monkeypatch.setattr(reaper.os, "kill", kill)
        return killed

    return said


@pytest.fixture
def wires():
    """A control socket with its other end, and a pipe that wakes."""
    ours, theirs = socket.socketpair()
    readable, writable = os.pipe()
    os.set_blocking(readable, False)
    yield ours, theirs, readable, writable
    ours.close()
    theirs.close()
    os.close(readable)
    os.close(writable)


def test_orphans_are_reaped_until_the_command_itself_has_ended(said, wires):
    _, theirs, readable, writable = wires
    said(waitpid=[(8, 0), (0, 0), (9, 0), (7, 256)])
    os.write(writable, b"\x11")
    assert reaper._wait(7, theirs.fileno(), readable) == 256


def test_a_wake_that_another_read_has_taken_already_does_no_harm(said, wires, monkeypatch):
    _, theirs, readable, _ = wires
    said(waitpid=[(0, 0), (7, 9)])
    monkeypatch.setattr(reaper.select, "select", lambda *_: ([readable], [], []))
    assert reaper._wait(7, theirs.fileno(), readable) == 9


def test_a_control_socket_that_closes_ends_the_wait_without_a_status(said, wires):
    ours, theirs, readable, _ = wires
    said(waitpid=[(0, 0)])
    ours.close()
    assert reaper._wait(7, theirs.fileno(), readable) is None


def test_what_is_killed_is_reaped_and_looked_for_again_until_there_is_no_child(said, monkeypatch):
    found = iter([{8, 9}, {9}])
    monkeypatch.setattr(reaper, "_descendants", lambda _: next(found))
    killed = said(waitpid=[(8, 9), (0, 0), ChildProcessError()], kill={8: ProcessLookupError(), 9: PermissionError()})
    reaper._kill_descendants()
    assert killed == [(8, signal.SIGKILL), (9, signal.SIGKILL), (9, signal.SIGKILL)]


def test_a_child_that_cannot_be_killed_does_not_hold_it_up_for_ever(said, monkeypatch):
    ticks = iter([0.0, 1.0, reaper.GIVE_UP_SECONDS + 0.1])
    monkeypatch.setattr(reaper, "time", SimpleNamespace(monotonic=lambda: next(ticks), sleep=lambda _: None))
    monkeypatch.setattr(reaper, "_descendants", lambda _: {9})
    killed = said(waitpid=[(0, 0)])
    reaper._kill_descendants()
    assert killed == [(9, signal.SIGKILL)]


def test_a_process_that_ends_while_the_table_is_read_is_passed_over(monkeypatch):
    monkeypatch.setattr(reaper.os, "listdir", lambda _: ["self", "999999999", str(os.getpid())])
    assert reaper._descendants(os.getppid()) == {os.getpid()}


def test_processes_that_name_each_other_as_parents_end_the_search(monkeypatch, tmp_path):
    for pid, parent in ((1, 3), (2, 1), (3, 2)):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "stat").write_text(f"{pid} (a) S {parent} 0")
    real = open
    monkeypatch.setattr(reaper.os, "listdir", lambda _: ["1", "2", "3"])
    monkeypatch.setattr("builtins.open", lambda path, *rest: real(path.replace("/proc", str(tmp_path)), *rest))
    assert reaper._descendants(1) == {1, 2, 3}


@pytest.mark.parametrize(("status", "told"), [(256, b"256"), (None, b"")])
def test_the_commands_end_is_told_and_then_all_below_it_is_ended(monkeypatch, status, told):
    (ours, theirs), worker_only, done = socket.socketpair(), os.pipe(), []
    monkeypatch.setattr(reaper, "_become_subreaper", lambda: done.append("subreaper"))
    monkeypatch.setattr(reaper, "_wake_on_child_exit", lambda: 99)
    monkeypatch.setattr(reaper.os, "posix_spawn", lambda *spawned: done.append(spawned[:2]) or 7)
    monkeypatch.setattr(reaper, "_wait", lambda *waited: done.append(waited) or status)
    monkeypatch.setattr(reaper, "_kill_descendants", lambda: done.append("killed"))
    with ours, theirs:
        arguments = [str(theirs.fileno()), ",".join(map(str, worker_only)), "/bin/true", "-x"]
        assert reaper.main(arguments) == 0
        theirs.shutdown(socket.SHUT_WR)
        assert ours.recv(32) == told
        assert done == [
            "subreaper",
            ("/bin/true", ["/bin/true", "-x"]),
            (7, theirs.fileno(), 99),
            "killed",
        ]
    for fd in worker_only:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)


def test_a_child_that_ends_wakes_the_reaper(monkeypatch):
    handlers, woken_by = [], []
    monkeypatch.setattr(reaper.signal, "set_wakeup_fd", woken_by.append)
    monkeypatch.setattr(reaper.signal, "signal", lambda number, act: handlers.append((number, act(number, None))))
    readable = reaper._wake_on_child_exit()
    os.write(woken_by[0], b"\x11")
    assert (os.read(readable, 9), handlers) == (b"\x11", [(signal.SIGCHLD, None)])
    for fd in (readable, *woken_by):
        os.close(fd)


@pytest.mark.parametrize(("platform", "calls"), [("linux", [(36, 1, 0, 0, 0)]), ("darwin", [])])
def test_only_linux_has_subreapers(monkeypatch, platform, calls):
    made = []
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(prctl=lambda *call: made.append(call)))
    reaper._become_subreaper()
    assert made == calls
