"""Results as a notebook shows them: a small table of HTML that needs no style sheet."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from pytest_inferopt.domain.gate_summary import gate_lines
from pytest_inferopt.domain.headline import headline
from pytest_inferopt.domain.tables import variants_table
from pytest_inferopt.domain.text import printable
from pytest_inferopt.domain.words import check_text, remarks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_inferopt.domain.report import Report
    from pytest_inferopt.domain.result import RunResult
    from pytest_inferopt.domain.tables import Column, Table

__all__ = ["report_html", "result_html"]

LIMIT = 1000
# Colours are the notebook's own, light or dark; a line is grey on both. Notebooks set mathematics between dollars.
BOX = '<div class="tex2jax_ignore mathjax_ignore" style="color:inherit;overflow-x:auto">'
LINE = "border-bottom:1px solid rgba(128,128,128,.4)"
CELL = "padding:.25em .75em;vertical-align:top;background:none"
TEXT = "text-align:left;max-width:24em;overflow-wrap:anywhere"
FIGURE = "text-align:right;white-space:nowrap"


def report_html(report: Report) -> str:
    """The headline, and then each result."""
    return f"{BOX}<p><strong>{_text(headline(report))}</strong></p>{''.join(map(_result, report.results))}</div>"


def result_html(result: RunResult) -> str:
    """The table, what is red with what to do about it, the gate, and the remarks folded away; all text is escaped."""
    return f"{BOX}{_result(result)}</div>"


def _result(result: RunResult) -> str:
    verdict = "✅ passed" if result.passed else "❌ red"
    title = f"<p><strong>inferopt: {_text(result.name)}</strong> – {verdict}</p>"
    red = [f"{check_text(check)} {check.next_step}".strip() for check in result.checks if check.is_red]
    said = _list(remarks(result))
    folded = f"<details><summary>What was found out</summary>{said}</details>" if said else ""
    return f"{title}{_table(variants_table(result))}{_list(red)}{_list(gate_lines(result))}{folded}"


def _table(table: Table) -> str:
    head = "".join(_cell("th", column.title, column) for column in table.columns)
    rows = (
        "".join(_cell("td", text, column) for column, text in zip(table.columns, row, strict=True))
        for row in table.rows
    )
    body = "".join(f'<tr style="{LINE}">{cells}</tr>' for cells in rows)
    thead = f'<thead><tr style="{LINE}">{head}</tr></thead>'
    return f'<table style="border-collapse:collapse;color:inherit;margin:.5em 0">{thead}<tbody>{body}</tbody></table>'


def _cell(tag: str, text: str, column: Column) -> str:
    return f'<{tag} style="{CELL};{FIGURE if column.is_figure else TEXT}">{_text(text)}</{tag}>'


def _list(lines: Iterable[str]) -> str:
    items = "".join(f"<li>{_text(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


def _text(text: str) -> str:
    return escape(printable(text, LIMIT))
