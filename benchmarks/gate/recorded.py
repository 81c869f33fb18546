"""A recording in one small file: of each replicate the contrasts, and of each process what other tools keep of it."""

from __future__ import annotations

import io
import json
import math
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.gate.files import read_json, write_whole
from benchmarks.gate.record import count, raw_folder
from benchmarks.gate.replicates import VARIANT
from benchmarks.gate.series import BATCH_SIZES, MODELS, Series, all_series
from pytest_inferopt.engine.duet.sensors import steal_share

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

ARMS = ("base", "head")
SAMPLES = 5
SAMPLE_NS = 10_000_000
FIGURES = {
    "index": np.int16,
    "began": np.float64,
    "seconds": np.float32,
    "stolen": np.float32,
    "control": np.float32,
    "contrast": np.float32,
    "calls": np.int32,
    "mean": np.float32,
    "sd": np.float32,
    "median": np.float32,
    "samples": np.float32,
}


@dataclass(frozen=True)
class Recorded:
    """The replicates of one series (n) at all batch sizes (C) of both arms (2), in the order they were taken.

    Attributes:
        index: each one's number (n,).
        began: when, seconds since 1970 (n,).
        seconds: from the start of its process to its end (n,).
        stolen: the share of the processors' time that the host took away meanwhile (n,).
        control: ln(second copy / baseline) in the cell whose turn it was (n,).
        contrast: ln(candidate / baseline) (n, C).
        calls: timed ones (n, C, 2), and in nanoseconds their `mean`, `sd` and `median`.
        samples: asv's: five means over about 10 ms of successive calls each, in nanoseconds (n, C, 2, 5).
    """

    index: NDArray[np.int16]
    began: NDArray[np.float64]
    seconds: NDArray[np.float32]
    stolen: NDArray[np.float32]
    control: NDArray[np.float32]
    contrast: NDArray[np.float32]
    calls: NDArray[np.int32]
    mean: NDArray[np.float32]
    sd: NDArray[np.float32]
    median: NDArray[np.float32]
    samples: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.index)


@dataclass(frozen=True)
class Recording:
    """All series, and what is known of their making.

    Attributes:
        series: those that have replicates.
        provenance: a line for each machine and set of versions that took part.
        made: by model, what `making.make_files` told.
    """

    series: dict[Series, Recorded]
    provenance: tuple[str, ...]
    made: dict[str, dict[str, Any]]

    @property
    def missing(self) -> int:
        """Replicates that are still to be recorded."""
        recorded = {series: len(found) for series, found in self.series.items()}
        return sum(max(4 * series.fours - recorded.get(series, 0), 0) for series in all_series())


def gather(data: Path) -> Recording:
    """Read the raw recording.

    Raises:
        SystemExit: there is none.
    """
    found: dict[Series, Recorded] = {}
    lines: dict[str, None] = {}
    for series in all_series():
        folder, replicates = raw_folder(data, series), count(data, series)
        documents = [read_json(folder / f"{index:03}.json") for index in range(replicates)]
        lines |= dict.fromkeys(document["provenance"] for document in documents)
        if documents:
            found[series] = _stacked(
                [_figures(document, folder / f"{document['index']:03}.npz") for document in documents]
            )
    if not found:
        raise SystemExit(f"nothing is recorded in {data}: run python -m benchmarks.gate record")
    made = {model: data / "models" / model / "made.json" for model in MODELS}
    return Recording(found, tuple(lines), {model: read_json(path) for model, path in made.items() if path.exists()})


def _stacked(replicates: Sequence[dict[str, Any]]) -> Recorded:
    return Recorded(**{name: np.array([one[name] for one in replicates], kind) for name, kind in FIGURES.items()})


def _figures(document: dict[str, Any], samples: Path) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "index": document["index"],
        "began": datetime.fromisoformat(document["began_at"]).timestamp(),
        "seconds": document["process_seconds"],
        "stolen": steal_share(document["sensors"]) or 0.0,
        "control": document["control"]["contrast"],
        "contrast": [cell["contrast"] for cell in document["cells"]],
    }
    with np.load(samples) as archive:
        arms = [[archive[f"{VARIANT}/{size}/{arm}"].ravel() for arm in ARMS] for size in BATCH_SIZES]
    of_arms = {"calls": np.size, "mean": np.mean, "sd": _sd, "median": np.median, "samples": first_samples}
    return figures | {name: [[act(calls) for calls in cell] for cell in arms] for name, act in of_arms.items()}


def _sd(calls_ns: NDArray[np.int64]) -> float:
    return float(np.std(calls_ns, ddof=1))


def first_samples(calls_ns: NDArray[np.int64]) -> list[float]:
    """Five means, each over as many successive calls as take about 10 ms; over fewer where there are too few.

    Args:
        calls_ns: in the order they were made (n,), n ≥ 5.
    """
    wanted = math.ceil(SAMPLE_NS / float(np.median(calls_ns)))
    each = max(min(wanted, len(calls_ns) // SAMPLES), 1)
    return [float(part.mean()) for part in np.split(calls_ns[: SAMPLES * each], SAMPLES)]


def write_recording(recording: Recording, path: Path) -> None:
    """Write it as one compressed .npz: an array for each figure and series, and a document."""
    arrays: dict[str, Any] = {
        f"{series.key}/{name}": getattr(found, name) for series, found in recording.series.items() for name in FIGURES
    }
    document = {"provenance": recording.provenance, "made": recording.made}
    stream = io.BytesIO()
    np.savez_compressed(stream, document=np.array(json.dumps(document, sort_keys=True)), **arrays)
    write_whole(path, stream.getvalue())


def read_recording(path: Path) -> Recording:
    """Read what `write_recording` wrote."""
    with np.load(path) as archive:
        document = json.loads(str(archive["document"]))
        keys = dict.fromkeys(name.partition("/")[0] for name in archive.files if "/" in name)
        series = {
            Series(*key.split(".")): Recorded(**{name: archive[f"{key}/{name}"] for name in FIGURES}) for key in keys
        }
    return Recording(series, tuple(document["provenance"]), document["made"])
