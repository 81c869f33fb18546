"""A Markdown document of ours that is too long, cut so that what is left is whole: at a row, a line or a block."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["cut"]

OPEN, CLOSE, TITLE, FENCE, ROW = "<details", "</details>", "<summary>", "```", "|"
CLOSING = f"\n{CLOSE}\n"
# A table's head and the line below it.
HEAD_LINES = 2


def cut(text: str, limit: int, note: str, measure: Callable[[str], int] = len) -> str:
    """The longest beginning of a document that, with `note` behind it, is not longer than `limit`.

    Cut is behind a row of a table, an item or a paragraph, never within code, and what was folded open is closed.

    Args:
        text: as our templates draw it: a row, an item and each tag of a fold on a line of its own.
        limit: the most of it, in the unit of `measure`: characters, unless it says otherwise.
        note: Markdown that stands below what was kept, where anything was cut.
        measure: the length of a text.
    """
    if measure(text) <= limit:
        return text
    lines = text.splitlines(keepends=True)
    room = limit - measure(f"\n{note}\n")
    kept = open_folds = length = at = 0
    for end, folds in _ends(lines):
        length += measure("".join(lines[at:end]))
        at = end
        if length + folds * measure(CLOSING) > room:
            break
        kept, open_folds = end, folds
    beginning = "".join(lines[:kept]) + open_folds * CLOSING
    return f"{beginning.rstrip()}\n\n{note}\n".lstrip()


def _ends(lines: list[str]) -> Iterator[tuple[int, int]]:
    """How many lines a whole beginning may have, and how many folds are open behind them."""
    folds = rows = 0
    fence = ""
    is_empty = False
    for number, line in enumerate(lines, start=1):
        if fence:
            fence = "" if line.strip() == fence else fence
        elif line.startswith(FENCE):
            fence = line[: len(line) - len(line.lstrip("`"))]
        rows = rows + 1 if line.startswith(ROW) and not fence else 0
        if line.startswith((OPEN, TITLE)):
            folds += line.startswith(OPEN)
            is_empty = True
        elif line.startswith(CLOSE):
            folds -= 1
            is_empty = False
        elif line.strip() and (rows == 0 or rows > HEAD_LINES):
            is_empty = False
        if not fence and not is_empty and not 0 < rows <= HEAD_LINES:
            yield number, folds
