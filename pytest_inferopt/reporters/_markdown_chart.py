"""A chart in a language that GitHub draws: the 95th percentile of the base beside that of what is judged.

https://mermaid.js.org/syntax/xyChart.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from pytest_inferopt.domain.gate_words import beside_base

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_inferopt.domain.result import RunResult

__all__ = ["base_chart"]

PERCENTILE = 95
# More do not find a place beside each other.
MOST_BARS = 16
LABEL_LIMIT = 20
HEADROOM = 1.1
# Longer than a day is no latency, and would leave nothing to see of the others.
MOST_MS = 86_400_000
# Grey and blue, which tell themselves apart on white and on black; the theme's own are pale.
PALETTE = '%%{init: {"themeVariables": {"xyChart": {"plotColorPalette": "#8c959f, #0969da"}}}}%%'
# What a quoted text of the language may hold without meaning anything to it.
FOREIGN = re.compile(r"[^\w .+-]")


class Bar(NamedTuple):
    """A variant at a batch size, between quotes: its base's milliseconds, and its own."""

    label: str
    base_ms: float
    head_ms: float


def base_chart(result: RunResult) -> str:
    """The chart's source; empty where no variant was timed beside a base."""
    bars = list(_bars(result))[:MOST_BARS]
    highest = HEADROOM * max((max(bar.base_ms, bar.head_ms) for bar in bars), default=0)
    if not highest:
        return ""
    return "\n".join(
        (
            PALETTE,
            "xychart-beta horizontal",
            f'  title "p{PERCENTILE} in ms: bars are the base, the line is this change"',
            f"  x-axis [{', '.join(bar.label for bar in bars)}]",
            f'  y-axis "ms" 0 --> {_decimal(highest)}',
            f"  bar [{_list(bar.base_ms for bar in bars)}]",
            f"  line [{_list(bar.head_ms for bar in bars)}]",
        )
    )


def _bars(result: RunResult) -> Iterator[Bar]:
    for variant in result.variants.values():
        name = FOREIGN.sub("_", variant.name)
        short = name if len(name) <= LABEL_LIMIT else f"{name[:LABEL_LIMIT]}…"
        for batch_size in result.request.batch_sizes:
            found = beside_base(variant, batch_size, PERCENTILE)
            if found is not None and min(found[:2]) >= 0 and max(found[:2]) < MOST_MS:
                yield Bar(f'"{short} b{batch_size}"', found.base_ms, found.head_ms)


def _list(values: Iterable[float]) -> str:
    return ", ".join(map(_decimal, values))


def _decimal(value: float) -> str:
    """A number without an exponent, which the language does not know."""
    return f"{value:.4f}"
