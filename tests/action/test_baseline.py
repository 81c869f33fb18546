"""Which commit a change is held against, in real repositories checked out as a forge does it."""

from __future__ import annotations

import subprocess

import pytest

from steps.baseline import find_base
from steps.event import Event
from steps.plan import read_plan
from steps.plan import run as run_plan

GIT = ("git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "init.defaultBranch=trunk")
REPOSITORY = {"repository": {"full_name": "ada/shop", "default_branch": "trunk"}}


@pytest.fixture
def git(tmp_path):
    """`git("merge", …)` in a clone whose trunk has two commits; its branch `change` left the first one."""
    origin, clone = tmp_path / "origin", tmp_path / "clone"

    def git(*arguments, at=clone):
        ran = subprocess.run([*GIT, *arguments], cwd=at, check=True, capture_output=True, encoding="utf-8")
        return ran.stdout.strip()

    origin.mkdir()
    git("init", "--quiet", at=origin)
    for name in ("first", "second"):
        git("commit", "--quiet", "--allow-empty", f"--message={name}", at=origin)
    git("switch", "--quiet", "--create", "change", "HEAD~1", at=origin)
    git("commit", "--quiet", "--allow-empty", "--message=change", at=origin)
    git("switch", "--quiet", "trunk", at=origin)
    git("clone", "--quiet", str(origin), str(clone), at=tmp_path)
    git.at = clone
    git.origin = origin
    return git


def event(name="workflow_dispatch", commit="", base="", **payload):
    return Event(name, {**REPOSITORY, **payload}, "refs/heads/any", commit, base)


def merged(git):
    """The commit that merges the change, as a pull request is checked out."""
    git("switch", "--quiet", "--detach", "origin/trunk")
    git("merge", "--quiet", "--no-ff", "--message=merge", "origin/change")
    return git("rev-parse", "HEAD")


def test_a_pull_request_is_held_against_what_it_is_merged_with(git):
    commit = merged(git)
    found = find_base(git.at, event("pull_request", commit, "trunk"))
    assert found.commit == git("rev-parse", "origin/trunk")


def test_of_a_pull_request_two_commits_are_enough(git, tmp_path):
    commit = merged(git)
    git("update-ref", "refs/heads/merge", commit)
    shallow = tmp_path / "shallow"
    git("clone", "--quiet", "--depth=2", "--branch=merge", f"file://{git.at}", str(shallow), at=tmp_path)
    assert find_base(shallow, event("pull_request", commit, "trunk")).commit == git("rev-parse", "origin/trunk")


def test_a_pull_request_that_is_checked_out_unmerged_is_held_against_what_it_has_left(git):
    git("switch", "--quiet", "--detach", "origin/change")
    found = find_base(git.at, event("pull_request", "0" * 40, "trunk"))
    assert (found.commit, found.how) == (git("rev-parse", "trunk~1"), "the merge base with origin/trunk")


def test_a_group_of_a_merge_queue_is_held_against_what_it_is_put_on(git):
    merged(git)
    first = git("rev-parse", "trunk~1")
    assert find_base(git.at, event("merge_group", merge_group={"base_sha": first})).commit == first
    unknown = event("merge_group", merge_group={"base_sha": "1" * 40})
    assert find_base(git.at, unknown).commit == git("rev-parse", "origin/trunk")


def test_a_branch_is_held_against_what_it_has_left_of_the_default_branch(git):
    git("switch", "--quiet", "--detach", "origin/change")
    assert find_base(git.at, event("push")).commit == git("rev-parse", "trunk~1")


def test_a_commit_of_the_default_branch_is_held_against_the_one_before(git):
    found = find_base(git.at, event())
    assert found.commit == git("rev-parse", "HEAD~1")
    assert found.how == "the commit before, since origin/trunk holds this one already"


def test_the_first_commit_has_no_base_and_is_told_how_there_may_be_one(git):
    git("switch", "--quiet", "--detach", "HEAD~1")
    found = find_base(git.at, event())
    assert (found.commit, found.next_step) == ("", "Fetch the history: fetch-depth: 0 of actions/checkout.")


def test_a_shallow_clone_has_no_base_and_is_told_to_be_deepened(git, tmp_path):
    git("update-ref", "refs/heads/merge", merged(git))
    shallow = tmp_path / "shallow"
    shallow.mkdir()
    git("init", "--quiet", at=shallow)
    git("fetch", "--quiet", "--depth=1", f"file://{git.at}", "merge:refs/remotes/pull/7/merge", at=shallow)
    git("switch", "--quiet", "--detach", "refs/remotes/pull/7/merge", at=shallow)
    found = find_base(shallow, event("pull_request", "0" * 40, "trunk"))
    assert (found.commit, found.reason) == ("", "the clone is shallow")
    assert found.next_step.startswith("Fetch its history: fetch-depth: 0")


class TestThePlan:
    """The first step, with the environment that a runner gives it."""

    @pytest.fixture
    def environ(self, tmp_path, monkeypatch):
        (tmp_path / "shop").mkdir()
        (tmp_path / "event.json").write_text("{}", encoding="utf-8")
        for name, value in {
            "GITHUB_WORKSPACE": tmp_path,
            "RUNNER_TEMP": tmp_path / "temp",
            "GITHUB_OUTPUT": tmp_path / "output",
            "GITHUB_EVENT_NAME": "pull_request",
            "GITHUB_EVENT_PATH": tmp_path / "event.json",
            "GITHUB_REF": "refs/pull/7/merge",
        }.items():
            monkeypatch.setenv(name, str(value))

        def setenv(**inputs):
            for name, value in inputs.items():
                monkeypatch.setenv(f"INPUT_{name.upper()}", value)
            assert run_plan() == 0
            folder = next(line for line in (tmp_path / "output").read_text().splitlines() if line.endswith("plan.json"))
            (tmp_path / "output").unlink()
            monkeypatch.setenv("INFEROPT_PLAN", folder)
            return read_plan()

        return setenv

    def test_it_is_read_as_it_was_written(self, environ, tmp_path):
        plan = environ(pytest_args="-k 'a b'", extras="cpu", working_directory="shop", comment_id="py3")
        assert (plan.activity, plan.inputs.pytest_args, plan.working_directory) == (
            "run",
            ("-k", "a b"),
            tmp_path / "shop",
        )
        assert plan.folder.is_relative_to(tmp_path / "temp")

    def test_saving_and_running_find_a_bundle_at_one_place_and_jobs_of_a_matrix_at_others(self, environ):
        places = [
            environ(activity="run").bundle,
            environ(activity="save-baseline").bundle,
            environ(activity="run", gate="warn").bundle,
            environ(comment_id="py3").bundle,
            environ(comment_id="py4").bundle,
            environ(pytest_args="-k forest").bundle,
            environ(working_directory="shop").bundle,
        ]
        assert places[0] == places[1] == places[2]
        assert len(set(places)) == 5

    def test_what_an_earlier_use_has_left_is_gone(self, environ):
        environ().write("outcome", {"conclusion": "success"})
        assert environ().read("outcome") == {}

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("..", "leads out of the workspace"),
            ("/", "leads out of the workspace"),
            ("none", "there is no folder 'none'"),
        ],
    )
    def test_a_working_directory_is_a_folder_of_the_workspace(self, environ, text, message):
        from steps.workflow import StepError

        with pytest.raises(StepError, match=message):
            environ(working_directory=text)
