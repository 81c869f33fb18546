"""The baselines of a store: a manifest for each test, name and commit, and the models that it names.

A manifest lies in ``baselines/<key of test and name>/`` and is called after its commit, so that a clean recording
takes the place of an earlier one of the same commit, and of nothing else:

- ``<commit>.json``: recorded at a commit, with no tracked file changed;
- ``<commit>-dirty-<digest>.json``: recorded with changed files;
- ``<commit>-accepted-<digest>.json``: accepted by somebody; no recording ever takes its place.

Models are put away first and the manifest last, so whoever is killed in between leaves the old set whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pytest_inferopt.domain.baseline import BaselineFile, Manifest, manifest_text, parse_manifest
from pytest_inferopt.engine.store.files import is_plain_folder, open_plain, plain_sha256, write_text
from pytest_inferopt.engine.store.folder import MAX_AGE_DAYS, Store, entry_key, kept_name
from pytest_inferopt.engine.store.lock import alone, beside_others
from pytest_inferopt.engine.store.pruning import (
    ACCEPTED,
    BASELINES,
    KEPT_ACCEPTED,
    accepted_at,
    entry_paths,
    instant,
    prune_entries,
)
from pytest_inferopt.errors import InferoptError, NotMeasuredError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = ["Baselines", "Entry", "entry_name", "key_of", "open_folder"]

COMMIT = re.compile(r"[0-9a-f]{7,64}")
NO_COMMIT = "no-commit"
MAX_MANIFEST_BYTES = 16_000_000
AGAIN = "Save the baseline again; until then there is none."


@dataclass(frozen=True)
class Entry:
    """What lies in a baseline's place: the manifest, or the problem that there is with it."""

    path: Path
    manifest: Manifest | None
    problem: InferoptError | None = None


# An acceptance gives a baseline another name; no more of them come in between than there are processes at work.
LISTINGS = 20


class Baselines:
    """The baselines that a store holds.

    Args:
        store: where they are.
        is_ours: whether what is damaged is moved into the store's quarantine when it is come upon, so that the next run
            finds no baseline instead of the same error; a folder of somebody else's is left as it is.
    """

    def __init__(self, store: Store, *, is_ours: bool = True) -> None:
        self.store = store
        self._is_ours = is_ours

    def save(self, manifest: Manifest, files: Mapping[str, Path] | None = None) -> Manifest:
        """Put a baseline away, in place of an earlier recording of the same commit.

        Args:
            manifest: an acceptance that is not later than the last one of its test becomes so.
            files: where the files lie that the manifest names, by their digests; those left out are in the store.

        Returns:
            What was saved.

        Raises:
            NotMeasuredError: a file is missing or another one, or the store cannot be written.
        """
        return self._save(_accepted_last(manifest, self._folder(key_of(manifest))), files or {})

    def restore(self, manifest: Manifest, files: Mapping[str, Path]) -> Manifest:
        """Put a baseline of another store away as it is; see `save`."""
        return self._save(manifest, files)

    def at(self, key: str, commit: str) -> Manifest | None:
        """The baseline of a commit, saved without changed files; an accepted one before one that was recorded.

        Raises:
            NotMeasuredError: it is damaged; it is in quarantine then.
            UsageError: a newer version wrote it; it is left as it is.
        """
        if not COMMIT.fullmatch(commit):
            return None
        found = self._read_matching(key, f"{commit}.json", f"{commit}{ACCEPTED}*.json")
        clean = (manifest for manifest in found if not manifest.is_dirty)
        return self._used(max(clean, key=_age, default=None))

    def newest_accepted(self, key: str, *, is_meant: Callable[[Manifest], bool] = lambda _: True) -> Manifest | None:
        """The baseline that was accepted last, of those that are meant; raises as `at` does."""
        found = self._read_all(entry_paths(self._folder(key), f"*{ACCEPTED}*.json"))
        return self._used(max(filter(is_meant, found), key=_age, default=None))

    def newest(self, key: str) -> Manifest | None:
        """The baseline that was saved last, a clean one before one of changed files; raises as `at` does."""
        found = self._read_all(entry_paths(self._folder(key)))
        return self._used(
            max(found, key=lambda manifest: (not manifest.is_dirty, instant(manifest.saved_at)), default=None)
        )

    def entries(self) -> list[Entry]:
        """Whatever lies in the places of baselines, by test; nothing is moved."""
        place = self.store.root / BASELINES
        folders = sorted(filter(is_plain_folder, place.glob("*"))) if is_plain_folder(place) else []
        return [_entry(path) for folder in folders for path in entry_paths(folder)]

    def all(self) -> list[Manifest]:
        """All baselines that can be read, the last saved first."""
        found = [entry.manifest for entry in self.entries() if entry.manifest is not None]
        return sorted(found, key=lambda manifest: instant(manifest.saved_at), reverse=True)

    def accept(self, manifest: Manifest, *, now: datetime | None = None) -> Manifest:
        """Say that a saved baseline is the one to compare with; what this version does not know of it is kept.

        Raises:
            NotMeasuredError: one of its files is missing.
        """
        moment = (datetime.now(UTC) if now is None else now).isoformat(timespec="seconds")
        accepted = self.save(manifest.model_copy(update={"accepted_at": moment}))
        if entry_name(manifest) != entry_name(accepted):
            self.remove(manifest)
        return accepted

    def remove(self, manifest: Manifest) -> bool:
        """Remove a baseline; its models go when they are pruned. Says whether it was there."""
        try:
            self._path(manifest).unlink()
        except FileNotFoundError:
            return False
        return True

    def prune(self, *, keep: int = KEPT_ACCEPTED, now: datetime | None = None) -> int:
        """Remove what was recorded and not used for a month, and all but the last `keep` accepted ones of each test.

        Returns:
            How many were removed; none while another process saves one.
        """
        moment = datetime.now(UTC) if now is None else now
        with alone(self.store.root) as is_alone:
            if not is_alone:
                return 0
            return prune_entries(self.store.root, now=moment.timestamp(), max_age_days=MAX_AGE_DAYS, keep=keep)

    def open_files(self, manifest: Manifest, variant: str, folder: Path) -> Path:
        """Lay a variant's files into a folder, under the names that they know each other by.

        They may be the store's own, so nobody may write to them.

        Returns:
            The model's file.

        Raises:
            NotMeasuredError: one is missing, or is not what it was.
        """
        found = manifest.variants.get(variant)
        if found is None:
            names = ", ".join(manifest.variants) or "none"
            raise NotMeasuredError(f"the baseline of {manifest.name} has no variant {variant!r}; it has: {names}.")
        for file in found.files:
            try:
                self._lay(file, folder / file.name, manifest)
            except OSError as error:
                raise NotMeasuredError(
                    f"{folder / file.name} cannot be written: {error.strerror or error}.", "Make room."
                ) from error
        return folder / found.files[0].name

    def model_path(self, file: BaselineFile) -> Path:
        """Where a file of a variant lies in the store, if it is there."""
        return self.store.root / "models" / kept_name(file.sha256, file.name)

    def _save(self, manifest: Manifest, files: Mapping[str, Path]) -> Manifest:
        folder = self.store.folder(f"{BASELINES}/{key_of(manifest)}")
        with beside_others(self.store.root):
            for file in (file for variant in manifest.variants.values() for file in variant.files):
                self._keep(file, files.get(file.sha256, self.model_path(file)))
            write_text(folder / entry_name(manifest), manifest_text(manifest))
        return manifest

    def _keep(self, file: BaselineFile, path: Path) -> None:
        """Have a file of a manifest in the store, and fresh enough not to be pruned before the manifest is there."""
        if not path.is_file():
            raise NotMeasuredError(
                f"the baseline's file '{file.name}' is missing: {path} is not there.", "Optimize the model again."
            )
        _, digest = self.store.keep(path, name=file.name)
        if digest != file.sha256:
            raise NotMeasuredError(
                f"the baseline's file '{file.name}' is another one: {path} has SHA-256 {digest}, not {file.sha256}.",
                "Optimize the model again.",
            )

    def _lay(self, file: BaselineFile, target: Path, manifest: Manifest) -> None:
        source = self.model_path(file)
        if not os.path.lexists(source):
            missing = f"the baseline of {manifest.name} needs '{file.name}', and {source} is not there."
            raise self._set_aside(self._path(manifest), missing)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target, follow_symlinks=False)
        # Another filesystem, or one that cannot link.
        except OSError:
            with contextlib.suppress(OSError), open_plain(source) as content, target.open("xb") as stream:
                shutil.copyfileobj(content, stream)
        if plain_sha256(target) == file.sha256:
            return
        target.unlink(missing_ok=True)
        if plain_sha256(source) == file.sha256:
            raise OSError(f"the copy of {source} is not whole")
        # Without its model, a manifest is nothing to compare with.
        self._set_aside(self._path(manifest), "")
        raise self._set_aside(source, f"{source} is damaged: its content is not what was written.")

    def _read_matching(self, key: str, *patterns: str) -> list[Manifest]:
        """A test's baselines by their names; listed again where one got another name before it was read."""
        found: list[Manifest] = []
        for _ in range(LISTINGS):
            paths = [path for pattern in patterns for path in entry_paths(self._folder(key), pattern)]
            found = self._read_all(paths)
            if len(found) == len(paths):
                break
        return found

    def _read_all(self, paths: list[Path]) -> list[Manifest]:
        found = []
        for path in paths:
            try:
                found.append(_read(path))
            # Pruned, or replaced under another name, by another process.
            except FileNotFoundError:
                continue
            except NotMeasuredError as error:
                raise self._set_aside(path, error.message) from error
        return found

    def _set_aside(self, path: Path, reason: str) -> NotMeasuredError:
        """Move what is damaged out of the way; the error that tells of it."""
        if not self._is_ours:
            return NotMeasuredError(reason, "Export or save the baseline again.")
        place = self.store.folder("quarantine") / f"{path.parent.name}-{path.name}"
        with contextlib.suppress(OSError):
            path.replace(place)
            os.utime(place, follow_symlinks=False)
        return NotMeasuredError(f"{reason} What is left is in {place}.", AGAIN)

    def _used(self, manifest: Manifest | None) -> Manifest | None:
        if manifest is not None and self._is_ours:
            with contextlib.suppress(OSError):
                os.utime(self._path(manifest), follow_symlinks=False)
        return manifest

    def _folder(self, key: str) -> Path:
        return self.store.root / BASELINES / key

    def _path(self, manifest: Manifest) -> Path:
        return self._folder(key_of(manifest)) / entry_name(manifest)


def open_folder(path: Path) -> Baselines:
    """The baselines in a folder of the user's, a store or an unpacked bundle; nothing in it is moved.

    Raises:
        UsageError: it is neither.
    """
    if not is_plain_folder(path / BASELINES):
        raise UsageError(
            f"{path} is no folder of baselines: there is no folder '{BASELINES}' in it.",
            "Name a store or an unpacked bundle.",
        )
    return Baselines(Store(path), is_ours=False)


def key_of(manifest: Manifest) -> str:
    """The name of a manifest's folder."""
    return entry_key(manifest.test_id, manifest.name)


def entry_name(manifest: Manifest) -> str:
    """The file name of a manifest, the same in every version of this program."""
    commit = manifest.commit if manifest.commit and COMMIT.fullmatch(manifest.commit) else NO_COMMIT
    if manifest.accepted_at is not None:
        return f"{commit}{ACCEPTED}{_content(manifest)}.json"
    return f"{commit}-dirty-{_content(manifest)}.json" if manifest.is_dirty else f"{commit}.json"


def _content(manifest: Manifest) -> str:
    """Eight characters that tell apart what was asked and what came out; when it was does not matter."""
    files = {name: [file.sha256 for file in variant.files] for name, variant in manifest.variants.items()}
    parts = json.dumps([manifest.request, files, manifest.is_dirty], sort_keys=True)
    return hashlib.sha256(parts.encode()).hexdigest()[:8]


def _accepted_last(manifest: Manifest, folder: Path) -> Manifest:
    """The manifest; where it is an acceptance, later than all that are there.

    A clock that was set back would have the old baseline win over the one that was just accepted.
    """
    if manifest.accepted_at is None:
        return manifest
    told = instant(manifest.accepted_at)
    last = max(map(accepted_at, entry_paths(folder, f"*{ACCEPTED}*.json")), default=None)
    if last is not None and told <= last:
        with contextlib.suppress(OverflowError):
            told = last + timedelta(seconds=1)
    return manifest.model_copy(update={"accepted_at": told.isoformat(timespec="seconds")})


def _age(manifest: Manifest) -> tuple[datetime, datetime]:
    return instant(manifest.accepted_at), instant(manifest.saved_at)


def _entry(path: Path) -> Entry:
    try:
        return Entry(path, _read(path))
    except InferoptError as error:
        return Entry(path, None, error)
    except OSError as error:
        return Entry(path, None, NotMeasuredError(f"{path} cannot be read: {error.strerror or error}."))


def _read(path: Path) -> Manifest:
    """A manifest that is where it belongs.

    Raises:
        FileNotFoundError: it is gone.
        NotMeasuredError: it cannot be read, is damaged, or is another test's or commit's.
        UsageError: a newer version wrote it.
    """
    try:
        with open_plain(path) as stream:
            text = stream.read(MAX_MANIFEST_BYTES)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise NotMeasuredError(f"{path} cannot be read: {error.strerror or error}.") from error
    manifest = parse_manifest(text, where=str(path))
    if (path.parent.name, path.name) != (key_of(manifest), entry_name(manifest)):
        raise NotMeasuredError(f"{path} is not in its place: it is a baseline of {manifest.test_id or manifest.name}.")
    return manifest
