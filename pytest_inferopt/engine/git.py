"""Where the repository stands, as git itself tells it."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from pytest_inferopt.domain.report import GitState

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["git_state"]

TIMEOUT_SECONDS = 10
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


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints; None if it fails, is not there, or does not answer."""
    # Without optional locks, looking does not disturb a git that the user runs beside it.
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    environment = {name: value for name, value in os.environ.items() if name not in OF_A_HOOK}
    try:
        ran = subprocess.run(
            command, env=environment, capture_output=True, encoding="utf-8", timeout=TIMEOUT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    return ran.stdout.strip() if ran.returncode == 0 else None
