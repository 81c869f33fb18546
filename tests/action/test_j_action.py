"""Row J of the faults: what strangers may write into inputs, branches, artifacts and events."""

from __future__ import annotations

import io
import json
import re
import stat
import subprocess
import sys
import zipfile

import pytest
import yaml

REPOSITORY, FORK = "ada/shop", "eve/shop"
RUN, TIP = 4711, "5" * 40
# A branch's name holds no blank; ${IFS} is one in a shell.
BRANCH = "a$(touch${IFS}$PLAYED/$WHO)`touch${IFS}$PLAYED/$WHO`;touch${IFS}$PLAYED/$WHO"
TEXT = "\"; touch $PLAYED/$WHO; ' `touch $PLAYED/$WHO` $(touch $PLAYED/$WHO) | touch $PLAYED/$WHO #"
# These are taken as they are, so they come as far as pytest; of the others a wrong one is refused at once.
FREE = ("batch-sizes", "accuracy-threshold", "budget", "max-slowdown")
CHECKED = ("activity", "pytest-args", "extras", "working-directory", "gate", "baseline", "comment", "comment-id",
           "job-summary", "report-name")  # fmt: skip


def using(inputs, **more):
    return {"uses": "OWNER/pytest-inferopt/github_action@v1", "continue-on-error": True, "with": inputs, **more}


def test_j115_shell_metacharacters_in_inputs_and_branch_names_are_inert(forge):
    quoted = TEXT.replace("'", "")
    steps = [
        {"uses": "actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8"},
        # What a workflow must not do; without this, nothing would show that the text bites.
        {"run": "echo ${{ github.event.pull_request.head.ref }}", "env": {"WHO": "by-the-branch"}},
        {"run": f'echo "{quoted}', "env": {"WHO": "by-the-text"}, "continue-on-error": True},
        using(dict.fromkeys(CHECKED, TEXT)),
        using({**dict.fromkeys(FREE, TEXT), "comment": "off"}),
        using(
            {
                "pytest-args": f"'{quoted}' -k '{quoted}'",
                "artifact-retention-days": TEXT,
                "python-version": TEXT,
                "comment": "off",
            }
        ),
    ]
    job = {"runs-on": "ubuntu-latest", "env": {"WHO": "owned"}, "steps": steps}
    forge.workflow("on: pull_request\n" + yaml.safe_dump({"jobs": {"gate": job}}))
    forge.git("switch", "--quiet", "--create", BRANCH)
    forge.commit("a change")
    ran = forge.pull_request(BRANCH)
    assert (forge.played / "by-the-branch").is_file(), ran.log
    assert (forge.played / "by-the-text").is_file(), ran.log
    assert not (forge.played / "owned").exists()
    ended = re.findall(r"::error title=pytest-inferopt::(.*?): ", ran.log)
    assert ended == ["input activity", *["pytest ended with exit code 4"] * 2]
    (version,) = (line for line in forge.asked() if line.startswith("setup-python"))
    assert version == f"setup-python {TEXT}"


class TestTheJobThatMayWrite:
    """It reads what a run of a stranger's code has left: `posted(archive)` runs its steps on that."""

    @pytest.fixture
    def posted(self, job, api):
        api.comments.clear()
        api.artifacts.clear()
        api.problems.clear()
        api.may_write = True
        api.pull_requests[:] = [api.pull_request(8, TIP, "patch", FORK), api.pull_request(9, "6" * 40, "other", FORK)]

        def posted(archive, *, head=TIP, **left):
            run = {"id": RUN, "run_number": 3, "run_attempt": 1, "head_sha": head, "head_branch": "patch",
                   "head_repository": {"full_name": FORK}, "event": "pull_request"}  # fmt: skip
            if archive is not None:
                api.leave(RUN, "inferopt-report", archive, **left)
            ours = job("workflow_run", "refs/heads/main", {"workflow_run": run}, comment="always")
            ours.environ |= {"GITHUB_API_URL": api.url, "GITHUB_TOKEN": api.token}
            assert ours.step("plan").code == 0
            ours.fetched = ours.step("fetch")
            ours.step("outputs")
            ours.published = ours.step("publish") if ours.outputs["json-path"] else None
            return ours

        yield posted
        assert api.problems == []

    def test_what_a_run_has_left_is_posted_and_the_token_stays_with_github(self, posted, api, storage, report):
        storage.tokens.clear()
        ours = posted(packed(report))
        assert ours.fetched.code == 0, ours.fetched.printed
        assert [comment.pull_request for comment in api.comments] == [8], ours.published.printed
        assert ours.outputs["comment-id"] == str(api.comments[0].id)
        assert storage.tokens == [None]
        assert ours.step("verdict").code == 0

    @pytest.mark.parametrize("left", [{}, {"expired": True}], ids=["none", "expired"])
    def test_where_a_run_has_left_nothing_the_job_is_green_and_says_so(self, posted, api, report, left):
        ours = posted(packed(report) if left else None, **left)
        told = f"run {RUN} has left no artifact inferopt-report, so there is nothing to post."
        assert ours.fetched.printed == f"::notice title=pytest-inferopt::{told}\n"
        assert (ours.step("verdict").code, ours.outputs["conclusion"], api.comments) == (0, "neutral", [])

    def test_without_the_right_to_read_artifacts_the_job_is_told_which_to_give(self, posted, api, report):
        api.fail("GET", f"/repos/{REPOSITORY}/actions/runs", 403, "Resource not accessible by integration")
        assert_refused(posted(packed(report)), api, "Give the job `permissions: actions: read`.")

    @pytest.mark.parametrize("name", ["../report.json", "/report.json", "a/../../report.json", "C:\\report.json"])
    def test_j116_a_path_that_leads_out_of_the_archive_is_refused(self, posted, api, report, name):
        ours = posted(packed(report, **{name: b"{}"}))
        assert_refused(ours, api, "which is no place in an artifact")

    def test_j116_a_link_is_refused(self, posted, api):
        link = zipfile.ZipInfo("report.json")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        ours = posted(packed(None, link=(link, "/etc/passwd")))
        assert_refused(ours, api, "as a link or a device")

    def test_j116_a_bomb_is_refused_before_it_is_unpacked(self, posted, api):
        ours = posted(packed(b"[" + b" " * 60_000_000 + b"]"))
        assert_refused(ours, api, "which unpacks to more than 200 times its size")

    def test_j116_what_says_that_it_is_too_large_is_not_downloaded(self, posted, api, storage, report):
        storage.tokens.clear()
        assert_refused(posted(packed(report), size=10**9), api, "the artifact has 1,000,000,000 bytes")
        assert storage.tokens == []

    def test_j116_what_is_larger_than_it_says_is_cut_off(self, posted, api):
        assert_refused(posted(b"PK" + bytes(100_000_000), size=10), api, "has more than 100,000,000 bytes")

    @pytest.mark.parametrize(
        ("document", "told"),
        [
            (b"", "not valid JSON"),
            (b'{"results": [', "not valid JSON"),
            (b"[" * 100_000, "not valid JSON"),
            (b'{"results": [{"name": "churn"}]}', ""),
            (b'{"results": [], "results": []}', "a name stands twice"),
            (b'{"schema_version": 99, "results": []}', "schema version 99"),
            (b"\x80\x04cos\nsystem\n(S'touch owned'\ntR.", "not valid JSON"),
        ],
        ids=["empty", "cut", "deep", "half", "twice", "newer", "pickle"],
    )
    def test_j117_what_is_no_report_is_refused(self, posted, api, document, told):
        assert_refused(posted(packed(document)), api, told)

    def test_j117_two_reports_are_refused(self, posted, api, report):
        assert_refused(
            posted(packed(report, **{"other/report.json": report})), api, "holds 2 reports, and one is posted"
        )

    def test_j118_a_number_in_the_artifact_is_not_looked_at(self, posted, api, report):
        forged = {**json.loads(report), "pull_request": 9, "number": 9}
        posted(packed(json.dumps(forged).encode(), **{"pr_number.txt": b"9"}))
        assert [comment.pull_request for comment in api.comments] == [8]

    def test_j118_a_pull_request_that_has_moved_on_is_not_told(self, posted, api, report):
        ours = posted(packed(report), head="7" * 40)
        assert api.comments == []
        assert "::warning title=pytest-inferopt::no comment was posted: " in ours.published.printed

    def test_j119_nothing_is_unpickled_and_no_library_that_could_run_code_is_loaded(self, posted, api, report, root):
        ours = posted(packed(report))
        api.comments.clear()
        for name in ("fetch", "outputs", "publish"):
            ran = watched(ours, name, root)
            assert ran.returncode == 0, ran.stdout
            assert ran.stdout.splitlines()[-1] == "unpickled [] loaded []", ran.stdout
        assert [comment.pull_request for comment in api.comments] == [8]


@pytest.fixture
def report(reports):
    return reports.report(reports.regressed()).model_dump_json().encode()


def packed(document, link=None, **others):
    """An artifact's archive with this report and whatever else."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        if document is not None:
            archive.writestr("report.json", document)
        if link is not None:
            archive.writestr(*link)
        for name, data in others.items():
            archive.writestr(name, data)
    return content.getvalue()


def assert_refused(ours, api, told):
    """The step that fetches is red with the reason, and nothing is posted."""
    assert ours.fetched.code == 1
    assert ours.fetched.printed.startswith("::error title=pytest-inferopt::")
    assert told in ours.fetched.printed
    assert "Traceback" not in ours.fetched.printed
    assert (api.comments, ours.outputs["json-path"]) == ([], "")


WATCH = """
import sys

unpickled = []
sys.addaudithook(lambda event, given: unpickled.append(given) if event == "pickle.find_class" else None)
sys.path.insert(0, sys.argv[1])
from steps.main import main

code = main([sys.argv[2]])
heavy = {"numpy", "onnx", "onnxruntime", "torch", "tensorflow", "sklearn", "pandas", "joblib", "cloudpickle"}
print("unpickled", unpickled, "loaded", sorted(heavy & sys.modules.keys()))
sys.exit(code)
"""


def watched(ours, name, root):
    """A step with a hook that sees every class that is unpickled."""
    environ = {**ours.environ, "INFEROPT_PLAN": ours.outputs["plan"], "GITHUB_OUTPUT": str(ours.folder / "watched")}
    command = [sys.executable, "-c", WATCH, str(root / "github_action"), name]
    return subprocess.run(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", check=False
    )
