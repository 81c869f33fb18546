"""The GitHub of the tests notices what is wrong with a request, and runs as a program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

SERVER = Path(__file__).with_name("server.py")
GOOD = {
    "Authorization": "Bearer ghs_secret",
    "Accept": "application/vnd.github+json",
    "X-GitHub-Api-Version": "2022-11-28",
    "User-Agent": "pytest-inferopt/0",
}
COMMENTS = "/repos/octo/models/issues/7/comments"


@pytest.fixture
def ask(github_server):
    """`ask(method, path, …)`: the status of an answer, and what the server found wrong."""

    def ask(method, path, *, login="github-actions[bot]", **request):
        with github_server.GitHubServer() as server:
            server.say("somebody's", "ada")
            server.login = login
            answer = httpx.request(method, f"{server.url}{path}", headers=GOOD | request.pop("headers", {}), **request)
            return answer.status_code, server.problems

    return ask


@pytest.mark.parametrize(
    ("header", "value"),
    [("Accept", "*/*"), ("X-GitHub-Api-Version", "2020-01-01"), ("User-Agent", "python-httpx")],
)
def test_a_header_that_is_wrong_is_a_problem(ask, header, value):
    assert ask("GET", "/user", headers={header: value}) == (400, [f"GET /user: {header}: {value}"])


@pytest.mark.parametrize(
    ("method", "path", "request_", "status", "problem"),
    [
        ("GET", "/user", {"headers": {"Authorization": "Bearer x"}}, 401, ""),
        ("GET", "/repos/octo/other/pulls", {}, 404, ""),
        ("GET", "/users", {}, 404, "there is no such path"),
        ("DELETE", "/repos/octo/models/issues/comments/1000", {}, 404, "there is no such path"),
        ("POST", COMMENTS, {"content": b"{"}, 400, "a body that is no JSON object"),
        ("POST", COMMENTS, {"json": {"text": "x"}}, 422, "['text']"),
        ("POST", COMMENTS, {"json": {"body": "x" * 65_537}}, 422, "a body of 65537 characters"),
        ("PATCH", "/repos/octo/models/issues/comments/1000", {"json": {"body": "x"}}, 200, "somebody else's comment"),
        ("POST", COMMENTS, {"json": {"body": "x"}}, 201, ""),
    ],
)
def test_what_github_would_not_take_is_not_taken(ask, method, path, request_, status, problem):
    answered, problems = ask(method, path, **request_)
    assert (answered, any(problem in told for told in problems)) == (status, bool(problem))


def test_as_a_program_it_tells_its_address_and_then_what_it_was_asked(github_server):
    command = [sys.executable, str(SERVER), "--head", "a" * 40, "--fork", "ada/models", "--read-only"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            url = process.stdout.readline().strip()
            pull = httpx.get(f"{url}/repos/octo/models/pulls/7", headers=GOOD).json()
            refused = httpx.post(f"{url}{COMMENTS}", headers=GOOD, json={"body": "x"})
            state = httpx.get(f"{url}/state").json()
        finally:
            process.terminate()
    assert pull == github_server.PullRequest(7, "a" * 40, "faster", "ada/models").document()
    assert (refused.status_code, refused.json()["message"]) == (403, github_server.NO_RIGHT)
    assert ([request["method"] for request in state["requests"]], state["comments"], state["problems"]) == (
        ["GET", "POST"],
        [],
        [],
    )
