"""The figures that the charts of a model draw, under names of our own.

What comes from outside is a value here and never a field's name, since Vega reads dots, brackets and quotes in one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pytest_inferopt.domain.selection import pareto_front
from pytest_inferopt.domain.words import PERCENTILES, ms_text, size_text
from pytest_inferopt.reporters._arms import place_of
from pytest_inferopt.reporters._chart_gate_data import gate_datasets
from pytest_inferopt.reporters._limits import accuracy_limits, latency_limits, size_limits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_inferopt.domain.measured import Latency
    from pytest_inferopt.domain.result import RunResult
    from pytest_inferopt.reporters._arms import Arm

__all__ = ["datasets_of"]

Rows = list[dict[str, Any]]
DIGITS = 4
BUDGET_ROOM = 2.5  # times the largest file
NEAR = 0.15  # of an axis: two labels closer than this would cover each other


def datasets_of(result: RunResult, arms: tuple[Arm, ...]) -> dict[str, Rows]:
    """The datasets by name; one that would have no rows is there and empty.

    The points of ``quantiles`` and ``warmup`` are not in it but in the report's JSON, where the page takes them from.

    A latency of zero, which a coarse clock can give, has no place on a logarithmic axis and is left out.
    """
    first = result.request.batch_sizes[0]
    is_less_better = result.original.accuracy is not None and result.original.accuracy.direction == "lower"
    sizes: Rows = [
        {**_named(arm), "mb": arm.variant.size_mb, "text": size_text(arm.variant.size_bytes)}
        for arm in arms
        if arm.variant.size_bytes is not None and arm.variant.role != "context"
    ]
    # A budget far above every file would leave the bars no room.
    room_mb = BUDGET_ROOM * max((row["mb"] for row in sizes), default=0)
    return {
        "pareto": _with_labels_apart(list(_pareto(result, arms, first)), is_less_better=is_less_better),
        "p95_limits": [{"name": name, "ms": ms} for name, ms in latency_limits(result, 95, first)],
        "accuracy_limits": [{"name": name, "score": _short(score)} for name, score in accuracy_limits(result)],
        "sizes": sizes,
        "size_limits": [{"name": name, "mb": mb} for name, mb in size_limits(result) if mb <= room_mb],
        "latency": [row for arm, latency in _cells(arms) for row in _percentiles(arm, latency)],
        "throughput": [
            {**_named(arm), "batch": latency.batch_size, "rows": _short(latency.throughput_rows_per_second)}
            for arm, latency in _cells(arms)
            if latency.throughput_rows_per_second
        ],
        "speedup": list(_speedups(arms)),
        "quantiles": [row for arm in arms for row in _curves(arm, result, "quantiles_ms")],
        "warmup": [row for arm in arms for row in _curves(arm, result, "warmup_ms")],
        **gate_datasets(result, arms),
    }


def _named(arm: Arm) -> dict[str, Any]:
    """Vega groups by `arm`, a number, since a name may be one that JavaScript has taken: ``constructor``."""
    return {"arm": arm.position, "label": arm.label}


def _cells(arms: Iterable[Arm]) -> Iterator[tuple[Arm, Latency]]:
    return ((arm, latency) for arm in arms for latency in arm.variant.latency.values())


def _pareto(result: RunResult, arms: Iterable[Arm], batch_size: int) -> Iterator[dict[str, Any]]:
    front = pareto_front(result)
    for arm in arms:
        found, latency = arm.variant.accuracy, arm.variant.latency.get(batch_size)
        if found is None or found.score is None or latency is None or not latency.p95_ms:
            continue
        yield {
            **_named(arm),
            "ms": _short(latency.p95_ms),
            "p95": ms_text(latency.p95_ms),
            "score": _short(found.score),
            "mb": arm.variant.size_mb,
            "size": size_text(arm.variant.size_bytes),
            "front": arm.variant.role != "context" and arm.variant.name in front,
        }


def _with_labels_apart(rows: Rows, *, is_less_better: bool) -> Rows:
    """Of two models that lie close to each other, the one that is drawn lower has its label below it."""
    xs = _parts([math.log(row["ms"]) for row in rows])
    ys = _parts([-row["score"] if is_less_better else row["score"] for row in rows])
    for mine, row in enumerate(rows):
        near = [at for at in range(len(rows)) if abs(xs[at] - xs[mine]) < NEAR and abs(ys[at] - ys[mine]) < NEAR]
        row["is_below"] = any((ys[at], -at) > (ys[mine], -mine) for at in near)
    return rows


def _parts(values: list[float]) -> list[float]:
    """Where each lies between the least and the largest, from 0 to 1."""
    low, high = min(values, default=0.0), max(values, default=0.0)
    return [0.5 if low == high else (value - low) / (high - low) for value in values]


def _percentiles(arm: Arm, latency: Latency) -> Iterator[dict[str, Any]]:
    for name in PERCENTILES:
        milliseconds = getattr(latency, f"{name}_ms")
        if not milliseconds:
            continue
        interval = latency.intervals.get(name)
        low, high = (interval.low, interval.high) if interval else (None, None)
        yield {
            **_named(arm),
            "batch": latency.batch_size,
            "stat": name,
            "ms": _short(milliseconds),
            # A limit that the sample cannot carry is drawn as none, and the table says so.
            "low": _short(low or milliseconds),
            "high": _short(high or milliseconds),
        }


def _speedups(arms: Iterable[Arm]) -> Iterator[dict[str, Any]]:
    for arm in arms:
        for batch_size, found in arm.variant.speedup.items():
            if found.estimate:
                low, high = found.interval.low or found.estimate, found.interval.high or found.estimate
                yield {
                    **_named(arm),
                    "batch": batch_size,
                    "times": _short(found.estimate),
                    "low": _short(low),
                    "high": _short(high),
                }


def _curves(arm: Arm, result: RunResult, field: str) -> Iterator[dict[str, Any]]:
    """A curve a row: where its points stand in the report's JSON, which the page carries once, and their limits.

    `last` is the number of its last point, the first being 0; with `cold`, that one is the cold call.
    """
    for batch_size, latency in arm.variant.latency.items():
        curve: tuple[float, ...] = getattr(latency, field)
        is_warmup = field == "warmup_ms"
        shown = [value for value in curve if value > 0]
        if shown:
            shown += [latency.cold_call_ms] if is_warmup and latency.cold_call_ms else []
            yield {
                **_named(arm),
                "batch": batch_size,
                "cold": is_warmup,
                "last": len(curve) - 1 or 1,
                "low": _short(min(shown)),
                "high": _short(max(shown)),
                "field": field,
                "at": [*place_of(arm, result), "latency", str(batch_size)],
            }


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
