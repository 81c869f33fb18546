"""--inferopt-gate."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("mode", ["strict", "on", "warn"])
def test_it_reaches_the_request_and_each_regression_check(holds, mode):
    holds(
        f"(result.request.gate, [check.gate for check in result.checks if check.kind == 'regression']) "
        f"== ({mode!r}, [{mode!r}])",
        f"--inferopt-gate={mode}",
    )


def test_another_mode_is_a_usage_error(usage_error):
    usage_error("--inferopt-gate=stern", "gate='stern': Input should be 'strict', 'on' or 'warn'")
