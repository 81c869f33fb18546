"""The one way by which text from outside comes into Markdown: inert, and readable as it was.

GitHub reads Markdown twice. The parser finds links, HTML, emphasis and table cells; then filters walk over the text of
the rendered page and make mentions, issue references, commit links and emoji of it, whatever was escaped before. Both
leave a code span alone, so a word that means anything to either stands in one, and all other words are plain. A
zero-width character would break a mention too, but it would be copied along with the name.

What the filters do: https://docs.github.com/en/get-started/writing-on-github/working-with-advanced-formatting/autolinked-references-and-urls
"""

from __future__ import annotations

import re
from itertools import groupby

from pytest_inferopt.domain.text import printable

__all__ = ["NAME_LIMIT", "SENTENCE_LIMIT", "address", "code_block", "fenced", "figure", "inline", "stacked_figure"]

NAME_LIMIT = 80
SENTENCE_LIMIT = 1000

# A commit stands apart from the comma or the full stop behind it, which is no part of its code.
TOKEN = re.compile(r" +|\||(?<![^ |])[0-9a-f]{7,40}(?=[,;] |\.$)|[^ |]+")
# Letters and digits of any script, and what else is not ASCII; between two of them one mark that joins words.
ATOM = r"(?:[^\W_]|[^\x00-\x7f])+"
JOINT = r"(?:[-.,/=+%']|(?<=[^\W_])_(?=[^\W_]))"
WORD = re.compile(rf"""["'(]*[-+]?{ATOM}(?:{JOINT}{ATOM}|=[-+]{ATOM})*[)"'.,;:!?%]*""")
# Behind a code span and before a blank or the end, none of them means anything.
MARKS = frozenset(",;:")
# Our own figures: ``(1.0000``, ``[0.990,1.010])``, ``100~``, ``03:04``; no emoji is called by two digits.
FIGURE = re.compile(r"""["'(]*\[?[-+]?[0-9][-+0-9.,]*\]?~?[)"'.,;%]*|[0-9]{2}:[0-9]{2}""")
# An entity is no delimiter of a table cell, and a code span cannot hold one.
SIGNS = {"|": "&#124;", "<": "&lt;", ">": "&gt;", "<=": "&lt;=", ">=": "&gt;=", "&": "&amp;"}
BLANK = "&#32;"
BARE = re.compile(r"""[-+=/,;.]|%[)"'.,;:!?]*|\(~\)""")
# Addresses, references to issues and advisories, commits, and emoji between colons.
REFERENCE = re.compile(r"www\.|\b(?:gh|ghsa|cve)-\w|(?<![\w.])[0-9a-f]{7,40}(?!\w)|:.*:", re.IGNORECASE)
# Of a page that we name ourselves; nothing in it ends a link, or is read as anything else.
ADDRESS = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]+)?(?:/[A-Za-z0-9._-]+)*/?")
# What makes a list or a heading of a line that it starts.
LINE_START = re.compile(r"[0-9]+[.)]|[-+=]+")


def inline(text: str, limit: int = SENTENCE_LIMIT) -> str:
    """Markdown that shows `text`, made printable, and nothing else: in a paragraph, heading, list item or table cell.

    Args:
        text: any text.
        limit: the most characters that are shown.

    >>> inline("int8-static: 3 of 400 rows differ")
    'int8-static: 3 of 400 rows differ'
    >>> inline("@admin see [this](http://example.com) | #12")
    '`@admin` see `[this](http://example.com)` &#124; `#12`'
    """
    tokens = TOKEN.findall(printable(text, limit))
    is_code = [_stands_in_code(token, is_first=at == 0) for at, token in enumerate(tokens)]
    # Neighbours share a span with the blank between them, so that a phrase is not cut into pieces.
    for at in range(1, len(tokens) - 1):
        if tokens[at].isspace():
            is_code[at] = is_code[at - 1] and is_code[at + 1]
    parts = [
        _spanned("".join(run)) if in_code else "".join(map(_plain, run))
        for in_code, group in groupby(zip(is_code, tokens, strict=True), key=lambda pair: pair[0])
        for run in [[token for _, token in group]]
    ]
    return _with_visible_edges("".join(parts))


def figure(text: str) -> str:
    """A figure as `inline` shows it, which breaks in a narrow cell only before its first bracket."""
    return _breaking(text, r" (?=\\?[(\[])", most=1)


def stacked_figure(text: str) -> str:
    """Likewise, for a table of many columns: it breaks before every bracket and behind every comma."""
    return _breaking(text, r" (?=\\?[(\[])|(?<=,) ")


def _breaking(text: str, where: str, most: int = 0) -> str:
    shown = inline(text)
    return (
        shown
        if "`" in shown
        else " ".join(part.replace(" ", "&nbsp;") for part in re.split(where, shown, maxsplit=most))
    )


def code_block(text: str, limit: int = SENTENCE_LIMIT) -> str:
    """`text`, made printable, as a fenced block of shell."""
    return fenced(printable(text, limit), "sh")


def fenced(text: str, language: str) -> str:
    """`text` as it is, of several lines maybe, as a fenced block of a language."""
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def address(text: str) -> str:
    """An address that a link of ours leads to, as it is.

    Raises:
        ValueError: it is none, or has in it what could end a link.
    """
    if not ADDRESS.fullmatch(text):
        raise ValueError(f"{text!r} is no address of a page")
    return text


def _stands_in_code(token: str, *, is_first: bool) -> bool:
    """Whether a word may mean something to a parser or a filter; what is not known to be harmless may."""
    if token.isspace() or token in SIGNS:
        return False
    if is_first and LINE_START.fullmatch(token):
        return True
    is_known = BARE.fullmatch(token) or WORD.fullmatch(token) or FIGURE.fullmatch(token)
    return not is_known or REFERENCE.search(token) is not None


def _plain(token: str) -> str:
    return SIGNS.get(token) or re.sub(r"([\[\]~])", r"\\\1", token)


def _spanned(text: str) -> str:
    """Text in a code span, but for one mark of ours behind a word: ``With `--flag`, …``."""
    word, mark = text[:-1], text[-1:]
    return _code(word) + mark if mark in MARKS and (word[-1:].isalnum() or word.endswith("]")) else _code(text)


def _code(text: str) -> str:
    fence = "`" * (_longest_run(text) + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)


def _with_visible_edges(markdown: str) -> str:
    """Blanks at either end as entities, which are not cut off."""
    body = markdown.strip(" ")
    if not body:
        return BLANK * len(markdown)
    before, after = (len(markdown) - len(cut) for cut in (markdown.lstrip(" "), markdown.rstrip(" ")))
    return BLANK * before + body + BLANK * after
