"""Judges a recording: resampled gates, and other tools' rules, as one document from which the table is drawn."""

from __future__ import annotations

import zlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.gate.files import JUDGED, RECORDED, write_json
from benchmarks.gate.peers import PAIRINGS, RULES, alarms
from benchmarks.gate.recorded import gather, read_recording, write_recording
from benchmarks.gate.resample import judged, robust_sd, slowdowns, tally
from pytest_inferopt.engine.gate.coins import BALANCED_WITHIN

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.gate.recorded import Recorded, Recording

GATES = 1000
NS_PER_MS = 1_000_000


def judge_recording(data: Path, *, gates: int = GATES, say: Callable[[str], None] = print) -> None:
    """Gather what lies in the folder, if anything, into ``recorded.npz``; judge that, and write ``judged.json``."""
    if (data / "raw").exists():
        write_recording(gather(data), RECORDED)
    if not RECORDED.exists():
        raise SystemExit("nothing is recorded: run python -m benchmarks.gate record")
    write_json(JUDGED, judged_document(read_recording(RECORDED), gates=gates, say=say))


def judged_document(recording: Recording, *, gates: int, say: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """By series what its replicates say, what became of its gates, and how often the other rules say worse.

    Args:
        recording: series without a whole four are left out.
        gates: how many a series.
        say: told how far it is.
    """
    series = {}
    for one, found in recording.series.items():
        if len(found) >= BALANCED_WITHIN:
            say(f"judging {one.key}")
            series[one.key] = _judged(found, gates, zlib.crc32(one.key.encode()))
    return {
        "provenance": list(recording.provenance),
        "missing": recording.missing,
        "gates": gates,
        "made": recording.made,
        "series": series,
    }


def _judged(found: Recorded, gates: int, seed: int) -> dict[str, Any]:
    peers = {
        pairing: {name: said._asdict() for name, rule in RULES.items() if (said := alarms(found, rule, pairing))}
        for pairing in PAIRINGS
    }
    return {
        "replicates": len(found),
        "slowdowns": slowdowns(found.contrast),
        "robust_sds": robust_sd(found.contrast),
        "neighbours": correlations(found),
        "p50_ms": [float(one) / NS_PER_MS for one in np.median(found.median[:, :, 0], axis=0)],
        "process_seconds": float(np.median(found.seconds)),
        "gates": asdict(tally(list(judged(found, gates=gates, seed=seed)))),
        "peers": peers,
    }


def correlations(found: Recorded) -> list[float]:
    """How each cell's contrasts go with those of the process before, within fours: Spearman's rank correlation."""
    ranks = np.argsort(np.argsort(found.contrast, axis=0), axis=0)
    after = np.flatnonzero(found.index % BALANCED_WITHIN)
    return [float(np.corrcoef(column[after - 1], column[after])[0, 1]) for column in ranks.T]
