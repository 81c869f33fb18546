"""How much slower a candidate may be than its baseline, as a user writes it and as the gate tests it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from pytest_inferopt.domain.text import printable
from pytest_inferopt.errors import UsageError

__all__ = ["LEAST_PERCENT", "MOST_PERCENT", "SlowdownLimits", "parse_max_slowdown"]

# What may pass lies well below what must be caught, so that both can be told apart from a modest number of replicates.
ALLOWED_SHARE = 0.4
# Below, the order in which two copies of one file are loaded makes more of a difference; and a share of 1, such as
# 0.05, is never taken for a percentage.
LEAST_PERCENT = 1.0
MOST_PERCENT = 100.0
EXAMPLE = 'Write "5%", or 5 as a number.'
TEXT = re.compile(r"([0-9]+(?:\.[0-9]+)?) *(%?)")


@dataclass(frozen=True)
class SlowdownLimits:
    """The two slow-downs that a gate tests against, relative to the baseline: 0.05 is 5 % slower.

    Attributes:
        allowed: red means proven above it.
        caught: passed means proven below it.
        origin: where `allowed` comes from, as a reader sees it.
    """

    allowed: float
    caught: float
    origin: str

    @property
    def allowed_log(self) -> float:
        """ln(1 + allowed), on the scale of the replicates."""
        return math.log1p(self.allowed)

    @property
    def caught_log(self) -> float:
        """ln(1 + caught)."""
        return math.log1p(self.caught)

    @property
    def text(self) -> str:
        """``2.0 % (0.4 × max_slowdown 5 %)``."""
        percent = round(100 * self.allowed, 4)
        shown = f"{percent:.1f}" if percent == round(percent, 1) else f"{percent:g}"
        return f"{shown} % ({self.origin})"


def parse_max_slowdown(value: str | float) -> SlowdownLimits:
    """Read ``max_slowdown``: a text carries its ``%``, a number is in percent; from 1 to 100.

    >>> parse_max_slowdown("5%") == parse_max_slowdown(5)
    True
    >>> parse_max_slowdown("5 %").text
    '2.0 % (0.4 × max_slowdown 5 %)'

    Raises:
        UsageError: what is wrong with the value, and how one looks.
    """
    percent = _percent(value)
    if not LEAST_PERCENT <= percent <= MOST_PERCENT:
        is_share = LEAST_PERCENT <= 100 * percent <= MOST_PERCENT
        what = f"is not from {LEAST_PERCENT:g} to {MOST_PERCENT:g} percent"
        raise _wrong(value, what, f"{100 * percent:.10g}%" if is_share else "")
    origin = f"{ALLOWED_SHARE:g} × max_slowdown {percent:.10g} %"
    return SlowdownLimits(ALLOWED_SHARE * percent / 100, percent / 100, origin)


def _percent(value: str | float) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _wrong(value, "is neither a text nor a number")
    if not isinstance(value, str):
        return value
    parts = TEXT.fullmatch(value.strip(" "))
    if parts is None:
        raise _wrong(value, "is no percentage")
    if not parts[2]:
        raise _wrong(value, "has no % sign", f"{parts[1]}%")
    return float(parts[1])


def _wrong(value: object, what: str, better: str = "") -> UsageError:
    end, hint = (";", f'did you mean "{better}"?') if better else (".", EXAMPLE)
    return UsageError(f"max_slowdown={printable(repr(value))} {what}{end}", hint)
