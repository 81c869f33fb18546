"""A report's verdict as an exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_inferopt.cli.output import FAILED, INCONCLUSIVE, PASSED

if TYPE_CHECKING:
    from pytest_inferopt.domain.report import Report

__all__ = ["exit_code"]


def exit_code(report: Report) -> int:
    """4 where nothing but an undecided gate is red, which it is under `strict` alone."""
    red = {check.outcome for result in report.results for check in result.checks if check.is_red}
    if red:
        return INCONCLUSIVE if red == {"inconclusive"} else FAILED
    return FAILED if report.verdict == "partial" else PASSED
