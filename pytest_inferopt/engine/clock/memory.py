"""What loading and running a model takes of memory, each in a fresh process that holds nothing else."""

from __future__ import annotations

import contextlib
import gc
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_inferopt.domain.measured import Memory
from pytest_inferopt.engine.worker.replicate import run_replicate
from pytest_inferopt.errors import InferoptError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_inferopt.engine.worker.driver import Worker
    from pytest_inferopt.engine.worker.replicate import Command

__all__ = ["MemoryArm", "begin_watching", "measure_memory", "peak_bytes", "resident_bytes"]

PROC = Path("/proc/self")
BYTES_PER_KIB = 1024
# proc(5): writing 5 to clear_refs sets the peak to what is resident now.
RESET_PEAK = "5"


def resident_bytes(proc: Path = PROC) -> int | None:
    """What of this process is in memory now; None where the kernel does not tell."""
    return _status(proc, "VmRSS")


def peak_bytes(proc: Path = PROC) -> int | None:
    """The most that it was since the process began, or since `begin_watching`; None where the kernel does not tell."""
    return _status(proc, "VmHWM")


def begin_watching(proc: Path = PROC) -> int | None:
    """Forget the peak so far; what is resident now.

    Where the kernel does not let the peak go, what was imported before counts, which is less than what follows.
    """
    gc.collect()
    with contextlib.suppress(OSError):
        (proc / "clear_refs").write_text(RESET_PEAK, encoding="ascii")
    return resident_bytes(proc)


def _status(proc: Path, field: str) -> int | None:
    try:
        lines = (proc / "status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    found = next((line for line in lines if line.startswith(f"{field}:")), None)
    return None if found is None else int(found.split()[1]) * BYTES_PER_KIB


@dataclass(frozen=True)
class MemoryArm:
    """What is loaded and run.

    Attributes:
        name: for the message if it fails.
        target: the artifact.
        before: the commands that bring the rows into a process.
        loading: the commands that bring the artifact into it.
    """

    name: str
    target: str
    before: Sequence[Command]
    loading: Sequence[Command]


def measure_memory(
    arms: Sequence[MemoryArm], *, batch_sizes: Sequence[int], open_worker: Callable[[], Worker], seconds: float
) -> tuple[dict[str, Memory], list[str]]:
    """Load and run each arm in a process of its own.

    Args:
        arms: what is measured.
        batch_sizes: one call at each.
        open_worker: makes a worker that has not been started.
        seconds: what one process may take.

    Returns:
        By target what was found, and of those that failed why, as notes.
    """
    found: dict[str, Memory] = {}
    notes = []
    for arm in arms:
        try:
            answer: Mapping[str, Any] = run_replicate(
                ("run_for_memory", {"target": arm.target, "batch_sizes": list(batch_sizes)}),
                open_worker=open_worker,
                prepare=[*arm.before, ("watch_memory", {}), *arm.loading],
                stage=f"memory of {arm.name!r}",
                seconds=seconds,
            )
        except InferoptError as error:
            notes.append(f"memory was not measured: {error.message}")
            continue
        if answer["peak_bytes"] is not None:
            found[arm.target] = Memory(**answer)
    return found, notes
