"""The latencies as pytest-benchmark stores them, for its command and for the tools that read its files."""

from __future__ import annotations

import json
from bisect import bisect_right
from math import isfinite
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_inferopt.domain.gate_words import regression_of
from pytest_inferopt.domain.plugins import Reporter
from pytest_inferopt.domain.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_inferopt.domain.environment import Environment
    from pytest_inferopt.domain.measured import Latency
    from pytest_inferopt.domain.report import GitState, Report
    from pytest_inferopt.domain.result import RunResult, VariantResult

__all__ = ["PytestBenchmark"]

FORMAT_VERSION = "5.3.1"  # of pytest-benchmark, whose fields these are
MS_PER_SECOND = 1000
QUANTILES = 101
FENCE = 1.5  # interquartile ranges, as Tukey draws them
NAME_LIMIT = 400


class PytestBenchmark(Reporter):
    """JSON that ``pytest-benchmark compare FILE…`` reads: a benchmark a model, variant and batch size, in seconds.

    A round is one timed call. Count, mean, standard deviation, total, shortest and longest call are exact. Median and
    quartiles are the percentiles 50, 25 and 75 with linear interpolation, where pytest-benchmark takes medians of
    halves. The rest is read off 101 quantiles and is approximate: the two counts of outliers, and the lowest and
    highest datum within the fences. What was not timed is left out, and the single calls are not in the file.
    """

    name: ClassVar[str] = "pytest-benchmark"
    file_name: ClassVar[str] = "benchmark.json"

    def render(self, report: Report) -> str:
        """The document as pytest-benchmark 5 writes it; a group holds the variants of a model at one batch size."""
        document = {
            "machine_info": _machine(report.environment),
            "commit_info": _commit(report.git),
            "benchmarks": [benchmark for result in report.results for benchmark in _benchmarks(result)],
            "datetime": report.created_at,
            "version": FORMAT_VERSION,
            "written_by": f"pytest-inferopt {report.tool_version}",
        }
        return json.dumps(document, indent=4, allow_nan=False) + "\n"


def _machine(environment: Environment) -> dict[str, Any]:
    system, _, machine = environment.system.partition(" ")
    return {
        "machine": machine,
        "system": system,
        "python_version": environment.python,
        "cpu": {
            "brand_raw": environment.cpu_model,
            "count": environment.cpu_count,
            "flags": list(environment.isa_flags),
        },
        "libraries": dict(environment.libraries),
    }


def _commit(git: GitState | None) -> dict[str, Any]:
    """What pytest-benchmark's own look at the repository gives, without one too."""
    return {
        "id": git.commit if git else "unversioned",
        "time": git.committed_at if git else None,
        "author_time": None,
        "dirty": git.is_dirty if git else False,
        "project": None,
        "branch": (git.branch or "(detached head)") if git else "(unknown)",
    }


def _benchmarks(result: RunResult) -> Iterator[dict[str, Any]]:
    for variant in (result.original, *result.context, *result.variants.values()):
        for latency in variant.latency.values():
            stats = _stats(latency)
            if stats is not None:
                yield _named(result, variant, latency.batch_size) | {
                    "extra_info": _extra(variant, latency) | _beside(result, variant, latency.batch_size),
                    "options": {"warmup": latency.warmup_iterations},
                    "stats": stats,
                }


def _named(result: RunResult, variant: VariantResult, batch_size: int) -> dict[str, Any]:
    """The names, made printable, because the command writes them to a terminal as they are."""
    model, name = printable(result.name, NAME_LIMIT), printable(variant.name, NAME_LIMIT)
    test = printable(result.test_id, NAME_LIMIT)
    param = f"{name}-batch{batch_size}"
    return {
        "group": f"{model} batch {batch_size}",
        "name": f"{model}[{param}]",
        "fullname": f"{test}::{model}[{param}]" if test else f"{model}[{param}]",
        "params": {"model": model, "variant": name, "batch_size": batch_size},
        "param": param,
    }


def _extra(variant: VariantResult, latency: Latency) -> dict[str, Any]:
    speedup = variant.speedup.get(latency.batch_size)
    return {
        "p95_ms": _finite(latency.p95_ms),
        "p99_ms": _finite(latency.p99_ms),
        "throughput_rows_per_second": _finite(latency.throughput_rows_per_second),
        "speedup": _finite(speedup.estimate) if speedup else None,
        "accuracy_ratio": _finite(variant.accuracy.ratio) if variant.accuracy and variant.role == "variant" else None,
        "size_bytes": variant.size_bytes,
        "is_red": variant.is_red,
    }


def _beside(result: RunResult, variant: VariantResult, batch_size: int) -> dict[str, Any]:
    """The variant beside its baseline; nothing where nobody asked for one."""
    if result.gate is None or variant.role != "variant":
        return {}
    cell = variant.comparison.cell(batch_size) if variant.comparison else None
    slowdown = cell.slowdown if cell else None
    check, baseline = regression_of(variant), result.gate.baseline
    return {
        "regression": check.outcome if check else None,
        "baseline_commit": printable(baseline.commit, NAME_LIMIT) if baseline and baseline.commit else None,
        "base_p50_ms": _finite(cell.base_ms) if cell else None,
        "slowdown": _finite(slowdown.estimate) if slowdown else None,
        "slowdown_low": _finite(slowdown.interval.low) if slowdown else None,
        "slowdown_high": _finite(slowdown.interval.high) if slowdown else None,
    }


def _finite(figure: float | None) -> float | None:
    return figure if figure is not None and isfinite(figure) else None


def _stats(latency: Latency) -> dict[str, Any] | None:
    """pytest-benchmark's figures in seconds; None where there is no mean or no distribution."""
    mean_ms, quantiles_ms = _finite(latency.mean_ms), latency.quantiles_ms
    if mean_ms is None or len(quantiles_ms) != QUANTILES or not all(map(isfinite, quantiles_ms)):
        return None
    quantiles = [milliseconds / MS_PER_SECOND for milliseconds in quantiles_ms]
    # A single call has no deviation; pytest-benchmark writes 0 then.
    mean, stddev = mean_ms / MS_PER_SECOND, (_finite(latency.stddev_ms) or 0.0) / MS_PER_SECOND
    q1, median, q3 = (quantiles[percentile] for percentile in (25, 50, 75))
    low, high = q1 - FENCE * (q3 - q1), q3 + FENCE * (q3 - q1)
    beyond_stddev = _calls_outside(quantiles, mean - stddev, mean + stddev, latency.iterations)
    beyond_fences = _calls_outside(quantiles, low, high, latency.iterations)
    return {
        "min": quantiles[0],
        "max": quantiles[-1],
        "mean": mean,
        "stddev": stddev,
        "rounds": latency.iterations,
        "median": median,
        "iqr": q3 - q1,
        "q1": q1,
        "q3": q3,
        "iqr_outliers": beyond_fences,
        "stddev_outliers": beyond_stddev,
        "outliers": f"{beyond_stddev};{beyond_fences}",
        "ld15iqr": min(quantile for quantile in quantiles if quantile >= low),
        "hd15iqr": max(quantile for quantile in quantiles if quantile <= high),
        "ops": 1 / mean if mean else 0,
        "total": mean * latency.iterations,
        "iterations": 1,
    }


def _calls_outside(quantiles: Sequence[float], low: float, high: float, calls: int) -> int:
    """About how many of the calls lie outside of both limits, by linear interpolation between the quantiles."""
    below = 0.0 if low <= quantiles[0] else _share_below(quantiles, low)
    above = 0.0 if high >= quantiles[-1] else 1 - _share_below(quantiles, high)
    return round((below + above) * calls)


def _share_below(quantiles: Sequence[float], limit: float) -> float:
    """The share of the calls below a limit that lies between the shortest and the longest."""
    above = bisect_right(quantiles, limit)
    start, end = quantiles[above - 1], quantiles[above]
    return (above - 1 + (limit - start) / (end - start)) / (len(quantiles) - 1)
