"""The limits that a model was held against, read from its request and its checks, as lines for its charts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_inferopt.domain.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_inferopt.domain.result import RunResult

__all__ = ["accuracy_floor", "latency_limits", "size_limits"]

NUMBER = r"(?P<number>\d+(?:\.\d+)?)"
LATENCY = re.compile(
    rf"\s*(?P<percentile>p\d+)\s*(?:@\s*(?:batch)?\s*(?P<batch>\d+))?\s*<=?\s*{NUMBER}\s*(?P<unit>ns|us|µs|ms|s)\s*"
)
SIZE = re.compile(rf"\s*size\s*<=?\s*{NUMBER}\s*(?P<unit>kb|mb|gb)\s*", re.IGNORECASE)
MILLISECONDS = {"ns": 1e-6, "us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3}
MEGABYTES = {"kb": 1e-3, "mb": 1.0, "gb": 1e3}
SHOWN = 30


def latency_limits(result: RunResult, percentile: str, batch_size: int) -> list[tuple[str, float]]:
    """The budgets of a percentile at a batch size, as written and in milliseconds; what is no such budget is not one.

    A budget that names no batch size is one of the first.
    """
    found = []
    for text in _budgets(result):
        match = LATENCY.fullmatch(text)
        if match and match["percentile"] == percentile and int(match["batch"] or batch_size) == batch_size:
            found.append((printable(text, limit=SHOWN), float(match["number"]) * MILLISECONDS[match["unit"]]))
    return [(text, milliseconds) for text, milliseconds in found if milliseconds]


def size_limits(result: RunResult) -> list[tuple[str, float]]:
    """The budgets of size, as written and in MB."""
    found = ((text, SIZE.fullmatch(text)) for text in _budgets(result))
    return [
        (printable(text, limit=SHOWN), float(match["number"]) * MEGABYTES[match["unit"].lower()])
        for text, match in found
        if match
    ]


def accuracy_floor(result: RunResult) -> float | None:
    """The score that the threshold asks for, on the original's scale; None where a ratio to the original says nothing."""
    found, threshold = result.original.accuracy, result.request.accuracy_threshold
    if found is None or found.score is None or found.score <= 0 or not threshold:
        return None
    return found.score * threshold if found.direction == "higher" else found.score / threshold


def _budgets(result: RunResult) -> Iterator[str]:
    """Each budget once: a request names it, and so does every check of it."""
    subjects = (check.subject for check in result.checks if check.kind == "budget")
    return iter(dict.fromkeys((*result.request.budget, *subjects)))
