"""GitHub's REST API: what is sent, how lists go on, and what is tried again for how long."""

from __future__ import annotations

import httpx
import pytest

from pytest_inferopt.errors import MissingDependencyError, UsageError
from pytest_inferopt.github.client import ApiError, GitHub

COMMENTS = "/repos/octo/models/issues/7/comments"
LIMIT = "You have exceeded a secondary rate limit."


def failed(ask):
    """The error of a call that must not succeed."""
    with pytest.raises(ApiError) as caught:
        ask()
    return caught.value


def test_a_request_carries_the_token_and_the_version_of_the_api(github, client):
    assert client.get("/repos/octo/models/pulls/7")["number"] == 7
    (request,) = github.requests
    assert (request.method, request.path, request.query) == ("GET", "/repos/octo/models/pulls/7", {})
    assert {name: request.headers[name] for name in ("authorization", "accept", "x-github-api-version")} == {
        "authorization": "Bearer ghs_secret",
        "accept": "application/vnd.github+json",
        "x-github-api-version": "2022-11-28",
    }


def test_a_list_is_read_page_by_page_to_its_end(github, client):
    for number in range(250):
        github.say(f"comment {number}")
    assert [comment["body"] for comment in client.pages(COMMENTS)] == [f"comment {number}" for number in range(250)]
    assert [request.query for request in github.requests] == [
        {"per_page": "100"},
        {"per_page": "100", "page": "2"},
        {"per_page": "100", "page": "3"},
    ]


def test_a_list_that_goes_on_elsewhere_is_not_followed_with_the_token(github, client):
    github.fail("GET", COMMENTS, 200, headers={"Link": '<https://evil.example/next>; rel="next"'}, message="x")
    assert str(failed(lambda: list(client.pages(COMMENTS)))) == f"GitHub answered GET {COMMENTS} with no list."
    for number in range(101):
        github.say(f"comment {number}")
    del github.requests[:]
    github._page = lambda *_: (200, {"Link": '<https://evil.example/next>; rel="next"'}, [1])
    assert str(failed(lambda: list(client.pages(COMMENTS)))) == f"GitHub's list {COMMENTS} goes on at another address."
    assert len(github.requests) == 1


def test_a_list_without_an_end_is_given_up(github, client):
    github._page = lambda request, _: (200, {"Link": f'<{github.url}{request.path}?page=1>; rel="next"'}, [])
    assert str(failed(lambda: list(client.pages(COMMENTS)))) == f"GitHub's list {COMMENTS} has more than 100 pages."


@pytest.mark.parametrize(
    ("status", "headers", "message", "waits"),
    [
        (429, {"Retry-After": "7"}, "", [7.0]),
        (403, {"Retry-After": "7"}, LIMIT, [7.0]),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1900000042"}, "", [42.0]),
        (429, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1800000000"}, "", [1.0]),
        (403, {}, LIMIT, [60.0]),
        (429, {"Retry-After": "soon"}, "", [60.0]),
        (500, {}, "", [1.0]),
        (502, {}, "Bad Gateway", [1.0]),
        (503, {}, "", [1.0]),
        (0, {}, "", [1.0]),
    ],
)
def test_i112_a_limit_and_a_fault_of_the_server_are_waited_for_and_asked_again(
    github, client, clock, status, headers, message, waits
):
    github.fail("GET", "/repos", status, message, headers=headers)
    assert client.get("/repos/octo/models/pulls/7")["number"] == 7
    assert (clock.slept, len(github.requests)) == (waits, 2)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "Bad credentials"),
        (403, "Resource not accessible by integration"),
        (404, "Not Found"),
        (422, ""),
        (301, ""),
    ],
)
def test_i112_what_would_be_refused_again_is_not_asked_again(github, client, clock, status, message):
    github.fail("GET", "/repos", status, message, times=9)
    error = failed(lambda: client.get("/repos/octo/models/pulls/7"))
    told = f"GitHub answered GET /repos/octo/models/pulls/7 with {status}{message and ': '}{message}."
    assert (error.message, error.status, clock.slept, len(github.requests)) == (told, status, [], 1)


def test_i112_it_is_given_up_after_five_times(github, client, clock):
    github.fail("GET", "/repos", 500, "Server Error", times=9)
    error = failed(lambda: client.get("/repos/octo/models/pulls/7"))
    assert error.message == "GitHub answered GET /repos/octo/models/pulls/7 with 500: Server Error."
    assert (clock.slept, len(github.requests)) == ([1.0, 2.0, 4.0, 8.0], 5)


def test_i112_it_is_given_up_where_the_wait_would_be_long(github, client, clock):
    github.fail("GET", "/repos", 429, headers={"Retry-After": "100"}, times=9)
    failed(lambda: client.get("/repos/octo/models/pulls/7"))
    assert (clock.slept, len(github.requests)) == ([100.0], 2)
    github.fail("GET", "/user", 403, headers={"Retry-After": "3600"}, times=9)
    failed(client.login)
    assert clock.slept == [100.0]


def test_what_may_have_been_made_is_looked_for_before_it_is_made_again(github, client, clock):
    github.fail("POST", COMMENTS, 502, is_done=True)
    made = client.post(COMMENTS, {"body": "hello"}, lambda: next(client.pages(COMMENTS), None))
    assert ([comment.body for comment in github.comments], made["body"], clock.slept) == (["hello"], "hello", [1.0])


def test_what_was_not_made_is_made_again_and_at_last_given_up(github, client, clock):
    github.fail("POST", COMMENTS, 502, times=2)
    assert client.post(COMMENTS, {"body": "hello"})["body"] == "hello"
    assert ([comment.body for comment in github.comments], clock.slept) == (["hello"], [1.0, 2.0])
    github.fail("POST", COMMENTS, 0, times=9)
    error = failed(lambda: client.post(COMMENTS, {"body": "again"}))
    assert (error.status, error.message.startswith("GitHub cannot be reached: "), len(clock.slept)) == (0, True, 6)


def test_an_answer_that_is_no_json_is_told(github, client):
    github.fail("GET", "/repos", 200)
    assert failed(lambda: client.get("/repos/x/y")).message == "GitHub answered GET /repos/x/y with no JSON."


def test_a_message_of_the_server_is_made_fit_for_a_line(github, client):
    github.fail("GET", "/repos", 422, "a\n::error::b\x1b[31m" + "z" * 400)
    error = failed(lambda: client.get("/repos/x/y"))
    assert "with 422: a\\n::error::b\\x1b[31mzzz" in error.message
    assert len(error.message) < 400


def test_the_token_is_in_no_message(github, client):
    for status in (401, 403, 404, 422, 0):
        github.fail("GET", "/repos", status, "no", times=5 if status == 0 else 1)
        assert github.token not in str(failed(lambda: client.get("/repos/x/y")))


@pytest.mark.parametrize(
    "url",
    ["http://api.github.com", "ftp://api.github.com", "api.github.com", "", "https://", "https://a:b@api.github.com",
     "https://api.github.com?x=1", "https://api.github.com#x", "http://[", "https://x:port", "file:///etc/passwd"],
)  # fmt: skip
def test_a_token_is_not_sent_to_an_address_that_anybody_can_read(url):
    with pytest.raises(UsageError, match=r"is no address that a token may be sent to\. It looks like https://api"):
        GitHub("secret", url)


@pytest.mark.parametrize("url", ["https://api.github.com", "https://ghe.example/api/v3/", "http://localhost:8080"])
def test_an_address_of_a_server_of_ones_own_is_taken(url):
    GitHub("secret", url).close()


def test_on_an_enterprise_server_graphql_lies_beside_the_api(github, clock):
    github.viewer = "ada"
    with GitHub(github.token, f"{github.url}/v3", sleep=clock.sleep) as client:
        assert client.viewer() == "ada"
    assert github.asked() == ["POST /graphql"]


def test_who_the_token_is_must_be_told_in_words_that_are_known(github, client):
    github.fail("GET", "/user", 200, "hello")
    assert failed(client.login).message == "GitHub's answer is no user."
    github.fail("POST", "/graphql", 200, "hello")
    assert failed(client.viewer).message == "GitHub's GraphQL does not say whose the token is."


def test_without_httpx_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "httpx", None)
    with pytest.raises(MissingDependencyError, match=r'needs httpx, not installed here. pip install ".*\[github\]"'):
        GitHub("secret")


def test_a_redirect_is_not_followed(github, client):
    github.fail("GET", "/repos", 307, headers={"Location": "https://evil.example/"})
    assert failed(lambda: client.get("/repos/x/y")).status == 307
    assert isinstance(client._http, httpx.Client)
