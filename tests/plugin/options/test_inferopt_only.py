"""--inferopt-only."""

from __future__ import annotations

OTHER = "def test_other(): raise AssertionError\n"
NO_TESTS = 5


def test_every_other_test_is_deselected(inferopt_run):
    text = "def test_digits(inferopt): raise AssertionError\n"
    inferopt_run(text + OTHER, "--inferopt-only").assert_outcomes(failed=1, deselected=1)


def test_h102_where_that_is_every_test_pytest_ends_as_it_does_without_tests(inferopt_run, repo):
    result = inferopt_run(OTHER, "--inferopt-only")
    assert (result.ret, (repo.path / ".inferopt").exists()) == (NO_TESTS, False)
