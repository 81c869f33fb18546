"""Records replicates on disk until all are there or the time is over; started again, it goes on."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from benchmarks.gate.burner import burning
from benchmarks.gate.files import write_json
from benchmarks.gate.making import files_of, make_files
from benchmarks.gate.networks import TRAINING_ROWS, digits
from benchmarks.gate.replicates import Bench, contrasts, rows_file
from benchmarks.gate.series import MODELS, all_series, next_series
from benchmarks.machine import provenance
from pytest_inferopt.engine.coins import BALANCED_WITHIN
from pytest_inferopt.engine.lock import MachineLock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from benchmarks.gate.series import Series


def record(data: Path, *, minutes: float, models: Sequence[str] = MODELS, say: Callable[[str], None] = print) -> None:
    """Record what is still missing.

    A replicate is one .npz of its calls, and one .json that is written last: what was cut off is taken again. Series
    take turns in whole fours (see `series.next_series`).

    Args:
        data: the folder.
        minutes: after which no further four is begun; the models are made before they count.
        models: which.
        say: told how far it is.
    """
    for model in models:
        make_files(model, data, say)
    wanted = {series: series.fours for series in all_series(models)}
    done = {series: count(data, series) // BALANCED_WITHIN for series in wanted}
    deadline = time.monotonic() + 60 * minutes
    with ExitStack() as load:
        recorder = _Recorder(data, load)
        while time.monotonic() < deadline and (series := next_series(wanted, done)) is not None:
            seconds = recorder.take_four(series)
            done[series] += 1
            part = f"{done[series]} of {series.fours} fours, {seconds:.0f} s"
            say(f"{series.key}: {part}; all {sum(done.values())} of {sum(wanted.values())}")


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
    def __init__(self, data: Path, load: ExitStack) -> None:
        self._data = data
        self._bench = Bench(rows_file(data, digits()[0][TRAINING_ROWS:]), data / "work")
        self._load = load
        self._condition = ""

    def take_four(self, series: Series) -> float:
        """Take what is missing of the next four; how many seconds that took."""
        started = time.monotonic()
        self._switch(series.condition)
        with MachineLock().measuring():
            first = count(self._data, series)
            for index in range(first, first - first % BALANCED_WITHIN + BALANCED_WITHIN):
                self._take(series, index)
        return time.monotonic() - started

    def _take(self, series: Series, index: int) -> None:
        folder = raw_folder(self._data, series)
        folder.mkdir(parents=True, exist_ok=True)
        samples = folder / f"{index:03}.npz"
        files = files_of(series.model, series.arm, self._data)
        answer: dict[str, Any] = self._bench.take(files, seed=series.seed, index=index, samples=samples)
        # An error in it ends the recording: nothing is known of such a replicate.
        contrasts(answer)
        write_json(samples.with_suffix(".json"), {**answer, "index": index, "provenance": provenance()})

    def _switch(self, condition: str) -> None:
        if condition != self._condition:
            self._load.close()
            if condition == "loaded":
                self._load.enter_context(burning())
            self._condition = condition
