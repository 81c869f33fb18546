"""The folder where models are kept between runs; it ignores itself."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pytest_inferopt.engine.files import replacing

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Store", "file_sha256"]

IGNORE_ALL = "# Written by pytest-inferopt: nothing here belongs into version control.\n*\n"


class Store:
    """A folder of models, addressed by their content.

    Args:
        root: the folder; made when something is first put into it.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.abspath(root))  # noqa: PTH100 - resolve() would follow a link of the user's

    def keep(self, path: Path, kind: Literal["models", "samples"] = "models") -> tuple[Path, str]:
        """Copy a file into the store; returns its place and its SHA-256. A file that is there already stays.

        Raises:
            NotMeasuredError: the store cannot be written.
        """
        digest = file_sha256(path)
        target = self._folder(kind) / f"{digest}{path.suffix}"
        if not target.exists():
            with path.open("rb") as content, replacing(target) as stream:
                shutil.copyfileobj(content, stream)
        return target, digest

    @contextmanager
    def working_folder(self) -> Iterator[Path]:
        """An empty folder for one request, gone when the request is done."""
        folder = Path(tempfile.mkdtemp(dir=self._folder("work")))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _folder(self, name: str) -> Path:
        folder = self.root / name
        folder.mkdir(parents=True, exist_ok=True)
        ignore = self.root / ".gitignore"
        if not ignore.exists():
            ignore.write_text(IGNORE_ALL, encoding="utf-8")
        return folder


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
