"""The report as a page of Markdown, for a job's summary, a pull request or a wiki."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_inferopt.domain.plugins import Reporter
from pytest_inferopt.reporters._markdown_text import code_block, figure, inline
from pytest_inferopt.reporters._markdown_view import view_of
from pytest_inferopt.reporters._templates import environment

if TYPE_CHECKING:
    from jinja2 import Environment

    from pytest_inferopt.domain.report import Report

__all__ = ["Markdown", "markdown_environment"]


class Markdown(Reporter):
    """What is red first, then a table a model, with all figures folded away below it; for GitHub's Markdown."""

    name: ClassVar[str] = "md"
    needs: ClassVar[tuple[str, ...]] = ("jinja2",)
    file_name: ClassVar[str] = "report.md"

    def render(self, report: Report) -> str:
        """Draw the report; what comes from outside is shown and never obeyed."""
        text = markdown_environment().get_template("report.md.j2").render(view=view_of(report))
        return f"{text.rstrip()}\n"


@cache
def markdown_environment() -> Environment:
    """The templates with every expression escaped as Markdown on its way out.

    A text that is Markdown already says so by its type, as for HTML: a macro's result does, and a filter's.
    """
    from markupsafe import Markup

    def escaped(value: Any) -> Markup:
        return value if isinstance(value, Markup) else Markup(inline(str(value)))  # noqa: S704 - made inert

    derived = environment(autoescape=True).overlay(finalize=escaped)
    own = {"figure": lambda text: Markup(figure(text)), "code_block": lambda text: Markup(code_block(text))}  # noqa: S704
    derived.filters = derived.filters | own
    return derived
