"""Which pull request is to be told: the one that is at the commit that was measured, and no other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from pytest_inferopt.errors import RefusedError, UsageError
from pytest_inferopt.github.client import ApiError, NotPostedError

if TYPE_CHECKING:
    from pytest_inferopt.github.client import GitHub
    from pytest_inferopt.github.event import MeasuredRun

__all__ = ["find_pull_request"]

SHORT_COMMIT = 7


class _Repository(BaseModel):
    full_name: str


class _Head(BaseModel):
    sha: str
    repo: _Repository | None = None


class _PullRequest(BaseModel):
    number: int
    head: _Head


def find_pull_request(github: GitHub, run: MeasuredRun, named: int | None = None) -> int:
    """The number of the pull request that is at the run's commit.

    Args:
        github: asked for it; what the event says may be hours old.
        run: what was measured.
        named: a number that somebody named, which is checked as any other is.

    Raises:
        NotPostedError: there is none, several, or it has moved on since.
        RefusedError: the one that was named is at another commit.
        UsageError: nobody knows which commit was measured.
    """
    number = named or run.pull_request
    if number is None:
        return _of_branch(github, run)
    if run.head_sha is None:
        raise UsageError(
            f"which commit was measured is not known, so pull request {number} cannot be checked.",
            "Run it in the job that measured, or measure at a commit without changes.",
        )
    head = _parsed(github.get(f"/repos/{run.repository}/pulls/{number}")).head.sha
    if head == run.head_sha:
        return number
    measured = f"{run.head_sha[:SHORT_COMMIT]} was measured"
    if named:
        raise RefusedError(
            f"pull request {number} of {run.repository} is at {head[:SHORT_COMMIT]}, and {measured}.",
            "Name the pull request of that commit, or none.",
        )
    raise NotPostedError(f"pull request {number} has moved on to {head[:SHORT_COMMIT]}, and {measured}.")


def _of_branch(github: GitHub, run: MeasuredRun) -> int:
    """The one that a branch, of a fork maybe, is to be merged by."""
    # Not /commits/{sha}/pulls, which knows nothing of a fork's.
    if run.branch is None:
        raise NotPostedError("this is no run of a pull request.")
    owner = run.branch.repository.partition("/")[0]
    wanted = {"state": "open", "head": f"{owner}:{run.branch.name}"}
    found = [
        pull.number
        for pull in map(_parsed, github.pages(f"/repos/{run.repository}/pulls", wanted))
        if pull.head.sha == run.head_sha and pull.head.repo and pull.head.repo.full_name == run.branch.repository
    ]
    if not found:
        raise NotPostedError(
            f"no open pull request of {run.branch.repository} is at {(run.head_sha or '')[:SHORT_COMMIT]}."
        )
    if len(found) > 1:
        several = ", ".join(map(str, found))
        raise NotPostedError(f"several pull requests are at this commit: {several}.", "Name one: --pull-request N.")
    return found[0]


def _parsed(document: Any) -> _PullRequest:
    try:
        return _PullRequest.model_validate(document)
    except ValidationError:
        raise ApiError("GitHub's answer is no pull request.") from None
