"""Writing files so that a reader sees the old content or the new one, and reading only what is a plain file."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from pytest_inferopt.errors import NotMeasuredError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader
    from pathlib import Path

__all__ = ["is_plain_folder", "open_plain", "plain_sha256", "replacing", "sync_folder", "write_text"]


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A stream whose content takes the place of `path` when the block is done, and vanishes when it fails.

    The partial file lies in the same folder, because a rename is atomic only within one filesystem; it and the
    folder are synced, so that what is there after a power cut is whole.

    Raises:
        NotMeasuredError: it cannot be written; the message names the path and the reason.
    """
    partial: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unused = path.with_name(f".writing-{secrets.token_hex(8)}")
        with unused.open("xb") as stream:
            partial = unused
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
        partial = None
        sync_folder(path.parent)
    except (FileExistsError, NotADirectoryError) as error:
        raise NotMeasuredError(f"{path} cannot be written: {path.parent} is no folder.", "Name another one.") from error
    except OSError as error:
        raise NotMeasuredError(
            f"{path} cannot be written: {error.strerror or error}.", "Make room, or name another folder."
        ) from error
    finally:
        if partial is not None:
            partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replace a file's content by a text in UTF-8; see `replacing`."""
    with replacing(path) as stream:
        stream.write(text.encode("utf-8", errors="backslashreplace"))


def open_plain(path: Path) -> BufferedReader:
    """Open a file for reading: not through a link, and nothing that would make the reader wait.

    Raises:
        OSError: it is not there, is a link, or is no file.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "no plain file", str(path))
    return os.fdopen(fd, "rb")


def plain_sha256(path: Path) -> str | None:
    """The SHA-256 of a plain file's content, in hexadecimal; None where there is no such file, or it cannot be read."""
    try:
        with open_plain(path) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return None


def is_plain_folder(path: Path) -> bool:
    """Whether there is a folder, not a link to one."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def sync_folder(folder: Path) -> None:
    """Have the disk know the names in a folder, where its filesystem can."""
    # Not every filesystem can; the rename itself has happened.
    with contextlib.suppress(OSError):
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
