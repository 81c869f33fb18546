"""What each event makes the Action do, and under which it does nothing."""

from __future__ import annotations

import json

import pytest

from steps.event import activity_of, read_event
from steps.workflow import StepError

REPOSITORY = {"full_name": "ada/shop", "default_branch": "trunk"}
FORK = {"pull_request": {"head": {"repo": {"full_name": "eve/shop"}}}}
OWN = {"pull_request": {"head": {"repo": {"full_name": "Ada/shop"}}}}


def event(tmp_path, name, ref="refs/heads/trunk", base="", **payload):
    path = tmp_path / "event.json"
    path.write_text(json.dumps({"repository": REPOSITORY, **payload}), encoding="utf-8")
    return read_event({
        "GITHUB_EVENT_PATH": str(path),
        "GITHUB_EVENT_NAME": name,
        "GITHUB_REF": ref,
        "GITHUB_SHA": "0" * 40,
        "GITHUB_BASE_REF": base,
    })  # fmt: skip


@pytest.mark.parametrize(
    ("name", "ref", "activity"),
    [
        ("push", "refs/heads/trunk", "save-baseline"),
        ("schedule", "refs/heads/trunk", "save-baseline"),
        ("workflow_dispatch", "refs/heads/trunk", "save-baseline"),
        ("push", "refs/heads/main", "run"),
        ("push", "refs/tags/trunk", "run"),
        ("workflow_dispatch", "refs/heads/feature", "run"),
        ("pull_request", "refs/pull/7/merge", "run"),
        ("merge_group", "refs/heads/gh-readonly-queue/trunk/pr-7", "run"),
        ("workflow_run", "refs/heads/trunk", "comment"),
    ],
)
def test_auto_saves_on_the_default_branch_posts_after_a_workflow_and_runs_for_the_rest(tmp_path, name, ref, activity):
    assert activity_of("auto", event(tmp_path, name, ref)) == activity


def test_where_the_event_does_not_tell_the_default_branch_it_is_main(tmp_path):
    assert activity_of("auto", event(tmp_path, "push", "refs/heads/main", repository={})) == "save-baseline"


@pytest.mark.parametrize("asked", ["auto", "run", "comment"])
def test_nothing_runs_under_pull_request_target(tmp_path, asked):
    with pytest.raises(StepError, match="pull_request_target would run a stranger's code"):
        activity_of(asked, event(tmp_path, "pull_request_target", **FORK))


@pytest.mark.parametrize("asked", ["run", "merge", "save-baseline"])
def test_after_a_workflow_only_a_comment_is_posted(tmp_path, asked):
    with pytest.raises(StepError, match="would run another workflow's code"):
        activity_of(asked, event(tmp_path, "workflow_run"))


def test_a_comment_alone_is_posted_after_a_workflow_only(tmp_path):
    with pytest.raises(StepError, match="the event is pull_request"):
        activity_of("comment", event(tmp_path, "pull_request", **OWN))


def test_a_fork_is_another_repository_whatever_the_case_of_its_letters(tmp_path):
    assert event(tmp_path, "pull_request", **FORK).is_from_fork
    assert not event(tmp_path, "pull_request", **OWN).is_from_fork
    assert event(tmp_path, "pull_request", pull_request={"head": {"repo": None}}).is_from_fork
    assert not event(tmp_path, "push").is_from_fork


@pytest.mark.parametrize("content", ["", "[1", "\x00"])
def test_an_event_that_cannot_be_read_is_an_error(tmp_path, content):
    path = tmp_path / "event.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(StepError, match=r"event\.json' cannot be read: "):
        read_event({"GITHUB_EVENT_PATH": str(path)})
