"""--inferopt-update-baseline; what it accepts is in tests/plugin/test_baselines.py."""

from __future__ import annotations


def test_nothing_is_compared_and_what_was_measured_is_accepted(holds):
    run = holds("result.gate is None", "--inferopt-update-baseline")
    run.stdout.fnmatch_lines(["inferopt: * · accepting a new baseline", "*accepted as the baseline: optimized*"])


def test_the_next_run_finds_it(holds):
    holds("True", "--inferopt-update-baseline")
    holds("result.gate.verdict == 'unchanged'")
