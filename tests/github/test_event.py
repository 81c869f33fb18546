"""The run that measured, out of the event and the environment."""

from __future__ import annotations

import json

import pytest

from pytest_inferopt.errors import UsageError
from pytest_inferopt.github.event import Branch, MeasuredRun, measured_run

HEAD, MERGE = "a" * 40, "b" * 40
OWN = {"full_name": "octo/models"}
ENVIRON = {
    "GITHUB_REPOSITORY": "octo/models",
    "GITHUB_SHA": MERGE,
    "GITHUB_RUN_ID": "4242",
    "GITHUB_RUN_NUMBER": "12",
    "GITHUB_RUN_ATTEMPT": "2",
    "GITHUB_SERVER_URL": "https://github.com",
}
PULL = {"repository": OWN, "pull_request": {"number": 7, "head": {"sha": HEAD, "ref": "x"}}, "action": "opened"}
RUN = {
    "id": 4141,
    "head_sha": HEAD,
    "head_branch": "faster",
    "head_repository": {"full_name": "ada/models", "private": False},
    "run_number": 9,
    "run_attempt": 3,
    "pull_requests": [{"number": 1}],
}


@pytest.fixture
def environ(tmp_path):
    """`environ(event)`: the environment of a job that this event has started."""

    def environ(event, **changes):
        path = tmp_path / "event.json"
        path.write_text(event if isinstance(event, str) else json.dumps(event), encoding="utf-8")
        return {**ENVIRON, "GITHUB_EVENT_PATH": str(path), **changes}

    return environ


def test_a_pull_requests_run_names_its_head_and_not_the_merge_that_was_checked_out(environ):
    assert measured_run(environ(PULL)) == MeasuredRun(
        "octo/models", HEAD, 12, 2, "https://github.com/octo/models/actions/runs/4242", 7
    )


def test_a_workflow_run_is_the_run_that_it_reports_of_and_not_the_one_that_reports(environ):
    assert measured_run(environ({"repository": OWN, "workflow_run": RUN})) == MeasuredRun(
        "octo/models", HEAD, 9, 3, "https://github.com/octo/models/actions/runs/4141",
        branch=Branch("ada/models", "faster"),
    )  # fmt: skip


@pytest.mark.parametrize("gone", ["head_repository", "head_branch"])
def test_a_fork_that_is_gone_has_no_branch(environ, gone):
    assert measured_run(environ({"repository": OWN, "workflow_run": {**RUN, gone: None}})).branch is None


def test_a_push_has_no_pull_request(environ):
    run = measured_run(environ({"repository": OWN, "ref": "refs/heads/main"}))
    assert (run.pull_request, run.branch, run.head_sha, run.number) == (None, None, MERGE, 12)


def test_outside_of_github_nothing_is_known():
    assert measured_run({}) == MeasuredRun("", None)
    assert measured_run({"GITHUB_RUN_NUMBER": "x", "GITHUB_SHA": "main"}, "octo/models") == MeasuredRun(
        "octo/models", None
    )


def test_what_an_event_says_of_another_repository_says_nothing_of_this_one(environ):
    assert measured_run(environ(PULL), "octo/other") == MeasuredRun("octo/other", None)
    assert measured_run(environ(PULL), "Octo/Models").pull_request == 7


@pytest.mark.parametrize(
    "repository", ["models", "octo/", "octo/models/x", "../x", "octo/..", "a b/c", "octo/m?x", "@a/b"]
)
def test_what_is_no_repository_is_a_usage_error(repository):
    with pytest.raises(UsageError, match=r"is no repository\. Write: --repository OWNER/NAME\."):
        measured_run({}, repository)


@pytest.mark.parametrize(
    ("event", "told"),
    [
        ("{", "Invalid JSON"),
        ("[]", "Input should be an object"),
        ({"pull_request": {"number": -1, "head": {"sha": HEAD}}}, "pull_request.number: "),
        ({"pull_request": {"number": 7, "head": {"sha": "main"}}}, "pull_request.head.sha: "),
        ({"workflow_run": {**RUN, "head_sha": "x"}}, "workflow_run.head_sha: "),
    ],
)
def test_an_event_that_is_none_is_told(environ, event, told):
    with pytest.raises(UsageError, match=r"is no event of GitHub's: .* Leave the variable") as caught:
        measured_run(environ(event))
    assert told in str(caught.value)


def test_an_event_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UsageError, match=r"No such file or directory"):
        measured_run({"GITHUB_EVENT_PATH": str(tmp_path / "event.json")})
