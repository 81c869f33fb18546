"""The folder where models, samples, steps and results are kept between runs; it ignores itself.

Models and samples lie under the digest of their content, documents under the key that they are found by. Everything
is written whole or not at all. What has not been used for a month is pruned.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pytest_inferopt.engine.files import replacing, write_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_inferopt.domain.result import RunResult

__all__ = ["Document", "Store", "file_sha256", "result_key"]

IGNORE_ALL = "# Written by pytest-inferopt: nothing here belongs into version control.\n*\n"
KEPT = ("models", "samples", "steps", "results")
READABLE_CHARACTERS = 40
SECONDS_PER_DAY = 86_400
MAX_AGE_DAYS = 30.0
MAX_BYTES = 10_000_000_000
# A working folder is its request's alone; an older one was left behind by a process that was killed.
MAX_WORK_DAYS = 1.0

Document = dict[str, Any]
Kind = Literal["steps", "results"]


class Store:
    """A folder of what is kept between runs.

    Args:
        root: the folder; made when something is first put into it. Where it cannot be made or written, a temporary
            folder takes its place, and `warning` says so: nothing is kept then, but nothing fails either.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.abspath(root))  # noqa: PTH100 - resolve() would follow a link of the user's
        self.warning = ""

    def keep(self, path: Path, kind: Literal["models", "samples"] = "models") -> tuple[Path, str]:
        """Copy a file into the store; returns its place and its SHA-256. A file that is there already stays.

        Raises:
            NotMeasuredError: it cannot be written, because the disk is full, for example.
        """
        digest = file_sha256(path)
        target = self._folder(kind) / f"{digest}{path.suffix}"
        if target.exists():
            _mark_as_used(target)
        else:
            with path.open("rb") as content, replacing(target) as stream:
                shutil.copyfileobj(content, stream)
        return target, digest

    def find(self, digest: str, suffix: str) -> Path | None:
        """A kept model by the digest of its content; None if it is not there, or is not what it was."""
        path = self.root / "models" / f"{digest}{suffix}"
        try:
            if file_sha256(path) != digest:
                return None
        except OSError:
            return None
        _mark_as_used(path)
        return path

    def put(self, kind: Kind, key: str, document: Document) -> Path:
        """Write a document under its key, in place of what was there.

        Raises:
            NotMeasuredError: it cannot be written.
        """
        path = self._folder(kind) / f"{key}.json"
        write_text(path, json.dumps(document, indent=1, allow_nan=False) + "\n")
        return path

    def get(self, kind: Kind, key: str) -> Document | None:
        """The document under a key; None if there is none, or what is there cannot be read."""
        path = self.root / kind / f"{key}.json"
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        _mark_as_used(path)
        return document if isinstance(document, dict) else None

    @contextmanager
    def working_folder(self) -> Iterator[Path]:
        """An empty folder for one request, gone when the request is done."""
        folder = Path(tempfile.mkdtemp(dir=self._folder("work")))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def prune(self, *, max_age_days: float = MAX_AGE_DAYS, max_bytes: int = MAX_BYTES, now: float | None = None) -> int:
        """Remove what has not been used for `max_age_days`, then the least recently used until `max_bytes` are left.

        Returns:
            How many files were removed.
        """
        now = time.time() if now is None else now
        oldest_first = sorted(self._files(), key=lambda found: found[0])
        total = sum(size for _, size, _ in oldest_first)
        removed = 0
        for used_at, size, path in oldest_first:
            if now - used_at <= max_age_days * SECONDS_PER_DAY and total <= max_bytes:
                break
            with contextlib.suppress(OSError):
                path.unlink()
                removed += 1
                total -= size
        self._remove_abandoned_work(now)
        return removed

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        """When each kept file was last used, its size in bytes, and its path."""
        for kind in KEPT:
            for path in (self.root / kind).glob("*"):
                # Another process may prune beside this one.
                with contextlib.suppress(OSError):
                    found = path.stat()
                    yield found.st_mtime, found.st_size, path

    def _remove_abandoned_work(self, now: float) -> None:
        for folder in (self.root / "work").glob("*"):
            with contextlib.suppress(OSError):
                if now - folder.stat().st_mtime > MAX_WORK_DAYS * SECONDS_PER_DAY:
                    shutil.rmtree(folder, ignore_errors=True)

    def _folder(self, name: str) -> Path:
        try:
            return _made(self.root, name)
        except OSError as error:
            lost = self.root
            self.root = Path(tempfile.mkdtemp(prefix="inferopt-"))
            self.warning = (
                f"the store {lost} cannot be written ({error.strerror or error}); a temporary folder is used, and "
                "nothing is kept for the next run. Name a folder that can be written: --inferopt-store PATH."
            )
            return _made(self.root, name)


def _made(root: Path, name: str) -> Path:
    """A folder of the store that can be written."""
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    ignore = root / ".gitignore"
    if not ignore.exists():
        ignore.write_text(IGNORE_ALL, encoding="utf-8")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(13, "Permission denied", str(folder))
    return folder


def _mark_as_used(path: Path) -> None:
    # A store that is shared read-only still serves.
    with contextlib.suppress(OSError):
        os.utime(path)


def result_key(result: RunResult) -> str:
    """The name under which a test's latest result is kept: readable, and different for every test and call.

    Names that differ only in case, in their normal form or beyond their first characters do not meet, because the
    digest is of the name as it is.
    """
    digest = hashlib.sha256(f"{result.test_id}\0{result.name}".encode("utf-8", "surrogatepass")).hexdigest()
    readable = re.sub(r"[^a-z0-9]+", "-", result.name.lower()).strip("-")[:READABLE_CHARACTERS]
    return f"{readable}-{digest[:16]}" if readable else digest[:16]


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
