"""The workflow run that measured: what GitHub itself says of it, in the event and in the environment.

Nothing here is read from a report or an artifact, which a pull request's own code may have written.
https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, Field, ValidationError

from pytest_inferopt.domain.text import printable
from pytest_inferopt.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Branch", "MeasuredRun", "measured_run"]

MAX_EVENT_BYTES = 30_000_000
REPOSITORY = re.compile(r"(?!\.{1,2}/)[A-Za-z0-9._-]{1,100}/(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}")
COMMIT = re.compile(r"[0-9a-f]{40,64}")
Sha = Annotated[str, Field(pattern=rf"^{COMMIT.pattern}$")]
Number = Annotated[int, Field(ge=1)]


class _Named(BaseModel):
    full_name: str


class _Head(BaseModel):
    sha: Sha


class _PullRequest(BaseModel):
    number: Number
    head: _Head


class _WorkflowRun(BaseModel):
    id: Number
    head_sha: Sha
    head_branch: str | None = None
    head_repository: _Named | None = None
    run_number: Number
    run_attempt: Number = 1


class _Event(BaseModel):
    """The parts of an event's payload that matter here."""

    repository: _Named | None = None
    pull_request: _PullRequest | None = None
    workflow_run: _WorkflowRun | None = None


@dataclass(frozen=True)
class Branch:
    """A branch of a repository, which may be a fork: ``Ada/models``, ``faster``."""

    repository: str
    name: str


@dataclass(frozen=True)
class MeasuredRun:
    """The run whose figures are told.

    Attributes:
        repository: ``owner/name`` of where the comment goes; empty where nobody says.
        head_sha: the commit that the pull request was at; None where GitHub says nothing of it.
        number: counts the runs of the workflow, `attempt` how often this one was started; 0 outside of GitHub.
        url: its page; empty outside of GitHub.
        pull_request: the number that the event names.
        branch: where a run was started from that the event only reports of.
    """

    repository: str
    head_sha: str | None
    number: int = 0
    attempt: int = 0
    url: str = ""
    pull_request: int | None = None
    branch: Branch | None = None


def measured_run(environ: Mapping[str, str], repository: str | None = None) -> MeasuredRun:
    """Read the event and the environment of a job.

    Args:
        environ: GitHub's variables.
        repository: ``owner/name``; the job's own, if None.

    Raises:
        UsageError: the repository is none, or the event cannot be read.
    """
    event = _event(environ.get("GITHUB_EVENT_PATH", ""))
    own = event.repository.full_name if event.repository else environ.get("GITHUB_REPOSITORY", "")
    place = repository or own
    if place and not REPOSITORY.fullmatch(place):
        raise UsageError(f"{printable(place)} is no repository.", "Write: --repository OWNER/NAME.")
    if own and place.lower() != own.lower():
        # What the event tells of another repository says nothing of this one.
        return MeasuredRun(place, None)
    server = f"{environ.get('GITHUB_SERVER_URL', 'https://github.com')}/{place}/actions/runs"
    if event.workflow_run is not None:
        run = event.workflow_run
        # A fork may be gone by now.
        branch = (
            Branch(run.head_repository.full_name, run.head_branch) if run.head_repository and run.head_branch else None
        )
        url = f"{server}/{run.id}"
        return MeasuredRun(place, run.head_sha, run.run_number, run.run_attempt, url, branch=branch)
    run_id = _integer(environ, "GITHUB_RUN_ID")
    sha = environ.get("GITHUB_SHA", "")
    return MeasuredRun(
        place,
        event.pull_request.head.sha if event.pull_request else sha if COMMIT.fullmatch(sha) else None,
        _integer(environ, "GITHUB_RUN_NUMBER"),
        _integer(environ, "GITHUB_RUN_ATTEMPT"),
        f"{server}/{run_id}" if run_id else "",
        event.pull_request.number if event.pull_request else None,
    )


def _event(path: str) -> _Event:
    if not path:
        return _Event()
    try:
        with Path(path).open("rb") as stream:
            return _Event.model_validate_json(stream.read(MAX_EVENT_BYTES))
    except OSError as error:
        problem = error.strerror or str(error)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        problem = f"{'.'.join(map(str, first['loc']))}: {first['msg']}".removeprefix(": ")
    raise UsageError(
        f"GITHUB_EVENT_PATH={printable(path)} is no event of GitHub's: {printable(problem, 200)}.",
        "Leave the variable as GitHub sets it, or unset it and name --repository and --pull-request.",
    )


def _integer(environ: Mapping[str, str], name: str) -> int:
    value = environ.get(name, "")
    return int(value) if value.isdecimal() and len(value) < 19 else 0  # noqa: PLR2004 - 64 bits
