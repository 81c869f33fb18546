"""What a command prints: tables or one JSON document on stdout, progress on stderr while somebody watches."""

from __future__ import annotations

import json
import shutil
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from pytest_inferopt.domain.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["FAILED", "INCONCLUSIVE", "PASSED", "AsJson", "print_json", "print_lines", "print_table", "progress"]

PASSED, FAILED, INCONCLUSIVE = 0, 1, 4

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]

LEAST_WIDTH = 80
DEFAULT_WIDTH = 180
MAX_LINE = 1000


def print_json(document: Any) -> None:
    """Print one document."""
    sys.stdout.write(json.dumps(document, indent=1, allow_nan=False) + "\n")


def print_lines(lines: Sequence[str]) -> None:
    """Print lines as they are; what does not print in them is escaped."""
    for line in lines:
        sys.stdout.write(f"{printable(line, MAX_LINE)}\n")


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; a text that does not fit its column is folded, and none can colour or break it."""
    width = max(shutil.get_terminal_size((DEFAULT_WIDTH, 40)).columns, LEAST_WIDTH)
    console = Console(file=sys.stdout, width=width, highlight=False, emoji=False, markup=False, color_system=None)
    table = Table(box=None, show_header=any(heads), pad_edge=False, header_style="", padding=(0, 2, 0, 0))
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*(printable(text, MAX_LINE) for text in row))
    console.print(table)


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Show what is going on in one line on stderr, if that is a terminal."""
    console = Console(stderr=True, markup=False, highlight=False)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("starting") as status:
        yield lambda text: status.update(printable(text, MAX_LINE))
