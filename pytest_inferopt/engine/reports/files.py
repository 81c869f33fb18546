"""Reports that come from elsewhere: out of a file, a folder or a zip archive, all of it checked before it is believed.

A job that may write to a repository reads what another job measured, and that one ran the code of a pull request. So
the documents are taken for anybody's: nothing is unpacked, no link is followed, and what is no report is refused.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_inferopt.domain.report import parse_any
from pytest_inferopt.domain.text import printable
from pytest_inferopt.engine.store.archive import ArchiveKind, checked_members, open_archive
from pytest_inferopt.engine.store.files import open_plain
from pytest_inferopt.errors import NotMeasuredError, RefusedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_inferopt.domain.report import Report

__all__ = ["REPORT_NAME", "FoundReport", "read_report", "read_shards"]

REPORT_NAME = "report.json"
MAX_REPORT_BYTES = 50_000_000
MAX_BYTES = 2_000_000_000
MAX_FILES = 10_000
# Ours are ten levels deep, and a request may hold options of anybody's.
MAX_DEPTH = 64
MAX_INTEGER = 2**63
AGAIN = "Download the artifact again."
# A path below a folder, on any system: no drive, no backslash, and no part that leads up or nowhere.
PART = r"(?!\.{1,2}(?:/|$))[^/\\:\x00-\x1f]+"
FILE_NAME = re.compile(rf"{PART}(?:/{PART})*")
FOLDER_NAME = re.compile(rf"(?:{PART}/)+")
WRITE_AGAIN = "Write it again: pytest --inferopt --inferopt-report=json."


class FoundReport(NamedTuple):
    """A report, and where it was found as a message names it."""

    where: str
    report: Report


def read_report(path: Path) -> Report:
    """Read a report, or the result of a single test, from a file.

    Raises:
        UsageError: a newer version wrote it.
        NotMeasuredError: the file cannot be read.
        RefusedError: it is no report, or has in it what no report has.
    """
    try:
        # Not `open_plain`: a link that the caller named is the caller's.
        with path.open("rb") as stream:
            text = stream.read(MAX_REPORT_BYTES + 1)
    except OSError as error:
        raise NotMeasuredError(f"{path} cannot be read: {error.strerror or error}.", WRITE_AGAIN) from error
    return _parsed(text, str(path))


def read_shards(path: Path) -> list[FoundReport]:
    """All reports of a shard: a report's file, or a folder or zip archive with files called ``report.json``.

    Raises:
        UsageError: there is none; or as `read_report`.
        NotMeasuredError: as `read_report`.
        RefusedError: as `read_report`; or a folder holds a link, or an archive what could be unpacked elsewhere.
    """
    if path.is_dir():
        found = list(_in_folder(path))
    elif _is_archive(path):
        found = list(_in_archive(path))
    else:
        return [FoundReport(str(path), read_report(path))]
    if not found:
        raise UsageError(f"{path} holds no {REPORT_NAME}.", WRITE_AGAIN)
    return found


def _is_archive(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(2) == b"PK"
    except OSError:
        return False


def _in_folder(folder: Path) -> Iterator[FoundReport]:
    for place in _files(folder):
        if place.name != REPORT_NAME:
            continue
        try:
            with open_plain(place) as stream:
                text = stream.read(MAX_REPORT_BYTES + 1)
        except OSError as error:
            raise NotMeasuredError(f"{place} cannot be read: {error.strerror or error}.", AGAIN) from error
        yield FoundReport(str(place), _parsed(text, str(place)))


def _files(folder: Path) -> list[Path]:
    """The files below a folder, in order; a link among them is refused, whatever it leads to."""
    found: list[Path] = []
    for parent, folders, names in os.walk(folder):
        for place in (Path(parent, name) for name in (*folders, *names)):
            mode = place.lstat().st_mode
            if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
                raise RefusedError(f"{folder} holds '{printable(place.name)}' as a link or a device.", AGAIN)
        found += [Path(parent, name) for name in names]
        if len(found) > MAX_FILES:
            raise RefusedError(f"{folder} holds more than {MAX_FILES:,} files.", "Name the folder of the artifacts.")
    return sorted(found)


def _in_archive(path: Path) -> Iterator[FoundReport]:
    kind = ArchiveKind("an artifact", AGAIN, MAX_FILES, MAX_BYTES, _is_file_name, _is_folder_name)
    with open_archive(path, kind) as archive:
        for name, info in sorted(checked_members(archive, path, kind).items()):
            if name.rpartition("/")[2] != REPORT_NAME:
                continue
            where = f"{path}: {name}"
            with archive.open(info) as stream:
                text = stream.read(MAX_REPORT_BYTES + 1)
            yield FoundReport(where, _parsed(text, where))


def _is_file_name(name: str) -> bool:
    return FILE_NAME.fullmatch(name) is not None


def _is_folder_name(name: str) -> bool:
    return FOLDER_NAME.fullmatch(name) is not None


def _parsed(text: bytes, where: str) -> Report:
    if len(text) > MAX_REPORT_BYTES:
        raise RefusedError(f"{where} is larger than {MAX_REPORT_BYTES:,} bytes, which no report is.", WRITE_AGAIN)
    try:
        _check_is_strict(text)
        report = parse_any(text, where=where)
    except NotMeasuredError as error:
        raise RefusedError(error.message, error.hint or WRITE_AGAIN) from error
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"{where}: not valid JSON ({printable(str(error), 200)}).", WRITE_AGAIN) from error
    for result in report.results:
        if result.best is not None and result.best not in result.variants:
            best = f"best variant '{printable(result.best)}'"
            raise RefusedError(f"{where}: the {best} of {printable(result.name)} is none of its variants.", WRITE_AGAIN)
    return report


def _check_is_strict(text: bytes) -> None:
    """Refuse what Python's reader takes and JSON does not know, and what only somebody with bad intent writes.

    Raises:
        ValueError: a name that stands twice, NaN or infinity, an integer beyond 64 bits, or more than 64 levels.
    """
    document = json.loads(
        text, object_pairs_hook=_object, parse_int=_integer, parse_float=_number, parse_constant=_number
    )
    level = [document]
    for _ in range(MAX_DEPTH):
        containers = (item for item in level if isinstance(item, dict | list))
        level = [child for item in containers for child in (item.values() if isinstance(item, dict) else item)]
        if not level:
            return
    raise ValueError(f"more than {MAX_DEPTH} levels deep")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice")
    return found


def _integer(text: str) -> int:
    value = int(text)
    if abs(value) >= MAX_INTEGER:
        raise ValueError("an integer has more than 64 bits")
    return value


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no number")
    return value
