"""One replicate of two files, taken as the gate takes it: a fresh worker process, its verbs, and its rule on steal."""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.gate.series import BATCH_SIZES
from pytest_inferopt.engine.duet.judging import MOST_REPEATS, MOST_STEAL
from pytest_inferopt.engine.duet.process import DuetCell
from pytest_inferopt.engine.duet.sensors import steal_share
from pytest_inferopt.engine.worker.driver import Worker
from pytest_inferopt.engine.worker.replicate import run_replicate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_inferopt.engine.worker.replicate import Command

VARIANT = "onnx"
CELLS = tuple(DuetCell(VARIANT, size) for size in BATCH_SIZES)
OPTIONS = {"threads": 1, "provider": "cpu"}
OPSET = 17
LOADING_SECONDS = 300.0
PROCESS_SECONDS = 300.0


class Bench:
    """Takes replicates of pairs of files on the same rows.

    Args:
        rows: an .npz whose array ``x`` (N, …) is what the batches are taken from.
        folder: for what a worker writes.
    """

    def __init__(self, rows: Path, folder: Path) -> None:
        self._rows = rows
        self._folder = folder
        self._described: dict[Path, dict[str, Any]] = {}

    def take(self, files: tuple[Path, Path], *, seed: int, index: int, samples: Path | None = None) -> dict[str, Any]:
        """The replicate of this number, taken again where the host took too much time away, as a gate would.

        Args:
            files: the baseline's and the candidate's.
            seed: of the coins and of the rows' order.
            index: the replicate's number; it says which cell the baseline's second copy takes part in.
            samples: where all timed calls are kept.

        Returns:
            The worker's answer, and ``began_at`` (ISO 8601), ``process_seconds`` from the start of the process to its
            end and ``repeated``, how many were thrown away.
        """
        repeated = 0
        while True:
            began_at, started = datetime.now(UTC).isoformat(), time.monotonic()
            answer = self._take(files, seed, index, samples)
            seconds = time.monotonic() - started
            if (steal_share(answer["sensors"]) or 0.0) <= MOST_STEAL or repeated == MOST_REPEATS:
                return {**answer, "began_at": began_at, "process_seconds": seconds, "repeated": repeated}
            repeated += 1

    def _take(self, files: tuple[Path, Path], seed: int, index: int, samples: Path | None) -> dict[str, Any]:
        base, head = (self._describe(file) for file in files)
        measure = {
            "pairs": {VARIANT: {"base": "base", "head": "head"}},
            "cells": [cell._asdict() for cell in CELLS],
            "control": CELLS[index % len(CELLS)]._asdict(),
            "seed": seed,
            "index": index,
            "percentiles": [],
            "samples": None if samples is None else str(samples),
        }
        answer: dict[str, Any] = run_replicate(
            ("measure_duet", measure),
            open_worker=Worker().another_with_huge_pages,
            prepare=[
                self._begin(seed),
                ("load_data", {"spec": {"source": "npz", "path": str(self._rows), "x": "x"}}),
                ("take_file", {"target": "base", **base}),
                ("take_file", {"target": "head", **head}),
            ],
            stage=f"replicate {index} of {files[1].parent.name}/{files[1].stem}",
            seconds=PROCESS_SECONDS,
        )
        return answer

    def _begin(self, seed: int) -> Command:
        beginning = {"options": OPTIONS, "opset": OPSET, "random_seed": seed, "seconds_left": LOADING_SECONDS}
        return "begin", {"folder": str(self._folder), **beginning}

    def _describe(self, file: Path) -> dict[str, Any]:
        if file not in self._described:
            deadline = time.monotonic() + LOADING_SECONDS
            with Worker() as worker:
                for command, parameters in (self._begin(0), ("describe_file", {"path": str(file)})):
                    answer = worker.call(command, parameters, stage=f"loading {file.name}", deadline=deadline)
            self._described[file] = answer
        return self._described[file]


def contrasts(answer: dict[str, Any]) -> list[float]:
    """ln(candidate / baseline) at each batch size.

    Raises:
        SystemExit: the worker could not measure one.
    """
    for cell in answer["cells"]:
        if "error" in cell:
            raise SystemExit(cell["error"]["message"])
    return [cell["contrast"] for cell in answer["cells"]]


def rows_file(folder: Path, rows: Sequence[Any]) -> Path:
    """The rows as the file that a worker loads; made once."""
    path = folder / "rows.npz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, suffix=".part", delete=False) as stream:
            np.savez(stream, x=np.asarray(rows))
        Path(stream.name).replace(path)
    return path
