"""A session's results with what they were taken on: the one schema of output."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from pytest_inferopt._version import __version__
from pytest_inferopt.domain.environment import Environment
from pytest_inferopt.domain.record import Record
from pytest_inferopt.domain.result import SCHEMA_VERSION, RunResult
from pytest_inferopt.domain.stored import Stored

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["GitState", "Report", "parse_any", "parse_report", "parse_result"]

RUN = "pytest --inferopt"
STORED = Stored("report", SCHEMA_VERSION, "Write the report again.")
STORED_RESULT = Stored("result", SCHEMA_VERSION, f"Run again: {RUN}")


class GitState(Record):
    """Where the repository stood.

    Attributes:
        commit: the full hash of HEAD.
        branch: its name; None where HEAD is detached.
        is_dirty: whether tracked files differ from the commit.
        committed_at: the commit's time, ISO 8601.
    """

    commit: str
    branch: str | None = None
    is_dirty: bool = False
    committed_at: str | None = None


class Report(Record):
    """What a session found out.

    Attributes:
        tool_version: of this package.
        created_at: ISO 8601, in UTC.
        command: how it was started, for whoever wants to do it again.
        results: a result each call, in the order they came in.
        environment: the machine that the session ran on.
        git: the repository's state; None outside of one.
        incidents: what went wrong around the results: a process that died, a report that could not be written.
        is_partial: whether the session was ended before it was done.
    """

    schema_version: int = SCHEMA_VERSION
    tool_version: str = __version__
    created_at: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    command: str = ""
    results: tuple[RunResult, ...] = ()
    environment: Environment
    git: GitState | None = None
    incidents: tuple[str, ...] = ()
    is_partial: bool = False

    @property
    def verdict(self) -> Literal["passed", "red", "partial", "empty"]:
        """All in one word: red before partial, partial before passed."""
        if any(not result.passed for result in self.results):
            return "red"
        if self.is_partial or self.incidents:
            return "partial"
        return "passed" if self.results else "empty"

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON values; what was not measured is None."""
        document: dict[str, Any] = json.loads(self.model_dump_json())
        return document

    def to_pandas(self) -> pd.DataFrame:
        """A row a model, variant and batch size; see `pytest_inferopt.domain.frame.data_frame`."""
        from pytest_inferopt.domain.frame import data_frame

        return data_frame(self.results)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from pytest_inferopt.domain.notebook import report_html

        return report_html(self)


def parse_report(text: str | bytes, *, where: str) -> Report:
    """Read a report's JSON; fields that this version does not know are kept.

    Args:
        text: the document.
        where: what it was read from, for the message.

    Raises:
        UsageError: a newer version wrote it.
        NotMeasuredError: it is no report.
    """
    return STORED.record(Report, STORED.document(text, where=where), where=where)


def parse_result(text: str | bytes, *, where: str) -> RunResult:
    """Read the JSON of a single test's result; raises as `parse_report` does."""
    return STORED_RESULT.record(RunResult, STORED_RESULT.document(text, where=where), where=where)


def parse_any(text: str | bytes, *, where: str) -> Report:
    """Read a report, or the result of a single test, which becomes one; raises as `parse_report` does."""
    document = STORED_RESULT.document(text, where=where)
    if "results" in document:
        return STORED.record(Report, document, where=where)
    result = STORED_RESULT.record(RunResult, document, where=where)
    command = f"{RUN} {shlex.quote(result.test_id)}" if result.test_id else ""
    return Report(results=(result,), environment=result.environment, command=command)
