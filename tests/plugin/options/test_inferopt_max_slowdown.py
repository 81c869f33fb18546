"""--inferopt-max-slowdown."""

from __future__ import annotations


def test_it_is_refused_by_name_until_it_is_built(usage_error):
    usage_error("--inferopt-max-slowdown=5%", "max_slowdown is set, but the regression gate is not part of")
