"""What each technique gains on each network, as one picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt

from benchmarks.networks.ours import BATCH_SIZES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# Okabe and Ito's colours, which the colour-blind can tell apart; shapes say the same again.
COLOURS = {
    "onnx": "#000000",
    "graph": "#56b4e9",
    "fused": "#cc79a7",
    "dynamic": "#e69f00",
    "static": "#d55e00",
    "fp16": "#009e73",
}
SHAPES = {
    "onnx": "circle", "graph": "square", "fused": "diamond", "dynamic": "triangle-up", "static": "cross",
    "fp16": "triangle-down",
}  # fmt: skip
ROW_PX, WIDTH_PX, POINT_PX = 30, 240, 80


def write_chart(found: Mapping[str, Any], path: Path) -> None:
    """One row a network, one column a batch size, and a mark for each technique: times as fast as the original."""
    values = [
        {"network": model, "technique": name, "batch": f"batch {size}", "speedup": ratio[0], "low": low, "high": high}
        for model, parts in found.items()
        for name, arm in parts["ours"]["arms"].items()
        for size in BATCH_SIZES
        if (ratio := arm["speedup"].get(str(size)))
        for low, high in [[end or ratio[0] for end in ratio[1:]]]
    ]
    networks = list(found)
    names = [name for name in COLOURS if any(value["technique"] == name for value in values)]
    shared: dict[str, Any] = {
        "y": alt.Y("network:N", title=None, sort=networks, axis=alt.Axis(labelLimit=200, grid=True)),
        "color": alt.Color(
            "technique:N", sort=names, scale=alt.Scale(domain=names, range=[COLOURS[name] for name in names])
        ),
    }
    across = alt.X(
        "speedup:Q", title="times as fast as the original (logarithmic)", scale=alt.Scale(type="log", nice=False)
    )
    base = alt.Chart()
    points = base.mark_point(filled=True, size=POINT_PX, opacity=0.8).encode(
        x=across,
        shape=alt.Shape(
            "technique:N", sort=names, scale=alt.Scale(domain=names, range=[SHAPES[name] for name in names])
        ),
        **shared,
    )
    spans = base.mark_rule(strokeWidth=2).encode(x="low:Q", x2="high:Q", **shared)
    even = base.mark_rule(strokeDash=[4, 4], color="grey").encode(x=alt.datum(1))
    chart = (
        alt.layer(even, spans, points, data=alt.Data(values=values))
        .properties(width=WIDTH_PX, height=ROW_PX * len(networks))
        .facet(column=alt.Column("batch:N", title=None, sort=[f"batch {size}" for size in BATCH_SIZES]))
        .configure(background="white", padding=24)
    )
    chart.save(str(path), format="svg")
