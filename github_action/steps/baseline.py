"""Third step: which commit the change is held against, and under which key the cache has that commit's models."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from pytest_inferopt.domain.comparison import SHORT_COMMIT
from pytest_inferopt.engine.git import first_parents, git_state, merge_base, resolve_commit, why_no_merge_base
from steps.event import read_event
from steps.plan import BASE, read_plan
from steps.workflow import say, set_outputs

if TYPE_CHECKING:
    from pathlib import Path

    from steps.event import Event
    from steps.plan import Plan

__all__ = ["FROM_CACHE", "Base", "find_base", "run"]

# Raised where what is cached changes its form, so that nothing older is read.
CACHE_VERSION = 1
RUNTIMES = ("onnxruntime", "onnxruntime-gpu")
FROM_CACHE = frozenset({"auto", "cache"})
DEEPER = "Fetch the history: fetch-depth: 0 of actions/checkout."


@dataclass(frozen=True)
class Base:
    """What a change is held against.

    Attributes:
        commit: the full hash; empty where there is none.
        how: how it was found, for the log.
        reason: why there is none, and `next_step` what to do.
    """

    commit: str = ""
    how: str = ""
    reason: str = ""
    next_step: str = ""


def run() -> int:
    """Find the base, and tell the steps around the key of its models, or of those that are about to be made."""
    plan, event = read_plan(), read_event(os.environ)
    if plan.activity == "save-baseline":
        head = git_state(plan.working_directory)
        base = Base(reason="this is the default branch, whose models are the baseline of others")
        set_outputs({"save-key": _key(plan, head.commit) if head else "", "restore-key": ""})
    else:
        base = find_base(plan.working_directory, event)
        is_cached = bool(base.commit) and plan.inputs.baseline in FROM_CACHE
        set_outputs({"save-key": "", "restore-key": _key(plan, base.commit) if is_cached else ""})
    say(f"base: {base.commit} ({base.how})" if base.commit else f"no base: {base.reason}. {base.next_step}".strip())
    plan.bundle.parent.mkdir(parents=True, exist_ok=True)
    (plan.bundle.parent / ".gitignore").write_text("*\n", encoding="utf-8")
    plan.write(BASE, asdict(base))
    return 0


def find_base(folder: Path, event: Event) -> Base:
    """The commit that a change is held against: what it will be merged onto, or has left.

    Args:
        folder: in the repository.
        event: a pull request is checked out as its merge, a group of a merge queue on what comes before it.
    """
    head = resolve_commit(folder, "HEAD")
    if event.queue_base and resolve_commit(folder, event.queue_base):
        return Base(event.queue_base, "what the merge queue puts the change on")
    if event.base_branch and head is not None and head == event.commit and resolve_commit(folder, "HEAD^2"):
        return Base(
            resolve_commit(folder, "HEAD^1") or "", f"what {event.base_branch} was when this was merged with it"
        )
    environ = {"GITHUB_BASE_REF": event.target}
    found = merge_base(folder, environ=environ)
    if found is None:
        reason, next_step = why_no_merge_base(folder, environ=environ)
        return Base(reason=reason, next_step=next_step)
    if found.commit != head:
        return Base(found.commit, f"the merge base with {found.default_branch}")
    # Beside itself a commit shows nothing.
    before = first_parents(folder, found.commit, most=1)
    if not before:
        return Base(reason=f"{found.commit[:SHORT_COMMIT]} is the first commit that is fetched", next_step=DEEPER)
    return Base(before[0], f"the commit before, since {found.default_branch} holds this one already")


def _key(plan: Plan, commit: str) -> str:
    """Where the cache has a commit's models: what would make them others is a part of it."""
    python = ".".join(map(str, sys.version_info[:2]))
    system = f"{sys.platform}-{platform.machine()}"
    return f"inferopt-v{CACHE_VERSION}-{system}-py{python}-{_runtime()}-{plan.leg}-{commit}"


def _runtime() -> str:
    """The runtimes that are installed, with their versions."""
    found = []
    for name in RUNTIMES:
        try:
            found.append(f"{name}{version(name)}")
        except PackageNotFoundError:
            continue
    return "+".join(found) or "no-runtime"
