"""What a step says to its runner: workflow commands on stdout, and lines in the files that it names.

https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

import os
import sys
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["TITLE", "Level", "StepError", "annotate", "say", "set_outputs", "summarize", "without_commands"]

TITLE = "pytest-inferopt"
MAX_SUMMARY_BYTES = 900_000  # GitHub takes 1 MiB a step, and shows nothing at all of what is larger

Level = Literal["error", "warning", "notice"]


class StepError(Exception):
    """What a user did or met, with what to do next; it ends the step without a traceback.

    Attributes:
        message: what, and which.
        hint: what to do next.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message} {hint}".strip())
        self.message = message
        self.hint = hint


def say(text: str) -> None:
    """Write a line into the log. What would be a command at its beginning is none."""
    sys.stdout.write(f" {text}\n" if text.lstrip().startswith(("::", "##[")) else f"{text}\n")
    sys.stdout.flush()


def annotate(level: Level, message: str, *, title: str = TITLE, file: str = "", line: int | None = None) -> None:
    """Have GitHub show a message beside the run, and beside a line of the change where there is one."""
    places = {"file": file, "line": "" if line is None or not file else str(line), "title": title}
    told = ",".join(f"{name}={_property(value)}" for name, value in places.items() if value)
    sys.stdout.write(f"::{level} {told}::{_data(message)}\n")
    sys.stdout.flush()


def set_outputs(outputs: Mapping[str, str]) -> None:
    """Give the step its outputs. A value of several lines stays one value, whatever it holds."""
    lines = []
    for name, value in outputs.items():
        mark = f"end-{uuid.uuid4()}"
        lines.append(f"{name}<<{mark}\n{value}\n{mark}\n")
    _append("GITHUB_OUTPUT", "".join(lines))


def summarize(markdown: str) -> bool:
    """Add to the job's summary, if it fits; says whether it did."""
    if len(markdown.encode()) > MAX_SUMMARY_BYTES:
        return False
    _append("GITHUB_STEP_SUMMARY", markdown.rstrip("\n") + "\n")
    return True


@contextmanager
def without_commands() -> Iterator[None]:
    """Keep the runner from obeying what others print meanwhile: a name of a model's is no command."""
    token = uuid.uuid4().hex
    sys.stdout.write(f"::stop-commands::{token}\n")
    sys.stdout.flush()
    try:
        yield
    finally:
        sys.stdout.write(f"\n::{token}::\n")
        sys.stdout.flush()


def _append(variable: str, text: str) -> None:
    place = os.environ.get(variable)
    if not place:
        say(f"{variable} is not set, so this is no step of a workflow; it would have got:\n{text}")
        return
    with Path(place).open("a", encoding="utf-8", newline="\n") as stream:
        stream.write(text)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
