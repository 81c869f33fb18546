"""--inferopt-gate-percentiles."""

from __future__ import annotations


def test_the_median_is_judged_in_any_case_and_tails_where_they_are_named(holds):
    holds("result.request.judged_percentiles == (50,)")
    holds("result.request.judged_percentiles == (50, 95, 99)", "--inferopt-gate-percentiles=p99,p95")


def test_another_percentile_is_a_usage_error(usage_error):
    usage_error("--inferopt-gate-percentiles=p90", "gate_percentiles=('p90',): the gate judges no percentile 'p90';")
