"""What the gate can see on this machine: real replicates, recorded once, and gates drawn from them many times.

A model is held against itself, which shows the noise and how often equal files are found unequal, and against copies
with really more work in their graphs, which shows how often that is found. A gate drawn from the record takes whole
fours of replicates, within which who goes first is balanced, and is judged as any other.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pytest_inferopt.engine.calibration.extra_work import Work, add_work, plan_work
from pytest_inferopt.engine.duet.judging import MOST_REPEATS, MOST_STEAL
from pytest_inferopt.engine.duet.sensors import steal_share
from pytest_inferopt.engine.gate.coins import BALANCED_WITHIN
from pytest_inferopt.engine.gate.looks import LOOKS, MOST_REPLICATES
from pytest_inferopt.engine.gate.verdict import decide
from pytest_inferopt.engine.statistics.signed_rank import hodges_lehmann, signed_rank_interval
from pytest_inferopt.engine.worker.replicate import run_replicate
from pytest_inferopt.errors import ERROR_KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from pytest_inferopt.domain.request import OptimizationRequest
    from pytest_inferopt.domain.slowdown import SlowdownLimits
    from pytest_inferopt.engine.worker.driver import Worker
    from pytest_inferopt.engine.worker.replicate import Command

__all__ = ["LEAST_REPLICATES", "Drawn", "Record", "Recorder", "draw_gates", "noise", "sees", "typical_slowdown"]

LEAST_REPLICATES = 4
GATES = 1000
# The median absolute deviation of a normal sample is its standard deviation divided by this.
ROBUST = 1.4826
LOOKED_AT = tuple(look.replicates for look in LOOKS)[1:]
PROCESS_SECONDS = 300
TUNING_ROUNDS = 6
TUNING_PROCESSES = 2
NEAR = 0.1
MOST_STEP = 4.0
NS_PER_MS = 1_000_000


class Drawn(NamedTuple):
    """What became of gates that were drawn from a record.

    Attributes:
        gates: how many were drawn.
        regressed: the share that was red; `passed` and `inconclusive` likewise.
        replicates: how many a verdict took, the median; `seconds` how long.
    """

    gates: int
    regressed: float
    passed: float
    inconclusive: float
    replicates: float
    seconds: float


@dataclass(frozen=True)
class Record:
    """Replicates of two files, in the order they were taken.

    Attributes:
        values: ln(candidate / baseline) (replicates, batch sizes).
        control: ln(second copy of the baseline / baseline) (replicates,).
        seconds: what each process took (replicates,).
        base_ms: the baseline's median latency at each batch size, the median over replicates.
        repeated: replicates that were taken again because the host had taken the processors away.
    """

    values: NDArray[np.float64]
    control: NDArray[np.float64]
    seconds: NDArray[np.float64]
    base_ms: tuple[float, ...]
    repeated: int = 0


class Recorder:
    """Takes replicates.

    Args:
        request: batch sizes, threads, provider and seed.
        prepare: the commands that begin a process and bring the rows.
        describe: gives what `take_file` takes of a file.
        open_worker: makes a worker that has not been started.
        on_progress: told how far it is.
    """

    def __init__(
        self,
        request: OptimizationRequest,
        *,
        prepare: Sequence[Command],
        describe: Callable[[Path], Mapping[str, Any]],
        open_worker: Callable[[], Worker],
        on_progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._request = request
        self._prepare = prepare
        self._describe = describe
        self._open_worker = open_worker
        self._say = on_progress

    def record(self, base: Path, heads: Mapping[int, Path], count: int, *, what: str) -> Record:
        """Take so many replicates.

        Args:
            base: the baseline's file.
            heads: the candidate's, by batch size.
            count: how many, at least 1.
            what: what is recorded, for whoever waits.

        Raises:
            InferoptError: a process crashed, hung, or could not run a file.
        """
        taken: list[dict[str, Any]] = []
        seconds: list[float] = []
        repeated = 0
        started = time.monotonic()
        while len(taken) < count:
            before = time.monotonic()
            found = self._take(base, heads, len(taken), what)
            if (steal_share(found["sensors"]) or 0.0) > MOST_STEAL and repeated < MOST_REPEATS:
                repeated += 1
                continue
            taken.append(found)
            seconds.append(time.monotonic() - before)
            left = (time.monotonic() - started) / len(taken) * (count - len(taken))
            self._say(f"{what}: {len(taken)} of {count} processes, about {left:.0f} s left")
        return Record(
            values=np.array([[cell["contrast"] for cell in found["cells"]] for found in taken]),
            control=np.array([found["control"]["contrast"] for found in taken]),
            seconds=np.array(seconds),
            base_ms=tuple(
                median(found["cells"][place]["percentiles_ms"]["base"]["50"] for found in taken)
                for place in range(len(heads))
            ),
            repeated=repeated,
        )

    def slowed(self, base: Path, batch_size: int, call_ms: float, slowdown: float, folder: Path) -> Path:
        """A copy with about so much more work at a batch size, as near as a few tries come.

        Where even one more node is more than was asked for, it is as near as a graph can be.

        Args:
            base: the model's file.
            batch_size: at which.
            call_ms: what a call takes there.
            slowdown: relative, 0.05 is 5 %.
            folder: where the copy is written.
        """
        wanted = math.log1p(slowdown)
        path = folder / f"slower-at-{batch_size}.onnx"
        work = plan_work(slowdown * call_ms * NS_PER_MS)
        tried: dict[Work, float] = {}
        for _ in range(TUNING_ROUNDS):
            add_work(base, path, work)
            found = self.record(base, {batch_size: path}, TUNING_PROCESSES, what=f"making batch {batch_size} slower")
            tried[work] = float(np.mean(found.values))
            step = wanted / max(tried[work], wanted / MOST_STEP)
            work = work.scaled(max(step, 1 / MOST_STEP))
            if abs(step - 1) <= NEAR or work in tried:
                break
        best = min(tried, key=lambda work: abs(tried[work] - wanted))
        add_work(base, path, best)
        return path

    def _take(self, base: Path, heads: Mapping[int, Path], index: int, what: str) -> dict[str, Any]:
        """One process; the batch sizes of one file are measured as those of one variant, as in a gate."""
        names = {path: f"head-{place}" for place, path in enumerate(dict.fromkeys(heads.values()))}
        files = {"base": base} | {name: path for path, name in names.items()}
        bring = [("take_file", {"target": target, **self._describe(path)}) for target, path in files.items()]
        cells = [{"variant": names[path], "batch_size": size} for size, path in heads.items()]
        asked = {
            "pairs": {name: {"base": "base", "head": name} for name in names.values()},
            "cells": cells,
            "control": cells[index % len(cells)],
            "seed": self._request.random_seed,
            "index": index,
            "percentiles": [],
        }
        answer: dict[str, Any] = run_replicate(
            ("measure_duet", asked),
            open_worker=self._open_worker,
            prepare=[*self._prepare, *bring],
            stage=what,
            seconds=PROCESS_SECONDS,
        )
        for cell in answer["cells"]:
            if "error" in cell:
                error = cell["error"]
                raise ERROR_KINDS[error["kind"]](error["message"], error["hint"])
        return answer


def draw_gates(record: Record, limits: SlowdownLimits, *, names: Sequence[str], seed: int, gates: int = GATES) -> Drawn:
    """Judge gates that are drawn from a record with replacement, in whole fours.

    Args:
        record: at least four replicates; those beyond the last whole four are not drawn.
        limits: what is allowed and what must be caught.
        names: of the batch sizes.
        seed: of the draws.
        gates: how many.
    """
    random = np.random.default_rng(seed)
    fours = len(record.values) // BALANCED_WITHIN
    verdicts, replicates, seconds = [], [], []
    for _ in range(gates):
        chosen = random.integers(fours, size=MOST_REPLICATES // BALANCED_WITHIN)
        places = (chosen[:, None] * BALANCED_WITHIN + np.arange(BALANCED_WITHIN)).ravel()
        decision = decide(record.values[places], limits, cells=names, control=record.control[places])
        verdicts.append(decision.verdict)
        replicates.append(decision.replicates)
        seconds.append(float(record.seconds[places[: decision.replicates]].sum()))
    red, passed, undecided = (verdicts.count(verdict) / gates for verdict in ("regressed", "passed", "inconclusive"))
    return Drawn(gates, red, passed, undecided, median(replicates), median(seconds))


def noise(values: NDArray[np.float64]) -> float:
    """The robust standard deviation of the replicates of one cell (n,): 1.4826 times the median absolute deviation."""
    return float(ROBUST * np.median(np.abs(values - np.median(values))))


def sees(values: NDArray[np.float64], limits: SlowdownLimits, *, seed: int, draws: int = 200) -> dict[int, float]:
    """By number of replicates, the slow-down that so many of one cell surely show: the median over draws.

    What is allowed plus twice the distance from the estimate to its lower limit, relative: 0.05 is 5 %.

    Args:
        values: the replicates of a cell that is held against itself (n,).
        limits: what is allowed.
        seed: of the draws.
        draws: how many samples are drawn, with replacement.
    """
    random = np.random.default_rng(seed)
    found = {}
    for replicates in LOOKED_AT:
        samples = (values[random.integers(len(values), size=replicates)] for _ in range(draws))
        half = median(_half_width(sample) for sample in samples)
        found[replicates] = math.expm1(limits.allowed_log + 2 * half)
    return found


def _half_width(sample: NDArray[np.float64]) -> float:
    estimate, low, _ = signed_rank_interval(sample)
    assert low is not None  # noqa: S101 - the first look has more than the six figures that carry a limit
    return estimate - low


def typical_slowdown(values: NDArray[np.float64]) -> float:
    """The Hodges-Lehmann estimate of a cell's replicates, relative: 0.05 is 5 % slower."""
    return math.expm1(hodges_lehmann(values))
