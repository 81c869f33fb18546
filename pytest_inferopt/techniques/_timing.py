"""A quick look at what a step did to the speed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_inferopt.domain.artifact import Artifact, Workbench

__all__ = ["told_speed"]

# What is called slower: the noise of a quick look stays below it.
SLOWER = 0.97


def told_speed(before: Artifact, after: Artifact, bench: Workbench) -> tuple[str, tuple[int, ...]]:
    """How many times faster a file became, in words, and the batch sizes at which it became slower."""
    ratios = bench.speedup(before, after)
    if not ratios:
        return "not timed", ()
    timed = ", ".join(f"×{ratio:.2f} at batch {size}" for size, ratio in ratios.items())
    return f"{timed} (a quick look)", tuple(size for size, ratio in ratios.items() if ratio < SLOWER)
