"""What all sources of tables share: which columns are rows, targets and groups."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path  # noqa: TC003 -- pydantic reads the annotations
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from pytest_inferopt.domain.artifact import Dataset
from pytest_inferopt.domain.model_file import regular_file, shown_path
from pytest_inferopt.domain.plugins import DatasetSource
from pytest_inferopt.domain.text import printable
from pytest_inferopt.errors import MissingDependencyError, NotMeasuredError, UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["TableSource", "missing_library"]


class TableSource(DatasetSource):
    """A file that holds a table; `x` stays a DataFrame, so the original model sees its own columns and types.

    Attributes:
        path: the file; a relative one is meant from the working directory.
        target: the column of true answers; None where there are none.
        columns: the columns that are given to the model, in this order; all but target and groups if None.
        groups: the column that tells which rows belong together, as the queries of a ranking.
        limit: read only this many rows, from the top.
    """

    path: Path
    target: str | None = None
    columns: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    groups: str | None = None
    limit: Annotated[int, Field(strict=True, ge=1)] | None = None

    def load(self) -> Dataset:
        """Read the file; row labels of the table are dropped.

        Raises:
            UsageError: no such file, it does not parse, or a named column is not in it.
            NotMeasuredError: it has no rows.
            MissingDependencyError: pandas, or what it needs to read the file, is not installed.
        """
        regular_file(self.path, "the dataset")
        frame = self.read().reset_index(drop=True)
        self._check_columns(list(frame.columns))
        if not len(frame):
            raise NotMeasuredError(f"{shown_path(self.path)} has no rows to measure with.", "Give a table with rows.")
        apart = [name for name in (self.target, self.groups) if name is not None]
        return Dataset(
            x=frame[list(self.columns)] if self.columns else frame.drop(columns=apart),
            y=None if self.target is None else frame[self.target].to_numpy(),
            groups=None if self.groups is None else frame[self.groups].to_numpy(),
        )

    @abstractmethod
    def read(self) -> Any:
        """Read at most `limit` rows of the file as a DataFrame.

        Raises:
            UsageError: the file does not parse; where there are lines, the message names one.
        """

    def _check_columns(self, present: Sequence[str]) -> None:
        named = {"target": self.target, "groups": self.groups}
        wanted = [(option, name) for option, name in named.items() if name is not None]
        wanted += [("columns", name) for name in self.columns or ()]
        for option, name in wanted:
            if name not in present:
                raise UsageError(
                    f"{option}: {shown_path(self.path)} has no column '{printable(name)}';",
                    printable(did_you_mean(name, map(str, present)), 400),
                )
        if self.target is not None and self.target in (self.columns or ()):
            raise UsageError(
                f"columns: '{printable(self.target)}' is the target of {shown_path(self.path)}.",
                "Leave it out of the columns.",
            )
        if not self.columns and set(present) <= {self.target, self.groups}:
            raise UsageError(
                f"{shown_path(self.path)} has no column beside target and groups.", "Add the model's inputs."
            )


def missing_library(error: ImportError, package: str) -> MissingDependencyError:
    """The error for a library that reading a table needs."""
    return MissingDependencyError(
        f"reading this table needs {package}, which cannot be imported: {printable(str(error), 200)}.",
        f"pip install {package}",
    )
