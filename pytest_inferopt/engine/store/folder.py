"""The folder where models, samples, steps and results are kept between runs; it ignores itself.

Models and samples lie under the digest of their content, documents under the key that they are found by. Everything
is written whole or not at all. What has not been used for a month is pruned, except for what a baseline needs. A link
inside of the store is followed nowhere: who can put one there, in a branch that others check out, could have them read,
overwrite or remove what is theirs.
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
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pytest_inferopt.engine.store.files import (
    is_plain_folder,
    open_plain,
    plain_sha256,
    replacing,
    sync_folder,
    write_text,
)
from pytest_inferopt.engine.store.lock import alone
from pytest_inferopt.engine.store.pruning import pinned_digests, prune_entries
from pytest_inferopt.errors import NotMeasuredError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

    from pytest_inferopt.domain.result import RunResult

__all__ = ["Document", "KeptFile", "KeptSet", "Store", "entry_key", "file_sha256", "kept_name", "result_key"]

IGNORE_ALL = "# Written by pytest-inferopt: nothing here belongs into version control.\n*\n"
IGNORE = ".gitignore"
KEPT = ("models", "samples", "steps", "results", "quarantine")
PLAIN_SUFFIX = re.compile(r"\.[A-Za-z0-9_]{1,16}")
READABLE_CHARACTERS = 40
SECONDS_PER_DAY = 86_400
MAX_AGE_DAYS = 30.0
MAX_BYTES = 10_000_000_000
# A session keeps its models at once and names them in a manifest when it ends; until then nothing else speaks for them.
MIN_AGE_HOURS = 6.0
SECONDS_PER_HOUR = 3_600
# A working folder is its request's alone; an older one was left behind by a process that was killed.
MAX_WORK_DAYS = 1.0

Document = dict[str, Any]
Kind = Literal["steps", "results"]


@dataclass(frozen=True)
class KeptFile:
    """A file in the store: what others call it, where it lies, and what it is."""

    name: str
    path: Path
    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class KeptSet:
    """A model of several files, the main one first; `sha256` is the digest of all, a single file's own."""

    files: tuple[KeptFile, ...]

    @property
    def sha256(self) -> str:
        """The digest of all files; the main file's name is no part of it, because no other file knows it."""
        main, *others = self.files
        if not others:
            return main.sha256
        parts = [main.sha256, *sorted([file.name, file.sha256] for file in others)]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


class Store:
    """A folder of what is kept between runs.

    Args:
        root: the folder; made when something is first put into it. Where it cannot be made or written, a temporary
            folder takes its place, and `warning` says so: nothing is kept then, but nothing fails either.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.abspath(root))  # noqa: PTH100 - resolve() would follow a link of the user's
        self.warning = ""

    def keep(
        self, path: Path, kind: Literal["models", "samples"] = "models", *, name: str | None = None
    ) -> tuple[Path, str]:
        """Copy a file into the store; returns its place and its SHA-256. A file that is there and whole stays.

        Args:
            path: the file.
            kind: what it is.
            name: what it is called, where its suffix is to be another than the path's.

        Raises:
            NotMeasuredError: it cannot be written, because the disk is full, for example.
        """
        digest = file_sha256(path)
        target = self.folder(kind) / kept_name(digest, name or path.name)
        if plain_sha256(target) == digest:
            _mark_as_used(target)
        else:
            with path.open("rb") as content, replacing(target) as stream:
                written = _Hashed(stream)
                shutil.copyfileobj(content, written)
                if written.sha256 != digest:
                    raise NotMeasuredError(f"{path} was changed while it was copied.", "Run again when nobody writes.")
        return target, digest

    def keep_set(self, main: Path, companions: Sequence[Path] = ()) -> KeptSet:
        """Copy a model and the files that it keeps beside it into the store, such as an ONNX file's external data.

        Args:
            main: the file that is opened.
            companions: those that it names, in its folder or below.

        Raises:
            NotMeasuredError: a companion is missing, or a file cannot be written.
            RefusedError: a companion lies elsewhere.
        """
        named = {main.name: main} | {_name_beside(main, companion): companion for companion in companions}
        for name, path in named.items():
            if not path.is_file():
                raise NotMeasuredError(
                    f"{main} keeps a part of its content in '{name}', and there is no such file beside it.",
                    "Copy or download it into the model's folder.",
                )
        kept = ((name, *self.keep(path)) for name, path in named.items())
        return KeptSet(tuple(KeptFile(name, path, digest, path.stat().st_size) for name, path, digest in kept))

    def find(self, digest: str, suffix: str) -> Path | None:
        """A kept model by the digest of its content; None if it is not there, or is not what it was."""
        path = self.root / "models" / kept_name(digest, f"model{suffix}")
        if plain_sha256(path) != digest:
            return None
        _mark_as_used(path)
        return path

    def put(self, kind: Kind, key: str, document: Document) -> Path:
        """Write a document under its key, in place of what was there.

        Raises:
            NotMeasuredError: it cannot be written.
        """
        path = self.folder(kind) / f"{key}.json"
        write_text(path, json.dumps(document, indent=1, allow_nan=False) + "\n")
        return path

    def get(self, kind: Kind, key: str) -> Document | None:
        """The document under a key; None if there is none, or what is there cannot be read."""
        path = self.root / kind / f"{key}.json"
        try:
            with open_plain(path) as stream:
                document = json.load(stream)
        except (OSError, ValueError, RecursionError):
            return None
        _mark_as_used(path)
        return document if isinstance(document, dict) else None

    @contextmanager
    def working_folder(self) -> Iterator[Path]:
        """An empty folder for one request, gone when the request is done."""
        folder = Path(tempfile.mkdtemp(dir=self.folder("work")))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def prune(self, *, max_age_days: float = MAX_AGE_DAYS, max_bytes: int = MAX_BYTES, now: float | None = None) -> int:
        """Remove what has not been used for `max_age_days`, then the least recently used until `max_bytes` are left.

        What a baseline needs stays, and so does what was used within the last hours. Nothing is removed while another
        process saves a baseline.

        Returns:
            How many files were removed.
        """
        if not os.path.lexists(self.root / IGNORE):
            return 0
        now = time.time() if now is None else now
        with alone(self.root) as is_alone:
            if not is_alone:
                return 0
            removed = prune_entries(self.root, now=now, max_age_days=max_age_days)
            try:
                pinned = pinned_digests(self.root)
            except OSError:
                return removed
            oldest_first = sorted(self._files(), key=lambda found: found[0])
            total = sum(size for _, size, _ in oldest_first)
            for used_at, size, path in oldest_first:
                # A time to come is a clock that was set back since: it says nothing of how young the file is.
                is_young = abs(now - used_at) < MIN_AGE_HOURS * SECONDS_PER_HOUR
                is_going = now - used_at > max_age_days * SECONDS_PER_DAY or total > max_bytes
                if is_going and not is_young and path.name.partition(".")[0] not in pinned:
                    with contextlib.suppress(OSError):
                        path.unlink()
                        removed += 1
                        total -= size
            self._remove_abandoned_work(now)
        return removed

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        """When each kept file was last used, its size in bytes, and its path; of a link, its own."""
        for kind in filter(lambda kind: is_plain_folder(self.root / kind), KEPT):
            for path in (self.root / kind).glob("*"):
                # Another process may be at work beside this one.
                with contextlib.suppress(OSError):
                    found = path.lstat()
                    yield found.st_mtime, found.st_size, path

    def _remove_abandoned_work(self, now: float) -> None:
        place = self.root / "work"
        for folder in place.glob("*") if is_plain_folder(place) else ():
            with contextlib.suppress(OSError):
                if now - folder.lstat().st_mtime > MAX_WORK_DAYS * SECONDS_PER_DAY:
                    shutil.rmtree(folder, ignore_errors=True)

    def folder(self, name: str) -> Path:
        """A folder of the store, made if it is not there.

        Raises:
            RefusedError: a link stands in its place.
        """
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


class _Hashed:
    """A stream that knows the digest of what was written to it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        return self._stream.write(data)

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


def _name_beside(main: Path, companion: Path) -> str:
    """What a model calls a file beside it."""
    if not companion.is_relative_to(main.parent) or ".." in companion.relative_to(main.parent).parts:
        raise RefusedError(
            f"{companion} is no file beside {main}, or below.", "Put it into the folder of the model that names it."
        )
    return companion.relative_to(main.parent).as_posix()


def _made(root: Path, name: str) -> Path:
    """A folder of the store that can be written."""
    folder = root
    for part in Path(name).parts:
        folder = folder / part
        if folder.is_symlink():
            raise RefusedError(
                f"{folder} is a link, and none is followed inside of a store.",
                "Remove it; to keep the whole store elsewhere, name its place: --inferopt-store PATH.",
            )
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            sync_folder(folder.parent)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(13, "Permission denied", str(folder))
    # Not what it leads to, where somebody has put a link there.
    if not os.path.lexists(root / IGNORE):
        write_text(root / IGNORE, IGNORE_ALL)
    return folder


def _mark_as_used(path: Path) -> None:
    # A store that is shared read-only still serves.
    with contextlib.suppress(OSError):
        os.utime(path)


def result_key(result: RunResult) -> str:
    """The name under which a test's latest result is kept; see `entry_key`."""
    return entry_key(result.test_id, result.name)


def entry_key(test_id: str, name: str) -> str:
    """The name under which what belongs to a test's call is kept: readable, and different for every test and call.

    Names that differ only in case, in their normal form or beyond their first characters do not meet, because the
    digest is of the name as it is. What is no text counts as it is escaped in records.
    """
    escaped = name.encode("utf-8", "backslashreplace").decode()
    digest = hashlib.sha256(f"{test_id}\0{escaped}".encode("utf-8", "backslashreplace")).hexdigest()
    readable = re.sub(r"[^a-z0-9]+", "-", escaped.lower()).strip("-")[:READABLE_CHARACTERS]
    return f"{readable}-{digest[:16]}" if readable else digest[:16]


def kept_name(digest: str, name: str) -> str:
    """What a file is called in the store: the digest of its content, with its suffix where that is a plain one."""
    suffix = Path(name).suffix
    return digest + (suffix if PLAIN_SUFFIX.fullmatch(suffix) else "")


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal; of a folder's, over the names and digests of its files."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        lines = [f"{file.relative_to(path).as_posix()} {file_sha256(file)}" for file in files]
        return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
