"""Files of several tools beside each other: how right each is, and how fast, alternating in one process."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.networks.files import write_json
from benchmarks.networks.ours import BATCH_SIZES
from benchmarks.networks.tools import KINDS, OURS, failures_of, files_of
from pytest_inferopt.domain.artifact import Artifact, RunOptions, take_rows
from pytest_inferopt.domain.request import BenchmarkSpec
from pytest_inferopt.engine.clock.lock import MachineLock
from pytest_inferopt.engine.clock.measure import measure, summarize
from pytest_inferopt.errors import InferoptError
from pytest_inferopt.registry import discover

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmarks.networks.cases import Case
    from pytest_inferopt.domain.artifact import Session

WARMUP_CALLS, CALLS = 20, 400
ROWS_AT_A_TIME = 64
FLOAT = "float"


def duel(case: Case, folder: Path) -> dict[str, Any]:
    """Judge what the tools made of a network, kind by kind.

    The reference of all ratios is our file; the float file takes part, so that a reader sees what either gains.

    Args:
        case: the network.
        folder: of its own.
    """
    rows = dict(np.load(folder / "rows.npz"))
    right = np.load(folder / "right.npy")
    found = {kind: _compare(case, kind, folder, rows, right) for kind in KINDS}
    write_json(folder / "duel.json", found)
    return found


def _compare(
    case: Case, kind: str, folder: Path, rows: Mapping[str, NDArray[Any]], right: NDArray[Any]
) -> dict[str, Any]:
    paths = {FLOAT: folder / "float.onnx", **files_of(kind, folder)}
    failures = {tool: {"failure": said} for tool, said in failures_of(kind, folder).items()}
    sessions = _sessions(paths, failures)
    table: Any = rows if len(rows) > 1 else next(iter(rows.values()))
    scores = {tool: _score(case.metric, session, table, right) for tool, session in sessions.items()}
    spec = BenchmarkSpec(
        warmup_iterations=WARMUP_CALLS,
        iterations=CALLS,
        batch_sizes=BATCH_SIZES,
        measure_seconds=case.measure_seconds,
        threads=1,
        provider="cpu",
    )
    speed: dict[str, dict[str, list[float | None]]] = {tool: {} for tool in sessions}
    with MachineLock().measuring():
        for cell in measure(sessions, table, spec):
            reference = OURS if OURS in sessions else FLOAT
            for tool, ratio in summarize(cell, spec, reference=reference)[1].items():
                speed[tool][str(cell.batch_size)] = [ratio.estimate, ratio.interval.low, ratio.interval.high]
    return {
        tool: {
            "score": scores[tool],
            "size_mb": paths[tool].stat().st_size / 1e6,
            "sha256": hashlib.sha256(paths[tool].read_bytes()).hexdigest(),
            # How many times as fast as ours.
            "speed": speed[tool],
        }
        for tool in sessions
    } | failures


def _sessions(paths: Mapping[str, Path], failures: dict[str, Any]) -> dict[str, Session]:
    """An open session of each file; what does not load joins the failures."""
    runtime, sessions = discover().runtime_for("onnx"), {}
    for tool, path in paths.items():
        try:
            sessions[tool] = runtime.open(Artifact("onnx", path), RunOptions())
        except InferoptError as error:
            failures[tool] = {"failure": error.message}
    return sessions


def _score(metric: str, session: Session, rows: Any, right: NDArray[Any]) -> float:
    """The share of labels that are right, or the mean cosine to the vectors that are right."""
    starts = range(0, len(right), ROWS_AT_A_TIME)
    parts = [take_rows(rows, np.arange(begin, min(begin + ROWS_AT_A_TIME, len(right)))) for begin in starts]
    answers = np.concatenate([np.asarray(session.run(session.prepare(part))[0]) for part in parts])
    if metric == "accuracy":
        return float((answers.argmax(axis=1) == right).mean())
    norms = np.linalg.norm(answers, axis=1) * np.linalg.norm(right, axis=1)
    return float(((answers * right).sum(axis=1) / norms).mean())
