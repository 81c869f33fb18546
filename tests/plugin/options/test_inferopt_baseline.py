"""--inferopt-baseline."""

from __future__ import annotations


def test_none_is_what_holds_anyway(holds):
    holds("result.request.baseline == 'none'", "--inferopt-baseline=none")


def test_any_other_is_refused_by_name_until_it_is_built(usage_error):
    usage_error("--inferopt-baseline=main", "baseline is set, but baselines are not part of this version")
