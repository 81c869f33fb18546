"""The report as a comment on a pull request: what a reviewer wants to know, in one screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from pytest_inferopt.domain.plugins import Reporter
from pytest_inferopt.reporters._comment_view import comment_view
from pytest_inferopt.reporters._markdown_cut import cut
from pytest_inferopt.reporters._markdown_text import address
from pytest_inferopt.reporters.markdown import markdown_environment

if TYPE_CHECKING:
    from pytest_inferopt.domain.report import Report

__all__ = ["Comment"]

SHORT_COMMIT = 10
CUT = "Cut here, where the comment was full."


class Comment(Reporter):
    """The verdict with the worst figure, what is red, and a table a model; the rest is folded away or left out.

    Attributes:
        run_url: the page where everything stands; a link leads there.
        head: the commit that the pull request was at.
        max_rows: of all tables together.
        max_characters: of the whole; GitHub takes 65,536. What is longer is cut at a row, and says so.
    """

    name: ClassVar[str] = "comment"
    needs: ClassVar[tuple[str, ...]] = ("jinja2",)
    file_name: ClassVar[str] = "comment.md"

    run_url: str = ""
    head: str = ""
    max_rows: Annotated[int, Field(ge=2)] = 30
    max_characters: Annotated[int, Field(ge=1000)] = 60_000

    def render(self, report: Report) -> str:
        """Draw the comment; what comes from outside is shown and never obeyed."""
        from markupsafe import Markup

        page = address(self.run_url) if self.run_url else ""
        where = f"Everything stands in {f'[the summary of the run]({page})' if page else 'the JSON report'}."
        text = (
            markdown_environment()
            .get_template("comment.md.j2")
            .render(
                view=comment_view(report, self.max_rows),
                head=self.head[:SHORT_COMMIT],
                run_url=page,
                where=Markup(where),  # noqa: S704 - ours, with a checked address
            )
        )
        return cut(f"{text.rstrip()}\n", self.max_characters, f"{CUT} {where}")
