from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from pytest_inferopt.domain.report import GitState
from pytest_inferopt.engine import git as git_module
from pytest_inferopt.engine.git import git_state

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

COMMITTED_AT = "2030-01-02T03:04:05+01:00"
ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_AUTHOR_DATE": COMMITTED_AT,
    "GIT_COMMITTER_NAME": "C",
    "GIT_COMMITTER_EMAIL": "c@example.org",
    "GIT_COMMITTER_DATE": COMMITTED_AT,
}
HOOK = """#!{python}
import sys
sys.path[:] = {path!r}
from pathlib import Path
from pytest_inferopt.engine.git import git_state
Path({seen!r}).write_text(git_state(Path({asked!r})).model_dump_json())
"""


@pytest.fixture(autouse=True)
def _clean_machine(monkeypatch, tmp_path):
    """No setting of the user's, no hook that these tests may run in, no repository around the temporary folder."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))


class Repository:
    """A folder under git."""

    def __init__(self, folder):
        self.folder = folder
        self.folder.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments):
        command = [shutil.which("git"), "-C", str(self.folder), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, content="first"):
        (self.folder / "file").write_text(content)
        self.git("add", "file")
        self.git("commit", "--quiet", "--message", content)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path / "repository")


def state(commit, **changes):
    return GitState(commit=commit, **{"branch": "main", "committed_at": COMMITTED_AT, **changes})


def test_a_clean_repository_has_a_commit_a_branch_and_a_time(repository):
    commit = repository.commit()
    assert git_state(repository.folder) == state(commit)
    assert len(commit) == 40


def test_a_folder_inside_of_a_repository_stands_where_the_repository_does(repository):
    commit = repository.commit()
    (repository.folder / "a" / "b").mkdir(parents=True)
    assert git_state(repository.folder / "a" / "b") == state(commit)


def test_a_detached_head_has_no_branch(repository):
    first = repository.commit()
    repository.commit("second")
    repository.git("checkout", "--quiet", "--detach", first)
    assert git_state(repository.folder) == state(first, branch=None)


@pytest.mark.parametrize("branch", ["feature/größe", "💡", "-"])
def test_a_branch_has_the_name_that_it_was_given(repository, branch):
    commit = repository.commit()
    repository.git("symbolic-ref", "HEAD", f"refs/heads/{branch}")
    repository.git("update-ref", f"refs/heads/{branch}", commit)
    assert git_state(repository.folder) == state(commit, branch=branch)


@pytest.mark.parametrize("is_staged", [False, True])
def test_a_tracked_file_that_was_changed_is_dirty(repository, is_staged):
    commit = repository.commit()
    (repository.folder / "file").write_text("changed")
    if is_staged:
        repository.git("add", "file")
    assert git_state(repository.folder) == state(commit, is_dirty=True)


def test_a_tracked_file_that_is_gone_is_dirty(repository):
    commit = repository.commit()
    (repository.folder / "file").unlink()
    assert git_state(repository.folder) == state(commit, is_dirty=True)


def test_a_file_that_is_not_tracked_is_not_dirty(repository):
    commit = repository.commit()
    (repository.folder / "report.json").write_text("{}")
    assert git_state(repository.folder) == state(commit)


def test_before_the_first_commit_there_is_no_state(repository):
    assert git_state(repository.folder) is None


@pytest.mark.parametrize("folder", ["plain", "no such folder"])
def test_outside_of_a_repository_there_is_no_state(tmp_path, folder):
    (tmp_path / "plain").mkdir()
    assert git_state(tmp_path / folder) is None


def test_without_git_there_is_no_state(repository, monkeypatch, tmp_path):
    repository.commit()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(repository.folder) is None


def test_a_git_that_does_not_answer_is_as_good_as_none(repository, monkeypatch):
    repository.commit()
    monkeypatch.setattr(git_module, "TIMEOUT_SECONDS", 0)
    assert git_state(repository.folder) is None


@pytest.mark.parametrize("name", ["two\nlines", "💡 größe", " - "])
def test_a_repository_may_have_any_name(tmp_path, name):
    repository = Repository(tmp_path / name)
    commit = repository.commit()
    assert git_state(repository.folder) == state(commit)


def test_looking_changes_nothing_in_the_repository(repository):
    repository.commit()
    os.utime(repository.folder / "file", (0, 0))  # an index that git would like to refresh
    index = repository.folder / ".git" / "index"
    before = index.read_bytes()
    git_state(repository.folder)
    assert index.read_bytes() == before


@pytest.mark.parametrize("named", [("GIT_DIR",), ("GIT_DIR", "GIT_WORK_TREE"), ("GIT_INDEX_FILE",)], ids="+".join)
def test_an_environment_that_names_another_repository_leads_nobody_astray(repository, tmp_path, monkeypatch, named):
    commit, other = repository.commit(), Repository(tmp_path / "other")
    other.commit("another")
    places = {"GIT_DIR": ".git", "GIT_WORK_TREE": ".", "GIT_INDEX_FILE": ".git/index"}
    for name in named:
        monkeypatch.setenv(name, str(other.folder / places[name]))
    assert git_state(repository.folder) == state(commit)


@pytest.mark.parametrize("ways", [(), ("--all",), ("--", "file")], ids=["index", "all", "one file"])
def test_asked_in_a_hook_of_one_repository_about_another_it_tells_of_the_other(repository, tmp_path, ways):
    repository.commit()
    asked, seen = Repository(tmp_path / "other"), tmp_path / "seen"
    commit = asked.commit("another")
    hook = repository.folder / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(
        HOOK.format(python=sys.executable, path=sys.path, asked=str(asked.folder), seen=str(seen)), encoding="utf-8"
    )
    hook.chmod(0o755)
    (repository.folder / "file").write_text("second")
    if not ways:
        repository.git("add", "file")
    repository.git("commit", "--quiet", "--message", "second", *ways)
    assert GitState.model_validate_json(seen.read_text()) == state(commit)
