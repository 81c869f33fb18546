"""The report to look at: one file, offline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pytest_inferopt.domain.plugins import Reporter

if TYPE_CHECKING:
    from pytest_inferopt.domain.report import Report

__all__ = ["Html"]

DIGITS = 5  # of a curve's points, more than any screen shows
CURVES = ("quantiles_ms", "warmup_ms", "base_quantiles_ms", "head_quantiles_ms", "values")


class Html(Reporter):
    """One page with the verdict, tables, charts and the report's JSON; it needs no network and asks for none.

    Names, notes and labels are text in it, whatever they contain. The tables read without JavaScript.
    """

    name: ClassVar[str] = "html"
    file_name: ClassVar[str] = "report.html"
    needs: ClassVar[tuple[str, ...]] = ("jinja2", "altair", "vl_convert")

    def render(self, report: Report) -> str:
        """Draw the page; under 2 MB for ten models."""
        from markupsafe import Markup

        from pytest_inferopt.reporters import _html_script as script
        from pytest_inferopt.reporters._html_page import page_of
        from pytest_inferopt.reporters._templates import environment

        # The page draws what its JSON says, in which a figure that is no number is none.
        document = report.to_dict()
        page = page_of(type(report).model_validate(document))
        charts = {
            "config": script.CHART_CONFIG,
            "models": {
                model.anchor: {
                    "position": position,
                    "datasets": model.datasets,
                    "specs": {chart.key: chart.spec for chart in model.charts},
                }
                for position, model in enumerate(page.models)
            },
        }
        has_charts = any(model.charts for model in page.models)
        scripts = [script.own_script(), *([script.chart_library()] if has_charts else [])]
        # What is marked up here is our own code, or JSON without a character that could end its element.
        return (
            environment(autoescape=True)
            .get_template("report.html.j2")
            .render(
                page=page,
                policy=Markup(script.policy(scripts, [script.style_sheet()])),  # noqa: S704
                style=Markup(script.style_sheet()),  # noqa: S704
                script=Markup(script.own_script()),  # noqa: S704
                library=Markup(script.packed_chart_library() if has_charts else ""),  # noqa: S704
                charts_json=Markup(script.data_json(charts)),  # noqa: S704
                report_json=Markup(script.data_json(_with_short_curves(document))),  # noqa: S704
            )
        )


def _with_short_curves(document: dict[str, Any]) -> dict[str, Any]:
    """The report's JSON with its longest series in five digits, which are most of its length."""
    for result in document["results"]:
        for arm in (result["original"], *result["context"], *result["variants"].values()):
            compared = arm["comparison"]["cells"] if arm["comparison"] else ()
            for cell in (*arm["latency"].values(), *compared):
                cell |= {name: [_short(value) for value in cell[name]] for name in CURVES if name in cell}
    return document


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{DIGITS}g}")
