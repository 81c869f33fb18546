"""What is red, told beside the line of the test that found it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_inferopt.domain.words import check_text, is_warned
from steps.workflow import TITLE, Level, annotate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_inferopt.domain.report import Report
    from pytest_inferopt.domain.result import Check, RunResult

__all__ = ["Annotation", "annotate_report", "annotations_of"]

# GitHub shows ten of a kind for each step, and drops the rest without a word.
MOST = 9


@dataclass(frozen=True)
class Annotation:
    """A message beside a line of a file, or beside the run where `file` is empty."""

    level: Level
    message: str
    title: str = TITLE
    file: str = ""
    line: int | None = None


def annotate_report(report: Report) -> None:
    """Tell what is red, what was only warned of, and what nobody protects."""
    for annotation in annotations_of(report):
        annotate(
            annotation.level, annotation.message, title=annotation.title, file=annotation.file, line=annotation.line
        )


def annotations_of(report: Report) -> list[Annotation]:
    """At most nine errors and a line for the rest of them; likewise warnings."""
    found = [*_errors(report), *_warnings(report)]
    levels: tuple[Level, ...] = ("error", "warning", "notice")
    return [one for level in levels for one in _few(found, level)]


def _few(annotations: list[Annotation], level: Level) -> Iterator[Annotation]:
    found = [annotation for annotation in annotations if annotation.level == level]
    yield from found[:MOST]
    if len(found) > MOST:
        yield Annotation(level, f"{len(found) - MOST} more; the job's summary and the report have all of them.")


def _errors(report: Report) -> Iterator[Annotation]:
    for result in report.results:
        for check in result.checks:
            if check.is_red:
                yield _annotation("error", result, check)
    for incident in report.incidents:
        yield Annotation("error", incident)


def _warnings(report: Report) -> Iterator[Annotation]:
    for result in report.results:
        for check in result.checks:
            if is_warned(check):
                yield _annotation("warning", result, check)
        if result.gate is not None and not result.gate.is_protecting:
            reason = result.gate.reason or next(
                (c.reason for c in result.checks if c.outcome == result.gate.verdict), ""
            )
            file, line = _place(result)
            yield Annotation("notice", f"not protected: {reason}", f"{TITLE}: {result.name}", file, line)


def _annotation(level: Level, result: RunResult, check: Check) -> Annotation:
    file, line = _place(result)
    message = "\n".join(filter(None, [check_text(check), check.next_step and f"next: {check.next_step}"]))
    return Annotation(level, message, f"{TITLE}: {result.name}", file, line)


def _place(result: RunResult) -> tuple[str, int | None]:
    return result.test_file, result.test_line
