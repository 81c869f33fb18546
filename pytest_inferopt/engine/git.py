"""Where the repository stands, as git itself tells it."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_inferopt.domain.report import GitState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "MergeBase",
    "blob_at",
    "first_parents",
    "git_state",
    "is_ancestor",
    "is_changed_since",
    "is_tracked",
    "merge_base",
    "resolve_commit",
    "top_level",
    "tree_at",
    "why_no_merge_base",
]

TIMEOUT_SECONDS = 10
COMMIT = re.compile(r"[0-9a-f]{40,64}")
FILE_MODES = frozenset({"100644", "100755"})
# A git that runs a hook says through these which repository it works on, which need not be the one that is asked about.
OF_A_HOOK = frozenset({
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_DIR", "GIT_INDEX_FILE", "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_WORK_TREE",
})  # fmt: skip


def git_state(folder: Path) -> GitState | None:
    """The commit, the branch and whether tracked files were changed; None outside of a repository or without git."""
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    if commit is None:
        return None
    return GitState(
        commit=commit,
        branch=_git(folder, "symbolic-ref", "--quiet", "--short", "HEAD"),
        is_dirty=bool(_git(folder, "status", "--porcelain", "--untracked-files=no")),
        committed_at=_git(folder, "show", "--no-patch", "--no-show-signature", "--format=%cI", "HEAD"),
    )


@dataclass(frozen=True)
class MergeBase:
    """The last commit that a branch has in common with the default branch, and what that is called here."""

    commit: str
    default_branch: str


def top_level(folder: Path) -> Path | None:
    """The root of the working copy that a folder lies in; None outside of one."""
    printed = _git_bytes(folder, "rev-parse", "--show-toplevel")
    return None if printed is None else Path(os.fsdecode(printed.removesuffix(b"\n")))


def resolve_commit(folder: Path, ref: str) -> str | None:
    """The full hash of the commit that a branch, a tag, a hash or ``HEAD~3`` names; None where it names none."""
    if not ref or ref.startswith("-") or "\0" in ref:
        return None
    return _git(folder, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")


def merge_base(folder: Path, ref: str = "HEAD", *, environ: Mapping[str, str] | None = None) -> MergeBase | None:
    """Where `ref` left the default branch; on the default branch itself, `ref`.

    Args:
        folder: in the repository.
        ref: any commit.
        environ: says in ``GITHUB_BASE_REF`` what a pull request is to be merged into; the process's own, if None.
    """
    found = _default_branch(folder, os.environ if environ is None else environ)
    if found is None:
        return None
    name, tip = found
    commit = resolve_commit(folder, ref)
    base = None if commit is None else _git(folder, "merge-base", commit, tip)
    return None if base is None else MergeBase(base, name)


def why_no_merge_base(folder: Path, *, environ: Mapping[str, str] | None = None) -> tuple[str, str]:
    """What is to be said where `merge_base` knows none: the reason, and what to do next."""
    if _git(folder, "rev-parse", "--git-dir") is None:
        return (
            "this is no git repository, or git is not installed",
            "With --inferopt-update-baseline, what is measured becomes one.",
        )
    if _git(folder, "rev-parse", "--is-shallow-repository") == "true":
        return "the clone is shallow", "Fetch its history: fetch-depth: 0, or git fetch --unshallow."
    if resolve_commit(folder, "HEAD") is None:
        return "the repository has no commit yet", "Commit, and run again."
    found = _default_branch(folder, os.environ if environ is None else environ)
    if found is None:
        return "the default branch is not known", "Tell git: git remote set-head origin --auto."
    return f"HEAD and {found[0]} have no commit in common", "Name a commit: --inferopt-baseline=GITREF."


def first_parents(folder: Path, commit: str, *, most: int) -> list[str]:
    """The commits before one, along first parents, the nearest first; none where git does not know it."""
    printed = _git(folder, "rev-list", "--first-parent", "--skip=1", f"--max-count={most}", commit)
    return (printed or "").split()


def is_ancestor(folder: Path, commit: str, of: str) -> bool:
    """Whether a commit is another one, or came before it; False too where git does not know them."""
    is_known = COMMIT.fullmatch(commit) and COMMIT.fullmatch(of)
    return bool(is_known) and _git_bytes(folder, "merge-base", "--is-ancestor", commit, of) is not None


def is_tracked(folder: Path, path: Path) -> bool:
    """Whether git tracks a file, or any file of a folder."""
    place = _place(folder, path)
    return place is not None and bool(_git_bytes(place[0], "ls-files", "-z", "--", f":(literal){place[1]}"))


def is_changed_since(folder: Path, commit: str, path: Path) -> bool | None:
    """Whether a file or folder is another one here than in a commit; None where git cannot say.

    What neither git nor the commit knows is not changed.
    """
    place = _place(folder, path)
    if place is None or not COMMIT.fullmatch(commit):
        return None
    root, inside = place[0], f":(literal){place[1]}"
    # Told by what is printed and not by the exit status, which a setting of the user's may change.
    changed = _git_bytes(root, "diff", "--name-only", "--no-ext-diff", "--no-renames", commit, "--", inside)
    # A file that git does not track, among those of the commit, is a change too.
    others = _git_bytes(root, "ls-files", "--others", "-z", "--", inside)
    if changed is None or others is None:
        return None
    return bool(changed) or (bool(others) and any(_listed(folder, commit, path)))


def blob_at(folder: Path, commit: str, path: Path) -> bytes | None:
    """A file's content in a commit; None where it was none."""
    for mode, object_id, name in _listed(folder, commit, path):
        if not name and mode in FILE_MODES:
            return _git_bytes(folder, "cat-file", "blob", object_id)
    return None


def tree_at(folder: Path, commit: str, path: Path, into: Path) -> bool:
    """Lay a folder's files, as they were in a commit, into an empty folder; says whether there were any.

    Links and submodules are left out.
    """
    is_any = False
    for mode, object_id, name in _listed(folder, commit, path):
        is_file_below = bool(name) and mode in FILE_MODES and ".." not in Path(name).parts
        content = _git_bytes(folder, "cat-file", "blob", object_id) if is_file_below else None
        if content is not None:
            target = into / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            is_any = True
    return is_any


def _listed(folder: Path, commit: str, path: Path) -> Iterator[tuple[str, str, str]]:
    """Mode, object and name below `path` of each file there in a commit; the name of `path` itself is empty."""
    place = _place(folder, path)
    if place is None or not COMMIT.fullmatch(commit):
        return
    root, inside = place
    listing = _git_bytes(root, "ls-tree", "-r", "-z", "--full-tree", commit, "--", inside)
    for line in (listing or b"").split(b"\0")[:-1]:
        about, _, name = line.partition(b"\t")
        mode, _, object_id = about.decode().split()
        yield mode, object_id, os.fsdecode(name)[len(inside) :].lstrip("/")


def _default_branch(folder: Path, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """The default branch's name here and its last commit."""
    target = environ.get("GITHUB_BASE_REF", "")
    names = [f"origin/{target}", target] if target else []
    for name in (*names, "origin/HEAD", "origin/main", "origin/master", "main", "master"):
        kind = "remotes" if name.startswith("origin/") else "heads"
        if (tip := resolve_commit(folder, f"refs/{kind}/{name}")) is not None:
            return name, tip
    return None


def _place(folder: Path, path: Path) -> tuple[Path, str] | None:
    """The root of the repository that a folder lies in, and a path below it; None where it is not below."""
    root = top_level(folder)
    if root is None:
        return None
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - see below
    # The path's own name is not resolved: what git knows is a link, not where it leads.
    place = absolute.parent.resolve() / absolute.name
    return (root, place.relative_to(root).as_posix()) if place.is_relative_to(root) and place != root else None


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints, as text; None if that is none, and where `_git_bytes` is None."""
    printed = _git_bytes(folder, *arguments)
    try:
        return None if printed is None else printed.decode().strip()
    except UnicodeDecodeError:
        return None


def _git_bytes(folder: Path, *arguments: str) -> bytes | None:
    """What git prints; None if it fails, is not there, or does not answer."""
    # Without optional locks, looking does not disturb a git that the user runs beside it.
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    environment = {name: value for name, value in os.environ.items() if name not in OF_A_HOOK}
    try:
        ran = subprocess.run(command, env=environment, capture_output=True, timeout=TIMEOUT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ran.stdout if ran.returncode == 0 else None
