"""Runs a command in a temporary worktree and removes the worktree, however the command and its caller end.

A script of the standard library alone: ``python -I -S keeper.py ORDER``, ORDER being the path of a JSON document with
`repository`, `worktree` (a folder that is not there yet), `commit`, `command`, `folder` (relative to the worktree),
`environment` and `scratch` (a folder around all of that).

Its standard input is a pipe of the caller's: when that ends, because the caller has had enough or was killed, the
command and its process group are ended, and nobody is left to remove the scratch folder but this process. It leaves
with the command's exit status, or with `NO_WORKTREE` after writing git's own words to standard error.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

__all__ = ["NO_WORKTREE", "main"]

NO_WORKTREE = 90
ENDED = 91
POLL_SECONDS = 0.05


def main(order_path: str) -> int:
    """Do what the order says."""
    order = json.loads(Path(order_path).read_text(encoding="utf-8"))
    try:
        added = _git(order, "worktree", "add", "--force", "--detach", order["worktree"], order["commit"])
        if added.returncode != 0:
            sys.stderr.write(added.stderr.decode(errors="replace"))
            return NO_WORKTREE
        return _run(order)
    finally:
        _clean_up(order)


def _run(order: dict[str, Any]) -> int:
    child = subprocess.Popen(
        order["command"],
        cwd=Path(order["worktree"]) / order["folder"],
        env=order["environment"],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        while child.poll() is None:
            ready, _, _ = select.select([0], [], [], POLL_SECONDS)
            if ready and not os.read(0, 1):
                order["is_left_alone"] = True
                return ENDED
        return child.returncode
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _clean_up(order: dict[str, Any]) -> None:
    removed = _git(order, "worktree", "remove", "--force", "--force", order["worktree"])
    if removed.returncode != 0:
        shutil.rmtree(order["worktree"], ignore_errors=True)
        _git(order, "worktree", "prune")
    if order.get("is_left_alone"):
        shutil.rmtree(order["scratch"], ignore_errors=True)


def _git(order: dict[str, Any], *arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = ["git", "-C", order["repository"], *arguments]
    return subprocess.run(command, env=order["environment"], stdin=subprocess.DEVNULL, capture_output=True, check=False)


if __name__ == "__main__":
    # The caller's Ctrl-C is the caller's; it ends this process by closing the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(main(sys.argv[1]))
