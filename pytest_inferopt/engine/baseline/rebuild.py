"""Makes a test's model files anew as they were at another commit, in a temporary worktree of it.

The test runs in a pytest of its own, with the worktree's import roots first on the path; if any module came from the
caller's working copy all the same, nothing is taken from it, because head would answer for base then.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_inferopt.domain.comparison import SHORT_COMMIT
from pytest_inferopt.domain.text import printable
from pytest_inferopt.engine.baseline import keeper
from pytest_inferopt.engine.baseline.manifests import Baselines
from pytest_inferopt.engine.baseline.source import Absent
from pytest_inferopt.engine.git import OF_A_HOOK
from pytest_inferopt.engine.store.folder import Store, entry_key
from pytest_inferopt.engine.workshop.provenance import import_roots

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_inferopt.domain.baseline import Manifest

__all__ = ["RebuildPlan", "rebuild"]

CHILD = "pytest_inferopt.plugin.rebuilding"
STORE = "store"
NEXT_STEP = (
    "Accept what is measured as the baseline (--inferopt-update-baseline), or run the tests at that commit once."
)
LAST_WORDS = 300
GRACE_SECONDS = 60
PACKAGE = str(Path(keeper.__file__).parents[3])
SET_BY_PYTEST = ("PYTEST_CURRENT_TEST", "PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID")


@dataclass(frozen=True)
class RebuildPlan:
    """How tests are run, whatever the commit.

    Attributes:
        home: the root of the repository's working copy.
        rootdir: pytest's, inside of it.
        inifile: pytest's configuration file, if there is one.
        options: what the command line set of a request, to be set again.
        seconds: what one test may take.
        on_progress: told that it takes a while.
    """

    home: Path
    rootdir: Path
    inifile: Path | None
    options: Sequence[str]
    seconds: float
    on_progress: Callable[[str], None] = lambda _: None


def rebuild(plan: RebuildPlan, store: Store, commit: str, test_id: str, name: str) -> Manifest | Absent:
    """Run a test as it was at a commit, and save what it made as that commit's baseline.

    Args:
        plan: how.
        store: where the baseline is saved.
        commit: the full hash.
        test_id: pytest's name of the test.
        name: what the test calls its model.

    Returns:
        The baseline; why there is none, where the test is not there, fails, or has nothing of this name.
    """
    short = commit[:SHORT_COMMIT]
    plan.on_progress(f"making {test_id} as it was at {short}, in a worktree")
    with tempfile.TemporaryDirectory(prefix="inferopt-base-", ignore_cleanup_errors=True) as folder:
        reason, is_pure = _made(plan, commit, test_id, Path(folder))
        made = Baselines(Store(Path(folder) / STORE))
        manifest = made.at(entry_key(test_id, name), commit) if is_pure else None
        if manifest is None:
            told = reason or f"the test makes nothing that is called {name!r} there"
            return Absent(f"{short} could not be made again: {told}.", NEXT_STEP)
        files = (file for variant in manifest.variants.values() for file in variant.files)
        return Baselines(store).save(manifest, {file.sha256: made.model_path(file) for file in files})


def _made(plan: RebuildPlan, commit: str, test_id: str, folder: Path) -> tuple[str, bool]:
    """Run the test; why something could not be made, and whether all code was the commit's own."""
    order = _order(plan, commit, test_id, folder)
    path = folder / "order.json"
    path.write_text(json.dumps(order), encoding="utf-8")
    ended = _run(path, folder / "output", plan.seconds + GRACE_SECONDS)
    return (ended, True) if ended else _told(Path(order["outcome"]), folder / "output", commit)


def _order(plan: RebuildPlan, commit: str, test_id: str, folder: Path) -> dict[str, Any]:
    """What the keeper and the pytest that it starts are told."""
    # Named as the working copy, whose name a package or a test's path may depend on.
    worktree = folder / "worktree" / plan.home.name
    rootdir = worktree / plan.rootdir.relative_to(plan.home)
    arguments = [test_id, "--inferopt", *plan.options, "--inferopt-baseline=none", f"--inferopt-store={folder / STORE}"]
    arguments += ["--inferopt-report=terminal", f"--rootdir={rootdir}", "-q"]
    if plan.inifile is not None and plan.inifile.is_relative_to(plan.home):
        arguments += ["-c", str(worktree / plan.inifile.relative_to(plan.home))]
    moved = _moved_python_path(plan.home, worktree)
    return {
        "repository": str(plan.home),
        "worktree": str(worktree),
        "scratch": str(folder),
        "commit": commit,
        "folder": str(plan.rootdir.relative_to(plan.home)),
        "command": [sys.executable, "-P", "-m", CHILD, str(folder / "order.json")],
        "environment": {
            **_environment(),
            "PYTHONPATH": os.pathsep.join([PACKAGE, *filter(None, [moved])]),
            # Where the session measures coverage, the test would erase what others have measured, or count as theirs.
            "COVERAGE_FILE": str(folder / "coverage"),
        },
        "pythonpath": moved,
        "home": str(plan.home),
        "import_roots": [str(worktree / root) for root in import_roots(plan.home, sys.path)],
        "arguments": arguments,
        "outcome": str(folder / "outcome.json"),
    }


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in OF_A_HOOK and name not in SET_BY_PYTEST}


def _moved_python_path(home: Path, worktree: Path) -> str:
    """PYTHONPATH; what leads into the working copy leads into the worktree instead."""
    moved = []
    for text in filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)):
        path = Path(text).resolve()
        moved.append(str(worktree / path.relative_to(home)) if path.is_relative_to(home) else text)
    return os.pathsep.join(moved)


def _run(order: Path, output: Path, seconds: float) -> str:
    """Have the keeper do it; why it did not, or an empty text."""
    command = [sys.executable, "-I", "-S", keeper.__file__, str(order)]
    with (
        output.open("wb") as stream,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=stream, stderr=stream, start_new_session=True
        ) as process,
    ):
        assert process.stdin is not None  # noqa: S101 - it is a pipe
        try:
            status = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return f"it was not done within {seconds:.0f} s"
        finally:
            # The end of the pipe is what ends the test and removes the worktree, if anything is left of them.
            process.stdin.close()
            process.wait()
    if status == keeper.NO_WORKTREE:
        return f"git gave no worktree: {_last_words(output)}"
    return ""


def _told(outcome: Path, output: Path, commit: str) -> tuple[str, bool]:
    """What the child says of itself."""
    try:
        found: dict[str, Any] = json.loads(outcome.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return f"its pytest died: {_last_words(output)}", True
    if found["leaked"]:
        code = f"the code of the working copy was imported instead of {commit[:SHORT_COMMIT]}'s"
        return f"{code}: {', '.join(found['leaked'])} (an editable install that cannot be redirected does that)", False
    is_mute = found["status"] and not found["reason"]
    return _last_words(output) if is_mute else str(found["reason"]).removesuffix("."), True


def _last_words(output: Path) -> str:
    text = output.read_text(encoding="utf-8", errors="replace")
    return printable(" ".join(text.split())[-LAST_WORDS:], LAST_WORDS)
