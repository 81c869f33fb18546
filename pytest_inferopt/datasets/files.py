"""Rows from CSV and Parquet files."""

from __future__ import annotations

import codecs
from typing import Annotated, Any, ClassVar

from pydantic import Field, field_validator

from pytest_inferopt.datasets._csv import CsvText
from pytest_inferopt.datasets._tables import TableSource, missing_library
from pytest_inferopt.domain.model_file import shown_path
from pytest_inferopt.domain.text import printable
from pytest_inferopt.errors import UsageError

__all__ = ["Csv", "Parquet"]


class Csv(TableSource):
    """A CSV file with a header line.

    Attributes:
        encoding: of the text; a byte order mark is skipped.
        separator: the character between two fields.
    """

    name: ClassVar[str] = "csv"
    needs: ClassVar[tuple[str, ...]] = ("pandas",)

    encoding: str = "utf-8"
    separator: Annotated[str, Field(pattern=r'^[^"\r\n]$')] = ","

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, value: str) -> str:
        try:
            codecs.lookup(value)
        except LookupError:
            raise ValueError("no such encoding") from None
        return value

    def read(self) -> Any:
        """Read the table; blank lines are skipped, and a line that pandas would misread is an error."""
        try:
            import pandas as pd
        except ImportError as error:
            raise missing_library(error, "pandas") from None
        encoding = "utf-8-sig" if codecs.lookup(self.encoding).name == "utf-8" else self.encoding
        CsvText(self.path, encoding, self.separator).check(self.limit)
        try:
            return pd.read_csv(
                self.path, encoding=encoding, sep=self.separator, nrows=self.limit, low_memory=False,
                index_col=False, compression=None,
            )  # fmt: skip
        except (pd.errors.ParserError, UnicodeError) as error:
            raise UsageError(
                f"{shown_path(self.path)} does not parse as CSV: {printable(str(error), 200)}.", "Repair the file."
            ) from None


class Parquet(TableSource):
    """A Parquet file."""

    name: ClassVar[str] = "parquet"
    needs: ClassVar[tuple[str, ...]] = ("pandas", "pyarrow")

    def read(self) -> Any:
        """Read the table with pyarrow."""
        try:
            import pandas as pd
        except ImportError as error:
            raise missing_library(error, "pandas") from None
        try:
            frame = pd.read_parquet(self.path, engine="pyarrow")
        except ImportError as error:
            raise missing_library(error, "pyarrow") from None
        except (ValueError, OSError) as error:  # ArrowInvalid is a ValueError, a damaged page an OSError
            raise UsageError(
                f"{shown_path(self.path)} does not parse as Parquet: {printable(str(error), 200)}.",
                "Write or download the file again.",
            ) from None
        return frame.head(self.limit) if self.limit else frame
