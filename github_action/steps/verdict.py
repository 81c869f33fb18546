"""Last step: the job turns red here, when everything else is done."""

from __future__ import annotations

from steps.plan import OUTCOME, read_plan
from steps.workflow import say

__all__ = ["run"]


def run() -> int:
    """The job's exit code: 1 where the conclusion is a failure.

    A comment's job only tells what another job found, and is green.
    """
    plan = read_plan()
    # What did not come as far as a conclusion was not measured, and that is no pass.
    conclusion = plan.read(OUTCOME).get("conclusion", "failure")
    say(f"conclusion: {conclusion}")
    return 1 if conclusion == "failure" and plan.activity != "comment" else 0
