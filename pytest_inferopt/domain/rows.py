"""A report as a flat table, one row a model, variant and batch size: what CSV, pandas and spreadsheets want."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_inferopt.domain.words import PERCENTILES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_inferopt.domain.result import Interval, Latency, RunResult, VariantResult

__all__ = ["COLUMNS", "Value", "flat_rows"]

Value = str | int | float | bool | None

COLUMNS = (
    "test_id", "model", "variant", "role", "is_best", "verdict", "format", "size_bytes", "sha256",
    "metric", "score", "accuracy_ratio", "accuracy_ratio_low", "accuracy_ratio_high", "accuracy_rows", "label_flips",
    "batch_size", "iterations", "p50_ms", "p50_low_ms", "p50_high_ms", "p95_ms", "p95_low_ms", "p95_high_ms",
    "p99_ms", "p99_low_ms", "p99_high_ms", "mean_ms", "stddev_ms", "throughput_rows_per_second", "cold_call_ms",
    "feed_ms", "speedup", "speedup_low", "speedup_high",
)  # fmt: skip


def flat_rows(result: RunResult) -> Iterator[dict[str, Value]]:
    """The rows of a result, each with all of `COLUMNS`; what was not measured is None.

    A variant that was never timed has one row, without a batch size.
    """
    for variant in (result.original, *result.context, *result.variants.values()):
        for latency in variant.latency.values() or (None,):
            row: dict[str, Value] = dict.fromkeys(COLUMNS)
            row |= _of_variant(variant, result)
            if latency is not None:
                row |= _of_latency(latency) | _of_speedup(variant, latency.batch_size)
            yield row


def _of_variant(variant: VariantResult, result: RunResult) -> dict[str, Value]:
    worst = variant.worst
    row: dict[str, Value] = {
        "test_id": result.test_id,
        "model": result.name,
        "variant": variant.name,
        "role": variant.role,
        "is_best": variant.role == "variant" and variant.name == result.best,
        "verdict": worst.outcome if worst else "passed" if variant.checks else None,
        "format": variant.format,
        "size_bytes": variant.size_bytes,
        "sha256": variant.sha256,
    }
    if variant.conversion is not None:
        row["label_flips"] = variant.conversion.label_flips
    found = variant.accuracy
    if found is not None:
        low, high = _limits(found.interval)
        row |= {
            "metric": found.metric,
            "score": found.score,
            "accuracy_ratio": found.ratio if variant.role == "variant" else None,
            "accuracy_ratio_low": low,
            "accuracy_ratio_high": high,
            "accuracy_rows": found.rows,
        }
    return row


def _of_latency(latency: Latency) -> dict[str, Value]:
    row: dict[str, Value] = {
        name: getattr(latency, name)
        for name in ("batch_size", "iterations", "p50_ms", "p95_ms", "p99_ms", "mean_ms", "stddev_ms",
                     "throughput_rows_per_second", "cold_call_ms", "feed_ms")
    }  # fmt: skip
    for name in PERCENTILES:
        row[f"{name}_low_ms"], row[f"{name}_high_ms"] = _limits(latency.intervals.get(name))
    return row


def _of_speedup(variant: VariantResult, batch_size: int) -> dict[str, Value]:
    found = variant.speedup.get(batch_size)
    if found is None:
        return {}
    low, high = _limits(found.interval)
    return {"speedup": found.estimate, "speedup_low": low, "speedup_high": high}


def _limits(interval: Interval | None) -> tuple[float | None, float | None]:
    return (None, None) if interval is None else (interval.low, interval.high)
