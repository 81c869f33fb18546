"""A budget: an upper limit of a percentile's latency or of a file's size, as a user writes it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from pytest_inferopt.domain.text import printable

__all__ = ["MAX_BATCH_SIZE", "PERCENTILES", "Budget", "LatencyBudget", "SizeBudget", "parse_budget"]

PERCENTILES = (50, 95, 99)
MAX_BATCH_SIZE = 65_536
EXAMPLES = "p95<5ms, p99@batch32<40ms or size<50MB"
MS_PER_UNIT = {"us": 1e-3, "µs": 1e-3, "μs": 1e-3, "ms": 1.0, "s": 1e3}
BYTES_PER_UNIT = {"kB": 1e3, "MB": 1e6, "GB": 1e9}
TIME_UNITS, SIZE_UNITS = "us, ms or s", "kB, MB or GB (MB = 10⁶ bytes)"

SIGNS = re.compile(r"([^<>=≤≥]*)([<>=≤≥]+)(.*)")
FIGURE = re.compile(r"(size|[pP]?[0-9.]+|[a-zA-Z]+)(?: *@ *([a-z]*) *([^ ]*))?")
AMOUNT = re.compile(r"([-+]?(?:[0-9.]+(?:[eE][-+]?[0-9]+)?|[nN]a[nN]|[iI]nf(?:inity)?)) *([^0-9\s]*)")


@dataclass(frozen=True)
class SizeBudget:
    """The size that a model's file stays below.

    Attributes:
        text: as written, without the spaces around it.
        limit_bytes: the first size that is too large.
    """

    text: str
    limit_bytes: float


@dataclass(frozen=True)
class LatencyBudget:
    """The latency that a percentile of the calls stays below.

    Attributes:
        text: as written, without the spaces around it.
        percentile: in percent, one of `PERCENTILES`.
        batch_size: rows a call; None stands for the first batch size of the request.
        limit_ms: the first latency that is too long, in milliseconds.
    """

    text: str
    percentile: int
    batch_size: int | None
    limit_ms: float


Budget = SizeBudget | LatencyBudget


def parse_budget(text: str) -> Budget:
    """Read a budget: a figure, ``<``, and a number above 0 with its unit; spaces between them do not matter.

    The sign is ``<`` alone: a budget is an upper limit, and between measured figures ``<=`` would say the same.

    >>> parse_budget("p99@batch32 < 40 ms")
    LatencyBudget(text='p99@batch32 < 40 ms', percentile=99, batch_size=32, limit_ms=40.0)

    Raises:
        ValueError: what is wrong with the text, and how one looks.
    """
    text = text.strip(" ")
    parts = SIGNS.fullmatch(text)
    if parts is None:
        raise _wrong(text, "compares nothing")
    figure, sign, amount = (part.strip(" ") for part in parts.groups())
    if sign != "<":
        raise _wrong(text, f"has the sign {sign}, and a budget is an upper limit", f"{figure}<{amount}")
    if figure == "size":
        return SizeBudget(text, _limit(text, figure, amount, BYTES_PER_UNIT, SIZE_UNITS))
    percentile, batch_size = _cell(text, figure, amount)
    return LatencyBudget(text, percentile, batch_size, _limit(text, figure, amount, MS_PER_UNIT, TIME_UNITS))


def _cell(text: str, figure: str, amount: str) -> tuple[int, int | None]:
    """The percentile and the batch size that the left side names."""
    parts = FIGURE.fullmatch(figure)
    if parts is None:
        raise _wrong(text, "does not say of which figure")
    name, at, batch = parts.groups()
    known = {f"p{percentile}": percentile for percentile in PERCENTILES}
    if name == "size":
        raise _wrong(text, "gives a size by batch, and a file has one size", f"size<{amount}")
    if name not in known:
        close = name.lower() if name.lower() in known else f"p{name}" if f"p{name}" in known else ""
        what = f"judges {name!r}, and the figures are {', '.join(known)} and size"
        raise _wrong(text, what, text.replace(name, close, 1) if close else "")
    if at is None:
        return known[name], None
    if at != "batch":
        raise _wrong(text, f"has {at + batch!r} after the @", f"{name}@batch{batch or 1}<{amount}")
    if not re.fullmatch("[0-9]+", batch) or not 1 <= int(batch) <= MAX_BATCH_SIZE:
        raise _wrong(text, f"has batch size {batch or 'none'!r}, which is no whole number from 1 to {MAX_BATCH_SIZE:,}")
    return known[name], int(batch)


def _limit(text: str, figure: str, amount: str, units: dict[str, float], known: str) -> float:
    """The right side, in milliseconds or in bytes."""
    parts = AMOUNT.fullmatch(amount)
    number = _number(parts[1]) if parts else None
    if parts is None or number is None:
        raise _wrong(text, f"has the limit {amount!r}, which is no number with a unit")
    unit = parts[2]
    if not 0 < number < math.inf:
        raise _wrong(text, f"has the limit {parts[1]}, and nothing is below it" if number <= 0 else "limits nothing")
    if unit not in units:
        close = next((name for name in units if name.lower() == unit.lower()), "")
        what = f"has the unit {unit!r}" if unit else "has no unit"
        better = f"{figure}<{parts[1]}{close or ('ms' if units is MS_PER_UNIT else 'MB')}" if close or not unit else ""
        raise _wrong(text, f"{what}; {figure} is in {known}", better)
    limit = number * units[unit]
    if not 0 < limit < math.inf:
        raise _wrong(text, "limits nothing")
    return limit


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _wrong(text: str, what: str, better: str = "") -> ValueError:
    advice = f"did you mean {printable(better)!r}?" if better and _is_budget(better) else f"write {EXAMPLES}"
    return ValueError(f"budget {printable(text)!r} {what}; {advice}")


def _is_budget(text: str) -> bool:
    """Whether a suggestion is right itself."""
    try:
        parse_budget(text)
    except ValueError:
        return False
    return True
