"""The Action itself, run by act on a small repository, from the first push to a stranger's pull request.

act's checkout is a copy of the repository. GitHub's API is a server on this machine; the cache, the artifacts and the
set-up of Python are stubs. The runs build on each other, so the first push is made once for all.
"""

from __future__ import annotations

import io
import json
import re
import zipfile

import pytest
from played.forge import use

# A real gate on a real machine: one in a hundred may end otherwise, by chance or by what else runs there.
a_live_gate = pytest.mark.flaky(reruns=2)
REPOSITORY, FORK = "ada/shop", "eve/shop"
RUN = 4711
POSTING = """
on: { workflow_run: { workflows: [inferopt], types: [completed] } }
jobs:
  comment:
    runs-on: ubuntu-latest
    steps:
      - id: gate
        uses: OWNER/pytest-inferopt/github_action@v1
        with: { activity: comment }
      - if: always()
        run: echo "outputs $ALL"; echo "there $(ls -A)"
        env: { ALL: "${{ toJSON(steps.gate.outputs) }}" }
"""


@pytest.fixture(scope="module")
def shop(module_forge, api):
    """A repository whose main has been pushed: its models are in the cache."""
    module_forge.environ["GITHUB_API_URL"] = api.url
    module_forge.first = module_forge.push()
    module_forge.first_asked = module_forge.asked()
    return module_forge


@pytest.fixture
def pull(shop, api):
    """`pull("slower")`: what happens for a pull request of a branch, which the forge knows of."""

    def pull(branch, *, head=REPOSITORY, may_write=True, number=7):
        api.comments.clear()
        api.requests.clear()
        api.pull_requests[:] = [api.pull_request(number, shop.git("rev-parse", branch), branch, head)]
        api.may_write = may_write
        return shop.pull_request(branch, head=head, number=number)

    yield pull
    assert api.problems == []


@pytest.fixture
def branch(shop):
    """`branch("slower")`: a new branch of main, checked out; the working copy is main's again afterwards."""
    shop.git("switch", "--quiet", "--force", "main")

    def branch(name):
        shop.git("switch", "--quiet", "--force-create", name, "main")

    yield branch
    shop.git("switch", "--quiet", "--force", "main")
    shop.asked()


def outputs(ran):
    """What the workflow's last step has printed of the Action's outputs."""
    return json.loads(re.search(r"^outputs (\{.*?^\})", ran.printed, re.MULTILINE | re.DOTALL)[1])


def test_the_first_push_saves_a_baseline_under_its_commit(shop):
    assert shop.first.code == 0, shop.first.log
    commit = shop.git("rev-parse", "main")
    saved, uploaded = shop.first_asked
    assert re.fullmatch(rf"save inferopt-v1-linux-\w+-py3\.\d+-onnxruntime[0-9.]+-[0-9a-f]{{10}}-{commit}", saved)
    assert uploaded == "upload inferopt-report"
    assert outputs(shop.first)["conclusion"] == "neutral"


@a_live_gate
def test_a_pull_request_with_a_slower_model_is_red_annotated_and_told(shop, branch, pull, api):
    branch("slower")
    shop.model(1024)
    tip = shop.commit("more layers")
    ran = pull("slower")
    assert ran.code == 1, ran.log
    told = outputs(ran)
    base = shop.git("rev-parse", "main")
    assert (told["conclusion"], told["regressed"], told["baseline-sha"]) == ("failure", "true", base)
    assert float(told["slowdown-percent"]) > 100
    assert re.search(
        r"::error file=tests/models/test_shop\.py,line=9,title=pytest-inferopt%3A network::optimized: regression "
        r"regressed: .* allowed 2\.0 %25", ran.log
    ), ran.log  # fmt: skip
    (comment,) = api.comments
    assert (comment.pull_request, str(comment.id)) == (7, told["comment-id"])
    first, _, rest = comment.body.partition("\n")
    assert first.startswith(f"<!-- pytest-inferopt:default head={tip} run=")
    assert re.search(r"1 model is red: network: optimized at batch 1 is [\d.]+ % slower", rest)
    assert f"than recorded `{base[:7]}`, allowed 2.0 %" in rest
    assert (
        f"\npytest --inferopt --inferopt-only --inferopt-baseline={base} --inferopt-batch-sizes=1 tests/models " in rest
    )
    report = shop.report()
    assert report["results"][0]["gate"]["verdict"] == "regressed"


def test_a_pull_request_that_touches_no_model_is_unchanged_and_green_and_measures_no_gate(shop, branch, pull, api):
    branch("words")
    (shop.repo / "README.md").write_text("words", encoding="utf-8")
    shop.commit("words")
    ran = pull("words")
    assert ran.code == 0, ran.log
    told = outputs(ran)
    assert (told["conclusion"], told["regressed"], told["slowdown-percent"]) == ("success", "false", "")
    assert told["baseline-sha"] == shop.git("rev-parse", "main")
    assert "unchanged" in api.comments[0].body
    assert shop.report()["results"][0]["gate"]["replicates"] == 0


def test_j121_a_fork_leaves_its_report_and_posts_nothing(shop, branch, pull, api):
    branch("strange")
    (shop.repo / "README.md").write_text("strange", encoding="utf-8")
    shop.commit("strange")
    ran = pull("strange", head=FORK, may_write=False)
    assert ran.code == 0, ran.log
    assert (api.comments, outputs(ran)["comment-id"]) == ([], "")
    assert "::notice title=pytest-inferopt::no comment was posted, as this pull request is from a fork: " in ran.log
    assert (shop.played / "artifacts" / "inferopt-report" / "summary.md").is_file()


def test_the_last_job_of_a_matrix_makes_one_report_and_one_comment_of_all(shop, branch, pull, api, reports):
    for name, report in (
        ("py3.11", reports.report(reports.unchanged("churn"))),
        ("py3.13", reports.report(reports.regressed("price"))),
    ):
        folder = shop.played / "artifacts" / f"inferopt-report-{name}"
        folder.mkdir(parents=True)
        (folder / "report.json").write_text(report.model_dump_json(), encoding="utf-8")
    branch("matrix")
    shop.workflow(use({"activity": "merge"}))
    shop.commit("merge")
    ran = pull("matrix")
    assert ran.code == 1, ran.log
    assert (outputs(ran)["conclusion"], outputs(ran)["regressed"]) == ("failure", "true")
    (comment,) = api.comments
    assert "1 of 2 models is red: price: int8 at batch 16 is 7.2 % slower" in comment.body
    assert shop.asked() == ["download inferopt-report-*", "upload inferopt-report"]
    assert [result["name"] for result in shop.report()["results"]] == ["churn", "price"]


def test_the_second_workflow_posts_what_a_fork_has_left_without_a_checkout(shop, api, reports):
    shop.workflow(POSTING, "posting.yml")
    tip = "5" * 40
    api.comments.clear()
    api.may_write = True
    api.pull_requests[:] = [api.pull_request(8, tip, "patch", FORK)]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("report.json", reports.report(reports.regressed()).model_dump_json())
        packed.writestr("report.html", "<script>")
        packed.writestr("report-samples/" + "0" * 64 + ".npz", b"PK")
    api.leave(RUN, "inferopt-report", archive.getvalue())
    run = {"id": RUN, "run_number": 3, "run_attempt": 1, "head_sha": tip, "head_branch": "patch",
           "head_repository": {"full_name": FORK}, "event": "pull_request", "conclusion": "failure"}  # fmt: skip
    event = {"workflow_run": run, "repository": {"full_name": REPOSITORY, "default_branch": "main"}}
    ran = shop.act("workflow_run", event, "posting.yml")
    assert ran.code == 0, ran.log
    (comment,) = api.comments
    assert (comment.pull_request, outputs(ran)["comment-id"]) == (8, str(comment.id))
    assert comment.body.startswith(f"<!-- pytest-inferopt:default head={tip} run=3 attempt=1 -->\n")
    assert (outputs(ran)["conclusion"], outputs(ran)["regressed"]) == ("failure", "true")
    assert re.search(r"^there $", ran.printed, re.MULTILINE)
    assert shop.asked() == []
