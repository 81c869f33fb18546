"""A result's figures as properties of its test, which pytest writes into JUnit XML."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_inferopt.domain.gate_words import regression_of
from pytest_inferopt.domain.words import outcome_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_inferopt.domain.result import RunResult

__all__ = ["PREFIX", "properties_of"]

PREFIX = "inferopt."


def properties_of(result: RunResult) -> Iterator[tuple[str, str | float | int]]:
    """Names and values: ``inferopt.churn.int8.p95_ms`` and the like; what was not measured is left out."""
    head = f"{PREFIX}{result.name}"
    first = result.request.batch_sizes[0]
    for variant in (result.original, *result.variants.values()):
        latency, speedup = variant.latency.get(first), variant.speedup.get(first)
        cell = variant.comparison.cell(first) if variant.comparison else None
        figures = {
            "size_bytes": variant.size_bytes,
            "score": variant.accuracy.score if variant.accuracy else None,
            "accuracy_ratio": variant.accuracy.ratio if variant.accuracy and variant.role == "variant" else None,
            "p50_ms": latency.p50_ms if latency else None,
            "p95_ms": latency.p95_ms if latency else None,
            "p99_ms": latency.p99_ms if latency else None,
            "speedup": speedup.estimate if speedup else None,
            "base_p50_ms": cell.base_ms if cell else None,
            "slowdown": cell.slowdown.estimate if cell and cell.slowdown else None,
        }
        for name, figure in figures.items():
            if figure is not None:
                yield f"{head}.{variant.name}.{name}", figure
        verdict, regression = outcome_of(variant), regression_of(variant)
        if verdict is not None:
            yield f"{head}.{variant.name}.verdict", verdict
        if regression is not None:
            yield f"{head}.{variant.name}.regression", regression.outcome
    if result.gate is not None:
        yield f"{head}.gate", result.gate.verdict
        if result.gate.baseline is not None:
            yield f"{head}.baseline", result.gate.baseline.text
    yield f"{head}.batch_size", first
    yield f"{head}.best", result.best or "none"
