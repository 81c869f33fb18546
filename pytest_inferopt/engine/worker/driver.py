"""Drives the worker process: starts it, asks it, and ends it and all that it started when time is up."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pytest_inferopt.domain.text import printable
from pytest_inferopt.engine.worker import reaper
from pytest_inferopt.engine.worker.frames import Frames, encode
from pytest_inferopt.errors import ERROR_KINDS, WorkerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["MEASURING_IS_LATE", "Worker", "memory_limit_bytes"]

KEPT_OUTPUT_BYTES = 64 * 1024
LAST_WORDS = 300
TUNABLES = "GLIBC_TUNABLES"
HUGE_PAGES = "glibc.malloc.hugetlb=1"
SHARE_OF_MEMORY = 0.9
REAPER_SECONDS = 5
OPTIMIZATION_IS_LATE = (
    "Raise max_time_minutes (OPTIMIZATION_MAX_TIME_MINUTES), or look for an endless loop in the model."
)
MEASURING_IS_LATE = "Raise measure_seconds, or look for an endless loop in the model."
# What the interpreter's own switches (-W error, -O) put into the environment changes what libraries do;
# a verdict must not depend on how pytest was started.
INTERPRETER_SWITCHES = ("PYTHONWARNINGS", "PYTHONOPTIMIZE", "PYTHONINSPECT", "PYTHONSTARTUP")


def memory_limit_bytes() -> int:
    """What one worker may take: nine tenths of what is available now, or of the control group's limit if less."""
    available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        available = int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]) * 1024
    with contextlib.suppress(OSError, ValueError):
        available = min(available, int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    return int(available * SHARE_OF_MEMORY)


class Worker:
    """One child process, reused over steps and models, so that isolation costs no framework import a step.

    It is started at the first call and again after it died. Its stdout and stderr are kept apart from its answers,
    and only their last 64 KiB stay.

    Args:
        memory_limit: bytes of private memory that it may map (RLIMIT_DATA); None takes `memory_limit_bytes()`.
        huge_pages: whether large arrays lie in huge pages where the kernel gives them on demand.
    """

    def __init__(self, *, memory_limit: int | None = None, huge_pages: bool = False) -> None:
        self.generation = 0
        self._memory_limit = memory_limit
        self._huge_pages = huge_pages
        self._child: _Child | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def is_running(self) -> bool:
        """Whether there is a process."""
        return self._child is not None

    def another(self) -> Self:
        """One more worker with the same limits, not started: a process that knows nothing of this one's."""
        return type(self)(memory_limit=self._memory_limit)

    def another_with_huge_pages(self) -> Self:
        """One more, whose large arrays lie in huge pages where the kernel gives them on demand.

        A model that is larger than the caches is otherwise as fast as the small pages that its process happened to be
        dealt: two copies of one file differed by 9 % (standard deviation over processes), and by 2 % in huge pages.
        """
        return type(self)(memory_limit=self._memory_limit, huge_pages=True)

    def call(
        self,
        command: str,
        parameters: Mapping[str, Any],
        *,
        stage: str,
        deadline: float,
        late_hint: str = OPTIMIZATION_IS_LATE,
        on_progress: Callable[[str], None] = lambda _: None,
    ) -> Any:
        """Have the worker do something and wait for its answer.

        Args:
            command: one of the workshop's verbs.
            parameters: its arguments, plain JSON values.
            stage: what is being done, for the message if it fails.
            deadline: on `time.monotonic()`; then the worker and all its descendants are killed.
            late_hint: what to do next where that happens.
            on_progress: told what the worker says on its way.

        Raises:
            InferoptError: what the worker raised, as the kind it raised.
            WorkerError: it crashed, hung, or left without an answer.
        """
        if self._child is None:
            self._child = _Child(_environment(huge_pages=self._huge_pages))
            self.generation += 1
            limit = memory_limit_bytes() if self._memory_limit is None else self._memory_limit
            greeting = {"sys_path": sys.path, "folder": _working_folder(), "memory_limit": limit}
            self._child.send({"command": "hello", "parameters": greeting})
        try:
            self._child.send({"command": command, "parameters": dict(parameters)})
            document = self._child.answer(stage, deadline, late_hint, on_progress)
        except BaseException:
            # Also on Ctrl-C: a worker that still owes an answer is of no use to the next caller.
            self.stop()
            raise
        return _result(document)

    def stop(self) -> None:
        """End the worker and everything it started; harmless if there is none."""
        if self._child is not None:
            self._child.end()
            self._child = None


class _Child:
    """The running process, its two pipes, its control socket and what it has printed."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        request_read, self._requests = os.pipe()
        answer_read, answer_write = os.pipe()
        output_read, output_write = os.pipe()
        self._control, control = socket.socketpair()
        self._answers = Frames(answer_read)
        theirs = (request_read, answer_write)
        worker = [
            sys.executable,
            "-P",
            "-X",
            "faulthandler",
            "-m",
            "pytest_inferopt.engine.workshop",
            *map(str, theirs),
        ]
        supervisor = [sys.executable, "-I", "-S", reaper.__file__, str(control.fileno()), ",".join(map(str, theirs))]
        try:
            self._process = subprocess.Popen(
                [*supervisor, *worker],
                stdin=subprocess.DEVNULL,
                stdout=output_write,
                stderr=output_write,
                env=environment,
                pass_fds=(*theirs, control.fileno()),
                # Ctrl-C is pytest's; it ends the worker in its own order.
                start_new_session=True,
            )
        finally:
            control.close()
            for fd in (*theirs, output_write):
                os.close(fd)
        self._output: deque[bytes] = deque()
        self._drain = threading.Thread(target=_drain, args=(output_read, self._output), daemon=True)
        self._drain.start()

    def send(self, document: dict[str, Any]) -> None:
        # A worker that died is found out by the one who waits for its answer.
        with contextlib.suppress(BrokenPipeError):
            os.write(self._requests, encode(document))

    def answer(self, stage: str, deadline: float, late_hint: str, on_progress: Callable[[str], None]) -> dict[str, Any]:
        """The next document that is not a word on the way."""
        while True:
            try:
                document = self._answers.read()
            except ValueError as error:
                raise WorkerError(f"{stage}: the worker's answer is damaged ({error}).") from error
            if document is None:
                self._wait_for_more(stage, deadline, late_hint)
            elif "progress" in document:
                on_progress(document["progress"])
            else:
                return document

    def _wait_for_more(self, stage: str, deadline: float, late_hint: str) -> None:
        seconds = max(deadline - time.monotonic(), 0)
        ready, _, _ = select.select([self._answers.fd, self._control.fileno()], [], [], seconds)
        if not ready:
            raise WorkerError(
                f"{stage}: no answer by the deadline; the worker and all it had started were ended.",
                late_hint,
            )
        if self._answers.fd not in ready or not self._answers.fill():
            raise self._died(stage)

    def _died(self, stage: str) -> WorkerError:
        self._control.settimeout(REAPER_SECONDS)
        try:
            ending = _how_it_ended(int(self._control.recv(32)))
        except (OSError, ValueError):
            ending = "the worker is gone"
        half = ", in the middle of its answer" if self._answers.is_half else ""
        self._drain.join(timeout=1)
        said = _last_words(b"".join(self._output).decode(errors="replace"))
        return WorkerError(f"{stage}: {ending}{half}.", f"Its last words: {said}" if said else "")

    def end(self) -> None:
        self._control.close()
        os.close(self._requests)
        os.close(self._answers.fd)
        self._process.wait()
        self._drain.join(timeout=1)


def _result(document: dict[str, Any]) -> Any:
    if "error" not in document:
        return document["result"]
    error = document["error"]
    raise ERROR_KINDS[error["kind"]](error["message"], error["hint"])


def _how_it_ended(status: int) -> str:
    if os.WIFSIGNALED(status):
        number = signal.Signals(os.WTERMSIG(status))
        cause = ", most likely because memory ran out" if number is signal.SIGKILL else ""
        return f"the worker crashed ({number.name}){cause}"
    return f"the worker left without an answer (exit status {os.WEXITSTATUS(status)})"


def _last_words(output: str) -> str:
    """The end of what a worker printed; of faulthandler's dump, the fault and the innermost Python frame."""
    said, fault, dump = output.partition("Fatal Python error: ")
    frame = next((line.strip() for line in dump.splitlines() if line.strip().startswith("File ")), "")
    summary = f"{fault}{dump.partition(chr(10))[0]} in {frame}" if frame else fault + dump
    return printable(f"{said.strip()[-LAST_WORDS:]} {summary}".strip(), limit=2 * LAST_WORDS)


def _environment(*, huge_pages: bool) -> dict[str, str]:
    """The parent's environment, with this package findable and without the interpreter's switches.

    Args:
        huge_pages: whether glibc (2.35 or newer) asks the kernel for them, unless the parent says otherwise; others
            ignore it. https://www.gnu.org/software/libc/manual/html_node/Memory-Allocation-Tunables.html
    """
    environment = {name: value for name, value in os.environ.items() if name not in INTERPRETER_SWITCHES}
    home = str(Path(reaper.__file__).parents[3])
    paths = [home, *filter(None, [environment.get("PYTHONPATH")])]
    tunables = environment.get(TUNABLES, "")
    if huge_pages and HUGE_PAGES.partition("=")[0] not in tunables:
        environment[TUNABLES] = ":".join(filter(None, [tunables, HUGE_PAGES]))
    return {**environment, "PYTHONPATH": os.pathsep.join(paths)}


def _working_folder() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109 - a string is what travels
    except FileNotFoundError:
        return None


def _drain(fd: int, kept: deque[bytes]) -> None:
    """Read to the end, so that the worker never blocks on its output, and keep the last of it."""
    size = 0
    with open(fd, "rb", buffering=0, closefd=True) as stream:
        while chunk := stream.read(65_536):
            kept.append(chunk)
            size += len(chunk)
            while size - len(kept[0]) > KEPT_OUTPUT_BYTES:
                size -= len(kept.popleft())
