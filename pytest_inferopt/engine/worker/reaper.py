"""Stands between pytest and the worker, so that nothing the worker starts outlives it.

Run as a script, with the standard library alone: ``python -I -S reaper.py CONTROL_FD CLOSE_FDS COMMAND…``. It is a
child subreaper (prctl(2), PR_SET_CHILD_SUBREAPER), so a grandchild that made a session of its own is handed to it
and found. When the worker ends, its wait status goes over the control socket; when the socket closes, because
pytest asked or because pytest itself was killed, every descendant is killed.

The flag is set here and not in pytest's own process, whose children are none of our business.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time

PR_SET_CHILD_SUBREAPER = 36
GIVE_UP_SECONDS = 10.0


def main(arguments: list[str]) -> int:
    """Start the worker and wait for its end, or for the word to end it."""
    control = int(arguments[0])
    worker_only = [int(fd) for fd in arguments[1].split(",")]
    command = arguments[2:]
    os.set_inheritable(control, False)
    _become_subreaper()
    wake = _wake_on_child_exit()
    worker = os.posix_spawn(command[0], command, os.environ)
    # Only the worker may hold its ends of the pipes, or their end of file would never come.
    for fd in worker_only:
        os.close(fd)
    status = _wait(worker, control, wake)
    if status is not None:
        with contextlib.suppress(OSError):
            os.write(control, str(status).encode())
    _kill_descendants()
    return 0


def _become_subreaper() -> None:
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _wake_on_child_exit() -> int:
    """A descriptor that becomes readable when a child ends; set up before there is a child to miss."""
    readable, writable = os.pipe()
    os.set_blocking(readable, False)
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return readable


def _wait(worker: int, control: int, wake: int) -> int | None:
    """The worker's wait status; None if the other side closed first. Orphans that end meanwhile are reaped."""
    while True:
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == worker:
                return status
            if pid == 0:
                break
        ready, _, _ = select.select([control, wake], [], [])
        if control in ready:
            return None
        with contextlib.suppress(BlockingIOError):
            os.read(wake, 4096)


def _kill_descendants() -> None:
    give_up = time.monotonic() + GIVE_UP_SECONDS
    while time.monotonic() < give_up:
        for pid in _descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.002)


def _descendants(ancestor: int) -> set[int]:
    """All processes below `ancestor`, by the parents that /proc/<pid>/stat names (proc(5), field 4)."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208 - pathlib would cost as much time to import as all of this
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb") as stream:  # noqa: PTH123 - likewise
                # The command name in field 2 may hold anything, parentheses too; the last one ends it.
                parent = int(stream.read().rpartition(b")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue
        children.setdefault(parent, []).append(int(entry))
    found: set[int] = set()
    open_ends = [ancestor]
    while open_ends:
        for child in children.get(open_ends.pop(), ()):
            if child not in found:
                found.add(child)
                open_ends.append(child)
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
