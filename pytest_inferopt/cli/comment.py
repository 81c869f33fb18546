"""``pytest-inferopt comment``: tell a pull request, and the job's summary, what was measured."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict, replace
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated

import typer

from pytest_inferopt.cli.output import AsJson, print_json, print_lines
from pytest_inferopt.cli.verdict import exit_code
from pytest_inferopt.domain.headline import headline
from pytest_inferopt.engine.reports.files import read_report
from pytest_inferopt.errors import NotMeasuredError, RefusedError, UsageError, did_you_mean
from pytest_inferopt.github.client import API_URL, GitHub, NotPostedError
from pytest_inferopt.github.event import measured_run
from pytest_inferopt.github.pull_request import find_pull_request
from pytest_inferopt.github.sticky import Marker, Posted, post_comment
from pytest_inferopt.registry import discover

if TYPE_CHECKING:
    from pytest_inferopt.domain.plugins import Reporter
    from pytest_inferopt.domain.report import Report
    from pytest_inferopt.github.event import MeasuredRun

__all__ = ["comment"]

MODES = ("always", "on-change", "on-regression", "off")
TOKENS = ("INFEROPT_GITHUB_TOKEN", "GITHUB_TOKEN")
MAX_COMMENT = 60_000  # characters, of the 65,536 that GitHub takes
MAX_SUMMARY_BYTES = 900_000  # of the 1 MiB that GitHub takes of a step
LEAST_SUMMARY_BYTES = 1_000


def comment(
    file: Annotated[
        Path, typer.Argument(metavar="RESULT", exists=True, dir_okay=False, help="A report or a result, as JSON.")
    ],
    *,
    comment_id: Annotated[
        str, typer.Option(metavar="ID", help="Tells several comments of one pull request apart.")
    ] = "default",
    mode: Annotated[
        str, typer.Option(metavar="MODE", help="When there is to be one: always, on-change, on-regression or off.")
    ] = "always",
    repository: Annotated[
        str | None, typer.Option(metavar="OWNER/NAME", help="Where; the job's own repository without.")
    ] = None,
    pull_request: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Which; the one that is at the measured commit without.")
    ] = None,
    summary: Annotated[
        Path | None, typer.Option(metavar="FILE", dir_okay=False, help="Add the whole report to a file, as Markdown.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Write one comment on a pull request, or write it anew; the exit code is that of the report's verdict."""
    if mode not in MODES:
        raise UsageError(f"--mode {mode} is none;", did_you_mean(mode, MODES))
    report = read_report(file)
    run = _run(report, repository)
    marker = Marker(comment_id, run.head_sha or "", run.number, run.attempt)
    marker.check()
    text = _text(report, run, marker, file)
    if summary is not None:
        _add_summary(summary, report, file)
    try:
        posted = _posted(report, run, marker, text, mode=mode, named=pull_request)
    except NotPostedError as why:
        posted = Posted("none", str(why))
        sys.stderr.write(f"pytest-inferopt: no comment: {why}\n")
    else:
        if not json:
            print_lines([_told(posted)])
    if json:
        told = {"verdict": report.verdict, "headline": headline(report), **asdict(posted)}
        print_json({**told, "body": f"{marker.text}\n{text}"})
    raise typer.Exit(exit_code(report))


def _told(posted: Posted) -> str:
    """What became of the comment, in a line."""
    parts = ["no comment" if posted.action == "none" else f"comment {posted.action}", posted.reason, posted.url]
    return ": ".join(filter(None, parts))


def _run(report: Report, repository: str | None) -> MeasuredRun:
    """What GitHub says of the run; outside of it, the commit that the report itself names."""
    run = measured_run(os.environ, repository)
    git = report.git
    if run.head_sha is None and git is not None and not git.is_dirty:
        return replace(run, head_sha=git.commit)
    return run


def _text(report: Report, run: MeasuredRun, marker: Marker, file: Path) -> str:
    room = MAX_COMMENT - len(marker.text) - 1
    head = run.head_sha if run.pull_request or run.branch else None
    reporter = discover().reporter("comment", run_url=run.url, head=head or "", max_characters=room)
    return _drawn(reporter, report, file)


def _drawn(reporter: Reporter, report: Report, file: Path) -> str:
    try:
        return reporter.render(report)
    # Who wrote the report may be anybody, and a figure that nobody measures may not be drawn by a program for figures.
    except (ArithmeticError, LookupError, ValueError) as error:
        raise RefusedError(f"{file} cannot be drawn: {type(error).__name__}: {error}.", "Measure again.") from error


def _add_summary(path: Path, report: Report, file: Path) -> None:
    """Add the report to what a step has told already, as GitHub's own file is added to."""
    try:
        told = path.stat().st_size if path.exists() else 0
        room = MAX_SUMMARY_BYTES - told - 1
        if room < LEAST_SUMMARY_BYTES:
            sys.stderr.write(f"pytest-inferopt: {path} is full, so the report is not added to it.\n")
            return
        text = _drawn(discover().reporter("md", max_bytes=room), report, file)
        with path.open("a", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(f"\n{text}" if told else text)
    except OSError as error:
        raise NotMeasuredError(
            f"{path} cannot be written: {error.strerror or error}.", "Name another file: --summary FILE."
        ) from error


def _posted(report: Report, run: MeasuredRun, marker: Marker, text: str, *, mode: str, named: int | None) -> Posted:
    if mode == "off":
        return Posted("none", "it is switched off")
    if not run.repository:
        raise NotPostedError("the repository is not known.", "Name it: --repository OWNER/NAME.")
    if named is None and run.pull_request is None and run.branch is None:
        raise NotPostedError("this is no run of a pull request.")
    token = next((found for name in TOKENS if (found := os.environ.get(name))), None)
    if token is None:
        raise NotPostedError("there is no token.", "Pass it in the environment: GITHUB_TOKEN.")
    with GitHub(token, os.environ.get("GITHUB_API_URL") or API_URL) as github:
        number = find_pull_request(github, run, named)
        return post_comment(
            github, run.repository, number, marker, text, may_create=mode == "always" or _is_worth_it(report, mode)
        )


def _is_worth_it(report: Report, mode: str) -> bool:
    """Whether it is worth a comment that is not there yet: anything red, or, of a change, any model that is another."""
    if report.verdict in {"red", "partial"}:
        return True
    return mode == "on-change" and any(
        result.gate is None or result.gate.verdict != "unchanged" for result in report.results
    )
