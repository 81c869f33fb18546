"""A first pass over a CSV file, for what pandas would read wrongly without a word."""

from __future__ import annotations

import csv
import re
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from pytest_inferopt.domain.model_file import shown_path
from pytest_inferopt.domain.text import printable
from pytest_inferopt.errors import NotMeasuredError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["CsvText"]

UNDECODED = re.compile("[\udc80-\udcff]")  # what `surrogateescape` makes of a byte that is not of the encoding
MAX_FIELD_CHARACTERS = 2**31 - 1
ENCODING_HINT = 'Give the file\'s encoding, as encoding="latin-1".'


@dataclass(frozen=True)
class CsvText:
    """The text of a CSV file, and how it is written."""

    path: Path
    encoding: str
    separator: str

    def check(self, limit: int | None) -> None:
        """Check the header and the first `limit` rows, all if None.

        pandas fills short lines up, takes the first column as an index where the header is short, and renames
        columns that stand twice; all of these make other rows than the file's owner meant.

        Raises:
            UsageError: a line has another number of fields than the header, holds a NUL or a byte that is not of
                the encoding, or the header names a column twice; the message names the line.
            NotMeasuredError: there is not even a header.
        """
        with self._explained(), _long_fields(), self.path.open(
            encoding=self.encoding, errors="surrogateescape", newline=""
        ) as file:  # fmt: skip
            rows = csv.reader(self._lines(file), delimiter=self.separator)
            header = next(filter(None, rows), None)
            if header is None:
                raise NotMeasuredError(f"{shown_path(self.path)} has no rows and no header.", "Give a table with rows.")
            self._check_header(header, rows.line_num)
            for row in islice(filter(None, rows), limit):
                if len(row) != len(header):
                    what = f"the number of fields is {len(row)}, the header's is {len(header)}"
                    raise self._error(rows.line_num, what, "Repair the line, or give the separator.")

    def _check_header(self, header: list[str], line: int) -> None:
        twice = next((name for name in header if name and header.count(name) > 1), None)
        if twice is not None:
            raise self._error(line, f"names the column '{printable(twice)}' twice", "Rename one of them.")

    def _lines(self, file: Iterable[str]) -> Iterator[str]:
        for number, line in enumerate(file, start=1):
            if "\0" in line:
                raise self._error(number, "holds a NUL byte", "Save the file as plain text.")
            if not line.isascii() and (found := UNDECODED.search(line)):
                byte = ord(found[0]) - 0xDC00
                raise self._error(
                    number, f"holds the byte 0x{byte:02x}, which is not {self._shown_encoding}", ENCODING_HINT
                )
            yield line

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UsageError(
                f"the dataset {shown_path(self.path)} cannot be read: {error.strerror}.", "Check its permissions."
            ) from None
        except UnicodeError:
            raise UsageError(f"{shown_path(self.path)} is not text in {self._shown_encoding}.", ENCODING_HINT) from None

    @property
    def _shown_encoding(self) -> str:
        return self.encoding.removesuffix("-sig")

    def _error(self, line: int, what: str, hint: str) -> UsageError:
        return UsageError(f"{shown_path(self.path)}, line {line}: {what}.", hint)


@contextmanager
def _long_fields() -> Iterator[None]:
    """Let the csv module read fields of any length for a while; a long text is no fault of a table."""
    before = csv.field_size_limit(MAX_FIELD_CHARACTERS)
    try:
        yield
    finally:
        csv.field_size_limit(before)
