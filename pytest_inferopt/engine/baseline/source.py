"""Which baseline a test is compared with, as ``--inferopt-baseline`` says: resolved once, and asked for each test."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pytest_inferopt.domain.comparison import SHORT_COMMIT, BaselineIdentity
from pytest_inferopt.domain.text import printable
from pytest_inferopt.engine.baseline.bundle import open_bundle
from pytest_inferopt.engine.baseline.manifests import Baselines, open_folder
from pytest_inferopt.engine.git import (
    MergeBase,
    blob_at,
    first_parents,
    git_state,
    is_ancestor,
    is_changed_since,
    is_tracked,
    merge_base,
    resolve_commit,
    tree_at,
    why_no_merge_base,
)
from pytest_inferopt.engine.store.folder import entry_key
from pytest_inferopt.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_inferopt.domain.baseline import Manifest
    from pytest_inferopt.engine.store.folder import Store

__all__ = ["Absent", "BaselineSource", "Found"]

WORDS = ("auto", "none")
MOST_PARENTS = 100
SHOWN = 200
ACCEPT = "With --inferopt-update-baseline, what is measured becomes the baseline."
Kind = Literal["auto", "none", "folder", "bundle", "ref"]


@dataclass(frozen=True)
class Found:
    """A baseline: its manifest, what a report says of it, and where its files are opened."""

    manifest: Manifest
    identity: BaselineIdentity
    baselines: Baselines


@dataclass(frozen=True)
class Absent:
    """No baseline: why there is none, and what to do about it."""

    reason: str
    next_step: str = ""


class BaselineSource:
    """Where the baselines of a session come from.

    Args:
        text: ``auto``, ``none``, the path of a folder or a bundle, or what git takes for a commit.
        store: this project's own baselines.
        root: a folder in the repository.
        base: what a relative path counts from; `root`, if None.
        rebuild: makes the baseline of a test at a commit, which the store does not have, and saves it there. Takes
            commit, test id and name.
        environ: the environment; the process's own, if None.

    Raises:
        UsageError: the text is neither a path nor a commit.
    """

    def __init__(
        self,
        text: str,
        *,
        store: Store,
        root: Path,
        base: Path | None = None,
        rebuild: Callable[[str, str, str], Manifest | Absent] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._text = text
        self._own = Baselines(store)
        self._root = root
        self._rebuild = rebuild
        self._environ = environ
        self._path = _path_of(text, root if base is None else base)
        self._commit = "" if text in WORDS else resolve_commit(root, text) or ""
        self._notes: tuple[str, ...] = ()
        self._folder: Path | None = None
        self.kind = self._kind()

    def find(self, test_id: str, name: str) -> Found | Absent:
        """The baseline of a test's call.

        Raises:
            NotMeasuredError: it is there and damaged, or its bundle is.
            RefusedError: its bundle holds what none does.
            UsageError: a newer version wrote it.
        """
        key = entry_key(test_id, name)
        if self.kind == "none":
            return Absent("none was asked for (--inferopt-baseline=none).")
        if self.kind == "auto":
            return self._found_automatically(key)
        if self.kind == "ref":
            return self._found_at_commit(key, test_id, name)
        return self._found_in_path(key)

    def close(self) -> None:
        """Remove what was unpacked."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    @cached_property
    def merge_base(self) -> MergeBase | None:
        """Where this branch left the default branch."""
        return merge_base(self._root, environ=self._environ)

    def _kind(self) -> Kind:
        if self._text == "auto":
            return "auto"
        if self._text == "none":
            return "none"
        # What is too long for a path does not exist either; pathlib raises there.
        if os.path.exists(self._path):  # noqa: PTH110 - see above
            if self._commit:
                short = self._commit[:SHORT_COMMIT]
                self._notes = (f"{self._shown} names a commit too; the path was taken. The commit is {short}.",)
            if not self._path.is_dir():
                return "bundle"
            try:
                open_folder(self._path)
            except UsageError as error:
                raise UsageError(error.message, " ".join([error.hint, *self._notes])) from None
            return "folder"
        if self._commit:
            return "ref"
        raise UsageError(
            f"--inferopt-baseline={self._shown}: there is no such folder or bundle "
            f"({printable(str(self._path), SHOWN)}), and git knows no such commit.",
            _suggestion(self._text),
        )

    def _found_automatically(self, key: str) -> Found | Absent:
        if self.merge_base is None:
            reason, next_step = why_no_merge_base(self._root, environ=self._environ)
            reason = f"there is no merge base: {reason}"
        else:
            commit, branch = self.merge_base.commit, self.merge_base.default_branch
            if (manifest := self._own.newest_accepted(key, is_meant=self._is_accepted_here)) is not None:
                note = (
                    f"It was accepted on this branch, so it takes the place of the merge base {commit[:SHORT_COMMIT]}."
                )
                return _found(manifest, "accepted", self._own, (note,))
            if (found := self._found_before(key, commit)) is not None:
                return found
            if (manifest := self._own.at(key, commit)) is not None:
                return _found(manifest, "merge base", self._own)
            reason = f"nothing is saved of the merge base {commit[:SHORT_COMMIT]} with {branch}"
            next_step = f"{self._how_to_come_to(commit)} {ACCEPT}"
        if (manifest := self._own.newest_accepted(key)) is not None:
            return _found(manifest, "accepted", self._own, (f"{reason[0].upper()}{reason[1:]}.",))
        return Absent(f"{reason}, and none was accepted.", next_step)

    def _how_to_come_to(self, commit: str) -> str:
        """What to do where nothing is saved of the merge base; the default branch may have gone on since."""
        head = git_state(self._root)
        # Beside itself a commit shows nothing.
        if head is not None and head.commit == commit and not head.is_dirty:
            return "Compare with the commit before: --inferopt-baseline=HEAD~1."
        return f"Run there once, or rebuild it: --inferopt-baseline={commit[:SHORT_COMMIT]}."

    def _found_before(self, key: str, commit: str) -> Found | None:
        """On a clean commit of the default branch, the nearest baseline before it, unless its own was accepted.

        Its own models beside themselves would hide whatever it has made slower.
        """
        head = git_state(self._root)
        if head is None or head.is_dirty or head.commit != commit:
            return None
        own = self._own.at(key, commit)
        if own is not None and own.accepted_at is not None:
            return None
        earlier = (self._own.at(key, parent) for parent in first_parents(self._root, commit, most=MOST_PARENTS))
        manifest = next((found for found in earlier if found is not None), None)
        return None if manifest is None else _found(manifest, "earlier commit", self._own)

    def _is_accepted_here(self, manifest: Manifest) -> bool:
        """Whether a baseline was accepted on this branch, after it left the default branch.

        What was accepted there is what the branch is to be like; beside the merge base it would be red for ever.
        """
        head = git_state(self._root)
        if head is None or self.merge_base is None or manifest.commit is None:
            return False
        base, commit = self.merge_base.commit, manifest.commit
        is_since = manifest.is_dirty if commit == base else is_ancestor(self._root, base, commit)
        # An amended commit is no ancestor of what took its place.
        is_named = manifest.branch is not None and manifest.branch == head.branch
        return is_since and (is_named or (commit != base and is_ancestor(self._root, commit, head.commit)))

    def _found_at_commit(self, key: str, test_id: str, name: str) -> Found | Absent:
        if (manifest := self._own.at(key, self._commit)) is not None:
            return _found(manifest, "recorded", self._own)
        if self._rebuild is None:
            return Absent(f"nothing is saved of {self._shown} ({self._commit[:SHORT_COMMIT]}).", ACCEPT)
        rebuilt = self._rebuild(self._commit, test_id, name)
        return rebuilt if isinstance(rebuilt, Absent) else _found(rebuilt, "rebuilt", self._own)

    def _found_in_path(self, key: str) -> Found | Absent:
        baselines, notes = self._opened
        manifest = None if self.merge_base is None else baselines.at(key, self.merge_base.commit)
        manifest = manifest or baselines.newest_accepted(key) or baselines.newest(key)
        if manifest is not None:
            return _found(manifest, self.kind, baselines, notes)
        others = len(baselines.all())
        holds = f"it holds {others} of others" if others else "it holds none at all"
        return Absent(f"{self._path} holds no baseline of this test; {holds}.", ACCEPT)

    @cached_property
    def _opened(self) -> tuple[Baselines, tuple[str, ...]]:
        """The baselines at the path, and what a reader must know of them.

        A baseline that comes with the change which it judges is none: where the repository holds it, the merge base's
        copy is taken.
        """
        path, note = self._as_merged()
        notes = (*self._notes, *note)
        if self.kind == "folder":
            return open_folder(path), notes
        return open_bundle(path, self._unpacked("bundle")), notes

    def _as_merged(self) -> tuple[Path, tuple[str, ...]]:
        """The path to read instead of the one that was named, and a note where it is another."""
        base = self.merge_base
        # A link, and what it leads to: either may have been edited.
        places = list(dict.fromkeys((self._path, self._path.resolve())))
        changed = [None if base is None else is_changed_since(self._root, base.commit, place) for place in places]
        if base is None or not any(changed):
            if None not in changed or not any(is_tracked(self._root, place) for place in places):
                return self._path, ()
            reason, _ = why_no_merge_base(self._root, environ=self._environ)
            return self._path, (f"Whether {self._shown} was edited in this change is not known: {reason}.",)
        short = base.commit[:SHORT_COMMIT]
        copy = self._unpacked("merged") / "copy"
        if any(self._is_copied(base.commit, place, copy) for place in places):
            return copy, (f"{self._shown} was edited in this change; the copy of the merge base {short} was used.",)
        return self._path, (f"{self._shown} was added in this very change: the merge base {short} has none.",)

    def _is_copied(self, commit: str, place: Path, copy: Path) -> bool:
        """Whether there was such a folder or file in a commit; it lies at `copy` then."""
        if self.kind == "folder":
            return tree_at(self._root, commit, place, copy)
        content = blob_at(self._root, commit, place)
        if content is not None:
            copy.write_bytes(content)
        return content is not None

    @property
    def _shown(self) -> str:
        return printable(self._text, SHOWN)

    def _unpacked(self, name: str) -> Path:
        """An empty folder that lasts as long as this."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(dir=self._own.store.folder("work")))
        folder = self._folder / name
        folder.mkdir()
        return folder


def _found(manifest: Manifest, source: str, baselines: Baselines, notes: tuple[str, ...] = ()) -> Found:
    identity = BaselineIdentity(
        source=source,
        commit=manifest.commit,
        branch=manifest.branch,
        saved_at=manifest.accepted_at if source == "accepted" else manifest.saved_at,
        is_dirty=manifest.is_dirty,
        environment=manifest.environment,
        notes=notes,
    )
    return Found(manifest, identity, baselines)


def _path_of(text: str, base: Path) -> Path:
    try:
        return base / Path(text).expanduser()
    # A home folder that nobody has.
    except RuntimeError:
        return base / text


def _suggestion(text: str) -> str:
    close = did_you_mean(text, WORDS)
    ways = "Name a store, an unpacked bundle or a bundle file, or a branch, a tag or a commit that is fetched."
    return f"{close} {ways}" if close.startswith("did you mean") else ways
