"""One measurement at a time on a machine, however many processes want to measure.

Optimizing takes a shared lock and measuring an exclusive one, so that models are made in parallel while nothing is
timed, and nothing is made while something is. Both go through a turnstile: who wants to measure holds it while it
waits for those who are inside, and those who come later queue behind it, so that they cannot starve it.

The locks are the kernel's (flock(2)): when a process dies, however it dies, they are free.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["MachineLock"]

NAME = "pytest-inferopt"
POLL_SECONDS = 0.01


class MachineLock:
    """The machine's measuring lock.

    Containers that do not share a folder for temporary files do not see each other's.

    Args:
        folder: where the two lock files lie; the folder for temporary files, if None. Where they cannot be opened,
            nothing is locked: a figure that is disturbed is better than none.
        on_wait: told once when somebody else holds a lock for longer than `patience_seconds`.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        on_wait: Callable[[str], None] = lambda _: None,
        patience_seconds: float = 3.0,
    ) -> None:
        self._folder = Path(tempfile.gettempdir()) if folder is None else folder
        self._on_wait = on_wait
        self._patience_seconds = patience_seconds
        self.waited_seconds = 0.0

    @contextmanager
    def optimizing(self) -> Iterator[None]:
        """Share the machine with others who optimize, and with nobody who measures."""
        with self._held("room", fcntl.LOCK_SH, "another run on this machine is measuring"):
            yield

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Have the machine alone."""
        with self._held("room", fcntl.LOCK_EX, "another run on this machine is at work"):
            yield

    @contextmanager
    def _held(self, name: str, mode: int, reason: str) -> Iterator[None]:
        started = time.monotonic()
        with contextlib.ExitStack() as stack:
            with contextlib.ExitStack() as turnstile:
                turnstile.enter_context(self._locked("turnstile", fcntl.LOCK_EX, reason))
                stack.enter_context(self._locked(name, mode, reason))
            self.waited_seconds += time.monotonic() - started
            yield

    @contextmanager
    def _locked(self, name: str, mode: int, reason: str) -> Iterator[None]:
        """Hold one lock file; each time with a descriptor of its own, so that threads exclude each other too."""
        try:
            fd = _opened(self._folder / f"{NAME}-{name}.lock")
        except OSError:
            yield
            return
        try:
            if not _is_soon_locked(fd, mode, self._patience_seconds):
                self._on_wait(f"waiting: {reason}")
                fcntl.flock(fd, mode)
            yield
        finally:
            os.close(fd)


def _is_soon_locked(fd: int, mode: int, patience_seconds: float) -> bool:
    """Try until patience is at an end."""
    give_up = time.monotonic() + patience_seconds
    while True:
        try:
            fcntl.flock(fd, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= give_up:
                return False
            time.sleep(POLL_SECONDS)
        else:
            return True


def _opened(path: Path) -> int:
    """A descriptor of a lock file that any user of the machine may have made; a link is not followed."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        return os.open(path, flags | os.O_CREAT, 0o644)
