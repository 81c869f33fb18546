"""An arm of a duet in a process of its own, run by another interpreter: `arm` is its script, this its coordinator.

Two versions of a runtime do not live in one process; here each is called in its turn, and the other one sleeps.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

import numpy as np

from pytest_inferopt.engine.duet import arm
from pytest_inferopt.errors import NotMeasuredError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_inferopt.domain.artifact import RunOptions

__all__ = ["RemoteArm", "open_remote_arm"]

PROVIDER_SUFFIX = "ExecutionProvider"
LAST_WORDS = 300
END_SECONDS = 5


class RemoteArm:
    """The process and the lines that go to and fro.

    Args:
        python: its interpreter.
        file: the model's, for messages.

    Raises:
        UsageError: there is no such interpreter.
    """

    def __init__(self, python: str, file: Path) -> None:
        self.runtime_version = ""
        self._python = python
        self._file = file
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - `close` closes it
        try:
            self._process = subprocess.Popen(
                [python, arm.__file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
                encoding="utf-8",
            )
        except OSError as error:
            self._errors.close()
            raise UsageError(
                f"the interpreter {python} cannot be started: {error.strerror}.",
                "Name the python of an environment that has numpy and onnxruntime.",
            ) from error
        # Both were asked for.
        self._requests = cast("TextIO", self._process.stdin)
        self._answers = cast("TextIO", self._process.stdout)

    def open(self, feeds: Mapping[int, str], options: RunOptions, provider: str) -> None:
        """Load the file and the feeds of each batch size.

        Raises:
            NotMeasuredError: the interpreter lacks a library, or its runtime refuses the file.
        """
        told = {str(size): file for size, file in feeds.items()}
        threads = {"threads": options.threads, "provider": provider}
        done = self._ask("open", path=str(self._file), feeds=told, **threads)
        self.runtime_version = done["onnxruntime"]

    def warm_up(self, batch_size: int) -> int:
        """See `duet.DuetArm`."""
        return int(self._ask("warm_up", batch_size=batch_size))

    def burst(self, batch_size: int, first: int, count: int) -> Sequence[int]:
        """See `duet.DuetArm`."""
        samples_ns: list[int] = self._ask("burst", batch_size=batch_size, first=first, count=count)
        return samples_ns

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait(timeout=END_SECONDS)
        # What was still to be written to a process that died cannot be.
        with contextlib.suppress(BrokenPipeError):
            self._requests.close()
        self._answers.close()
        self._errors.close()

    def _ask(self, do: str, **parameters: Any) -> Any:
        try:
            self._requests.write(json.dumps({"do": do, **parameters}) + "\n")
            self._requests.flush()
            line = self._answers.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise self._died()
        answer = json.loads(line)
        if "done" in answer:
            return answer["done"]
        if answer["failed"] == "missing":
            raise NotMeasuredError(
                f"the interpreter {self._python} cannot run {self._file.name}: {answer['message']}.",
                "Install numpy and onnxruntime there, or compare under one interpreter.",
            )
        raise NotMeasuredError(
            f"the interpreter {self._python} could not run {self._file.name}: {answer['message']}",
        )

    def _died(self) -> NotMeasuredError:
        status = self._process.wait(timeout=END_SECONDS)
        self._errors.seek(0)
        said = " ".join(self._errors.read().decode(errors="replace").split())[-LAST_WORDS:]
        return NotMeasuredError(
            f"the interpreter {self._python} left while it ran {self._file.name} (exit status {status}).",
            f"Its last words: {said}" if said else "",
        )


def open_remote_arm(
    python: str, file: Path, feeds: Mapping[int, Sequence[Mapping[str, Any]]], options: RunOptions, *, folder: Path
) -> RemoteArm:
    """Have another interpreter load an ONNX file.

    Args:
        python: the interpreter; it needs NumPy and ONNX Runtime, not this package.
        file: the model.
        feeds: for each batch size the feeds that calls cycle through, arrays by input name.
        options: as for a session in this process.
        folder: where the feeds are written.

    Raises:
        UsageError: there is no such interpreter.
        NotMeasuredError: it lacks a library, or its runtime refuses the file.
    """
    written = {size: str(_written(found, Path(tempfile.mkdtemp(dir=folder)))) for size, found in feeds.items()}
    opened = RemoteArm(python, file)
    try:
        opened.open(written, options, provider_name(options.provider))
    except BaseException:
        # Also on Ctrl-C: nobody else knows of the process that was started.
        opened.close()
        raise
    return opened


def provider_name(name: str) -> str:
    """ONNX Runtime's own name of a provider; the engine does not know the runtime's table, only how it is formed."""
    if name.endswith(PROVIDER_SUFFIX):
        return name
    return {"cpu": "CPU", "cuda": "CUDA"}.get(name.lower(), name) + PROVIDER_SUFFIX


def _written(feeds: Sequence[Mapping[str, Any]], folder: Path) -> Path:
    arrays = {
        f"{number}/{name}": array.astype(str) if array.dtype.kind == "O" else array
        for number, feed in enumerate(feeds)
        for name, array in feed.items()
    }
    path = folder / "feeds.npz"
    with path.open("wb") as stream:
        np.savez(stream, **arrays)
    return path
