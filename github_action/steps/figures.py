"""What of a report becomes the Action's outputs: one conclusion, and the figures of one model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_inferopt.domain.gate_words import worst_cell

if TYPE_CHECKING:
    from pytest_inferopt.domain.report import Report
    from pytest_inferopt.domain.result import RunResult

__all__ = ["conclusion_of", "figures_of", "is_regressed", "subject_of"]

RED = frozenset({"red", "partial"})
WORSE = frozenset({"regressed", "missing"})
# Of cells: what is known to be worse comes before what is not.
BY_WEIGHT = (("regressed",), ("inconclusive", "passed", "improved", "advisory"))


def conclusion_of(report: Report, exit_code: int = 0) -> str:
    """``failure`` where anything is red or missing, ``neutral`` where a model is not protected, else ``success``."""
    if exit_code or report.verdict in RED:
        return "failure"
    is_protected = all(result.gate is not None and result.gate.is_protecting for result in report.results)
    return "success" if report.results and is_protected else "neutral"


def is_regressed(report: Report) -> bool:
    """Whether a model is proven slower than its baseline by more than is allowed, or has lost a variant."""
    return any(check.outcome in WORSE for result in report.results for check in result.checks)


def subject_of(report: Report) -> RunResult | None:
    """The model whose figures are told: the slowest of those that regressed, else the first red one, else the first."""
    regressed = [result for result in report.results if result.gate and result.gate.verdict == "regressed"]
    if regressed:
        return max(regressed, key=lambda result: _slowdown(result) or 0.0)
    red = (result for result in report.results if not result.passed)
    return next(red, next(iter(report.results), None))


def figures_of(report: Report) -> dict[str, str]:
    """The outputs that tell of figures, those of the best variant of one model; what was not measured is empty."""
    result = subject_of(report)
    if result is None or not result.variants:
        return {}
    best, first = result.optimized, result.request.batch_sizes[0]
    latency, speedup, slowdown = best.latency.get(first), best.speedup.get(first), _slowdown(result)
    baseline = result.gate.baseline if result.gate else None
    return {
        "best-variant": best.name,
        "accuracy-ratio": _number(best.accuracy.ratio if best.accuracy else None),
        "speedup": _number(speedup.estimate if speedup else None),
        "p50-ms": _number(latency.p50_ms if latency else None),
        "p95-ms": _number(latency.p95_ms if latency else None),
        "p99-ms": _number(latency.p99_ms if latency else None),
        "slowdown-percent": _number(None if slowdown is None else 100 * slowdown),
        "baseline-sha": (baseline.commit if baseline else None) or "",
    }


def _slowdown(result: RunResult) -> float | None:
    """That of the worst cell; of all together, where only together they are proven slower."""
    worst = next(filter(None, (worst_cell(result, *outcomes) for outcomes in BY_WEIGHT)), None)
    is_single = worst is not None and worst[1].outcome == "regressed"
    together = result.gate.together if result.gate and result.gate.verdict == "regressed" else None
    found = worst[1].slowdown if worst is not None and (is_single or together is None) else together
    return found.estimate if found else None


def _number(value: float | None) -> str:
    """Six significant digits, without trailing zeros."""
    return "" if value is None else f"{value:.6g}"
