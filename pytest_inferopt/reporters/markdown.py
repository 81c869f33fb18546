"""The report as a page of Markdown, for a job's summary, a pull request or a wiki."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from pytest_inferopt.domain.plugins import Reporter
from pytest_inferopt.reporters._markdown_cut import cut
from pytest_inferopt.reporters._markdown_text import address, code_block, fenced, figure, inline, stacked_figure
from pytest_inferopt.reporters._markdown_view import view_of
from pytest_inferopt.reporters._templates import environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from jinja2 import Environment
    from markupsafe import Markup

    from pytest_inferopt.domain.report import Report

__all__ = ["Markdown", "markdown_environment"]

CUT = "Cut here, where the page was full. Everything stands in the JSON report."


class Markdown(Reporter):
    """What is red first, then a table a model, with all figures folded away below it; for GitHub's Markdown.

    Attributes:
        max_bytes: of its text in UTF-8; what is longer is cut at a row, and says so. None cuts nothing.
    """

    name: ClassVar[str] = "md"
    needs: ClassVar[tuple[str, ...]] = ("jinja2",)
    file_name: ClassVar[str] = "report.md"

    max_bytes: Annotated[int, Field(ge=1000)] | None = None

    def render(self, report: Report) -> str:
        """Draw the report; what comes from outside is shown and never obeyed."""
        text = markdown_environment().get_template("report.md.j2").render(view=view_of(report))
        text = f"{text.rstrip()}\n"
        return text if self.max_bytes is None else cut(text, self.max_bytes, CUT, lambda part: len(part.encode()))


@cache
def markdown_environment() -> Environment:
    """The templates with every expression escaped as Markdown on its way out.

    A text that is Markdown already says so by its type, as for HTML: a macro's result does, and a filter's.
    """
    from markupsafe import Markup

    def escaped(value: Any) -> Markup:
        return value if isinstance(value, Markup) else Markup(inline(str(value)))  # noqa: S704 - made inert

    derived = environment(autoescape=True).overlay(finalize=escaped)
    drawn = {
        "figure": figure,
        "stacked_figure": stacked_figure,
        "code_block": code_block,
        "chart": lambda source: fenced(source, "mermaid"),
        "address": address,
    }
    own = {name: _as_markup(draw) for name, draw in drawn.items()}
    derived.filters = derived.filters | own
    return derived


def _as_markup(draw: Callable[[str], str]) -> Callable[[str], Markup]:
    from markupsafe import Markup

    return lambda text: Markup(draw(text))  # noqa: S704 - drawn so that it is inert
