"""In place of measuring: the artifacts of a matrix as one report."""

from __future__ import annotations

import shutil

from pytest_inferopt.cli import main
from steps.plan import OUTCOME, read_plan
from steps.workflow import StepError, set_outputs

__all__ = ["run"]


def run() -> int:
    """Join what the jobs before have left; 0, whatever the verdict.

    Raises:
        StepError: they have left nothing, or what is no report.
    """
    plan = read_plan()
    shutil.rmtree(plan.reports, ignore_errors=True)
    plan.reports.mkdir(parents=True)
    shards = sorted(plan.shards.glob("*/report.json")) if plan.shards.is_dir() else []
    if not shards:
        raise StepError(
            f"there is no artifact of this run whose name begins with {plan.inputs.report_name}-.",
            "Give each job of the matrix a comment-id of its own, and name these jobs in `needs`.",
        )
    if main(["merge", *map(str, shards), "--output", str(plan.report)]):
        raise StepError(f"{len(shards)} reports could not be merged; the line above says why.")
    if main(["report", str(plan.report), "--type", f"html:{plan.page}"]) not in {0, 1}:
        raise StepError(f"{plan.report} could not be drawn; the line above says why.")
    plan.write(OUTCOME, {"exit_code": 0, "said": ""})
    set_outputs({"exit-code": "0"})
    return 0
