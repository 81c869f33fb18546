"""After measuring, merging or fetching: the Action's outputs and annotations, whatever the verdict."""

from __future__ import annotations

from steps.plan import OUTCOME, read_plan
from steps.workflow import annotate, set_outputs

__all__ = ["run"]

NOTHING = (
    "best-variant",
    "accuracy-ratio",
    "speedup",
    "p50-ms",
    "p95-ms",
    "p99-ms",
    "slowdown-percent",
    "baseline-sha",
)


def run() -> int:
    """Set all outputs that are known by now; a job that was ended before it measured has failed."""
    plan = read_plan()
    outcome = plan.read(OUTCOME)
    empty = {**dict.fromkeys(NOTHING, ""), "report-path": "", "json-path": ""}
    if not outcome:
        set_outputs({**empty, "conclusion": "failure", "regressed": "false"})
        return 0
    if not plan.report.is_file():
        set_outputs({**empty, "conclusion": "neutral", "regressed": "false"})
        plan.write(OUTCOME, {**outcome, "conclusion": "neutral"})
        return 0
    from pytest_inferopt.domain.report import parse_report
    from steps.annotations import annotate_report
    from steps.figures import conclusion_of, figures_of, is_regressed

    report, code = parse_report(plan.report.read_bytes(), where=str(plan.report)), int(outcome["exit_code"])
    if plan.activity != "comment":
        annotate_report(report)
    conclusion = conclusion_of(report, code)
    if conclusion == "failure" and report.verdict not in {"red", "partial"} and plan.activity != "comment":
        annotate("error", outcome["said"] or "a test failed by its own assertion; the log of the run has it.")
    set_outputs({
        **empty,
        **figures_of(report),
        "conclusion": conclusion,
        "regressed": "true" if is_regressed(report) else "false",
        "report-path": str(plan.page) if plan.page.is_file() else "",
        "json-path": str(plan.report),
    })  # fmt: skip
    plan.write(OUTCOME, {**outcome, "conclusion": conclusion})
    return 0
