"""Runs replicates: the same measurement in several fresh processes, one after the other.

The process is what is replicated, because what a process is dealt at its start (memory layout, thread placement)
holds for its life: a thousand more calls of it repeat the same draw. Each replicate is a worker of its own, so a crash,
a hang or a lack of memory in it is an error with its stage and costs nobody else anything.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pytest_inferopt.engine.worker.driver import MEASURING_IS_LATE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pytest_inferopt.engine.worker.driver import Worker

__all__ = ["Command", "run_replicate", "run_replicates"]

Command = tuple[str, "Mapping[str, Any]"]
"""One of the workshop's verbs, and its arguments as plain JSON values."""


def run_replicate(
    measure: Command,
    *,
    open_worker: Callable[[], Worker],
    prepare: Sequence[Command],
    stage: str,
    seconds: float,
    on_progress: Callable[[str], None] = lambda _: None,
) -> Any:
    """Give the answer of one fresh process.

    Args:
        measure: the command that measures.
        open_worker: makes a worker that has not been started.
        prepare: the commands that bring rows and models into the process.
        stage: what is being done, for the message if it fails.
        seconds: what the process may take, from its start to its answer, before it is ended.
        on_progress: told what the process says on its way.

    Raises:
        InferoptError: what went wrong in the process.
    """
    deadline = time.monotonic() + seconds
    with open_worker() as worker:
        answer: Any = None
        for command, parameters in (*prepare, measure):
            answer = worker.call(
                command,
                parameters,
                stage=stage,
                deadline=deadline,
                late_hint=MEASURING_IS_LATE,
                on_progress=on_progress,
            )
    return answer


def run_replicates(
    count: int,
    *,
    open_worker: Callable[[], Worker],
    prepare: Sequence[Command],
    measure: Callable[[int], Command],
    stage: str,
    seconds: float,
    on_progress: Callable[[str], None] = lambda _: None,
) -> Iterator[Any]:
    """Give the answers of `count` fresh processes, each taken when it is asked for; see `run_replicate`.

    Whoever has seen enough stops asking; no process is left behind.

    Args:
        count: how many.
        open_worker: makes a worker that has not been started.
        prepare: the commands that bring rows and models into a process.
        measure: the command that measures, for a replicate's number from 0; a design that balances something over
            replicates (what is loaded first, what goes first) takes it from that number.
        stage: what is being done, for the message if it fails.
        seconds: what one process may take, from its start to its answer, before it is ended.
        on_progress: told what the process says on its way.

    Raises:
        InferoptError: what went wrong in a process; later ones are not started.
    """
    for index in range(count):
        yield run_replicate(
            measure(index),
            open_worker=open_worker,
            prepare=prepare,
            stage=f"{stage}, process {index + 1} of {count}",
            seconds=seconds,
            on_progress=on_progress,
        )
