"""--inferopt-quick."""

from __future__ import annotations


def test_fewer_calls_are_timed_at_two_batch_sizes(holds):
    holds("[result.request.iterations, *result.request.batch_sizes] == [50, 1, 16]", "--inferopt-quick")


def test_every_figure_of_time_is_marked_as_advisory(holds):
    run = holds("result.passed", "--inferopt-quick")
    run.stdout.re_match_lines([r"optimized .* [\d.]+~ .*", "  quick run: every latency figure is advisory .*"])
