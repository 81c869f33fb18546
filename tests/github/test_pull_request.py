"""Which pull request is told: the one that is at the measured commit, whoever says otherwise."""

from __future__ import annotations

import pytest

from pytest_inferopt.errors import RefusedError, UsageError
from pytest_inferopt.github.client import ApiError, NotPostedError
from pytest_inferopt.github.event import Branch, MeasuredRun
from pytest_inferopt.github.pull_request import find_pull_request

HEAD, OTHER = "a" * 40, "b" * 40
FORK = MeasuredRun("octo/models", HEAD, 9, branch=Branch("ada/models", "faster"))


def run(**changes):
    return MeasuredRun(**{"repository": "octo/models", "head_sha": HEAD, "pull_request": 7, **changes})


def not_posted(ask):
    with pytest.raises(NotPostedError) as caught:
        ask()
    return str(caught.value)


def test_the_pull_request_of_an_event_is_asked_for_and_is_still_at_its_commit(github, client):
    assert find_pull_request(client, run()) == 7
    assert github.asked() == ["GET /repos/octo/models/pulls/7"]


def test_j118_a_pull_request_that_has_moved_on_is_not_told_of_an_older_commit(client):
    assert not_posted(lambda: find_pull_request(client, run(head_sha=OTHER))) == (
        "pull request 7 has moved on to aaaaaaa, and bbbbbbb was measured."
    )


def test_j118_a_number_that_somebody_named_is_checked(client, github, github_server):
    github.pull_requests.append(github_server.PullRequest(8, OTHER))
    assert find_pull_request(client, run(pull_request=None), 7) == 7
    with pytest.raises(
        RefusedError, match=r"pull request 8 of octo/models is at bbbbbbb, and aaaaaaa was measured\. Name"
    ):
        find_pull_request(client, run(), 8)
    with pytest.raises(
        UsageError, match=r"which commit was measured is not known, so pull request 7 cannot be checked"
    ):
        find_pull_request(client, run(head_sha=None), 7)
    with pytest.raises(ApiError, match=r"with 404: Not Found"):
        find_pull_request(client, run(), 9)


def test_i113_a_run_of_no_pull_request_tells_none(github, client):
    assert not_posted(lambda: find_pull_request(client, run(pull_request=None))) == "this is no run of a pull request."
    assert github.requests == []


def test_the_pull_request_of_a_fork_is_found_by_its_branch_and_its_commit(github, client, github_server):
    new = github_server.PullRequest
    github.pull_requests = [
        new(1, HEAD, "faster", "ada/models", state="closed"),
        new(2, HEAD, "faster", "ada/other"),
        new(3, HEAD, "other", "ada/models"),
        new(4, OTHER, "faster", "ada/models"),
        new(5, HEAD, "faster", None),
        new(6, HEAD, "faster", "octo/models"),
        new(7, HEAD, "faster", "ada/models"),
    ]
    assert find_pull_request(client, FORK) == 7
    (request,) = github.requests
    assert (request.path, request.query) == (
        "/repos/octo/models/pulls",
        {"state": "open", "head": "ada:faster", "per_page": "100"},
    )


@pytest.mark.parametrize("name", ["a&head=b", "a#b", "größer", "a b", "$(id)", "x:y"])
def test_j115_a_branch_may_be_called_anything(github, client, github_server, name):
    github.pull_requests = [github_server.PullRequest(7, HEAD, name, "ada/models")]
    fork = MeasuredRun("octo/models", HEAD, 9, branch=Branch("ada/models", name))
    assert find_pull_request(client, fork) == 7
    assert github.requests[0].query["head"] == f"ada:{name}"


def test_j118_a_fork_whose_pull_request_has_moved_on_is_told_nothing(github, client, github_server):
    github.pull_requests = [github_server.PullRequest(7, OTHER, "faster", "ada/models")]
    assert not_posted(lambda: find_pull_request(client, FORK)) == "no open pull request of ada/models is at aaaaaaa."


def test_of_several_pull_requests_at_one_commit_none_is_guessed(github, client, github_server):
    github.pull_requests = [github_server.PullRequest(number, HEAD, "faster", "ada/models") for number in (7, 8)]
    assert not_posted(lambda: find_pull_request(client, FORK)) == (
        "several pull requests are at this commit: 7, 8. Name one: --pull-request N."
    )
    assert find_pull_request(client, FORK, 8) == 8


def test_an_answer_that_is_no_pull_request_is_told(github, client):
    github.fail("GET", "/repos", 200, "hello")
    assert not_posted(lambda: find_pull_request(client, run())) == "GitHub's answer is no pull request."
