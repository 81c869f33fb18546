"""The report as a flat table, for spreadsheets and for whatever reads CSV."""

from __future__ import annotations

import csv
import math
import re
from io import StringIO
from typing import TYPE_CHECKING, ClassVar

from pytest_inferopt.domain.plugins import Reporter
from pytest_inferopt.domain.rows import COLUMNS, flat_rows
from pytest_inferopt.domain.text import printable

if TYPE_CHECKING:
    from pytest_inferopt.domain.report import Report
    from pytest_inferopt.domain.rows import Value

__all__ = ["Csv"]

# What a spreadsheet takes for a formula, also behind blanks; full-width forms are folded on some systems. A list
# separator or a line end within a cell starts a new cell in a spreadsheet that separates by semicolons or ignores
# quotes. https://owasp.org/www-community/attacks/CSV_Injection
FORMULA = re.compile(r"(^|[;\t\r\n])(\s*)(?=[-=+@\uff1d\uff0b\uff0d\uff20])|^(?=[\t\r\n])")

UNBROKEN = re.compile(r"[^\t\r\n]+")
LONGEST_ESCAPE = len(r"\U0010ffff")


class Csv(Reporter):
    """A line a model, variant and batch size, as RFC 4180 has it; what was not measured is an empty cell.

    Numbers are as precise as they were measured. A text that a spreadsheet would run as a formula has a single quote
    before it.
    """

    name: ClassVar[str] = "csv"
    file_name: ClassVar[str] = "report.csv"

    def render(self, report: Report) -> str:
        """The names of the columns, then the results in their order; lines end with CR LF."""
        text = StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(COLUMNS)
        for result in report.results:
            writer.writerows([_cell(row[column]) for column in COLUMNS] for row in flat_rows(result))
        return text.getvalue()


def _cell(value: Value) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return _text(value) if isinstance(value, str) else repr(value)


def _text(text: str) -> str:
    """A text that is no formula, with other control characters than tabs and line ends escaped."""
    shown = UNBROKEN.sub(lambda run: printable(run[0], LONGEST_ESCAPE * len(run[0])), text)
    return FORMULA.sub(r"\1'\2", shown)
