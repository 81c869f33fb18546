"""Around the clock: how long a call will take, the threads that native libraries get, and the samples that are kept."""

from __future__ import annotations

import time
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_inferopt.domain.artifact import Session
    from pytest_inferopt.engine.clock.measure import Cell

__all__ = ["keep_samples", "seconds_of_a_call", "threads_limited"]

SHORT_CALL_SECONDS = 0.1


def seconds_of_a_call(session: Session, feed: Any) -> float:
    """What one call takes, roughly: the second one where calls are short, since the first fills caches."""
    seconds = 0.0
    for _ in "12":
        started = time.monotonic()
        session.run(feed)
        seconds = time.monotonic() - started
        if seconds > SHORT_CALL_SECONDS:
            break
    return seconds


def keep_samples(cells: list[Cell], names: dict[str, list[str]], path: Path) -> Path:
    """Write the timed calls in nanoseconds as ``<name>/<batch size>``."""
    arrays = {
        f"{name}/{cell.batch_size}": np.asarray(timings.samples_ns)
        for cell in cells
        for arm, timings in cell.arms.items()
        for name in names.get(arm, [arm])
    }
    with path.open("wb") as stream:
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]  # an array a name; the flag's name has no slash
    return path


@contextmanager
def threads_limited(threads: int) -> Iterator[None]:
    """The same number of threads for the BLAS and OpenMP libraries that native models call."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        limits: Any = nullcontext()
    else:
        limits = threadpool_limits(threads)
    with limits:
        yield
