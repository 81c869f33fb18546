"""One comment a pull request: whose it is, and whose it is not."""

from __future__ import annotations

import pytest

from pytest_inferopt.errors import UsageError
from pytest_inferopt.github.client import ApiError
from pytest_inferopt.github.sticky import Marker, own_login, post_comment

HEAD = "a" * 40
MARKER = Marker("default", HEAD, 5, 1)
OLDER, NEWER = Marker("default", "b" * 40, 4, 9), Marker("default", "b" * 40, 6, 1)


def post(client, text="text", marker=MARKER, **changes):
    return post_comment(client, "octo/models", 7, marker, text, **changes)


def bodies(github):
    return [comment.body for comment in github.comments]


def test_a_marker_is_one_hidden_line_that_is_read_again():
    assert MARKER.text == f"<!-- pytest-inferopt:default head={HEAD} run=5 attempt=1 -->"
    assert Marker.of(f"{MARKER.text}\n### text") == MARKER
    for text in (
        "",
        "text",
        f" {MARKER.text}",
        f"> {MARKER.text}",
        f"text\n{MARKER.text}",
        MARKER.text.replace("5", "x"),
    ):
        assert Marker.of(text) is None


@pytest.mark.parametrize("name", ["default", "py3.11", "a-b_c", "x" * 64])
def test_a_comment_may_be_called_so(name):
    Marker(name, HEAD, 1, 1).check()


@pytest.mark.parametrize("name", ["", "a b", "a--b", "-->", "a>", "a\nb", "x" * 65, ".a", "a.", "ä", "a..b"])
def test_a_comment_may_not_be_called_what_would_end_its_marker(name):
    with pytest.raises(UsageError, match=r"is none\. Take at most 64 letters and digits"):
        Marker(name, HEAD, 1, 1).check()


def test_the_first_run_makes_a_comment_and_the_next_ones_write_it_anew(github, client):
    first = post(client)
    second = post(client, "more", Marker("default", HEAD, 6, 1))
    assert (first.action, second.action, first.comment) == ("created", "updated", second.comment)
    assert bodies(github) == [f"<!-- pytest-inferopt:default head={HEAD} run=6 attempt=1 -->\nmore"]
    assert second.url == f"{github.url}/octo/models/pull/7#issuecomment-{second.comment}"
    assert github.asked("PATCH") == [f"PATCH /repos/octo/models/issues/comments/{second.comment}"]


def test_a_comment_on_the_third_page_is_found(github, client):
    for number in range(230):
        github.say(f"comment {number}", "ada")
    own = github.say(OLDER.text)
    assert (post(client).action, own.body) == ("updated", f"{MARKER.text}\ntext")


@pytest.mark.parametrize("login", ["ada", "github-actions", "Github-Actions[bot]", "evil[bot]", None])
def test_i110_a_marker_in_somebody_elses_comment_is_not_believed(github, client, login):
    spoofed = github.say(f"{NEWER.text}\nspoofed", login)
    assert post(client).action == "created"
    assert (spoofed.body, len(github.comments)) == (f"{NEWER.text}\nspoofed", 2)


@pytest.mark.parametrize("before", ["> ", "text\n", " ", "\n", "<!-- -->"])
def test_i110_a_marker_that_our_own_bot_repeats_further_down_is_not_believed(github, client, before):
    repeated = github.say(f"{before}{NEWER.text}\nrepeated")
    assert post(client).action == "created"
    assert repeated.body.endswith("repeated")


def test_a_comment_of_another_id_is_another_comment(github, client):
    other = github.say(Marker("gpu", HEAD, 5, 1).text)
    assert (post(client).action, other.body) == ("created", Marker("gpu", HEAD, 5, 1).text)


@pytest.mark.parametrize("found", [NEWER, Marker("default", HEAD, 5, 2), Marker("default", HEAD, 10**17, 1)])
def test_i111_an_older_run_leaves_a_newer_comment_as_it_is(github, client, found):
    github.say(f"{found.text}\nnewer")
    posted = post(client)
    assert (posted.action, bodies(github), posted.url[-4:]) == ("kept", [f"{found.text}\nnewer"], "1000")
    assert posted.reason == f"it is of run {found.run} (attempt {found.attempt}), and this is run 5 (attempt 1)"
    assert github.asked("PATCH") == []


@pytest.mark.parametrize("found", [OLDER, MARKER, Marker("default", "", 0, 0)])
def test_i111_a_comment_of_an_earlier_run_or_of_this_one_is_written_anew(github, client, found):
    github.say(f"{found.text}\nolder")
    assert (post(client).action, bodies(github)) == ("updated", [f"{MARKER.text}\ntext"])


def test_what_is_not_worth_a_comment_of_its_own_still_brings_one_up_to_date(github, client):
    assert (post(client, may_create=False).action, bodies(github)) == ("none", [])
    post(client)
    assert post(client, "calm", may_create=False).action == "updated"
    assert bodies(github) == [f"{MARKER.text}\ncalm"]


def test_an_answer_that_got_lost_makes_no_second_comment(github, client):
    github.fail("POST", "/repos", 502, is_done=True)
    assert (post(client).action, bodies(github)) == ("created", [f"{MARKER.text}\ntext"])


def test_j121_a_token_that_may_only_read_is_told_what_it_lacks(github, client):
    github.may_write = False
    with pytest.raises(
        ApiError, match=r"with 403: Resource not accessible by integration\. The token may not"
    ) as caught:
        post(client)
    assert ("pull-requests: write" in caught.value.hint, github.comments) == (True, [])


def test_a_users_token_is_its_user(github, client):
    github.is_app, github.login = False, "ada"
    mine, bots = github.say(OLDER.text, "ada"), github.say(OLDER.text)
    assert (own_login(client), post(client).action) == ("ada", "updated")
    assert (mine.body, bots.body) == (f"{MARKER.text}\ntext", OLDER.text)


def test_another_app_is_named_by_graphql_and_the_workflows_own_by_nobody(github, client):
    assert own_login(client) == "github-actions[bot]"
    github.viewer = "octo-bot[bot]"
    assert own_login(client) == "octo-bot[bot]"


def test_a_token_that_is_good_for_nothing_is_told(github, client):
    github.token = "another"
    with pytest.raises(ApiError, match=r"with 401: Bad credentials\. Pass a token that is still good"):
        own_login(client)


def test_an_answer_that_is_no_comment_is_told(github, client):
    github.fail("POST", "/repos", 201, "hello")
    with pytest.raises(ApiError, match=r"GitHub's answer is no comment"):
        post(client)


def test_a_list_with_something_else_in_it_is_passed_over(github, client):
    github._page = lambda *_: (200, {}, [None, "x", {"body": MARKER.text}, {"id": 1, "body": None, "user": None}])
    assert post(client).action == "created"
