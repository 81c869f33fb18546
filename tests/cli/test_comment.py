"""``pytest-inferopt comment``: what a pull request and a job's summary are told, and what that may cost."""

from __future__ import annotations

import json

import pytest

from pytest_inferopt.cli import comment as comment_command
from pytest_inferopt.github.client import GitHub

HEAD = "a" * 40
PULL = {"repository": {"full_name": "octo/models"}, "pull_request": {"number": 7, "head": {"sha": HEAD}}}
RUN_URL = "https://github.com/octo/models/actions/runs/42"


@pytest.fixture
def stored(reports, tmp_path):
    """`stored("improved")`: the file of a report of such a model, or of a report; one that became slower without."""

    def stored(report="regressed"):
        path = tmp_path / "result.json"
        found = reports.report(getattr(reports, report)()) if isinstance(report, str) else report
        path.write_text(json.dumps(found.to_dict()), encoding="utf-8")
        return path

    return stored


@pytest.fixture
def job(github, monkeypatch, tmp_path, command):
    """`job(event)`: the environment of a job of the pull request 7, with its token; a folder for it."""
    for name in ("GITHUB_TOKEN", "INFEROPT_GITHUB_TOKEN", "GITHUB_EVENT_PATH", "GITHUB_SHA"):
        monkeypatch.delenv(name, raising=False)

    def job(event=PULL, **environ):
        path = tmp_path / "event.json"
        path.write_text(json.dumps(event), encoding="utf-8")
        given = {
            "GITHUB_API_URL": github.url,
            "GITHUB_REPOSITORY": "octo/models",
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_RUN_ID": "42",
            "GITHUB_RUN_NUMBER": "5",
            "GITHUB_RUN_ATTEMPT": "1",
            "GITHUB_TOKEN": github.token,
            "GITHUB_EVENT_PATH": str(path),
            **environ,
        }
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        return tmp_path

    assert command
    return job


def test_a_pull_request_is_told_once_and_then_again_in_the_same_place(command, job, github, stored):
    job()
    ran = command("comment", stored())
    url = f"{github.url}/octo/models/pull/7#issuecomment-1000"
    assert (ran.code, ran.out, ran.err) == (1, f"comment created: {url}\n", "")
    job(GITHUB_RUN_ATTEMPT="2")
    assert command("comment", stored()).out == f"comment updated: {url}\n"
    (comment,) = github.comments
    lines = comment.body.splitlines()
    assert lines[0] == f"<!-- pytest-inferopt:default head={HEAD} run=5 attempt=2 -->"
    assert lines[1].startswith("### ❌ inferopt: 1 of 1 model is red: churn: int8 at batch 16 is 7.2 % slower")
    assert f"· head `aaaaaaaaaa` · [run]({RUN_URL})" in lines[3]


def test_what_became_of_it_is_told_as_a_document(command, job, github, stored):
    job()
    document = json.loads(command("comment", stored(), "--json").out)
    (comment,) = github.comments
    assert document == {
        "verdict": "red",
        "headline": document["headline"],
        "action": "created",
        "reason": "",
        "comment": 1000,
        "url": f"{github.url}/octo/models/pull/7#issuecomment-1000",
        "body": comment.body,
    }
    assert document["headline"].startswith("1 of 1 model is red: churn: int8 at batch 16 is 7.2 % slower")


def test_i111_an_older_run_says_that_it_kept_a_newer_comment(command, job, github, stored):
    github.say(f"<!-- pytest-inferopt:default head={HEAD} run=6 attempt=1 -->\nnewer")
    job()
    ran = command("comment", stored())
    told = "comment kept: it is of run 6 (attempt 1), and this is run 5 (attempt 1): "
    assert (ran.code, ran.out.startswith(told), github.comments[0].body[-5:]) == (1, True, "newer")


def test_two_comments_of_one_pull_request_have_ids_of_their_own(command, job, github, stored):
    job()
    for name in ("cpu", "gpu", "cpu"):
        assert command("comment", stored(), "--comment-id", name).code == 1
    assert [comment.body.partition(" head=")[0] for comment in github.comments] == [
        "<!-- pytest-inferopt:cpu",
        "<!-- pytest-inferopt:gpu",
    ]


# --- what is not told, and does not change the verdict -------------------------------------------------------------


@pytest.mark.parametrize(("build", "code"), [("regressed", 1), ("improved", 0)])
@pytest.mark.parametrize(
    "answer",
    [(403, "Resource not accessible by integration"), (404, "Not Found"), (422, "Validation Failed"), (401, "Bad")],
)
def test_i112_what_github_refuses_is_a_warning_and_the_verdict_stays(command, job, github, stored, build, code, answer):
    summary = job() / "summary.md"
    github.fail("POST", "/repos", *answer)
    ran = command("comment", stored(build), "--summary", summary)
    told = "pytest-inferopt: no comment: GitHub answered POST /repos/octo/models/issues/7/comments with "
    assert (ran.code, ran.out, ran.err.startswith(f"{told}{answer[0]}: {answer[1]}.")) == (code, "", True)
    assert summary.read_text(encoding="utf-8").startswith("# ")


@pytest.mark.parametrize("status", [429, 500, 502, 503, 0])
def test_i112_a_server_that_does_not_come_back_is_a_warning(command, job, github, stored, monkeypatch, status):
    slept = []
    monkeypatch.setattr(comment_command, "GitHub", lambda *given: GitHub(*given, sleep=slept.append))
    job()
    github.fail("GET", "/repos", status, times=99)
    ran = command("comment", stored(), "--json")
    document = json.loads(ran.out)
    assert (ran.code, document["action"], document["verdict"]) == (1, "none", "red")
    assert document["reason"].startswith("GitHub cannot be reached" if status == 0 else "GitHub answered GET ")
    assert slept


def test_i112_a_server_that_is_not_there_is_a_warning(command, job, stored, monkeypatch):
    monkeypatch.setattr(comment_command, "GitHub", lambda *given: GitHub(*given, sleep=lambda _: None))
    job(GITHUB_API_URL="http://127.0.0.1:9")
    ran = command("comment", stored())
    assert (ran.code, ran.err.startswith("pytest-inferopt: no comment: GitHub cannot be reached: ")) == (1, True)


def test_j121_a_token_that_may_only_read_leaves_the_report_in_the_summary(command, job, github, stored, tmp_path):
    github.may_write = False
    job()
    summary = tmp_path / "summary.md"
    ran = command("comment", stored(), "--summary", summary)
    assert (ran.code, github.comments, "pull-requests: write" in ran.err) == (1, [], True)
    assert summary.read_text(encoding="utf-8").startswith("# ❌ inferopt: 1 of 1 model is red: churn: int8 at batch 16")


@pytest.mark.parametrize(
    "event", [{}, {"ref": "refs/heads/main"}, {"merge_group": {"head_sha": HEAD}}, {"issue": {"number": 7}}]
)
def test_i113_where_there_is_no_pull_request_there_is_no_comment(command, job, github, stored, event):
    job(event)
    ran = command("comment", stored())
    told = "pytest-inferopt: no comment: this is no run of a pull request.\n"
    assert (ran.code, ran.out, ran.err, github.requests) == (1, "", told, [])


def test_i113_outside_of_github_there_is_no_comment(command, stored, monkeypatch):
    for name in ("GITHUB_REPOSITORY", "GITHUB_EVENT_PATH", "GITHUB_TOKEN", "INFEROPT_GITHUB_TOKEN", "GITHUB_SHA"):
        monkeypatch.delenv(name, raising=False)
    assert command("comment", stored()).err == (
        "pytest-inferopt: no comment: the repository is not known. Name it: --repository OWNER/NAME.\n"
    )
    named = ("--repository", "octo/models", "--pull-request", "7")
    assert command("comment", stored(), *named).err == (
        "pytest-inferopt: no comment: there is no token. Pass it in the environment: GITHUB_TOKEN.\n"
    )


def test_a_token_of_ones_own_comes_before_the_jobs(command, job, github, stored):
    # The job's own token is the one that was good until now.
    job()
    github.token = "another"
    assert "with 401: Bad credentials" in command("comment", stored()).err
    job(INFEROPT_GITHUB_TOKEN=github.token)
    assert "comment created" in command("comment", stored()).out


def test_an_api_that_is_none_is_a_usage_error(command, job, stored):
    job(GITHUB_API_URL="http://evil.example")
    assert command("comment", stored()).code == 2


# --- when there is to be one --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "build", "is_told"),
    [
        ("always", "unchanged", True),
        ("on-change", "unchanged", False),
        ("on-change", "improved", True),
        ("on-change", "new", True),
        ("on-change", "regressed", True),
        ("on-regression", "improved", False),
        ("on-regression", "inconclusive", False),
        ("on-regression", "regressed", True),
        ("on-regression", "missing", True),
        ("off", "regressed", False),
    ],
)
def test_a_comment_is_made_where_its_mode_says_so(command, job, github, stored, mode, build, is_told):
    job()
    ran = command("comment", stored(build), "--mode", mode)
    why = "it is switched off" if mode == "off" else "there is nothing to tell"
    assert (len(github.comments) == 1, ran.out.partition(":")[0]) == (
        is_told,
        "comment created" if is_told else "no comment",
    )
    assert is_told or ran.out == f"no comment: {why}\n"


@pytest.mark.parametrize(("mode", "is_told"), [("on-change", True), ("on-regression", True), ("off", False)])
def test_a_comment_that_is_there_is_kept_up_to_date(command, job, github, stored, mode, is_told):
    job()
    command("comment", stored())
    command("comment", stored("unchanged"), "--mode", mode)
    assert ("### ✅" in github.comments[0].body) is is_told


def test_an_ended_session_is_worth_a_comment(command, job, github, stored, reports):
    job()
    report = reports.report(reports.unchanged(), is_partial=True)
    assert (command("comment", stored(report), "--mode", "on-regression").code, len(github.comments)) == (1, 1)


def test_a_mode_that_is_none_is_a_usage_error_with_a_suggestion(command, stored):
    ran = command("comment", stored(), "--mode", "on-changes")
    assert (ran.code, ran.err) == (2, "pytest-inferopt: --mode on-changes is none; did you mean 'on-change'?\n")


@pytest.mark.parametrize("arguments", [("--comment-id", "a b"), ("--repository", "models"), ("--pull-request", "0")])
def test_a_wrong_option_is_a_usage_error_before_anything_is_asked(command, job, github, stored, arguments):
    job()
    assert (command("comment", stored(), *arguments).code, github.requests) == (2, [])


def test_an_undecided_gate_under_strict_has_the_exit_code_of_its_own(command, job, stored, reports):
    job()
    assert command("comment", stored(reports.report(reports.inconclusive(mode="strict")))).code == 4


# --- whose figures ------------------------------------------------------------------------------------------------

FORK_RUN = {
    "id": 41,
    "head_sha": "c" * 40,
    "head_branch": "faster",
    "head_repository": {"full_name": "ada/models"},
    "run_number": 3,
    "run_attempt": 2,
}


def test_a_forks_pull_request_is_told_from_a_workflow_run(command, job, github, github_server, stored):
    github.pull_requests = [github_server.PullRequest(7, "c" * 40, "faster", "ada/models")]
    job({"repository": {"full_name": "octo/models"}, "workflow_run": FORK_RUN})
    assert command("comment", stored()).code == 1
    (comment,) = github.comments
    assert comment.body.startswith(f"<!-- pytest-inferopt:default head={'c' * 40} run=3 attempt=2 -->\n")
    assert "[run](https://github.com/octo/models/actions/runs/41)" in comment.body


def test_j118_a_report_that_names_a_pull_request_and_a_commit_is_not_believed(command, job, github, stored, reports):
    git = reports.GIT.model_copy(update={"commit": HEAD, "is_dirty": False})
    forged = reports.report(reports.regressed(), git=git, pull_request=7, head=HEAD)
    job({"repository": {"full_name": "octo/models"}, "workflow_run": FORK_RUN})
    ran = command("comment", stored(forged))
    told = "pytest-inferopt: no comment: no open pull request of ada/models is at ccccccc.\n"
    assert (ran.code, ran.err, github.comments) == (1, told, [])


def test_j118_a_number_that_is_not_at_the_measured_commit_is_refused(command, job, github, stored):
    job({"repository": {"full_name": "octo/models"}, "workflow_run": FORK_RUN})
    ran = command("comment", stored(), "--pull-request", "7")
    told = "pytest-inferopt: pull request 7 of octo/models is at aaaaaaa, and ccccccc was measured. "
    assert (ran.code, ran.err.startswith(told), github.comments) == (5, True, [])


def test_outside_of_github_the_reports_own_commit_is_held_against_the_pull_requests(
    command, job, github, stored, reports, monkeypatch
):
    job()
    for name in ("GITHUB_EVENT_PATH", "GITHUB_REPOSITORY", "GITHUB_RUN_NUMBER"):
        monkeypatch.delenv(name)
    named = ("--repository", "octo/models", "--pull-request", "7")
    clean = reports.GIT.model_copy(update={"commit": HEAD, "is_dirty": False})
    dirty = clean.model_copy(update={"is_dirty": True})
    assert command("comment", stored(reports.report(reports.regressed(), git=dirty)), *named).code == 2
    assert github.comments == []
    assert command("comment", stored(reports.report(reports.regressed(), git=clean)), *named).code == 1
    assert github.comments[0].body.startswith(f"<!-- pytest-inferopt:default head={HEAD} run=0 attempt=1 -->")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema_version": 1, "results": []}', "\x80\x04cposix\nsystem\n."])
def test_j117_a_report_that_is_none_is_refused_and_nobody_is_told(command, job, github, tmp_path, text):
    job()
    path = tmp_path / "result.json"
    path.write_text(text, encoding="utf-8")
    ran = command("comment", path, "--summary", tmp_path / "summary.md")
    assert (ran.code, ran.out, github.requests, (tmp_path / "summary.md").exists()) == (5, "", [], False)


# --- the summary --------------------------------------------------------------------------------------------------


def test_a_summary_is_added_to_what_a_step_has_told_already(command, job, stored, tmp_path):
    job()
    summary = tmp_path / "summary.md"
    summary.write_text("# Before\n", encoding="utf-8")
    command("comment", stored(), "--summary", summary, "--mode", "off")
    assert summary.read_text(encoding="utf-8").startswith("# Before\n\n# ❌ inferopt: 1 of 1 model is red")


def test_i109_a_summary_has_at_most_900_kb_with_what_was_there(command, job, stored, reports, tmp_path):
    job()
    many = reports.report(*[reports.full().results[0]] * 60)
    summary = tmp_path / "summary.md"
    summary.write_bytes(b"x" * 500_000)
    command("comment", stored(many), "--summary", summary, "--mode", "off")
    text = summary.read_text(encoding="utf-8")
    assert 880_000 < len(text.encode()) <= 900_000
    assert text.endswith("\n\nCut here, where the page was full. Everything stands in the JSON report.\n")
    assert text.count("<details>") == text.count("</details>") > 80


def test_a_summary_that_is_full_is_left_as_it_is(command, job, stored, tmp_path):
    job()
    summary = tmp_path / "summary.md"
    summary.write_bytes(b"x" * 899_500)
    ran = command("comment", stored(), "--summary", summary)
    assert (ran.code, ran.err) == (1, f"pytest-inferopt: {summary} is full, so the report is not added to it.\n")
    assert summary.stat().st_size == 899_500


def test_a_summary_that_cannot_be_written_is_told(command, job, stored, tmp_path):
    job()
    ran = command("comment", stored(), "--summary", tmp_path / "gone" / "summary.md")
    assert (
        ran.code,
        "cannot be written: No such file or directory. Name another file: --summary FILE." in ran.err,
    ) == (
        1,
        True,
    )


def test_i108_a_comment_has_at_most_60_000_characters_with_its_marker(command, job, github, stored, reports):
    job()
    incidents = tuple(f"gw{number} died" for number in range(9000))
    command("comment", stored(reports.report(reports.regressed(), incidents=incidents)))
    (comment,) = github.comments
    note = f"Cut here, where the comment was full. Everything stands in [the summary of the run]({RUN_URL}).\n"
    assert 59_980 < len(comment.body) <= 60_000
    assert comment.body.endswith(f" died\n\n{note}")


def test_i108_of_very_many_reasons_as_many_stand_in_a_comment_as_have_a_place(command, job, github, stored, reports):
    job()
    found = [
        reports.variant(name, checks=(reports.check("failed", name, reason=name * 12, next_step=name * 12),))
        for name in (f"{'@' * 75}{number}" for number in range(40))
    ]
    command("comment", stored(reports.report(reports.result(*found))))
    (comment,) = github.comments
    assert 55_000 < len(comment.body) <= 60_000


def test_a_figure_that_cannot_be_drawn_is_refused(command, job, stored, monkeypatch):
    def fall(*_):
        raise OverflowError("int too large to convert to float")

    monkeypatch.setattr("pytest_inferopt.reporters.comment.comment_view", fall)
    job()
    ran = command("comment", stored())
    assert (ran.code, "cannot be drawn: OverflowError: int too large" in ran.err) == (5, True)
