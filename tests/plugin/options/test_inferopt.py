"""--inferopt."""

from __future__ import annotations

TEST = "def test_digits(inferopt): raise AssertionError\n"


def test_with_it_inferopt_tests_run(inferopt_run):
    inferopt_run(TEST).assert_outcomes(failed=1)


def test_without_it_they_are_skipped_with_the_reason(repo):
    repo.makepyfile(TEST)
    result = repo.runpytest_inprocess("-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*an inferopt test: run it with pytest --inferopt*"])
