"""One comment a pull request: found again by its marker and its author, and never replaced by an older run's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal, Self

from pytest_inferopt.domain.text import printable
from pytest_inferopt.errors import UsageError
from pytest_inferopt.github.client import ApiError

if TYPE_CHECKING:
    from pytest_inferopt.github.client import GitHub

__all__ = ["Marker", "Posted", "own_login", "post_comment"]

ACTIONS_LOGIN = "github-actions[bot]"
COMMENT_ID = re.compile(r"[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*")
MOST_CHARACTERS = 64
# At the very beginning: anybody may quote one further down, and a bot may repeat what anybody wrote.
MARKER = re.compile(
    r"<!-- pytest-inferopt:(?P<id>\S+) head=(?P<head>[0-9a-f]{0,64}) "
    r"run=(?P<run>[0-9]{1,18}) attempt=(?P<attempt>[0-9]{1,18}) -->"
)


@dataclass(frozen=True)
class Marker:
    """The hidden first line of a comment: which one it is, and which run wrote it.

    Attributes:
        comment_id: tells several comments of one pull request apart; at most 64 letters, digits and single ``._-``.
        head: the commit that was measured.
        run: counts the workflow's runs; `attempt` how often this one was started.
    """

    comment_id: str
    head: str
    run: int
    attempt: int

    @property
    def text(self) -> str:
        """The line."""
        return f"<!-- pytest-inferopt:{self.comment_id} head={self.head} run={self.run} attempt={self.attempt} -->"

    @property
    def run_text(self) -> str:
        """``run 12 (attempt 1)``."""
        return f"run {self.run} (attempt {self.attempt})"

    @classmethod
    def of(cls, body: str) -> Self | None:
        """The marker that a comment begins with; None without one."""
        found = MARKER.match(body)
        return found and cls(found["id"], found["head"], int(found["run"]), int(found["attempt"]))

    def check(self) -> None:
        """Make sure that the comment's name can stand in a marker.

        Raises:
            UsageError: it cannot.
        """
        if not COMMENT_ID.fullmatch(self.comment_id) or len(self.comment_id) > MOST_CHARACTERS:
            raise UsageError(
                f"--comment-id {printable(repr(self.comment_id))} is none.",
                f"Take at most {MOST_CHARACTERS} letters and digits, with single dots, dashes or underscores between.",
            )

    def is_older_than(self, other: Marker) -> bool:
        """Whether another run of the workflow, or another attempt, came after this one."""
        return (self.run, self.attempt) < (other.run, other.attempt)


@dataclass(frozen=True)
class Posted:
    """What became of a comment.

    Attributes:
        action: what was done.
        reason: why it was kept, or why there is none.
        comment: GitHub's number of it; None where there is none.
        url: where it is.
    """

    action: Literal["created", "updated", "kept", "none"]
    reason: str = ""
    comment: int | None = None
    url: str = ""


def post_comment(
    github: GitHub, place: str, number: int, marker: Marker, text: str, *, may_create: bool = True
) -> Posted:
    """Write the comment, or write it anew.

    Args:
        github: with a token that may write to pull requests.
        place: ``owner/name``.
        number: the pull request.
        marker: says which comment it is, and of which run.
        text: Markdown, without the marker.
        may_create: whether it is worth a comment where there is none yet; one that is there is kept up to date.

    Raises:
        ApiError: GitHub does not let us, or does not answer.
    """
    login = own_login(github)

    def own() -> dict[str, Any] | None:
        comments = github.pages(f"/repos/{place}/issues/{number}/comments")
        return next((comment for comment in comments if _is_own(comment, login, marker.comment_id)), None)

    body = {"body": f"{marker.text}\n{text}"}
    found = own()
    if found is None:
        if not may_create:
            return Posted("none", "there is nothing to tell")
        return _posted("created", github.post(f"/repos/{place}/issues/{number}/comments", body, made=own))
    before = Marker.of(str(found["body"]))
    if before is not None and marker.is_older_than(before):
        reason = f"it is of {before.run_text}, and this is {marker.run_text}"
        return _posted("kept", found, reason)
    return _posted("updated", github.patch(f"/repos/{place}/issues/comments/{found['id']}", body))


def own_login(github: GitHub) -> str:
    """Whose the token's comments are.

    A user's token names its user; a workflow's or another app's may not ask for one (403), and names its bot only in
    GraphQL. What names nobody is taken for the workflow's own.
    """
    try:
        return github.login()
    except ApiError as error:
        if error.status not in {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}:
            raise
    try:
        return github.viewer()
    except ApiError:
        return ACTIONS_LOGIN


def _is_own(comment: Any, login: str, comment_id: str) -> bool:
    if not isinstance(comment, dict) or not isinstance(comment.get("id"), int):
        return False
    marker = Marker.of(str(comment.get("body") or ""))
    return marker is not None and marker.comment_id == comment_id and (comment.get("user") or {}).get("login") == login


def _posted(action: Literal["created", "updated", "kept"], comment: Any, reason: str = "") -> Posted:
    if not isinstance(comment, dict) or not isinstance(comment.get("id"), int):
        raise ApiError("GitHub's answer is no comment.")
    return Posted(action, reason, comment["id"], str(comment.get("html_url") or ""))
