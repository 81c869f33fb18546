"""Rows from NumPy archives."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path  # noqa: TC003 -- pydantic reads the annotations
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from pytest_inferopt.domain.artifact import Dataset
from pytest_inferopt.domain.model_file import regular_file, shown_path
from pytest_inferopt.domain.plugins import DatasetSource
from pytest_inferopt.domain.text import printable
from pytest_inferopt.errors import NotMeasuredError, RefusedError, UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Npz"]

ZIP = b"PK"


class Npz(DatasetSource):
    """Arrays of an .npz file, as `numpy.savez` writes it.

    Attributes:
        path: the file; a relative one is meant from the working directory.
        x: the name of the array of inputs (N, …); several names make a mapping, for a model with several inputs.
        y: the name of the array of true answers; None where there are none.
        groups: the name of the array that tells which rows belong together, as the queries of a ranking.
    """

    name: ClassVar[str] = "npz"
    needs: ClassVar[tuple[str, ...]] = ("numpy",)

    path: Path
    x: str | Annotated[tuple[str, ...], Field(min_length=1)] = "x"
    y: str | None = None
    groups: str | None = None

    def load(self) -> Dataset:
        """Read the arrays that are named; no pickled object is ever read.

        Raises:
            UsageError: no such file or array, it is damaged, or the arrays have different numbers of rows.
            NotMeasuredError: there are no rows.
            RefusedError: an array holds pickled Python objects.
        """
        regular_file(self.path, "the dataset")
        inputs = (self.x,) if isinstance(self.x, str) else self.x
        arrays = self._read([*inputs, *(name for name in (self.y, self.groups) if name is not None)])
        self._check_rows(arrays)
        return Dataset(
            x=arrays[self.x] if isinstance(self.x, str) else {name: arrays[name] for name in self.x},
            y=None if self.y is None else arrays[self.y],
            groups=None if self.groups is None else arrays[self.groups],
        )

    def _read(self, names: list[str]) -> dict[str, Any]:
        import numpy as np

        try:
            # Opened here, as NumPy leaves a file open that turns out to be no archive.
            with self.path.open("rb") as file:
                if file.read(len(ZIP)) != ZIP:
                    raise self._unreadable("it is no .npz archive")
                file.seek(0)
                with np.load(file, allow_pickle=False) as archive:
                    return {name: self._array(archive, name) for name in names}
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
            raise self._unreadable(str(error)) from None

    def _array(self, archive: Mapping[str, Any], name: str) -> Any:
        if name not in archive:
            raise UsageError(
                f"{shown_path(self.path)} has no array '{printable(name)}';",
                printable(did_you_mean(name, archive), 400),
            )
        try:
            return archive[name]
        except ValueError as error:
            if "allow_pickle" not in str(error):
                raise self._unreadable(str(error)) from None
            raise RefusedError(
                f"the array '{printable(name)}' of {shown_path(self.path)} holds pickled Python objects.",
                "Save numbers or fixed-width text: numpy.asarray(values, dtype=str).",
            ) from None

    def _unreadable(self, reason: str) -> UsageError:
        return UsageError(
            f"{shown_path(self.path)} cannot be read: {printable(reason, 200)}.", "Write it with numpy.savez."
        )

    def _check_rows(self, arrays: Mapping[str, Any]) -> None:
        # A member that is no .npy file is handed over as bytes, which have no axes at all.
        scalar = next((name for name, array in arrays.items() if not getattr(array, "ndim", 0)), None)
        if scalar is not None:
            raise UsageError(
                f"the array '{printable(scalar)}' of {shown_path(self.path)} is a single value.",
                "Save one entry a row.",
            )
        counts = {printable(name): array.shape[0] for name, array in arrays.items()}
        if len(set(counts.values())) > 1:
            listed = ", ".join(f"{name} {count}" for name, count in counts.items())
            raise UsageError(
                f"the arrays of {shown_path(self.path)} have different numbers of rows: {listed}.",
                "Save one entry a row in each.",
            )
        if not all(counts.values()):
            raise NotMeasuredError(f"{shown_path(self.path)} has no rows to measure with.", "Give arrays with rows.")
