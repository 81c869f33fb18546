from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from pytest_inferopt.domain.report import GitState
from pytest_inferopt.engine import git as git_module
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
from pytest_inferopt.engine.git import (
    MergeBase,
    blob_at,
    git_state,
    is_changed_since,
    is_tracked,
    merge_base,
    resolve_commit,
    tree_at,
    why_no_merge_base,
)
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

    def commit(self, content="first", name="file"):
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(content)
        self.git("add", "--force", name)
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


# --- other commits ------------------------------------------------------------------------------------------------


def test_a_commit_has_many_names(repository):
    first = repository.commit()
    repository.git("tag", "-a", "v1", "-m", "one")
    second = repository.commit("second")
    names = ("HEAD", "main", "v1", "HEAD~1", first, first[:8], "none", "", "--help", "-", "a\0b", "HEAD:file")
    assert [resolve_commit(repository.folder, name) for name in names] == [
        second, second, first, first, first, first, *([None] * 6)
    ]  # fmt: skip


@pytest.fixture
def branched(repository):
    """A repository whose branch `feature` left `main` at a commit that both have; the commit."""
    base = repository.commit("base")
    repository.git("checkout", "--quiet", "-b", "feature")
    repository.commit("of the feature")
    repository.git("checkout", "--quiet", "main")
    repository.commit("of main", "other")
    repository.git("checkout", "--quiet", "feature")
    return base


def found(repository, **environ):
    return merge_base(repository.folder, environ=environ)


def test_the_merge_base_is_where_the_branch_left_the_default_branch(repository, branched):
    assert found(repository) == MergeBase(branched, "main")
    assert merge_base(repository.folder, "main", environ={}) == MergeBase(
        resolve_commit(repository.folder, "main"), "main"
    )


def test_on_the_default_branch_the_merge_base_is_head(repository):
    repository.commit()
    head = repository.commit("second")
    assert found(repository) == MergeBase(head, "main")


def test_the_default_branch_is_the_one_of_the_pull_request_then_the_remotes_then_a_usual_one(repository, branched):
    tips = {}
    for name in ("release", "trunk", "main", "master"):
        repository.git("checkout", "--quiet", "-B", "somewhere", branched)
        tips[name] = repository.commit(f"on {name}", name)
        repository.git("update-ref", f"refs/remotes/origin/{name}", tips[name])
    repository.git("checkout", "--quiet", "-B", "octopus", branched)
    repository.git("merge", "--quiet", *tips.values())
    repository.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/trunk")
    assert found(repository, GITHUB_BASE_REF="release") == MergeBase(tips["release"], "origin/release")
    assert found(repository, GITHUB_BASE_REF="feature").default_branch == "feature"
    assert found(repository, GITHUB_BASE_REF="unknown") == MergeBase(tips["trunk"], "origin/HEAD")
    assert found(repository, GITHUB_BASE_REF="") == MergeBase(tips["trunk"], "origin/HEAD")
    repository.git("symbolic-ref", "--delete", "refs/remotes/origin/HEAD")
    for name in ("origin/main", "origin/master"):
        assert found(repository) == MergeBase(tips[name[7:]], name)
        repository.git("update-ref", "-d", f"refs/remotes/{name}")
    assert found(repository).default_branch == "main"
    repository.git("branch", "--quiet", "--move", "main", "master")
    assert found(repository).default_branch == "master"


@pytest.mark.parametrize("name", ["--upload-pack=evil", "a..b", "HEAD", "@{-1}", "x" * 5000])
def test_a_base_that_is_no_branch_leads_to_the_next_name(repository, branched, name):
    assert found(repository, GITHUB_BASE_REF=name) == MergeBase(branched, "main")


def test_the_environment_of_this_process_is_looked_at(repository, branched, monkeypatch):
    repository.git("branch", "release", "HEAD")
    monkeypatch.setenv("GITHUB_BASE_REF", "release")
    assert merge_base(repository.folder) == MergeBase(resolve_commit(repository.folder, "HEAD"), "release")
    monkeypatch.delenv("GITHUB_BASE_REF")
    assert merge_base(repository.folder) == MergeBase(branched, "main")
    assert why_no_merge_base(repository.folder)[0] == "HEAD and main have no commit in common"


def test_without_a_merge_base_it_is_said_why_and_what_to_do(repository, tmp_path):
    def why(folder):
        assert merge_base(folder, environ={}) is None
        return why_no_merge_base(folder, environ={})

    (tmp_path / "plain").mkdir()
    assert why(tmp_path / "plain") == (
        "this is no git repository, or git is not installed",
        "With --inferopt-update-baseline, what is measured becomes one.",
    )
    assert why(repository.folder) == ("the repository has no commit yet", "Commit, and run again.")
    repository.commit()
    repository.git("branch", "--quiet", "--move", "trunk")
    assert why(repository.folder) == (
        "the default branch is not known",
        "Tell git: git remote set-head origin --auto.",
    )
    repository.git("checkout", "--quiet", "--orphan", "main")
    repository.commit("of another root")
    repository.git("checkout", "--quiet", "trunk")
    assert why(repository.folder) == (
        "HEAD and main have no commit in common",
        "Name a commit: --inferopt-baseline=GITREF.",
    )


def test_in_a_shallow_clone_the_next_step_is_to_fetch(repository, branched, tmp_path):
    clone = Repository(tmp_path / "clone")
    url = repository.folder.as_uri()
    clone.git("fetch", "--quiet", "--depth=1", url, "feature:refs/heads/feature", "main:refs/remotes/origin/main")
    clone.git("checkout", "--quiet", "feature")
    assert found(clone) is None
    assert why_no_merge_base(clone.folder, environ={}) == (
        "the clone is shallow",
        "Fetch its history: fetch-depth: 0, or git fetch --unshallow.",
    )
    clone.git("fetch", "--quiet", "--unshallow", url, "feature")
    clone.git("fetch", "--quiet", url, "main:refs/remotes/origin/main")
    assert found(clone) == MergeBase(branched, "origin/main")


# --- files of other commits ---------------------------------------------------------------------------------------


def test_a_commit_came_before_another_or_not(repository, branched):
    head, main = (resolve_commit(repository.folder, name) for name in ("HEAD", "main"))
    assert all(is_ancestor(repository.folder, branched, other) for other in (branched, head, main))
    pairs = ((head, branched), (head, main), ("0" * 40, head), (branched, "HEAD"), ("--all", head))
    assert not any(is_ancestor(repository.folder, *pair) for pair in pairs)


def test_the_commits_before_one_are_listed_the_nearest_first(repository):
    commits = [repository.commit(text, "file") for text in ("first", "second", "third")]
    assert first_parents(repository.folder, commits[2], most=100) == [commits[1], commits[0]]
    assert first_parents(repository.folder, commits[2], most=1) == [commits[1]]
    assert first_parents(repository.folder, commits[0], most=100) == []
    assert first_parents(repository.folder, "0" * 40, most=100) == []


def test_a_file_is_read_as_it_was_in_a_commit(repository):
    first = repository.commit("first", "a/file [1].bin")
    second = repository.commit("second", "a/file [1].bin")
    path = repository.folder / "a" / "file [1].bin"
    path.write_text("third")
    inside = repository.folder / "a"
    assert [blob_at(inside, commit, path) for commit in (first, second)] == [b"first", b"second"]
    others = (repository.folder / "none", repository.folder / "a", repository.folder, repository.folder.parent / "x")
    assert [blob_at(repository.folder, first, other) for other in others] == [None] * 4
    assert [blob_at(repository.folder, commit, path) for commit in ("HEAD", "--help", "0" * 40)] == [None] * 3


def test_a_folder_is_laid_out_as_it_was_in_a_commit_without_links(repository, tmp_path):
    repository.commit("one", "b/x/1")
    repository.commit("two", "b/größe 2")
    repository.commit("no part of it", "bb/3")
    (repository.folder / "b" / "link").symlink_to("/etc/passwd")
    repository.git("add", "b/link")
    commit = repository.commit("three", "other")
    repository.commit("changed", "b/x/1")
    assert tree_at(repository.folder, commit, repository.folder / "b", tmp_path / "into")
    laid = {
        str(path.relative_to(tmp_path / "into")): path.read_text()
        for path in (tmp_path / "into").rglob("*")
        if path.is_file()
    }
    assert laid == {"x/1": "one", "größe 2": "two"}
    for path in ("file", "none", "other"):
        assert not tree_at(repository.folder, commit, repository.folder / path, tmp_path / "no")
    assert not (tmp_path / "no").exists()


def test_a_crafted_tree_that_leads_out_of_the_folder_is_not_laid_out(repository, tmp_path):
    repository.commit("evil", "b/file")
    blob = repository.git("rev-parse", "HEAD:b/file")
    raw = bytes.fromhex(blob)
    tree = repository.folder / "tree"

    def hashed(entries):
        tree.write_bytes(b"".join(mode + b" " + name + b"\0" + object_id for mode, name, object_id in entries))
        return repository.git("hash-object", "-t", "tree", "-w", "--literally", str(tree))

    up = hashed([(b"100644", b"evil", raw)])
    inner = hashed([(b"40000", b"..", bytes.fromhex(up)), (b"100644", b"good", raw)])
    outer = hashed([(b"40000", b"b", bytes.fromhex(inner))])
    commit = repository.git("commit-tree", "-m", "evil", outer)
    assert tree_at(repository.folder, commit, repository.folder / "b", tmp_path / "into" / "folder")
    laid = [str(path.relative_to(tmp_path / "into")) for path in (tmp_path / "into").rglob("*") if path.is_file()]
    assert laid == ["folder/good"]


def test_what_is_tracked_is_told_from_what_is_not(repository, tmp_path):
    repository.commit("a", "a/*")
    (repository.folder / "a" / "untracked").touch()
    (repository.folder / "b").mkdir()
    (tmp_path / "outside").touch()
    names = ("a/*", "a", "a/untracked", "b", "none", "?", "../outside", ".")
    assert [is_tracked(repository.folder, repository.folder / name) for name in names] == [True, True, *([False] * 6)]
    assert not is_tracked(tmp_path, repository.folder / "a")


def test_a_file_is_changed_where_it_is_not_what_a_commit_has(repository, tmp_path):
    first = repository.commit("a", "a/file")
    repository.commit("other", "other")
    folder = repository.folder

    def changes():
        return [is_changed_since(folder, first, folder / name) for name in ("a", "a/file", "other", "none")]

    assert changes() == [False, False, True, False]
    (folder / "none").touch()
    assert changes() == [False, False, True, False]
    (folder / "a" / "more").touch()
    assert changes() == [True, False, True, False]
    (folder / "a" / "more").unlink()
    (folder / "a" / "file").write_text("changed")
    assert changes() == [True, True, True, False]
    repository.git("rm", "--quiet", "--cached", "a/file")
    (folder / "a" / "file").write_text("a")
    assert changes() == [True, True, True, False]
    for commit, path in ((first, tmp_path), ("main", folder / "a"), ("0" * 40, folder / "a")):
        assert is_changed_since(folder, commit, path) is None


def test_a_link_is_asked_about_by_its_own_name(repository, tmp_path):
    repository.commit("a", "file")
    (repository.folder / "link").symlink_to(tmp_path)
    repository.git("add", "link")
    commit = repository.commit("b", "other")
    assert is_tracked(repository.folder, repository.folder / "link")
    assert is_changed_since(repository.folder, commit, repository.folder / "link") is False
    assert blob_at(repository.folder, commit, repository.folder / "link") is None


def test_what_git_prints_and_is_no_text_is_none(repository):
    repository.commit()
    name = b"refs/heads/\xff"
    (repository.folder / ".git" / "HEAD").write_bytes(b"ref: " + name + b"\n")
    assert git_state(repository.folder) is None
    subprocess.run([shutil.which("git"), "-C", repository.folder, "update-ref", name, "main"], check=True)
    assert git_state(repository.folder).branch is None
