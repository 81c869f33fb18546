"""The charts of a model as Vega-Lite, made with Altair; their figures are in the datasets that they name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_inferopt.domain.text import printable
from pytest_inferopt.reporters._chart_axes import batch_axis, figure_axis, figure_scale, padded_domain
from pytest_inferopt.reporters._chart_looks import Looks
from pytest_inferopt.reporters._charts_gate import distributions, operators, replicates

if TYPE_CHECKING:
    from collections.abc import Callable

    import altair as alt

    from pytest_inferopt.domain.result import RunResult
    from pytest_inferopt.reporters._arms import Arm
    from pytest_inferopt.reporters._chart_data import Rows

    Data = dict[str, Rows]

__all__ = ["Chart", "charts_of"]

HEIGHT = 280
ROW_HEIGHT = 34
METRIC_LIMIT = 40


@dataclass(frozen=True)
class Chart:
    """One chart and how it is read.

    Attributes:
        key: which of a model's charts it is.
        title: what it shows; `reading` says how to read it.
        description: the same in one sentence, with what is in it, for who does not see it.
        spec: Vega-Lite, without its datasets.
    """

    key: str
    title: str
    reading: str
    description: str
    spec: dict[str, Any]


def charts_of(result: RunResult, arms: tuple[Arm, ...], data: Data) -> tuple[Chart, ...]:
    """The charts that have something to show."""
    import altair as alt

    looks = Looks(arms)
    charts = []
    for key, (draw, title, reading) in KINDS.items():
        if not data[key]:
            continue
        shown = [arm.label for arm in arms if any(row["arm"] == arm.position for row in data[key])]
        description = f"{title} of {printable(result.name)}: {', '.join(shown)}. The tables hold the figures."
        drawn = draw(result, looks, data)
        drawn = drawn.properties(width="container", autosize=alt.AutoSizeParams(type="fit", contains="padding"))
        # Checked by the tests; here it would cost more than the drawing.
        spec = drawn.to_dict(validate=False)
        for common in ("$schema", "config", "datasets"):
            spec.pop(common, None)
        charts.append(Chart(key, title, reading, description, spec))
    return tuple(charts)


def _pareto(result: RunResult, looks: Looks, data: Data) -> Any:
    import altair as alt

    first = result.request.batch_sizes[0]
    found = result.original.accuracy
    metric = printable(found.metric, limit=METRIC_LIMIT) if found else "accuracy"
    is_less_better = found is not None and found.direction == "lower"
    rows, limits, floors = data["pareto"], data["p95_limits"], data["accuracy_limits"]
    x_values = [row["ms"] for row in rows + limits]
    x = alt.X("ms:Q", title=f"p95 at batch {first}, ms", scale=figure_scale(x_values), axis=figure_axis(x_values))
    y_domain = padded_domain([row["score"] for row in rows + floors])
    # Never a name alone: Vega takes a title such as "constructor" for one of its own operators.
    y_title = f"{metric} ({'less' if is_less_better else 'more'} is better)"
    y = alt.Y("score:Q", title=y_title, scale=alt.Scale(domain=y_domain, reverse=is_less_better, nice=False))
    points = alt.Chart(alt.NamedData("pareto"))
    front = points.transform_filter("datum.front")
    tooltip = [
        alt.Tooltip("label:N", title="variant"),
        alt.Tooltip("p95:N", title="p95, ms"),
        alt.Tooltip("score:Q", title="score", format=".4f"),
        alt.Tooltip("size:N", title="size"),
    ]
    size = alt.Size("mb:Q", legend=None, scale=alt.Scale(type="sqrt", range=[70, 900], zero=True))
    models = alt.layer(
        front.mark_line(color="var(--line-strong)", strokeDash=[3, 3], strokeWidth=1.5).encode(order="ms:Q"),
        points.mark_point(filled=True, fillOpacity=0.5, strokeOpacity=1, strokeWidth=1.5).encode(
            size=size, shape=looks.shape(), color=looks.color(), tooltip=tooltip
        ),
        front.mark_point(filled=False, strokeWidth=2.5, opacity=1).encode(
            size=size, shape=looks.shape(), color=looks.color(), tooltip=tooltip
        ),
        points.mark_text(dy=alt.ExprRef("datum.is_below ? 22 : -20"), fontWeight=600, limit=140).encode(
            text="label:N", color=looks.color()
        ),
    ).encode(x=x, y=y)
    limits_drawn = [*_vertical_limit("p95_limits", x)] if limits else []
    limits_drawn += [*_horizontal_limit("accuracy_limits", y)] if floors else []
    return alt.layer(models, *limits_drawn).properties(height=HEIGHT + 40)


def _vertical_limit(dataset: str, x: alt.X) -> tuple[alt.Chart, alt.Chart]:
    import altair as alt

    base = alt.Chart(alt.NamedData(dataset))
    return (
        base.mark_rule(color="var(--bad)", strokeWidth=1.5, strokeDash=[6, 4]).encode(x=x),
        base.mark_text(color="var(--bad)", align="right", baseline="top", dx=-5, dy=2).encode(
            x=x, y=alt.value(0), text="name:N"
        ),
    )


def _horizontal_limit(dataset: str, y: alt.Y) -> tuple[alt.Chart, alt.Chart]:
    import altair as alt

    base = alt.Chart(alt.NamedData(dataset))
    return (
        base.mark_rule(color="var(--bad)", strokeWidth=1.5, strokeDash=[6, 4]).encode(y=y),
        base.mark_text(color="var(--bad)", align="left", baseline="bottom", dx=4, dy=-3).encode(
            y=y, x=alt.value(0), text="name:N"
        ),
    )


def _speedup(_: RunResult, looks: Looks, data: Data) -> Any:
    import altair as alt

    rows = data["speedup"]
    batches = sorted({row["batch"] for row in rows})
    arms = {row["arm"] for row in rows}
    title = "times as fast as the original"
    values = [1.0, *_limits(rows)]
    scale, axis = figure_scale(values), figure_axis(values)
    x = alt.X("times:Q", title=title, scale=scale, axis=axis)
    y = alt.Y("batch:O", title="batch size", sort=batches, axis=alt.Axis(ticks=False, domain=False, grid=False))
    offset = alt.YOffset("arm:N", sort=looks.positions)
    base = alt.Chart(alt.NamedData("speedup"))
    tooltip = [
        alt.Tooltip("label:N", title="variant"),
        alt.Tooltip("batch:O", title="batch size"),
        alt.Tooltip("times:Q", title="speed-up", format=".3~g"),
        alt.Tooltip("low:Q", title="from", format=".3~g"),
        alt.Tooltip("high:Q", title="to", format=".3~g"),
    ]
    return alt.layer(
        alt.Chart(alt.NamedData("speedup"))
        .mark_rule(color="var(--line-strong)", strokeDash=[3, 3])
        .encode(x=alt.datum(1)),
        alt.layer(
            base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", title=title, scale=scale, axis=axis), x2="high:Q"),
            base.mark_point(filled=True, opacity=1, size=70).encode(x=x, shape=looks.shape(), tooltip=tooltip),
        ).encode(y=y, yOffset=offset, color=looks.color()),
    ).properties(height=max(140, 22 * len(batches) * len(arms) + 40))


def _latency(_: RunResult, looks: Looks, data: Data) -> Any:
    import altair as alt

    rows = data["latency"]
    stats = list(dict.fromkeys(row["stat"] for row in rows))
    stat = alt.param(name="stat", value=stats[0], bind=alt.binding_select(options=stats, name="Percentile "))
    x = batch_axis([row["batch"] for row in rows])
    title = "milliseconds a call"
    values = _limits(rows)
    scale, axis = figure_scale(values), figure_axis(values)
    y = alt.Y("ms:Q", title=title, scale=scale, axis=axis)
    base = alt.Chart(alt.NamedData("latency")).transform_filter("datum.stat == stat")
    tooltip = [
        alt.Tooltip("label:N", title="variant"),
        alt.Tooltip("batch:Q", title="batch size"),
        alt.Tooltip("ms:Q", title="ms", format=".3~g"),
        alt.Tooltip("low:Q", title="from", format=".3~g"),
        alt.Tooltip("high:Q", title="to", format=".3~g"),
    ]
    return (
        alt.layer(
            base.mark_line(strokeWidth=2).encode(y=y, strokeDash=looks.dash()),
            base.mark_rule(strokeWidth=2, opacity=0.6).encode(
                y=alt.Y("low:Q", title=title, scale=scale, axis=axis), y2="high:Q"
            ),
            base.mark_point(filled=True, opacity=1, size=60).encode(y=y, shape=looks.shape(), tooltip=tooltip),
        )
        .encode(x=x, color=looks.color())
        .add_params(stat)
        .properties(height=HEIGHT)
    )


def _throughput(_: RunResult, looks: Looks, data: Data) -> Any:
    import altair as alt

    rows = data["throughput"]
    x = batch_axis([row["batch"] for row in rows])
    values = [row["rows"] for row in rows]
    y = alt.Y("rows:Q", title="rows a second", scale=figure_scale(values), axis=figure_axis(values, "~s"))
    base = alt.Chart(alt.NamedData("throughput"))
    tooltip = [
        alt.Tooltip("label:N", title="variant"),
        alt.Tooltip("batch:Q", title="batch size"),
        alt.Tooltip("rows:Q", title="rows a second", format=",.3~r"),
    ]
    return (
        alt.layer(
            base.mark_line(strokeWidth=2).encode(strokeDash=looks.dash()),
            base.mark_point(filled=True, opacity=1, size=60).encode(shape=looks.shape(), tooltip=tooltip),
        )
        .encode(x=x, y=y, color=looks.color())
        .properties(height=HEIGHT)
    )


def _distribution(_: RunResult, looks: Looks, data: Data) -> Any:
    import altair as alt

    rows = data["quantiles"]
    values = _limits(rows)
    x = alt.X("ms:Q", title="milliseconds a call", scale=figure_scale(values), axis=figure_axis(values))
    y = alt.Y("share:Q", title="calls that took at most as long", axis=alt.Axis(format="%"))
    tooltip = [
        alt.Tooltip("label:N", title="variant"),
        alt.Tooltip("share:Q", title="calls", format=".0%"),
        alt.Tooltip("ms:Q", title="ms", format=".3~g"),
    ]
    return (
        _unrolled("quantiles", rows)
        .transform_calculate(share="(datum.n - 1) / datum.last")
        .mark_line(strokeWidth=2, interpolate="step-after")
        .encode(x=x, y=y, color=looks.color(), strokeDash=looks.dash(), order="n:Q", tooltip=tooltip)
        .properties(height=HEIGHT)
    )


def _warmup(_: RunResult, looks: Looks, data: Data) -> Any:
    import altair as alt

    rows = data["warmup"]
    x = alt.X("call:Q", title="call, 0 being the very first", axis=alt.Axis(tickMinStep=1, format="d"))
    values = _limits(rows)
    y = alt.Y("ms:Q", title="milliseconds", scale=figure_scale(values), axis=figure_axis(values))
    tooltip = [
        alt.Tooltip("label:N", title="variant"),
        alt.Tooltip("call:Q", title="call"),
        alt.Tooltip("ms:Q", title="ms", format=".3~g"),
    ]
    return (
        _unrolled("warmup", rows)
        .transform_calculate(call="datum.n - 1")
        .mark_line(strokeWidth=1.5)
        .encode(x=x, y=y, color=looks.color(), strokeDash=looks.dash(), order="n:Q", tooltip=tooltip)
        .properties(height=HEIGHT)
    )


def _limits(rows: Rows) -> list[float]:
    return [row[name] for row in rows for name in ("low", "high")]


def _unrolled(dataset: str, rows: Rows) -> Any:
    """One row a point of the chosen batch size, with its number `n` from 1; zero has no place on these axes."""
    import altair as alt

    batches = sorted({row["batch"] for row in rows})
    bind = alt.binding_select(options=batches, name="Batch size ") if len(batches) > 1 else alt.Undefined
    return (
        alt.Chart(alt.NamedData(dataset))
        .add_params(alt.param(name="batch", value=batches[0], bind=bind))
        .transform_filter("datum.batch == batch")
        .transform_flatten(["points"], ["ms"])
        .transform_window(n="row_number()", groupby=["arm"])
        .transform_filter("datum.ms > 0")
    )


def _sizes(_: RunResult, looks: Looks, data: Data) -> Any:
    import altair as alt

    rows = data["sizes"]
    x = alt.X("mb:Q", title="size of the file, MB", axis=alt.Axis(tickCount=5))
    axis = alt.Axis(labelExpr="labels[datum.value]", labelLimit=130, ticks=False, domain=False)
    y = alt.Y("arm:N", title=None, sort=looks.positions, axis=axis)
    labels = alt.param(name="labels", value=looks.labels)
    base = alt.Chart(alt.NamedData("sizes"))
    return (
        alt.layer(
            base.mark_bar(height=alt.RelativeBandSize(0.6), cornerRadiusEnd=3).encode(x=x, y=y, color=looks.color()),
            base.mark_text(align="left", dx=6, color="var(--ink)").encode(x=x, y=y, text="text:N"),
            *(_vertical_limit("size_limits", x) if data["size_limits"] else ()),
        )
        .add_params(labels)
        .properties(height=max(120, ROW_HEIGHT * len(rows) + 40))
    )


KINDS: dict[str, tuple[Callable[[RunResult, Looks, Data], Any], str, str]] = {
    "replicates": (
        replicates,
        "Slow-down in each process",
        (
            "A dot is one fresh process, in which both files ran in turns; the bar is the 95 % interval around the "
            "estimate. Red is proven beyond what is allowed of a median. A dot at the edge lies beyond it."
        ),
    ),
    "distributions": (
        distributions,
        "Baseline and here",
        "The calls of both files side by side, but for the longest of a hundred. Further left is faster.",
    ),
    "operators": (
        operators,
        "Operators that account for it",
        "To the right, an operator takes longer than in the baseline; to the left, less long.",
    ),
    "pareto": (
        _pareto,
        "Speed, accuracy and size",
        (
            "Further left is faster, higher is more accurate, and a smaller mark is a smaller file. "
            "Outlined and joined: the Pareto front, which no other model beats in all three."
        ),
    ),
    "speedup": (_speedup, "Speed-up", "The mark is the median over alternating blocks, the line its 95 % interval."),
    "latency": (
        _latency,
        "Latency by batch size",
        "Lower is better. The vertical lines are 95 % intervals.",
    ),
    "throughput": (_throughput, "Throughput by batch size", "Higher is better."),
    "quantiles": (
        _distribution,
        "Distribution of the timed calls",
        "A steep line is a steady latency; a long tail to the right is the worst calls.",
    ),
    "warmup": (_warmup, "Warm-up", "The first calls, which are in no percentile."),
    "sizes": (_sizes, "Size", "Of the model's file; MB = 10⁶ bytes."),
}
