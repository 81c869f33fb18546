"""One calibration from model to figures: recorded, drawn from, and told by batch size."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pytest_inferopt.domain.environment import Environment
from pytest_inferopt.domain.model_file import inspect_model_file
from pytest_inferopt.domain.record import Record as Document
from pytest_inferopt.engine.calibration.figures import Recorder, draw_gates, noise, sees, typical_slowdown
from pytest_inferopt.engine.comparison.models import ModelDoor, rows_spec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_inferopt.domain.request import OptimizationRequest
    from pytest_inferopt.engine.calibration.figures import Drawn, Record
    from pytest_inferopt.engine.worker.driver import Worker

__all__ = ["Calibration", "CellNoise", "DrawnGates", "Injected", "calibrate"]


class DrawnGates(Document):
    """What became of gates drawn from the recorded replicates.

    Attributes:
        gates: how many were drawn; they share the recorded replicates, so their shares are no surer than those are.
        recorded: replicates on record.
        regressed: the share that was red; `passed` and `inconclusive` likewise.
        replicates: how many a verdict took, the median; `seconds` how long.
    """

    gates: int
    recorded: int
    regressed: float
    passed: float
    inconclusive: float
    replicates: float
    seconds: float


class CellNoise(Document):
    """One batch size of the model beside itself.

    Attributes:
        batch_size: rows a call.
        ms: the median latency.
        sd: the robust standard deviation of the replicates, relative: 0.01 is 1 %.
        bias: their Hodges-Lehmann estimate, which is 0 for equal files.
        detectable: by number of replicates, the slow-down that so many surely show.
    """

    batch_size: int
    ms: float
    sd: float
    bias: float
    detectable: dict[int, float]


class Injected(Document):
    """The model beside a copy that really has more to do.

    Attributes:
        slowdowns: by batch size, the one that was measured over all replicates; each has a copy of its own.
        drawn: how often it was found.
    """

    slowdowns: dict[int, float]
    drawn: DrawnGates


class Calibration(Document):
    """What the gate can see of a model on this machine.

    Attributes:
        model: the file; empty for the built-in network.
        wanted: the slow-down that was to be injected, relative.
        caught: the slow-down that the gate is to catch surely, `allowed` the one above which a proven one is red.
        cells: by batch size.
        same: gates of the model beside itself; what is red of them is a false alarm.
        injected: gates of the model beside its slower copies.
        repeated: replicates that were taken again because the host had taken the processors away.
        seconds: what all of it took.
    """

    model: str
    environment: Environment
    wanted: float
    caught: float
    allowed: float
    cells: tuple[CellNoise, ...]
    same: DrawnGates
    injected: Injected
    repeated: int
    seconds: float


def calibrate(
    model: Path,
    *,
    request: OptimizationRequest,
    replicates: int,
    slowdown: float,
    worker: Worker,
    folder: Path,
    on_progress: Callable[[str], None] = lambda _: None,
) -> Calibration:
    """Measure what the gate can see of a model on this machine.

    Whoever asks holds the machine's lock for measuring.

    Args:
        model: an ONNX file.
        request: batch sizes, what is allowed, threads, provider and seed.
        replicates: how many are recorded of the model beside itself, and as many beside its slower copies; at least 4.
        slowdown: what is injected, relative: 0.05 is 5 %.
        worker: describes the files; its likes measure them.
        folder: an empty one for what is written.
        on_progress: told how far it is.

    Raises:
        UsageError: there is no such file.
        InferoptError: it is damaged or cannot run; a process crashed or hung; onnx is not installed.
    """
    started = time.monotonic()
    inspect_model_file(model)
    door = ModelDoor(request, worker, folder)
    inputs = door.inputs(model)
    prepare = door.preparing(rows_spec(inputs, door.made_up(inputs)))
    recorder = Recorder(
        request,
        prepare=prepare,
        describe=door.describe,
        open_worker=worker.another_with_huge_pages,
        on_progress=on_progress,
    )
    sizes = request.batch_sizes
    same = recorder.record(model, dict.fromkeys(sizes, model), replicates, what="the model beside itself")
    slower = {
        size: recorder.slowed(model, size, ms, slowdown, folder) for size, ms in zip(sizes, same.base_ms, strict=True)
    }
    found = recorder.record(model, slower, replicates, what="the model beside slower copies")
    on_progress("drawing gates")
    limits = request.slowdown_limits
    names = [f"batch {size}" for size in sizes]

    def drawn(record: Record) -> DrawnGates:
        gates: Drawn = draw_gates(record, limits, names=names, seed=request.random_seed)
        return DrawnGates(**gates._asdict(), recorded=len(record.values))

    columns = list(zip(sizes, same.base_ms, same.values.T, strict=True))
    return Calibration(
        model=str(model),
        environment=Environment.here(),
        wanted=slowdown,
        caught=limits.caught,
        allowed=limits.allowed,
        cells=tuple(
            CellNoise(
                batch_size=size,
                ms=ms,
                sd=noise(values),
                bias=typical_slowdown(values),
                detectable=sees(values, limits, seed=request.random_seed),
            )
            for size, ms, values in columns
        ),
        same=drawn(same),
        injected=Injected(
            slowdowns={size: typical_slowdown(values) for size, values in zip(sizes, found.values.T, strict=True)},
            drawn=drawn(found),
        ),
        repeated=same.repeated + found.repeated,
        seconds=time.monotonic() - started,
    )
