"""--inferopt-gate."""

from __future__ import annotations


def test_it_is_refused_by_name_until_it_is_built(usage_error):
    usage_error("--inferopt-gate=strict", "gate is set, but the regression gate is not part of")
