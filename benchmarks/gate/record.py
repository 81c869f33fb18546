"""Records replicates on disk until all are there or the time is over; started again, it goes on."""

from __future__ import annotations

import shutil
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.gate.burner import burning
from benchmarks.gate.files import read_json, write_json
from benchmarks.gate.making import files_of, make_files, retune
from benchmarks.gate.networks import TRAINING_ROWS, digits
from benchmarks.gate.replicates import Bench, contrasts, rows_file
from benchmarks.gate.resample import slowdowns
from benchmarks.gate.series import (
    ARMS,
    CONDITIONS,
    LOADED,
    MODELS,
    MOST_TOGETHER,
    SAME,
    Series,
    all_series,
    next_together,
)
from benchmarks.machine import provenance
from pytest_inferopt.engine.clock.lock import MachineLock
from pytest_inferopt.engine.gate.coins import BALANCED_WITHIN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


def record(
    data: Path,
    *,
    minutes: float,
    models: Sequence[str] = MODELS,
    conditions: Sequence[str] = CONDITIONS,
    say: Callable[[str], None] = print,
) -> None:
    """Record what is still missing.

    A replicate is one .npz of its calls, and one .json that is written last: what was cut off is taken again. Series
    take turns in whole fours, those under load two at a time (see `series.next_together`).

    Args:
        data: the folder.
        minutes: after which no further four is begun; the models are made before they count.
        models: which.
        conditions: which.
        say: told how far it is.
    """
    for model in models:
        make_files(model, data, say)
    wanted = {series: series.fours for series in all_series(models, conditions)}
    done = {series: count(data, series) // BALANCED_WITHIN for series in wanted}
    deadline = time.monotonic() + 60 * minutes
    recorder = _Recorder(data)
    while time.monotonic() < deadline and (together := next_together(wanted, done)):
        for series, seconds in recorder.take_fours(together):
            done[series] += 1
            part = f"{done[series]} of {series.fours} fours, {seconds:.0f} s"
            say(f"{series.key}: {part}; all {sum(done.values())} of {sum(wanted.values())}")


def tune(data: Path, *, models: Sequence[str] = MODELS, say: Callable[[str], None] = print) -> None:
    """Make candidates again that cost far more or less than wanted, and drop what was recorded of them.

    Their series are missing then, and `record` takes them.
    """
    for model in models:
        quiet = [Series(model, arm, CONDITIONS[0]) for arm in ARMS if arm != SAME]
        found = {series.arm: _slowdowns(data, series) for series in quiet if count(data, series)}
        for arm in retune(model, data, found, say):
            for condition in CONDITIONS:
                shutil.rmtree(raw_folder(data, Series(model, arm, condition)), ignore_errors=True)


def _slowdowns(data: Path, series: Series) -> list[float]:
    """The slow-down of each cell over all its replicates."""
    documents = [read_json(raw_folder(data, series) / f"{index:03}.json") for index in range(count(data, series))]
    return slowdowns(np.array([contrasts(document) for document in documents]))


def raw_folder(data: Path, series: Series) -> Path:
    """Where a series lies."""
    return data / "raw" / series.key


def count(data: Path, series: Series) -> int:
    """Replicates of a series that are whole, from the first one on."""
    folder, found = raw_folder(data, series), 0
    while (folder / f"{found:03}.json").exists():
        found += 1
    return found


class _Recorder:
    def __init__(self, data: Path) -> None:
        self._data = data
        rows = rows_file(data, digits()[0][TRAINING_ROWS:])
        self._lanes = [Bench(rows, data / "work" / str(lane)) for lane in range(MOST_TOGETHER)]
        self._provenance = provenance()

    def take_fours(self, together: Sequence[Series]) -> list[tuple[Series, float]]:
        """Take the next four of each of these series at the same time; how many seconds each took.

        Under load, what burns processor time takes the place of whoever is missing or is done before the other.
        """
        is_loaded = together[0].condition == LOADED
        with MachineLock().measuring(), ThreadPoolExecutor(len(together)) as lanes, ExitStack() as load:
            if is_loaded and len(together) == 1:
                load.enter_context(burning())
            fours = [lanes.submit(self._take_four, *one) for one in zip(together, self._lanes, strict=False)]
            if is_loaded and len(together) > 1:
                wait(fours, return_when=FIRST_COMPLETED)
                load.enter_context(burning())
            wait(fours)
        return [(series, four.result()) for series, four in zip(together, fours, strict=True)]

    def _take_four(self, series: Series, bench: Bench) -> float:
        """Take what is missing of the next four; how many seconds that took."""
        started = time.monotonic()
        first = count(self._data, series)
        for index in range(first, first - first % BALANCED_WITHIN + BALANCED_WITHIN):
            self._take(bench, series, index)
        return time.monotonic() - started

    def _take(self, bench: Bench, series: Series, index: int) -> None:
        folder = raw_folder(self._data, series)
        folder.mkdir(parents=True, exist_ok=True)
        samples = folder / f"{index:03}.npz"
        files = files_of(series.model, series.arm, self._data)
        answer: dict[str, Any] = bench.take(files, seed=series.seed, index=index, samples=samples)
        # An error in it ends the recording: nothing is known of such a replicate.
        contrasts(answer)
        write_json(samples.with_suffix(".json"), {**answer, "index": index, "provenance": self._provenance})
