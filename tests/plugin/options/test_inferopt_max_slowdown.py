"""--inferopt-max-slowdown."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(("value", "caught"), [("10%", 0.1), ("2.5 %", 0.025)])
def test_it_is_the_slow_down_that_is_surely_caught(holds, value, caught):
    holds(f"result.request.slowdown_limits.caught == {caught}", f"--inferopt-max-slowdown={value}")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("5", "max_slowdown='5': has no % sign; did you mean \"5%\"[?]"),
        ("fast", "max_slowdown='fast': is no percentage. Write \"5%\", or 5 as a number."),
        ("0.05%", "max_slowdown='0.05%': is not from 1 to 100 percent; did you mean \"5%\"[?]"),
        ("200%", "max_slowdown='200%': is not from 1 to 100 percent."),
    ],
)
def test_a_wrong_value_is_a_usage_error(usage_error, value, words):
    usage_error(f"--inferopt-max-slowdown={value}", words)
