"""False alarms and power of each rule as one picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.gate.shares import RunShare

# Okabe and Ito's colours, which the colour-blind can tell apart; shapes say the same again.
COLOURS = ("#d55e00", "#56b4e9", "#0072b2", "#009e73")
SHAPES = ("cross", "circle", "square", "triangle-up")
ROW_PX, WIDTH_PX, POINT_PX = 26, 300, 90


def write_chart(shares: Sequence[RunShare], path: Path) -> None:
    """One row a rule, one column a condition, and a mark for each kind of candidate, as an SVG file.

    Args:
        shares: of whole runs that are called slower.
        path: of the file.
    """
    kinds = list(dict.fromkeys(share.kind for share in shares))
    rules = list(dict.fromkeys(share.rule for share in shares))
    values = [share._asdict() for share in shares]
    chart = (
        alt.Chart(alt.Data(values=values))
        .mark_point(filled=True, size=POINT_PX, opacity=0.85)
        .encode(
            x=alt.X(
                "share:Q", title="whole runs called slower", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%")
            ),
            y=alt.Y("rule:N", title=None, sort=rules, axis=alt.Axis(labelLimit=260, grid=True)),
            color=alt.Color("kind:N", title="candidate", sort=kinds, scale=alt.Scale(domain=kinds, range=COLOURS)),
            shape=alt.Shape("kind:N", title="candidate", sort=kinds, scale=alt.Scale(domain=kinds, range=SHAPES)),
        )
        .properties(width=WIDTH_PX, height=ROW_PX * len(rules))
        .facet(column=alt.Column("condition:N", title=None, sort=["quiet", "loaded"]))
        .configure(background="white")
    )
    chart.save(str(path), format="svg")
