"""Which variant is the best, and which are worth looking at: the documented rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_inferopt.domain.result import RunResult, VariantResult

__all__ = ["best_variant", "pareto_front"]


def best_variant(variants: Mapping[str, VariantResult], batch_size: int) -> str | None:
    """The fastest at p50 of the first batch size among the variants that pass; None where none does."""
    p50_ms = {
        name: latency.p50_ms
        for name, variant in variants.items()
        if not variant.is_red
        and (latency := variant.latency.get(batch_size)) is not None
        and latency.p50_ms is not None
    }
    return min(p50_ms, key=lambda name: p50_ms[name]) if p50_ms else None


class _Costs(NamedTuple):
    """What a model costs in three currencies, less being better in each."""

    p95_ms: float
    accuracy_lost: float
    size_bytes: int

    def is_dominated_by(self, other: _Costs) -> bool:
        return self != other and all(theirs <= mine for mine, theirs in zip(self, other, strict=True))


def pareto_front(result: RunResult) -> tuple[str, ...]:
    """The models that no other one beats: p95 at the first batch size, accuracy and size, all three at once.

    The original takes part; a variant with a red check, or without one of the figures, does not.
    """
    batch_size = result.request.batch_sizes[0]
    models = {result.original.name: result.original, **result.variants}
    costs = {name: found for name, model in models.items() if (found := _costs(model, batch_size)) is not None}
    return tuple(
        name for name, mine in costs.items() if not any(mine.is_dominated_by(theirs) for theirs in costs.values())
    )


def _costs(model: VariantResult, batch_size: int) -> _Costs | None:
    latency, accuracy = model.latency.get(batch_size), model.accuracy
    if model.is_red or latency is None or latency.p95_ms is None or model.size_bytes is None:
        return None
    if accuracy is None:
        return None
    ratio = 1.0 if model.role == "original" else accuracy.ratio
    return None if ratio is None else _Costs(latency.p95_ms, -ratio, model.size_bytes)
