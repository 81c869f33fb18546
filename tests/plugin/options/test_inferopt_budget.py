"""`--inferopt-budget`: from the command line, the marker and the project's table to the verdict and its words."""

from __future__ import annotations

import pytest

LOAD = "import numpy as np\nwith np.load('rows.npz') as rows:\n    x, y = rows['x'], rows['y']\n"
TEST = LOAD + "def test_digits(inferopt):\n    inferopt('model.onnx', x, y)\n"
FEW = ("--inferopt-iterations=100", "--inferopt-batch-sizes=1", "--inferopt-measure-seconds=2")
USAGE_ERROR = 4


def asserting(claim):
    return LOAD + f"def test_digits(inferopt):\n    result = inferopt('model.onnx', x, y)\n    assert {claim}\n"


def test_budgets_that_are_met_pass_with_their_figures_below_the_table(inferopt_run):
    arguments = ("--inferopt-budget=p95<10s", "--inferopt-budget=size<1MB")
    result = inferopt_run(TEST, *FEW, *arguments, fast=False)
    result.assert_outcomes(passed=1)
    result.stdout.re_match_lines(
        [
            r"  optimized: budget size<1MB passed: \d+\.\d kB\.",
            r"  optimized: budget p95<10s passed: [\d.]+ ms \[[\d.]+, [\d.]+\] over 6 processes of 200 calls\.",
            r"  budgets: this machine took [\d.]+ ms for a fixed probe",
        ]
    )


def test_budgets_that_are_broken_fail_the_test_with_their_figures_and_what_to_do(inferopt_run):
    arguments = ("--inferopt-budget=p95@batch7<0.0001ms", "--inferopt-budget=size<0.5kB")
    result = inferopt_run(TEST, *FEW, *arguments, fast=False)
    result.assert_outcomes(failed=1)
    result.stdout.re_match_lines(
        [
            r"inferopt: digits: 2 of 5 checks are red",
            r"  optimized: budget size<0\.5kB failed: \d+\.\d kB, [\d,]+ bytes\.",
            r"    next: Use a smaller model or a technique that shrinks it, or allow more\.",
            r"  optimized: budget p95@batch7<0\.0001ms failed: [\d.]+ ms \[[\d.]+, [\d.]+\] over 6 processes of 200 .*",
            r"    next: Use a faster technique, a smaller model or fewer rows a call, or allow more\.",
        ]
    )


def test_a_quick_run_fails_on_sizes_and_on_no_latency(inferopt_run):
    inferopt_run(TEST, "--inferopt-budget=p95<0.001us").assert_outcomes(passed=1)
    result = inferopt_run(TEST, "--inferopt-budget=p95<0.001us", "--inferopt-budget=size<0.5kB")
    result.assert_outcomes(failed=1)
    told = r".*budget p95<0\.001us advisory: not certain in a quick run: [\d.]+ ms in one process of 50 calls\."
    result.stdout.re_match_lines([told])


def test_the_marker_takes_one_budget_or_a_list_and_stands_above_the_table(inferopt_run, repo):
    repo.makepyprojecttoml("[tool.inferopt]\nbudget = ['size<0.5kB']\n")
    marker = "import pytest\npytestmark = pytest.mark.inferopt(budget={})\n"
    claim = asserting("result.request.budget == ('size<1MB',)")
    for written in ("'size<1MB'", "['size<1MB']"):
        inferopt_run(marker.format(written) + claim).assert_outcomes(passed=1)
    inferopt_run(TEST).assert_outcomes(failed=1)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--inferopt-budget=0"], "budget '0' compares nothing; write p95<5ms, *"),
        (["--inferopt-budget=p95<5"], "budget 'p95<5' has no unit; *; did you mean 'p95<5ms'[?]"),
        (
            ["--inferopt-budget=p95<5ms", "--inferopt-budget=p95<6ms"],
            "budget 'p95<6ms' and 'p95<5ms' limit the same figure; keep the one that holds.",
        ),
        (
            ["--inferopt-budget=p95<5ms", "--inferopt-iterations=10"],
            "budget 'p95<5ms' with iterations=10 is p95 of fewer than 20 samples; *",
        ),
    ],
)
def test_what_is_no_budget_ends_the_session_before_anything_runs(inferopt_run, arguments, told):
    result = inferopt_run(TEST, *arguments, fast=False)
    assert result.ret == USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: command line: {told}"])


def test_what_is_no_budget_in_a_marker_fails_that_test(inferopt_run):
    marker = "import pytest\n@pytest.mark.inferopt(budget='p95>5ms')\n"
    result = inferopt_run(LOAD + marker + "def test_digits(inferopt):\n    inferopt('model.onnx', x, y)\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*budget 'p95>5ms' has the sign >, and a budget is an upper limit; did you mean *"])
