"""Where the templates of the written reports are, and how they are read."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["environment", "template_folder"]

PACKAGE = Path(__file__).resolve().parents[1]


def template_folder(package: Path = PACKAGE) -> Path:
    """The folder of the templates: a wheel carries it inside the package, a checkout has it beside the package."""
    shipped = package / "_templates"
    return shipped if shipped.is_dir() else package.parent / "templates"


@cache
def environment(*, autoescape: bool) -> Environment:
    """Jinja over the template folder; a name that the caller forgot is an error, and a block tag leaves no line.

    Args:
        autoescape: whether every value is text for HTML, so that its markup is shown and not obeyed.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(template_folder()),
        autoescape=autoescape,  # noqa: S701 - Markdown has an escaping of its own
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
