"""A report as a flat table, one row a model, variant and batch size: what CSV, pandas and spreadsheets want."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_inferopt.domain.gate_words import regression_of
from pytest_inferopt.domain.words import PERCENTILES, outcome_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_inferopt.domain.comparison import CellComparison
    from pytest_inferopt.domain.measured import Latency
    from pytest_inferopt.domain.record import Interval
    from pytest_inferopt.domain.result import RunResult, VariantResult

__all__ = ["COLUMNS", "Value", "flat_rows"]

Value = str | int | float | bool | None

COLUMNS = (
    "test_id", "model", "variant", "role", "is_best", "verdict", "format", "size_bytes", "sha256",
    "metric", "score", "accuracy_ratio", "accuracy_ratio_low", "accuracy_ratio_high", "accuracy_rows", "label_flips",
    "batch_size", "iterations", "p50_ms", "p50_low_ms", "p50_high_ms", "p95_ms", "p95_low_ms", "p95_high_ms",
    "p99_ms", "p99_low_ms", "p99_high_ms", "mean_ms", "stddev_ms", "throughput_rows_per_second", "cold_call_ms",
    "feed_ms", "speedup", "speedup_low", "speedup_high", "memory_bytes", "memory_peak_bytes",
    "gate", "baseline", "baseline_commit", "regression", "base_size_bytes", "size_change", "base_score", "score_change",
    "cell", "base_p50_ms", "slowdown", "slowdown_low", "slowdown_high", "slowdown_processes",
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
                row |= _of_cell(variant.comparison.cell(latency.batch_size) if variant.comparison else None)
            yield row


def _of_variant(variant: VariantResult, result: RunResult) -> dict[str, Value]:
    row: dict[str, Value] = {
        "test_id": result.test_id,
        "model": result.name,
        "variant": variant.name,
        "role": variant.role,
        "is_best": variant.role == "variant" and variant.name == result.best,
        "verdict": outcome_of(variant),
        "format": variant.format,
        "size_bytes": variant.size_bytes,
        "sha256": variant.sha256,
    }
    if variant.memory is not None:
        row |= {"memory_bytes": variant.memory.used_bytes, "memory_peak_bytes": variant.memory.peak_bytes}
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
    return row | _of_baseline(variant, result) if variant.role == "variant" else row


def _of_baseline(variant: VariantResult, result: RunResult) -> dict[str, Value]:
    gate, found, check = result.gate, variant.comparison, regression_of(variant)
    row: dict[str, Value] = {"regression": check.outcome if check else None}
    if gate is not None:
        row["gate"] = gate.verdict
        row["baseline"] = gate.baseline.source if gate.baseline else None
        row["baseline_commit"] = gate.baseline.commit if gate.baseline else None
    if found is not None:
        row |= {name: getattr(found, name) for name in ("base_size_bytes", "size_change", "base_score", "score_change")}
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


def _of_cell(found: CellComparison | None) -> dict[str, Value]:
    """The median of a batch size beside the baseline's."""
    if found is None:
        return {}
    row: dict[str, Value] = {"cell": found.outcome, "base_p50_ms": found.base_ms}
    if found.slowdown is not None:
        low, high = _limits(found.slowdown.interval)
        row |= {
            "slowdown": found.slowdown.estimate,
            "slowdown_low": low,
            "slowdown_high": high,
            "slowdown_processes": found.slowdown.replicates,
        }
    return row


def _limits(interval: Interval | None) -> tuple[float | None, float | None]:
    return (None, None) if interval is None else (interval.low, interval.high)
