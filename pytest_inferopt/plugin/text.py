"""The short text of a red test: figure, limit, interval, next step; no traceback."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_inferopt.domain.words import check_text

if TYPE_CHECKING:
    from pytest_inferopt.domain.result import Check, RunResult

__all__ = ["failure_text"]


def failure_text(result: RunResult) -> str:
    """All red checks of a result, each with what to do next."""
    red = [check for check in result.checks if check.is_red]
    total = len(result.checks)
    lines = [f"inferopt: {result.name}: {len(red)} of {total} checks {'is' if len(red) == 1 else 'are'} red"]
    for check in red:
        lines += _lines(check)
    return "\n".join(lines)


def _lines(check: Check) -> list[str]:
    lines = [f"  {check_text(check)}"]
    if check.next_step:
        lines.append(f"    next: {check.next_step}")
    return lines
