"""--inferopt-gate-percentiles."""

from __future__ import annotations


def test_it_is_refused_by_name_until_it_is_built(usage_error):
    usage_error(
        "--inferopt-gate-percentiles=p95",
        "gate_percentiles is set, but the regression gate is not part of",
    )
