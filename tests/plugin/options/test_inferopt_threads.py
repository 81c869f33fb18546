"""--inferopt-threads."""

from __future__ import annotations

import pytest


def test_it_reaches_the_request(holds):
    holds("result.request.threads == 2", "--inferopt-threads=2")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("-1", "threads=-1"),
        ("0", "threads=0"),
    ],
)
def test_a_wrong_value_is_a_usage_error(usage_error, value, words):
    usage_error(f"--inferopt-threads={value}", words)


def test_the_header_tells_it(inferopt_run):
    inferopt_run("def test_nothing(): pass\n", "--inferopt-threads=2").stdout.fnmatch_lines(["inferopt: * 2 threads *"])
