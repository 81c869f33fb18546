"""Zip archives from anybody: what may not be in one is refused by its list of contents, before anything is read."""

from __future__ import annotations

import stat
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_inferopt.domain.model_file import LFS_POINTER
from pytest_inferopt.domain.text import printable
from pytest_inferopt.errors import NotMeasuredError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from zipfile import ZipFile, ZipInfo

__all__ = ["ArchiveKind", "check_member", "checked_members", "open_archive"]

# We pack nothing, others who pack it again make a file a few times smaller, and a bomb is 1,000 times smaller.
MAX_RATIO = 200
SMALL_BYTES = 1_000_000
ENCRYPTED = 0x1


@dataclass(frozen=True)
class ArchiveKind:
    """What an archive of one kind may hold.

    Attributes:
        what: it is, as it stands in a sentence: ``a bundle``.
        again: what to do where one is refused or damaged.
        max_files: how many files it may hold, and `max_bytes` how much they may be when they are unpacked.
        is_file: whether a file of this name has a place in it; `is_folder` whether a folder has.
    """

    what: str
    again: str
    max_files: int
    max_bytes: int
    is_file: Callable[[str], bool]
    is_folder: Callable[[str], bool]


@contextmanager
def open_archive(path: Path, kind: ArchiveKind) -> Iterator[ZipFile]:
    """An archive to read from; what goes wrong meanwhile is told as one of ours.

    Raises:
        NotMeasuredError: it cannot be read, is damaged, or is a pointer of Git LFS.
    """
    noun = kind.what.partition(" ")[2]
    try:
        with path.open("rb") as stream:
            if stream.read(len(LFS_POINTER)) == LFS_POINTER:
                raise NotMeasuredError(f"{path} is a pointer of Git LFS, not the {noun}.", "Fetch it: git lfs pull")
            with zipfile.ZipFile(stream) as archive:
                yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        raise NotMeasuredError(f"{path} is damaged, or no {noun}: {printable(str(error), 200)}.", kind.again) from error
    except OSError as error:
        raise NotMeasuredError(f"{path} cannot be read: {error.strerror or error}.", kind.again) from error


def checked_members(archive: ZipFile, path: Path, kind: ArchiveKind) -> dict[str, ZipInfo]:
    """The files of an archive by name, told from its own list of contents alone.

    Raises:
        RefusedError: it holds what an archive of this kind does not, or far too much.
    """
    infos = [info for info in archive.infolist() if not kind.is_folder(info.filename)]
    if len(infos) > kind.max_files:
        raise RefusedError(f"{path} holds {len(infos):,} files; {kind.what} holds at most {kind.max_files:,}.")
    total = sum(info.file_size for info in infos)
    if total > kind.max_bytes:
        raise RefusedError(f"{path} unpacks to {total:,} bytes; {kind.what} to at most {kind.max_bytes:,}.")
    members: dict[str, ZipInfo] = {}
    for info in infos:
        check_member(info, path, kind)
        if info.filename in members:
            raise RefusedError(f"{path} holds '{printable(info.filename)}' twice.", kind.again)
        members[info.filename] = info
    return members


def check_member(info: ZipInfo, path: Path, kind: ArchiveKind) -> None:
    """Refuse what has no place in an archive, by its name, its kind or its size; raises as `checked_members` does."""
    shown = printable(info.filename)
    if not kind.is_file(info.filename) or "\0" in info.orig_filename:
        raise RefusedError(f"{path} holds '{shown}', which is no place in {kind.what}.", kind.again)
    if stat.S_IFMT(info.external_attr >> 16) not in {0, stat.S_IFREG}:
        raise RefusedError(f"{path} holds '{shown}' as a link or a device.", kind.again)
    if info.flag_bits & ENCRYPTED or info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise RefusedError(f"{path} holds '{shown}' encrypted, or packed in a way of its own.", kind.again)
    if info.file_size > max(SMALL_BYTES, MAX_RATIO * info.compress_size):
        raise RefusedError(f"{path} holds '{shown}', which unpacks to more than {MAX_RATIO} times its size.")
