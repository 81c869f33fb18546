"""Pruning is never beside saving: what is about to be named by a manifest must not go meanwhile.

Saving shares a lock, pruning has it alone. It is the kernel's (flock(2)): when its holder dies, however it dies, it is
free. Nothing waits for long: who prunes lets it be when somebody saves, and who saves goes on after a while, because a
holder that was stopped must not stop everybody else.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["alone", "beside_others"]

NAME = ".lock"
PATIENCE_SECONDS = 10.0
POLL_SECONDS = 0.01


@contextmanager
def alone(root: Path) -> Iterator[bool]:
    """Whether nobody else is at work in the store at `root`, nor will be before the block is done."""
    fd = _opened(root)
    if fd is None:
        yield False
        return
    try:
        yield _is_locked(fd, fcntl.LOCK_EX, patience_seconds=0)
    finally:
        os.close(fd)


@contextmanager
def beside_others(root: Path) -> Iterator[None]:
    """Keep the store at `root` from being pruned before the block is done."""
    fd = _opened(root)
    if fd is None:
        yield
        return
    try:
        _is_locked(fd, fcntl.LOCK_SH, patience_seconds=PATIENCE_SECONDS)
        yield
    finally:
        os.close(fd)


def _is_locked(fd: int, mode: int, *, patience_seconds: float) -> bool:
    give_up = time.monotonic() + patience_seconds
    while True:
        try:
            fcntl.flock(fd, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= give_up:
                return False
            time.sleep(POLL_SECONDS)
        except OSError:  # a filesystem without locks
            return True
        else:
            return True


def _opened(root: Path) -> int | None:
    """A descriptor of the lock file, which is made where there is a store; None where it cannot be."""
    try:
        return os.open(root / NAME, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    except OSError:
        return None
