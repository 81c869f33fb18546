"""Which baselines of a store may go, and which models they hold, told without understanding them.

Whatever version wrote a manifest, it names its models by their digests and itself by its file's name, so a manifest
that this version cannot read keeps its models too.
"""

from __future__ import annotations

import contextlib
import json
import re
import stat
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pytest_inferopt.engine.store.files import is_plain_folder, open_plain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "ACCEPTED",
    "BASELINES",
    "KEPT_ACCEPTED",
    "accepted_at",
    "entry_paths",
    "instant",
    "pinned_digests",
    "prune_entries",
]

BASELINES = "baselines"
ACCEPTED = "-accepted-"
"""In the file name of a manifest that somebody has accepted, and of no other."""
KEPT_ACCEPTED = 20
DIGEST = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
SECONDS_PER_DAY = 86_400
# What a process that was killed had not finished.
MAX_PARTIAL_DAYS = 1.0


def pinned_digests(root: Path) -> frozenset[str]:
    """All digests that any manifest of the store at `root` names.

    Raises:
        OSError: one cannot be read, so nobody knows what it needs.
    """
    found: set[str] = set()
    for path in (path for folder in _folders(root) for path in entry_paths(folder)):
        with contextlib.suppress(FileNotFoundError), open_plain(path) as stream:
            found.update(digest.decode() for digest in DIGEST.findall(stream.read()))
    return frozenset(found)


def prune_entries(root: Path, *, now: float, max_age_days: float, keep: int = KEPT_ACCEPTED) -> int:
    """Remove manifests that were only recorded and not used for `max_age_days`, and all but the `keep` last accepted.

    The newest of its test stays however old it is, and so does what a newer version wrote.

    Args:
        root: the store.
        now: seconds since the epoch.
        max_age_days: by the time of the last use.
        keep: how many accepted ones of a test stay.

    Returns:
        How many were removed.
    """
    removed = 0
    for folder in _folders(root):
        newest_first = sorted(_plain_files(folder, "*.json"), key=lambda found: (-found[1], found[0].name))
        accepted = [path for path, _ in newest_first if ACCEPTED in path.name]
        going = sorted(accepted, key=accepted_at, reverse=True)[keep:]
        going += [
            path
            for path, used_at in newest_first[1:]
            if ACCEPTED not in path.name and now - used_at > max_age_days * SECONDS_PER_DAY
        ]
        for path in going:
            if not _is_of_newer_version(path):
                removed += _is_removed(path)
        for path, made_at in _plain_files(folder, ".writing-*"):
            if now - made_at > MAX_PARTIAL_DAYS * SECONDS_PER_DAY:
                _is_removed(path)
    return removed


def entry_paths(folder: Path, pattern: str = "*.json") -> list[Path]:
    """The manifests of one test, by name; a link is none, nor is what lies behind one."""
    is_plain = is_plain_folder(folder.parent) and is_plain_folder(folder)
    return sorted(path for path, _ in _plain_files(folder, pattern)) if is_plain else []


def accepted_at(path: Path) -> datetime:
    """When a manifest was accepted; long ago where it does not say."""
    return instant(_document(path).get("accepted_at"))


def instant(text: Any) -> datetime:
    """A moment in ISO 8601, in UTC; long ago where the text is none."""
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return datetime.min.replace(tzinfo=UTC)


def _folders(root: Path) -> list[Path]:
    """The folders of all tests; links are not followed."""
    place = root / BASELINES
    return sorted(filter(is_plain_folder, place.glob("*"))) if is_plain_folder(place) else []


def _plain_files(folder: Path, pattern: str) -> Iterator[tuple[Path, float]]:
    """The files, not links to any, and when each was last used."""
    for path in folder.glob(pattern):
        # Another process may be at work beside this one.
        with contextlib.suppress(OSError):
            found = path.lstat()
            if stat.S_ISREG(found.st_mode):
                yield path, found.st_mtime


def _is_of_newer_version(path: Path) -> bool:
    from pytest_inferopt.domain.baseline import SCHEMA_VERSION

    version = _document(path).get("schema_version")
    return isinstance(version, int) and version > SCHEMA_VERSION


def _document(path: Path) -> dict[str, Any]:
    """What a manifest says; empty where it cannot be read."""
    try:
        with open_plain(path) as stream:
            document = json.load(stream)
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _is_removed(path: Path) -> bool:
    try:
        path.unlink()
    except OSError:
        return False
    return True
