from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pytest_inferopt.engine.baseline import keeper

GIT = ("git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org")


def git(folder, *arguments):
    return subprocess.run(
        [*GIT, "-C", str(folder), *arguments], check=True, capture_output=True, encoding="utf-8"
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    git(home, "init", "--quiet")
    (home / "sub").mkdir()
    (home / "sub" / "words").write_text("old")
    git(home, "add", ".")
    git(home, "commit", "--quiet", "--message=old")
    (home / "sub" / "words").write_text("new")
    git(home, "commit", "--quiet", "--all", "--message=new")
    return home


@pytest.fixture
def order(tmp_path, repository):
    """`order(script, commit)`: to run a shell script in `sub` of a worktree of that commit."""

    def order(script, commit="HEAD^"):
        path = tmp_path / "scratch" / "order.json"
        path.parent.mkdir()
        document = {
            "repository": str(repository),
            "worktree": str(tmp_path / "scratch" / "tree" / "home"),
            "scratch": str(path.parent),
            "commit": commit,
            "command": ["/bin/sh", "-c", script],
            "folder": "sub",
            "environment": dict(os.environ),
        }
        path.write_text(json.dumps(document))
        return str(path)

    return order


@pytest.fixture
def started(order):
    """`started(script)`: a keeper with such an order, as a process."""

    def started(script):
        command = [sys.executable, "-I", "-S", keeper.__file__, order(script)]
        return subprocess.Popen(command, stdin=subprocess.PIPE)

    return started


@pytest.fixture
def callers_pipe():
    """A pipe as this process's standard input; its other end."""
    before = os.dup(0)
    read, write = os.pipe()
    os.dup2(read, 0)
    os.close(read)
    yield write
    os.dup2(before, 0)
    os.close(before)
    os.close(write)


def is_clean(repository, tmp_path):
    worktrees = git(repository, "worktree", "list", "--porcelain").count("worktree ")
    return (
        worktrees == 1
        and not (tmp_path / "scratch" / "tree" / "home").exists()
        and not git(repository, "status", "--porcelain")
    )


def wait_for(path):
    for _ in range(1200):
        if path.exists() and path.read_text().endswith("\n"):
            return path.read_text()
        time.sleep(0.05)
    pytest.fail(f"{path} never came")


def is_gone(pid):
    for _ in range(1200):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_a_command_sees_the_commits_files_and_the_worktree_is_gone_afterwards(
    order, callers_pipe, repository, tmp_path
):
    os.write(callers_pipe, b".")
    assert keeper.main(order(f"cat words > {tmp_path}/seen; pwd >> {tmp_path}/seen; exit 3")) == 3
    assert (tmp_path / "seen").read_text() == f"old{tmp_path}/scratch/tree/home/sub\n"
    assert is_clean(repository, tmp_path)


def test_a_commit_that_is_not_there_is_told_in_gits_own_words(order, repository, tmp_path, capsys):
    assert keeper.main(order("true", "0" * 40)) == keeper.NO_WORKTREE
    assert "0" * 40 in capsys.readouterr().err
    assert is_clean(repository, tmp_path)


@pytest.mark.usefixtures("callers_pipe")
def test_a_pipe_that_ends_ends_the_command(order, repository, tmp_path):
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    assert keeper.main(order("sleep 600")) == keeper.ENDED
    assert is_clean(repository, tmp_path)
    assert not (tmp_path / "scratch").exists()


@pytest.mark.parametrize("end", ["closes the pipe", "is killed"])
def test_when_the_caller_has_enough_or_is_killed_the_command_ends_and_the_worktree_goes(
    started, repository, tmp_path, end
):
    note = tmp_path / "pid"
    script = f"sleep 600 & echo $! > {note}; wait"
    if end == "closes the pipe":
        process = started(script)
        sleeper = int(wait_for(note))
        with process:
            process.stdin.close()
            assert process.wait(60) == keeper.ENDED
    else:
        pid = os.fork()
        if pid == 0:  # pragma: no cover - a caller of its own, that dies
            started(script)
            time.sleep(600)
            os._exit(0)
        sleeper = int(wait_for(note))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert is_gone(sleeper)
    for _ in range(1200):
        if is_clean(repository, tmp_path) and not (tmp_path / "scratch").exists():
            break
        time.sleep(0.05)
    assert is_clean(repository, tmp_path)
    assert not (tmp_path / "scratch").exists()


@pytest.mark.usefixtures("callers_pipe")
def test_a_worktree_that_git_cannot_remove_is_removed_all_the_same(order, repository, tmp_path):
    assert keeper.main(order(f"rm -rf {repository}/.git/worktrees")) == 0
    assert not (tmp_path / "scratch" / "tree" / "home").exists()
    assert is_clean(repository, tmp_path)


def test_it_is_a_script_of_the_standard_library_alone():
    assert "pytest_inferopt" not in Path(keeper.__file__).read_text().partition('"""')[2].partition('"""')[2]
