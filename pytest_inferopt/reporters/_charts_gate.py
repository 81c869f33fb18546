"""The charts of a gate: the baseline's calls and ours, the replicates of each cell, and the operators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_inferopt.reporters._chart_axes import padded_domain

if TYPE_CHECKING:
    import altair as alt
    from altair.vegalite.v6.schema._typing import Align_T

    from pytest_inferopt.domain.result import RunResult
    from pytest_inferopt.reporters._chart_data import Rows
    from pytest_inferopt.reporters._chart_looks import Looks

    Data = dict[str, Rows]

__all__ = ["distributions", "operators", "replicates"]

HEIGHT = 280
ROW_HEIGHT = 34
LABEL_WIDTH = 180
LABEL_ROOM = 0.7  # of what the bars take, for what stands at their right
JITTER = 7
PICKED = "picked"


def distributions(result: RunResult, _: Looks, data: Data) -> Any:
    """Of one cell, which the reader picks: the share of calls that took at most as long, the baseline's and ours."""
    import altair as alt

    rows = data["distributions"]
    names = {row["cell"]: row["name"] for row in rows}
    x = alt.X("ms:Q", title="milliseconds a call", scale=alt.Scale(zero=False, nice=False), axis=alt.Axis(tickCount=5))
    y = alt.Y("share:Q", title="calls that took at most as long", axis=alt.Axis(format="%"))
    color = alt.Color(
        "side:N",
        title=None,
        scale=alt.Scale(domain=["baseline", "here"], range=["var(--muted)", "var(--arm-1)"]),
        legend=alt.Legend(orient="top", symbolType="stroke", symbolSize=400),
    )
    dash = alt.StrokeDash("side:N", scale=alt.Scale(domain=["baseline", "here"], range=[[5, 4], [1, 0]]))
    tooltip = [
        alt.Tooltip("side:N", title="which"),
        alt.Tooltip("share:Q", title="calls", format=".0%"),
        alt.Tooltip("ms:Q", title="ms", format=".4~g"),
    ]
    return (
        alt.Chart(alt.NamedData("distributions"))
        .add_params(_picker("Cell ", names, _worst(result, data)))
        .transform_filter(f"datum.cell == {PICKED}")
        .transform_flatten(["points"], ["ms"])
        .transform_window(n="row_number()", groupby=["side"])
        .transform_filter("datum.ms > 0")
        .transform_calculate(share="(datum.n - 1) / datum.last")
        # The longest calls would leave all others no room.
        .transform_filter("datum.share <= 0.99")
        .mark_line(strokeWidth=2, interpolate="step-after")
        .encode(x=x, y=y, color=color, strokeDash=dash, order="n:Q", tooltip=tooltip)
        .properties(height=HEIGHT)
    )


def _worst(_: RunResult, data: Data) -> int:
    """The cell to begin with: the slowest of those that are proven slower, else the slowest of all."""
    shown = {row["cell"] for row in data["distributions"]}
    found = [row for row in data["replicates"] if row["cell"] in shown]
    worst = max(found, key=lambda row: (row["outcome"] == "regressed", row["estimate"]), default=None)
    number: int = worst["cell"] if worst else min(shown)
    return number


def _picker(name: str, labels: dict[int, str], value: int) -> alt.Parameter:
    import altair as alt

    bind = alt.binding_select(options=list(labels), labels=list(labels.values()), name=name)
    return alt.param(name=PICKED, value=value, bind=bind if len(labels) > 1 else alt.Undefined)


def replicates(_: RunResult, looks: Looks, data: Data) -> Any:
    """A row a cell: a dot for each fresh process, the estimate with its interval, and the two limits as lines."""
    import altair as alt

    rows, limits = data["replicates"], data["slowdown_limits"]
    named = {row["cell"]: row["name"] for row in rows}
    values = [0.0, *(row[name] for row in rows for name in ("low", "high")), *(row["slowdown"] for row in limits)]
    scale = alt.Scale(domain=padded_domain(values), clamp=True, nice=False)
    title = "slow-down against the baseline"

    def x(field: str) -> alt.X:
        return alt.X(field, title=title, scale=scale, axis=alt.Axis(format="+.3~%", tickCount=5, labelSeparation=8))

    axis = alt.Axis(labelExpr="names[datum.value]", labelLimit=LABEL_WIDTH, ticks=False, domain=False)
    y = alt.Y("cell:N", title=None, sort=list(named), axis=axis)
    base = alt.Chart(alt.NamedData("replicates"))
    tooltip = [
        alt.Tooltip("name:N", title="cell"),
        alt.Tooltip("outcome:N", title="outcome"),
        alt.Tooltip("estimate:Q", title="slow-down", format="+.1%"),
        alt.Tooltip("low:Q", title="from", format="+.1%"),
        alt.Tooltip("high:Q", title="to", format="+.1%"),
    ]
    dots = (
        base.transform_flatten(["points"], ["slowdown"])
        .transform_window(n="row_number()", groupby=["cell"])
        .transform_calculate(place=f"datum.n * 3 % {JITTER}")
        .mark_point(filled=True, opacity=0.7, size=24)
        .encode(
            x=x("slowdown:Q"),
            y=y,
            yOffset=alt.YOffset("place:Q", scale=alt.Scale(domain=[-2, JITTER + 1])),
            shape=looks.shape(),
            color=looks.color(),
        )
    )
    interval = base.mark_rule(strokeWidth=2, color="var(--ink)").encode(x=x("low:Q"), x2="high:Q", y=y)
    estimate = base.mark_tick(thickness=3, size=18, color="var(--ink)").encode(x=x("estimate:Q"), y=y, tooltip=tooltip)
    none = (
        alt.Chart(alt.NamedData("replicates"))
        .mark_rule(color="var(--line-strong)")
        .encode(x=alt.datum(0, type="quantitative"))
    )
    return (
        alt.layer(none, *_limits(x("slowdown:Q"), data), dots, interval, estimate)
        .resolve_scale(yOffset="independent")
        .add_params(alt.param(name="names", value={str(number): name for number, name in named.items()}))
        .properties(height=max(150, ROW_HEIGHT * len(rows) + 60))
    )


def _limits(x: alt.X, data: Data) -> list[alt.Chart]:
    """What is allowed, named to the left of its line, and what is surely caught, named to the right."""
    import altair as alt

    if not data["slowdown_limits"]:
        return []
    base = alt.Chart(alt.NamedData("slowdown_limits")).encode(x=x, color=alt.value("var(--bad)"))
    sides: dict[str, tuple[Align_T, int]] = {"allowed": ("right", -4), "caught": ("left", 4)}
    return [
        base.mark_rule(strokeWidth=1.5, strokeDash=[6, 4]),
        *(
            base.transform_filter(f"indexof(datum.name, '{name}') == 0")
            .mark_text(align=align, dx=dx, baseline="top")
            .encode(y=alt.value(0), text="name:N")
            for name, (align, dx) in sides.items()
        ),
    ]


def operators(_: RunResult, __: Looks, data: Data) -> Any:
    """Of one variant, which the reader picks: how much longer each operator takes than in the baseline."""
    import altair as alt

    rows = data["operators"]
    labels = {row["arm"]: row["label"] for row in rows}
    values = [0.0, *(row["ms"] for row in rows)]
    low, high = min(values), max(values)
    scale = alt.Scale(domain=[low, high + LABEL_ROOM * (high - low)], nice=False)
    axis = alt.Axis(tickCount=5)
    x = alt.X("ms:Q", title="milliseconds a call more than the baseline", scale=scale, axis=axis)
    names = {str(arm): [row["name"] for row in rows if row["arm"] == arm] for arm in labels}
    labels_axis = alt.Axis(labelExpr=f"names[{PICKED}][datum.value]", labelLimit=LABEL_WIDTH, ticks=False, domain=False)
    y = alt.Y("row:O", title=None, axis=labels_axis)
    color = alt.condition("datum.ms > 0", alt.value("var(--bad)"), alt.value("var(--good)"))
    base = alt.Chart(alt.NamedData("operators")).transform_filter(f"datum.arm == {PICKED}")
    longest = max(len(found) for found in names.values())
    return (
        alt.layer(
            base.mark_bar(height=alt.RelativeBandSize(0.6)).encode(x=x, y=y, color=color),
            base.transform_calculate(end="max(datum.ms, 0)")
            .mark_text(align="left", dx=6, color="var(--ink)")
            .encode(x=alt.X("end:Q", scale=scale, axis=axis), y=y, text="text:N"),
        )
        .add_params(_picker("Variant ", labels, min(labels)), alt.param(name="names", value=names))
        .properties(height=max(120, ROW_HEIGHT * longest + 40))
    )
