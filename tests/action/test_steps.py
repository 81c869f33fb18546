"""The steps one after the other, without a runner: events that none plays here, and what goes wrong on the way."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import pytest

BRANCH = ("pull_request", "refs/pull/7/merge")
SLOW = """
import time

import pytest


@pytest.mark.inferopt
def test_first(inferopt):
    inferopt('model.onnx', __import__('numpy').load('rows.npz')['x'])


@pytest.mark.inferopt
def test_second(inferopt):
    print('::error::asleep', flush=True)
    open('asleep', 'w').close()
    time.sleep(60)
"""
OWN = """
import pytest

@pytest.mark.inferopt
def test_own(inferopt):
    print('::set-output name=conclusion::success')
    inferopt('model.onnx', __import__('numpy').load('rows.npz')['x'])
    assert False, 'not ours'
"""


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("--no-such-option", "4", "pytest ended with exit code 4: it was called wrongly."),
        ("-k nothing_of_that_name", "5", "pytest ended with exit code 5: it found no inferopt test."),
    ],
)
def test_a_run_without_a_result_is_a_failure_with_outputs_and_a_report_that_says_so(job, arguments, code, said):
    ours = job(*BRANCH, **{"pytest-args": arguments})
    assert [ours.step(name).code for name in ("plan", "baseline", "measure")] == [0, 0, 0]
    told = ours.step("outputs")
    assert f"::error title=pytest-inferopt::{said}\n" in told.printed
    assert (ours.outputs["exit-code"], ours.outputs["conclusion"], ours.outputs["p50-ms"]) == (code, "failure", "")
    report = ours.report()
    assert (report["incidents"], report["results"]) == ([said], [])
    assert ours.step("verdict").code == 1


def test_a_job_that_ended_before_it_measured_is_a_failure(job):
    ours = job(*BRANCH)
    ours.step("plan")
    ours.step("outputs")
    assert (ours.outputs["conclusion"], ours.outputs["json-path"]) == ("failure", "")
    assert ours.step("verdict").code == 1


def test_a_test_that_fails_by_itself_fails_the_job_and_what_it_prints_is_no_command(job, forge):
    (forge.repo / "tests" / "models" / "test_shop.py").write_text(OWN, encoding="utf-8")
    ours = job(*BRANCH, **{"pytest-args": "tests/models --inferopt-quick -s"})
    ours.step("plan")
    ours.step("baseline")
    printed = ours.step("measure").printed
    token = re.search(r"^::stop-commands::(\w+)$", printed, re.MULTILINE)[1]
    before, _, after = printed.partition(f"\n::{token}::\n")
    assert "::set-output name=conclusion::success" in before
    assert not re.search(r"^::(?!stop)", after, re.MULTILINE)
    told = ours.step("outputs").printed
    assert "::error title=pytest-inferopt::a test failed by its own assertion; the log of the run has it.\n" in told
    assert (ours.outputs["conclusion"], ours.outputs["regressed"]) == ("failure", "false")
    assert ours.step("verdict").code == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_job_that_is_cancelled_keeps_what_it_has_measured(job, forge, number):
    (forge.repo / "tests" / "models" / "test_shop.py").write_text(SLOW, encoding="utf-8")
    ours = job(*BRANCH, **{"pytest-args": "tests/models --inferopt-quick -p no:randomly"})
    ours.step("plan")
    ours.step("baseline")
    process = ours.start("measure")
    deadline = time.monotonic() + 90
    while not (forge.repo / "asleep").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    ours.end("measure", process)
    ours.step("outputs")
    report = ours.report()
    assert ([result["name"] for result in report["results"]], report["is_partial"]) == (["first"], True)
    assert (ours.outputs["exit-code"], ours.outputs["conclusion"]) == ("2", "failure")


def test_where_the_cache_has_nothing_or_what_is_damaged_the_base_is_made_again(job, forge):
    base = forge.git("rev-parse", "HEAD")
    forge.git("switch", "--quiet", "--create", "change")
    forge.commit("nothing that a model knows")
    ours = job("merge_group", "refs/heads/gh-readonly-queue/main/pr-7", {"merge_group": {"base_sha": base}})
    ours.step("plan")
    ours.step("baseline")
    assert ours.outputs["restore-key"].endswith(f"-{base}")
    bundle = forge.repo / ours.outputs["bundle"]
    bundle.write_bytes(b"PK damaged")
    printed = ours.step("measure").printed
    assert "::warning title=pytest-inferopt::the cached models of the base are not used: " in printed
    ours.step("outputs")
    (result,) = ours.report()["results"]
    assert (result["gate"]["verdict"], result["gate"]["baseline"]["source"]) == ("unchanged", "rebuilt")
    assert (ours.outputs["conclusion"], ours.outputs["baseline-sha"]) == ("success", base)
    assert ours.step("verdict").code == 0
    assert not forge.git("status", "--porcelain")
    assert ours.step("publish").code == 0
    summary = (ours.folder / "summary.md").read_text(encoding="utf-8")
    assert summary == Path(ours.outputs["summary-path"]).read_text(encoding="utf-8")
    assert f"rebuilt `{base[:7]}`" in summary


def test_a_bundle_that_the_change_brings_along_is_not_believed(job, forge):
    ours = job(*BRANCH)
    ours.step("plan")
    bundle = forge.repo / ours.outputs["bundle"]
    bundle.parent.mkdir(parents=True)
    bundle.write_bytes(b"planted")
    forge.git("add", "--force", str(bundle))
    forge.commit("a bundle")
    assert job(*BRANCH).step("plan").code == 0
    assert not bundle.exists()


def test_with_nothing_but_the_cache_a_model_that_is_not_in_it_is_new_and_the_job_neutral_and_green(job, forge):
    forge.git("switch", "--quiet", "--create", "change")
    forge.commit("nothing that a model knows")
    ours = job(*BRANCH, baseline="cache", **{"job-summary": "false"})
    for name in ("plan", "baseline", "measure"):
        ours.step(name)
    told = ours.step("outputs").printed
    assert re.search(
        r"^::notice file=tests/models/test_shop\.py,line=9,title=pytest-inferopt%3A network::not protected: "
        r"nothing is saved of the merge base [0-9a-f]{7} with main",
        told,
        re.MULTILINE,
    )
    assert (ours.outputs["conclusion"], ours.step("verdict").code) == ("neutral", 0)
    ours.step("publish")
    assert not (ours.folder / "summary.md").exists()
    assert "not protected: no baseline" in Path(ours.outputs["summary-path"]).read_text(encoding="utf-8")
