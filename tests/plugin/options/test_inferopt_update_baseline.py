"""--inferopt-update-baseline."""

from __future__ import annotations


def test_it_is_refused_by_name_until_it_is_built(usage_error):
    usage_error("--inferopt-update-baseline", "--inferopt-update-baseline is set, but baselines are not part")
