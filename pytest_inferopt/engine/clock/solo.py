"""Times one model alone in its process, as it would be deployed: one session at a time, nothing beside it."""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from pytest_inferopt.engine.clock.measure import measure
from pytest_inferopt.engine.statistics.intervals import percentile_ms
from pytest_inferopt.errors import InferoptError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_inferopt.domain.artifact import Rows, Session
    from pytest_inferopt.domain.request import BenchmarkSpec

__all__ = ["measure_alone"]

NS_PER_SECOND = 1_000_000_000
NS_PER_MS = 1_000_000
LAST_WORDS = 300


def measure_alone(
    open_session: Callable[[int], Session],
    rows: Rows,
    cells: Sequence[Mapping[str, Any]],
    spec: BenchmarkSpec,
    *,
    random_seed: int = 0,
    clock: Callable[[], int] = perf_counter_ns,
) -> list[dict[str, Any]]:
    """Time each cell with a session of its own, within `spec.measure_seconds` together, opening them apart.

    Args:
        open_session: gives a fresh session for a batch size, or raises why that cannot run.
        rows: what the batches are taken from, the same ones in every process.
        cells: each a `batch_size`, the timed `calls` it should get, and the `percentiles` asked for, in percent.
        spec: how; its batch sizes and iterations are not used.
        random_seed: of the order of the rows.
        clock: nanoseconds.

    Returns:
        For each cell its `batch_size` and either `calls`, `percentiles_ms` (keyed by the percentile as text) and
        `cold_call_ms`, or the `error` that befell it, which leaves the other cells alone.
    """
    left_ns = int(spec.measure_seconds * NS_PER_SECOND)
    answers = []
    for index, cell in enumerate(cells):
        share = max(left_ns, 0) / (len(cells) - index) / NS_PER_SECOND
        changes = {"batch_sizes": (cell["batch_size"],), "iterations": cell["calls"], "measure_seconds": share}
        own = spec.model_copy(update=changes)
        try:
            session = open_session(cell["batch_size"])
            # Opening a large file takes long, and is no part of the time for measuring.
            started = clock()
            answer = _time(session, rows, cell["percentiles"], own, random_seed, clock)
            left_ns -= clock() - started
        except InferoptError as error:
            answer = {"error": {"kind": error.kind, "message": error.message, "hint": error.hint}}
        # Whatever the model's own code or its runtime raises at this batch size.
        except Exception as error:  # noqa: BLE001
            text = " ".join(str(error).split())[:LAST_WORDS]
            message = f"batch size {cell['batch_size']} failed: {type(error).__name__}: {text}"
            answer = {"error": {"kind": "not_measured", "message": message, "hint": ""}}
        answers.append({"batch_size": cell["batch_size"], **answer})
    return answers


def _time(
    session: Session,
    rows: Rows,
    percentiles: Sequence[int],
    spec: BenchmarkSpec,
    random_seed: int,
    clock: Callable[[], int],
) -> dict[str, Any]:
    (measured,) = measure({"alone": session}, rows, spec, random_seed=random_seed, clock=clock)
    timings = measured.arms["alone"]
    samples_ns = timings.samples_ns
    return {
        "calls": len(samples_ns),
        "percentiles_ms": {str(q): percentile_ms(samples_ns, q) for q in percentiles},
        "cold_call_ms": timings.cold_ns / NS_PER_MS,
    }
