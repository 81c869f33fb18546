"""The latest results of a store, and how they become baselines afterwards, without being measured again.

A result does not say at which commit it was measured. What is newer than HEAD's commit and than HEAD's last move, in a
working copy without changed files, was measured there; of everything else nobody knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pytest_inferopt.domain.comparison import SHORT_COMMIT
from pytest_inferopt.domain.report import parse_result
from pytest_inferopt.domain.text import printable
from pytest_inferopt.engine.baseline.accepting import accept, record, why_no_baseline
from pytest_inferopt.engine.git import git_state, top_level
from pytest_inferopt.engine.store.files import is_plain_folder, open_plain
from pytest_inferopt.engine.store.folder import result_key
from pytest_inferopt.engine.store.pruning import instant
from pytest_inferopt.errors import InferoptError, NotMeasuredError, UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytest_inferopt.domain.baseline import Manifest
    from pytest_inferopt.domain.report import GitState
    from pytest_inferopt.domain.result import RunResult
    from pytest_inferopt.engine.store.folder import Store

__all__ = ["Latest", "accept_latest", "latest_results", "save_latest"]

MAX_RESULT_BYTES = 100_000_000
RUN = "pytest --inferopt"
GIT_DIR = "gitdir: "


@dataclass(frozen=True)
class Latest:
    """The last result of a test's call: the result, or the problem that there is with its document.

    Attributes:
        path: the document.
        written_at: when it was written.
    """

    path: Path
    written_at: datetime
    result: RunResult | None
    problem: InferoptError | None = None


def latest_results(store: Store) -> list[Latest]:
    """The last results of all tests, by test and name."""
    folder = store.root / "results"
    paths = sorted(folder.glob("*.json")) if is_plain_folder(folder) else []
    found = [_latest(path) for path in paths]
    return sorted(found, key=lambda one: ("", "") if one.result is None else (one.result.test_id, one.result.name))


def save_latest(store: Store, folder: Path) -> list[Manifest]:
    """Make the latest results the baselines of HEAD's commit; all of them, or none where anything is wrong.

    Args:
        store: where they are.
        folder: in the repository.

    Raises:
        UsageError: there are none, or they were not measured at HEAD.
        NotMeasuredError: one is damaged or red, or the store cannot be written.
    """
    git = git_state(folder)
    if git is None:
        raise UsageError(
            f"{folder} is no git repository with a commit, so there is nothing to save a baseline of.",
            "Accept the results instead: pytest-inferopt baseline accept.",
        )
    if git.is_dirty:
        raise UsageError(
            f"tracked files differ from the commit {git.commit[:SHORT_COMMIT]}, so what was measured is not its model.",
            f"Commit and run {RUN}, or accept what was measured: pytest-inferopt baseline accept.",
        )
    chosen = _chosen(latest_results(store), ())
    for latest, result in chosen:
        if not _is_of_head(latest, git, folder):
            raise UsageError(
                f"{_title(result)} was measured before {git.commit[:SHORT_COMMIT]} was checked out here.",
                f"Run {RUN}, which saves it on the way; or accept it: pytest-inferopt baseline accept.",
            )
    saved = [record(result, store, git) for _, result in chosen]
    return [manifest for manifest in saved if manifest is not None]


def accept_latest(store: Store, folder: Path, tests: Sequence[str] = ()) -> list[Manifest]:
    """Make the latest results the accepted baselines; all that are asked for, or none where anything is wrong.

    What was not surely measured at HEAD is accepted as one with changed files, so that it is never taken for the model
    of that commit.

    Args:
        store: where they are.
        folder: in the repository, if there is one.
        tests: test ids or names of models; all, if empty.

    Raises:
        UsageError: there are none, or none of such a test.
        NotMeasuredError: one is damaged or red, or the store cannot be written.
    """
    git = git_state(folder)
    accepted = []
    for latest, result in _chosen(latest_results(store), tests):
        is_known = git is not None and not git.is_dirty and _is_of_head(latest, git, folder)
        state = git if git is None or is_known else git.model_copy(update={"is_dirty": True})
        accepted.append(accept(result, store, state))
    return accepted


def _latest(path: Path) -> Latest:
    written_at = datetime.min.replace(tzinfo=UTC)
    try:
        written_at = datetime.fromtimestamp(path.lstat().st_mtime, UTC)
        with open_plain(path) as stream:
            result = parse_result(stream.read(MAX_RESULT_BYTES), where=str(path))
        if result_key(result) != path.stem:
            raise NotMeasuredError(f"{path} is not in its place: it is a result of {_title(result)}.")
    except InferoptError as error:
        return Latest(path, written_at, None, error)
    except OSError as error:
        return Latest(path, written_at, None, NotMeasuredError(f"{path} cannot be read: {error.strerror or error}."))
    return Latest(path, written_at, result)


def _chosen(found: Sequence[Latest], tests: Sequence[str]) -> list[tuple[Latest, RunResult]]:
    """The results that are asked for, each of them fit to be a baseline."""
    if not found:
        raise UsageError("the store holds no results.", f"Run {RUN}, or name another store: --store PATH.")
    known = {name for one in found if one.result for name in (one.result.test_id, one.result.name) if name}
    unknown = next((test for test in tests if test not in known), None)
    # A damaged document may be anybody's: where all are asked for it is one of them.
    problem = next((one.problem for one in found if one.problem), None)
    if problem is not None and (not tests or unknown is not None):
        raise problem
    if unknown is not None:
        raise UsageError(f"the store holds no result of {printable(unknown)};", did_you_mean(unknown, known))
    chosen = [
        (one, one.result)
        for one in found
        if one.result is not None and (not tests or {one.result.test_id, one.result.name} & set(tests))
    ]
    for _, result in chosen:
        if reason := why_no_baseline(result) or _why_unmeasured(result):
            raise NotMeasuredError(
                f"{_title(result)} is not fit to be a baseline: {reason}; nothing was changed.",
                f"Mend it and run {RUN}; the old baseline stays.",
            )
    return chosen


def _why_unmeasured(result: RunResult) -> str:
    return "" if any(variant.latency for variant in result.variants.values()) else "nothing of it was timed"


def _is_of_head(latest: Latest, git: GitState, folder: Path) -> bool:
    """Whether a document is newer than HEAD's commit and than its last move."""
    moved_at = _head_moved_at(folder)
    is_newer_than_move = moved_at is None or latest.written_at >= moved_at
    return is_newer_than_move and latest.written_at >= instant(git.committed_at)


def _head_moved_at(folder: Path) -> datetime | None:
    """When HEAD last came to be another commit here, to git's own journal; None where it keeps none."""
    top = top_level(folder) or folder
    place = top / ".git"
    try:
        # In a worktree this is a file that names the folder.
        if place.is_file():
            place = top / place.read_text(encoding="utf-8").removeprefix(GIT_DIR).strip()
        return datetime.fromtimestamp((place / "logs" / "HEAD").stat().st_mtime, UTC)
    except (OSError, UnicodeDecodeError):
        return None


def _title(result: RunResult) -> str:
    return printable(result.test_id or result.name)
