"""A fixed piece of work whose duration says how fast this machine is at this moment."""

from __future__ import annotations

from statistics import median
from time import perf_counter_ns
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["probe_ms"]

# 64³ multiplications are too few for a BLAS to divide them among threads, and the matrices stay in the first caches.
SIDE = 64
PRODUCTS = 200
TURNS = 7
NS_PER_MS = 1_000_000


def probe_ms(clock: Callable[[], int] = perf_counter_ns) -> float:
    """Milliseconds for 200 products of two fixed 64 × 64 float32 matrices, the median of seven turns after one more."""
    left, right = np.random.default_rng(0).normal(size=(2, SIDE, SIDE)).astype(np.float32)
    out = np.empty_like(left)

    def turn() -> int:
        before = clock()
        for _ in range(PRODUCTS):
            np.matmul(left, right, out=out)
        return clock() - before

    turn()
    return median(turn() for _ in range(TURNS)) / NS_PER_MS
