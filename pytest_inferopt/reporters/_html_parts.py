"""What a page is built of: marks, cells, tables. All text in it is printable; the template escapes its markup."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_inferopt.domain.text import printable
from pytest_inferopt.domain.words import NOTHING, is_warned, outcome_of, outcome_text, verdict_text

if TYPE_CHECKING:
    from pytest_inferopt.domain.record import Interval
    from pytest_inferopt.domain.result import Check, RunResult, VariantResult
    from pytest_inferopt.reporters._arms import Arm

__all__ = [
    "Cell",
    "Column",
    "Fact",
    "Mark",
    "Row",
    "Table",
    "arm_cell",
    "figure",
    "interval_text",
    "mark_cell",
    "mark_of_check",
    "mark_of_outcome",
    "mark_of_variant",
    "number",
    "plain",
    "sentence",
    "text",
]

NAME_LIMIT = 120
SENTENCE_LIMIT = 1000


@dataclass(frozen=True)
class Mark:
    """A verdict that is told by its icon's shape, by a word and by a colour, in this order.

    Attributes:
        icon: a symbol of templates/_macros.j2.
        tone: ``good``, ``bad``, ``warn`` or ``calm``.
        word: what it says.
    """

    icon: str
    tone: str
    word: str


MARKS = {
    "passed": ("check", "good"),
    "improved": ("check", "good"),
    "failed": ("cross", "bad"),
    "regressed": ("cross", "bad"),
    "missing": ("question", "bad"),
    "not_measured": ("question", "bad"),
    "refused": ("ban", "bad"),
    "advisory": ("alert", "warn"),
    "inconclusive": ("alert", "warn"),
    "unchanged": ("dot", "calm"),
    "new": ("alert", "warn"),
    "not_comparable": ("alert", "warn"),
}


def mark_of_outcome(outcome: str) -> Mark:
    """An outcome's mark."""
    icon, tone = MARKS.get(outcome, ("dot", "calm"))
    return Mark(icon, tone, printable(outcome_text(outcome)))


def mark_of_check(check: Check) -> Mark:
    """A check's mark; under a gate that only warns nothing is red."""
    mark = mark_of_outcome(check.outcome)
    return Mark("alert", "warn", f"{mark.word} (warned)") if is_warned(check) else mark


def mark_of_variant(variant: VariantResult, result: RunResult) -> Mark:
    """What speaks for a variant: its worst check, in the words of every report."""
    word = printable(verdict_text(variant, result), limit=NAME_LIMIT)
    if variant.role != "variant" and not variant.is_red:
        return Mark("dot", "calm", word)
    if any(map(is_warned, variant.checks)) and not variant.is_red:
        return Mark("alert", "warn", word)
    outcome = outcome_of(variant)
    return Mark("question", "warn", word) if outcome is None else replace(mark_of_outcome(outcome), word=word)


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: what it says; `detail` stands smaller below it.
        sort: what a sort goes by where that is not the text.
        mark: an icon with its word, instead of the text.
        look: the look of the arm that is named, drawn before it.
        href: where the text leads within the page.
        is_figure: whether it is aligned as a number.
        is_sentence: whether it is given room to be read in.
    """

    text: str = NOTHING
    detail: str = ""
    sort: str | float | None = None
    mark: Mark | None = None
    look: int | None = None
    href: str = ""
    is_figure: bool = False
    is_sentence: bool = False


@dataclass(frozen=True)
class Column:
    """A column's title, and whether its cells are figures."""

    title: str
    is_figure: bool = False


@dataclass(frozen=True)
class Row:
    """The cells of a row; the first one names it."""

    cells: tuple[Cell, ...]
    tone: str = ""


@dataclass(frozen=True)
class Table:
    """A table; nothing is drawn of one without rows."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    is_sortable: bool = True


@dataclass(frozen=True)
class Fact:
    """A name and what is known of it."""

    name: str
    value: str
    detail: str = ""
    tone: str = ""


def text(value: object, limit: int = SENTENCE_LIMIT) -> str:
    """Anything from outside as one printable line."""
    return printable(str(value), limit=limit)


def plain(value: object, detail: object = "") -> Cell:
    """A cell with a name from outside; a dash where there is none."""
    return Cell(text(value, NAME_LIMIT) if value not in {None, ""} else NOTHING, text(detail))


def sentence(value: str, detail: str = "") -> Cell:
    """A cell with what is read as a sentence."""
    return Cell(text(value) or NOTHING, text(detail), is_sentence=True)


def number(value: float | None, shown: str, detail: str = "") -> Cell:
    """A cell that sorts by `value`, which stands in the page where `shown` is not a number itself."""
    sort = None if value is None or _is_number(shown) else float(f"{value:.6g}")
    return Cell(shown, detail, sort=sort, is_figure=True)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def mark_cell(mark: Mark) -> Cell:
    """A cell with a verdict."""
    return Cell(mark.word, mark=mark)


def arm_cell(arm: Arm) -> Cell:
    """A cell that names an arm, with its mark in the charts."""
    return Cell(arm.label, look=arm.look)


def figure(value: float | None) -> str:
    """A figure of no known unit, four digits."""
    return NOTHING if value is None else f"{value:.4g}"


def interval_text(interval: Interval | None, digits: str = ".4g") -> str:
    """``[0.99, 1.01]``; a limit that the sample does not carry is a dash; empty without either."""
    if interval is None or (interval.low is None and interval.high is None):
        return ""
    low, high = (NOTHING if limit is None else f"{limit:{digits}}" for limit in (interval.low, interval.high))
    return f"[{low}, {high}]"
