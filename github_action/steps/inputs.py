"""The Action's inputs: read from the environment, checked once, and plain values from then on.

None of them is ever part of a shell's text: `action.yml` puts them into environment variables, and what becomes an
argument of a process is one argument.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from steps.workflow import StepError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ACTIVITIES", "Inputs", "read_inputs"]

ACTIVITIES = ("auto", "run", "comment", "merge", "save-baseline")
BASELINES = ("auto", "cache", "rebuild", "none")
COMMENTS = ("always", "on-change", "on-regression", "off")
GATES = ("", "on", "strict", "warn")
SWITCHES = ("true", "false")
EXTRA = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
# What may stand in the name of an artifact and in a comment's hidden marker alike.
NAME = re.compile(r"(?=.{1,64}$)[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*")
NAME_HINT = "Take at most 64 letters and digits, with single dots, dashes or underscores between."
OURS = ("--inferopt-store",)
SHOWN = 100


@dataclass(frozen=True)
class Inputs:
    """What the workflow asks for.

    Attributes:
        activity: one of `ACTIVITIES`.
        pytest_args: as pytest takes them, one by one.
        extras: of the package.
        working_directory: where pytest runs, relative to the workspace.
        options: what is set of the plugin's options, as it would be typed; what is left out is the project's own.
        baseline: one of `BASELINES`.
        comment: when a comment is posted.
        comment_id: which of several comments and artifacts of one pull request; empty for the only one.
        job_summary: whether the job's summary is written.
        report_name: what the artifact's name begins with.
    """

    activity: str
    pytest_args: tuple[str, ...]
    extras: tuple[str, ...]
    working_directory: str
    options: tuple[str, ...]
    baseline: str
    comment: str
    comment_id: str
    job_summary: bool
    report_name: str

    @property
    def artifact_name(self) -> str:
        """What the artifact is called: one name a comment."""
        return f"{self.report_name}-{self.comment_id}" if self.comment_id else self.report_name


def read_inputs(environ: Mapping[str, str]) -> Inputs:
    """Read the variables ``INPUT_…`` that `action.yml` sets.

    Raises:
        StepError: a value is none that the input takes.
    """
    read = _Reader(environ)
    return Inputs(
        activity=read.one_of("activity", ACTIVITIES),
        pytest_args=read.arguments("pytest-args"),
        extras=read.extras("extras"),
        working_directory=read.text("working-directory") or ".",
        options=tuple(_options(read)),
        baseline=read.one_of("baseline", BASELINES),
        comment=read.one_of("comment", COMMENTS),
        comment_id=read.name("comment-id"),
        job_summary=read.one_of("job-summary", SWITCHES) == "true",
        report_name=read.name("report-name") or "inferopt-report",
    )


def _options(read: _Reader) -> list[str]:
    given = {
        "--inferopt-batch-sizes": read.text("batch-sizes"),
        "--inferopt-accuracy-threshold": read.text("accuracy-threshold"),
        "--inferopt-max-slowdown": read.text("max-slowdown"),
        "--inferopt-gate": read.one_of("gate", GATES),
    }
    budgets = [f"--inferopt-budget={one}" for one in read.list("budget")]
    return [*(f"{flag}={value}" for flag, value in given.items() if value), *budgets]


class _Reader:
    """One input after another; every message names the input and its value."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def text(self, name: str) -> str:
        """A value without the blanks around it."""
        value = self._environ.get(f"INPUT_{name.upper().replace('-', '_')}", "").strip()
        if "\0" in value:
            raise StepError(f"input {name} holds a NUL character.", "Write it anew.")
        return value

    def one_of(self, name: str, known: Sequence[str]) -> str:
        """One word of several; the first one, where there is none."""
        value = self.text(name) or known[0]
        if value not in known:
            raise StepError(f"input {name}: {_shown(value)}.", f"Write one of {', '.join(filter(None, known))}.")
        return value

    def list(self, name: str) -> tuple[str, ...]:
        """Values between commas or line ends."""
        return tuple(part.strip() for part in re.split(r"[,\n]", self.text(name)) if part.strip())

    def name(self, name: str) -> str:
        """What can be a part of a name of an artifact."""
        value = self.text(name)
        if value and not NAME.fullmatch(value):
            raise StepError(f"input {name}: {_shown(value)} cannot be a part of an artifact's name.", NAME_HINT)
        return value

    def extras(self, name: str) -> tuple[str, ...]:
        """Names of extras."""
        found = self.list(name)
        for extra in found:
            if not EXTRA.fullmatch(extra):
                raise StepError(
                    f"input {name}: {_shown(extra)} is no extra.", "Write names between commas: cpu,sklearn."
                )
        return found

    def arguments(self, name: str) -> tuple[str, ...]:
        """Arguments, taken apart as a shell would and given to none."""
        try:
            found = tuple(shlex.split(self.text(name)))
        except ValueError as error:
            raise StepError(f"input {name}: {_shown(self.text(name))}: {error}.", "Close the quote.") from None
        for argument in found:
            if argument.partition("=")[0] in OURS:
                raise StepError(f"input {name}: {_shown(argument)} is set by the Action itself.", "Leave it out.")
        return found


def _shown(value: str) -> str:
    return repr(value if len(value) <= SHOWN else f"{value[:SHOWN]}…")
