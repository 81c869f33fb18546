from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferopt.domain.slowdown import SlowdownLimits, parse_max_slowdown
from pytest_inferopt.errors import UsageError

HOW = 'Write "5%", or 5 as a number.'


@pytest.mark.parametrize(
    ("value", "percent"),
    [("5%", 5), ("5 %", 5), (" 2.5% ", 2.5), (5, 5), (5.0, 5), (1, 1), ("100%", 100), ("1%", 1), ("05%", 5)],
)
def test_a_text_carries_its_percent_sign_and_a_number_is_in_percent(value, percent):
    origin = f"0.4 × max_slowdown {percent:g} %"
    assert parse_max_slowdown(value) == SlowdownLimits(0.4 * percent / 100, percent / 100, origin)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("5", """'5' has no % sign; did you mean "5%"?"""),
        ("0.05", """'0.05' has no % sign; did you mean "0.05%"?"""),
        (0.05, """0.05 is not from 1 to 100 percent; did you mean "5%"?"""),
        ("0.05%", """'0.05%' is not from 1 to 100 percent; did you mean "5%"?"""),
        (0, f"0 is not from 1 to 100 percent. {HOW}"),
        (-5, f"-5 is not from 1 to 100 percent. {HOW}"),
        (100.5, f"100.5 is not from 1 to 100 percent. {HOW}"),
        (10**400, f"1{'0' * 78}… is not from 1 to 100 percent. {HOW}"),
        (math.nan, f"nan is not from 1 to 100 percent. {HOW}"),
        (math.inf, f"inf is not from 1 to 100 percent. {HOW}"),
        ("", f"'' is no percentage. {HOW}"),
        ("five%", f"'five%' is no percentage. {HOW}"),
        ("-5%", f"'-5%' is no percentage. {HOW}"),
        ("5%%", f"'5%%' is no percentage. {HOW}"),
        ("٥%", f"'٥%' is no percentage. {HOW}"),
        (True, f"True is neither a text nor a number. {HOW}"),
        (None, f"None is neither a text nor a number. {HOW}"),
    ],
)
def test_any_other_value_is_an_error_that_shows_one(value, message):
    with pytest.raises(UsageError) as raised:
        parse_max_slowdown(value)
    assert str(raised.value) == f"max_slowdown={message}"


@given(st.text(max_size=8) | st.floats() | st.integers() | st.booleans() | st.none())
def test_whatever_is_written_is_limits_or_an_error_of_ours(value):
    try:
        limits = parse_max_slowdown(value)
    except UsageError:
        return
    assert 0 < limits.allowed_log < limits.caught_log <= math.log(2)


@pytest.mark.parametrize(
    ("percent", "text"),
    [
        (5, "2.0 % (0.4 × max_slowdown 5 %)"),
        (1.2, "0.48 % (0.4 × max_slowdown 1.2 %)"),
        (100, "40.0 % (0.4 × max_slowdown 100 %)"),
    ],
)
def test_what_is_allowed_says_where_it_comes_from(percent, text):
    assert parse_max_slowdown(percent).text == text


def test_the_limits_are_tested_on_the_log_scale():
    limits = parse_max_slowdown("5%")
    assert (limits.allowed_log, limits.caught_log) == pytest.approx((math.log(1.02), math.log(1.05)))
