"""--inferopt-baseline; what it finds is in tests/plugin/test_baselines.py."""

from __future__ import annotations


def test_auto_is_the_default_and_says_what_is_not_protected(holds):
    run = holds("(result.request.baseline, result.gate.verdict) == ('auto', 'new')")
    run.stdout.fnmatch_lines(["inferopt: * · baseline auto", "*not protected: no baseline*"])


def test_none_compares_nothing(holds):
    run = holds("(result.request.baseline, result.gate) == ('none', None)", "--inferopt-baseline=none")
    run.stdout.fnmatch_lines(["inferopt: * · no baseline"])


def test_what_is_neither_a_path_nor_a_commit_is_a_usage_error(usage_error):
    usage_error("--inferopt-baseline=mian", "--inferopt-baseline=mian: there is no such folder or bundle*")
