"""The limits that a model was held against, read from its request and its checks, as lines for its charts."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from pytest_inferopt.domain.budget import LatencyBudget, SizeBudget, parse_budget
from pytest_inferopt.domain.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_inferopt.domain.budget import Budget
    from pytest_inferopt.domain.result import RunResult

__all__ = ["accuracy_limits", "latency_limits", "size_limits"]

BYTES_PER_MB = 1_000_000
SHOWN = 30


def latency_limits(result: RunResult, percentile: int, batch_size: int) -> list[tuple[str, float]]:
    """The budgets of a percentile at a batch size, as written and in milliseconds."""
    return [
        (printable(budget.text, limit=SHOWN), budget.limit_ms)
        for budget in _budgets(result)
        if isinstance(budget, LatencyBudget)
        and budget.percentile == percentile
        and (budget.batch_size or result.request.batch_sizes[0]) == batch_size
    ]


def size_limits(result: RunResult) -> list[tuple[str, float]]:
    """The budgets of size, as written and in MB."""
    return [
        (printable(budget.text, limit=SHOWN), budget.limit_bytes / BYTES_PER_MB)
        for budget in _budgets(result)
        if isinstance(budget, SizeBudget)
    ]


def accuracy_limits(result: RunResult) -> list[tuple[str, float]]:
    """The score that the threshold asks for; none where a ratio to the original's score says nothing."""
    found, threshold = result.original.accuracy, result.request.accuracy_threshold
    if found is None or found.score is None or found.score <= 0 or not threshold:
        return []
    is_higher = found.direction == "higher"
    score = found.score * threshold if is_higher else found.score / threshold
    return [(f"{threshold:g} × original" if is_higher else f"original / {threshold:g}", score)]


def _budgets(result: RunResult) -> Iterator[Budget]:
    """Each budget once: a request names it, and so does every check of it; what is not one is passed over."""
    subjects = (check.subject for check in result.checks if check.kind == "budget")
    for text in dict.fromkeys((*result.request.budget, *subjects)):
        with suppress(ValueError):
            yield parse_budget(text)
