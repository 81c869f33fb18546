"""What keeps the other processors busy."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

BURN = """
import numpy as np
print(flush=True)
a = np.random.default_rng(0).normal(size=(256, 256))
while True:
    a @ a
"""
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@contextmanager
def burning() -> Iterator[int]:
    """Multiply matrices in one process for every processor but one, not pinned; gives how many processes."""
    count = max(len(os.sched_getaffinity(0)) - 1, 1)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", BURN], env={**os.environ, **ONE_THREAD}, stdout=subprocess.PIPE, text=True
        )
        for _ in range(count)
    ]
    try:
        for process in processes:
            if process.stdout is None or not process.stdout.readline():
                raise SystemExit("a process that was to burn processor time has not begun")
        yield count
    finally:
        for process in processes:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
