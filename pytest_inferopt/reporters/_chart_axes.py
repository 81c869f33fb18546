"""Axes that fit the figures: logarithmic where these lie far apart, and never cut at the last mark."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import altair as alt

__all__ = ["batch_axis", "figure_axis", "figure_scale", "padded_domain"]

FAR_APART = 5.0  # times; less is read better on a linear axis
LOG_ROOM = 1.35
LINEAR_ROOM = 0.12
LEAST_TICKS = 4
IN_A_DECADE = ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8))  # what a logarithmic axis may name, sparse first


def figure_scale(values: list[float]) -> alt.Scale:
    """For figures above zero: logarithmic where the largest is several times the least, else linear from zero."""
    import altair as alt

    low, high = min(values), max(values)
    if high / low >= FAR_APART:
        return alt.Scale(type="log", domain=[low / LOG_ROOM, high * LOG_ROOM], nice=False)
    return alt.Scale(type="linear", domain=[0, high * (1 + LINEAR_ROOM)], nice=False)


def figure_axis(values: list[float], number_format: str = "~r") -> alt.Axis:
    """The axis of `figure_scale`: where that is logarithmic, a line at each named figure and at no other."""
    import altair as alt

    low, high = min(values), max(values)
    if high / low < FAR_APART:
        return alt.Axis(format=number_format, tickCount=5)
    return alt.Axis(format=number_format, values=_ticks(low / LOG_ROOM, high * LOG_ROOM))


def _ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks: list[float] = []
    for steps in IN_A_DECADE:
        ticks = [tick for decade in decades for step in steps if low <= (tick := float(f"{step}e{decade}")) <= high]
        if len(ticks) >= LEAST_TICKS:
            break
    return ticks


def padded_domain(values: list[float]) -> list[float]:
    """From a little below the least to a little above the largest; equal figures stand in the middle."""
    low, high = min(values), max(values)
    room = max((high - low) * 0.35, abs(high) * 0.002, 1e-6)
    return [low - room, high + room]


def batch_axis(batches: list[int]) -> alt.X:
    """Batch sizes on a logarithmic axis, with a tick at each that was measured and at no other."""
    import altair as alt

    sizes = sorted(set(batches))
    return alt.X(
        "batch:Q",
        title="batch size",
        scale=alt.Scale(type="log", base=2, domain=[sizes[0] / LOG_ROOM, sizes[-1] * LOG_ROOM], nice=False),
        axis=alt.Axis(values=sizes, format="d"),
    )
