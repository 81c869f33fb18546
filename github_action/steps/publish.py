"""Then: the comment on the pull request, and the job's summary. Neither ever changes the verdict."""

from __future__ import annotations

import io
import json
import os
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

from pytest_inferopt.cli import main
from steps.event import read_event
from steps.plan import read_plan
from steps.workflow import annotate, say, set_outputs, summarize

if TYPE_CHECKING:
    from steps.event import Event
    from steps.plan import Plan

__all__ = ["run"]


PAIR = "The pair of workflows in the Action's README posts it."
QUIET = frozenset({"there is nothing to tell"})


def run() -> int:
    """Have the comment posted, if there is somewhere to; write the summary."""
    plan, event = read_plan(), read_event(os.environ)
    if not plan.report.is_file():
        return 0
    posted = _posted(plan)
    is_written = plan.summary.is_file()
    set_outputs({
        "comment-id": str(posted.get("comment") or ""),
        "summary-path": str(plan.summary) if is_written else "",
    })  # fmt: skip
    if is_written and plan.inputs.job_summary and not summarize(plan.summary.read_text(encoding="utf-8")):
        annotate("warning", f"the summary is too large for GitHub; {plan.summary} is a part of the artifact.")
    _tell(posted, plan, event)
    return 0


def _posted(plan: Plan) -> dict[str, Any]:
    """What the command says of itself; its exit code is the verdict's."""
    said = io.StringIO()
    arguments = ["comment", str(plan.report), "--mode", plan.inputs.comment, "--summary", str(plan.summary), "--json"]
    if plan.inputs.comment_id:
        arguments += ["--comment-id", plan.inputs.comment_id]
    with redirect_stdout(said):
        main(arguments)
    try:
        document = json.loads(said.getvalue())
    except ValueError:
        return {"error": {"message": "the command said nothing that can be read."}}
    return document if isinstance(document, dict) else {}


def _tell(posted: dict[str, Any], plan: Plan, event: Event) -> None:
    """Say what became of the comment; what somebody has to mend is a warning."""
    error = posted.get("error")
    if isinstance(error, dict):
        annotate("warning", f"no comment was posted: {error.get('message', '')} {error.get('hint', '')}".strip())
        return
    action, reason = posted.get("action"), str(posted.get("reason", ""))
    say(f"comment: {action} {posted.get('url', '')} {reason}".rstrip())
    is_meant = plan.inputs.comment != "off" and event.name in {"pull_request", "workflow_run"}
    if action != "none" or not is_meant or reason in QUIET:
        return
    if event.is_from_fork:
        annotate("notice", f"no comment was posted, as this pull request is from a fork: {reason} {PAIR}")
    else:
        annotate("warning", f"no comment was posted: {reason}")
