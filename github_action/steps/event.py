"""What started the workflow, and what the Action does about it.

https://docs.github.com/actions/reference/workflows-and-actions/events-that-trigger-workflows
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steps.workflow import StepError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Event", "activity_of", "read_event"]

BRANCH = "refs/heads/"
ON_DEFAULT_BRANCH = frozenset({"push", "schedule", "workflow_dispatch"})
NO_TARGET = (
    "pull_request_target would run a stranger's code with a token that can write. Use pull_request; for pull requests "
    "from forks, the pair of workflows in the Action's README posts the comment."
)


@dataclass(frozen=True)
class Event:
    """An event, as GitHub describes it.

    Attributes:
        name: ``pull_request``, ``push`` and so on.
        payload: its document.
        ref: the full name of what is checked out, ``refs/heads/main``.
        commit: what the workflow runs for; on a pull request, the commit that merges it.
        base_branch: what a pull request is to be merged into; empty elsewhere.
    """

    name: str
    payload: Mapping[str, Any]
    ref: str
    commit: str
    base_branch: str

    @property
    def default_branch(self) -> str:
        """The repository's; empty where the event does not tell."""
        return _text(self.payload, "repository", "default_branch")

    @property
    def repository(self) -> str:
        """``owner/name``; empty where the event does not tell."""
        return _text(self.payload, "repository", "full_name")

    @property
    def is_on_default_branch(self) -> bool:
        """Whether it is about a commit of the default branch."""
        return self.name in ON_DEFAULT_BRANCH and self.ref == f"{BRANCH}{self.default_branch or 'main'}"

    @property
    def target(self) -> str:
        """The branch that the change is compared with."""
        return self.base_branch or self.default_branch

    @property
    def queue_base(self) -> str:
        """The commit that a merge queue puts the change on; empty elsewhere."""
        return _text(self.payload, "merge_group", "base_sha")

    @property
    def is_from_fork(self) -> bool:
        """Whether a pull request comes from another repository, so that the token can only read."""
        head = _text(self.payload, "pull_request", "head", "repo", "full_name")
        return "pull_request" in self.payload and head.casefold() != self.repository.casefold()


def read_event(environ: Mapping[str, str]) -> Event:
    """Read the event that the runner tells of.

    Raises:
        StepError: its document cannot be read.
    """
    path = environ.get("GITHUB_EVENT_PATH", "")
    try:
        payload = json.loads(Path(path).read_text(encoding="utf-8")) if path else {}
    except (OSError, ValueError) as error:
        raise StepError(
            f"GITHUB_EVENT_PATH={path!r} cannot be read: {error}.", "Is this a step of a workflow?"
        ) from None
    return Event(
        name=environ.get("GITHUB_EVENT_NAME", ""),
        payload=payload if isinstance(payload, dict) else {},
        ref=environ.get("GITHUB_REF", ""),
        commit=environ.get("GITHUB_SHA", ""),
        base_branch=environ.get("GITHUB_BASE_REF", ""),
    )


def activity_of(asked: str, event: Event) -> str:
    """What is done: as asked, and for ``auto`` as the event says.

    Raises:
        StepError: the event is one under which this is not done.
    """
    if asked == "auto":
        asked = _usual(event)
    if event.name == "pull_request_target":
        raise StepError(NO_TARGET)
    if event.name == "workflow_run" and asked != "comment":
        raise StepError(
            f"activity {asked} under workflow_run would run another workflow's code with a token that can write.",
            "Run it under pull_request; here, only activity comment is done.",
        )
    if asked == "comment" and event.name != "workflow_run":
        raise StepError(
            f"activity comment posts what another workflow left, and the event is {event.name or 'none'}.",
            "Use it under workflow_run; a run posts its own comment.",
        )
    return asked


def _usual(event: Event) -> str:
    if event.name == "workflow_run":
        return "comment"
    return "save-baseline" if event.is_on_default_branch else "run"


def _text(document: Mapping[str, Any], *keys: str) -> str:
    """A text inside of nested objects; empty where anything on the way is missing or of another kind."""
    found: Any = document
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, str) else ""
