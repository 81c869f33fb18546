"""Text from outside made fit to stand in a sentence of ours."""

from __future__ import annotations

__all__ = ["printable"]

CUT = "…"


def printable(text: str, limit: int = 80) -> str:
    r"""Show `text` on one line: what does not print is escaped, and what is too long is cut.

    Control characters, line ends, bidirectional and zero-width marks and lone surrogates become escapes, so a
    name out of a file can neither start a line, nor colour a terminal, nor turn the rest of a message around.
    Markup is left as it is: escaping that is the business of whoever draws HTML or Markdown.

    Args:
        text: any text.
        limit: the most characters of the result, at least 1.

    >>> printable("a\x1b[31mb")
    'a\\x1b[31mb'
    >>> printable("abcdef", limit=4)
    'abc…'
    """
    shown: list[str] = []
    room = limit
    for character in text[: limit + 1]:
        piece = character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        if len(piece) > room:
            return _cut(shown, limit)
        shown.append(piece)
        room -= len(piece)
    return "".join(shown)


def _cut(pieces: list[str], limit: int) -> str:
    """As many whole pieces as leave room for the mark of a cut."""
    length = sum(map(len, pieces))
    while length > limit - len(CUT):
        length -= len(pieces.pop())
    return "".join(pieces) + CUT
