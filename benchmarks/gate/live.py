"""Whole gates, from two files to a verdict, on the machine as it is at that moment."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.gate.burner import burning
from benchmarks.gate.files import LIVE, read_json, write_json
from benchmarks.gate.making import files_of, make_files
from benchmarks.gate.networks import TRAINING_ROWS, digits
from benchmarks.gate.replicates import rows_file
from benchmarks.gate.resample import MAX_SLOWDOWN
from benchmarks.gate.series import BATCH_SIZES, CONDITIONS, LOADED, MODELS, SAME, Series, all_series, next_series
from benchmarks.machine import provenance
from pytest_inferopt.domain.request import parse_request
from pytest_inferopt.engine.clock.lock import MachineLock
from pytest_inferopt.engine.comparison.files import compare_files
from pytest_inferopt.engine.worker.driver import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_inferopt.engine.comparison.files import Interpreters

# A gate of the large model's identical files takes some two minutes, so there are fewer.
GATES = {SAME: 6, "all+5": 1, "one+10": 1}
FEWER = {"large": {SAME: 2, "one+10": 1}}


def run_live(
    data: Path,
    *,
    minutes: float,
    models: Sequence[str] = MODELS,
    conditions: Sequence[str] = CONDITIONS,
    say: Callable[[str], None] = print,
) -> None:
    """Run the gates that are still missing, and gather all in ``live.json``; a gate that is cut off is run anew.

    Args:
        data: the folder.
        minutes: after which no further gate is begun; the models are made before they count.
        models: which.
        conditions: which.
        say: told each verdict.
    """
    for model in models:
        make_files(model, data, say)
    rows = rows_file(data, digits()[0][TRAINING_ROWS:])
    wanted = {series: wanted_gates(series) for series in all_series(models, conditions) if wanted_gates(series)}
    done = {series: sum(1 for _ in _folder(data).glob(f"{series.key}-*.json")) for series in wanted}
    deadline = time.monotonic() + 60 * minutes
    while time.monotonic() < deadline and (series := next_series(wanted, done)) is not None:
        with ExitStack() as load:
            if series.condition == LOADED:
                load.enter_context(burning())
            files = files_of(series.model, series.arm, data)
            found = run_gate(files, name=series.model, seed=done[series], rows=rows)
        write_json(_folder(data) / f"{series.key}-{done[series]}.json", {"series": series.key, **found})
        done[series] += 1
        say(f"{series.key}: {found['verdict']} after {found['seconds']:.0f} s: {found['reason']}")
    gathered = [read_json(path) for path in sorted(_folder(data).glob("*.json"))]
    all_wanted = sum(map(wanted_gates, all_series()))
    write_json(LIVE, {"gates": gathered, "missing": all_wanted - len(gathered)})


def wanted_gates(series: Series) -> int:
    """How many gates of a series are to be run."""
    return FEWER.get(series.model, GATES).get(series.arm, 0)


def _folder(data: Path) -> Path:
    return data / "live"


def run_gate(
    files: tuple[Path, Path], *, name: str, seed: int, rows: Path, pythons: Interpreters = (None, None)
) -> dict[str, Any]:
    """Compare two files as ``compare`` does; what came of it, and the seconds from the question to the answer."""
    asked = {"name": name, "batch_sizes": BATCH_SIZES, "max_slowdown": MAX_SLOWDOWN, "random_seed": seed}
    request = parse_request(asked, where="the benchmark")
    with MachineLock().measuring(), tempfile.TemporaryDirectory() as folder, Worker() as worker:
        began_at, started = datetime.now(UTC).isoformat(), time.monotonic()
        ruling = compare_files(files, request=request, feeds=rows, worker=worker, folder=Path(folder), pythons=pythons)
        seconds = time.monotonic() - started
    gate, cells = ruling.gate, ruling.cells.get(name, ())
    return {
        "began_at": began_at,
        "provenance": provenance(),
        "seconds": seconds,
        "verdict": gate.verdict,
        "reason": gate.reason,
        "replicates": gate.replicates,
        "is_contaminated": gate.is_contaminated,
        "repeated": gate.disturbance.repeated if gate.disturbance else 0,
        "cells": [
            {
                "batch_size": cell.batch_size,
                "outcome": cell.outcome,
                "base_ms": cell.base_ms,
                "slowdown": cell.slowdown.estimate if cell.slowdown else None,
                "interval": [cell.slowdown.interval.low, cell.slowdown.interval.high] if cell.slowdown else None,
            }
            for cell in cells
        ],
    }


def series_of(gate: dict[str, Any]) -> Series:
    """Which series a live gate belongs to."""
    return Series(*gate["series"].split("."))
