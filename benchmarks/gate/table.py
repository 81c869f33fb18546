"""Draws ``table.md`` and its chart from what was judged and lived through."""

from __future__ import annotations

import sys
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.gate.chart import write_chart
from benchmarks.gate.files import CHART, JUDGED, LIVE, TABLE, VERSIONS, read_json
from benchmarks.gate.goals import goals
from benchmarks.gate.live import series_of as live_series
from benchmarks.gate.networks import RECIPES
from benchmarks.gate.peers import PAIRINGS, RULES
from benchmarks.gate.series import ARMS, BATCH_SIZES, CONDITIONS, MODELS, SAME, Series, all_series
from benchmarks.gate.shares import KINDS, OURS, mean_share, pooled, run_shares, series_of
from pytest_inferopt.engine.gate.coins import BALANCED_WITHIN

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

NOTHING = "–"
OFTEN = 0.05
MADE_BY = """Made by `python -m benchmarks.gate`; drawn anew from the files beside this one by
`python -m benchmarks.gate judge table`. `max_slowdown` 5 %, so red means proven above 2 %; four batch sizes (1, 16, 32,
64), one thread. *loaded*: a second replicate is recorded at the same time, and while there is none, as beside live
gates, every other processor multiplies matrices; nothing is pinned. An *identical file* is a copy under another name;
*all cells* and *one cell* are real extra work (trees, hidden units) at every batch size or at one, found by measuring,
so its cost is near what was wanted and told below.

*small* and *mlp* are networks with a hidden layer of 64 units and with two of 512, *forest* has 160 trees, and *large*
three hidden layers of 2,560: it reads 53 MB of weights at every call, more than the caches of most processors hold, so
that at small batches it times the memory, which all guests of a host share. Its processes run in huge pages, as those
of a gate do; the other three models, which fit the caches, were recorded before that was so, like every live gate. The
+3 % of *large*, and its +5 % in one cell, were recorded beside other work on both processors."""


def write_table() -> None:
    """Draw both files.

    Raises:
        SystemExit: nothing was judged.
    """
    if not JUDGED.exists():
        raise SystemExit("nothing is judged: run python -m benchmarks.gate judge")
    judged, live, versions = read_json(JUDGED), _read(LIVE), _read(VERSIONS)
    TABLE.write_text(table(judged, live, versions), encoding="utf-8")
    write_chart(run_shares(judged), CHART)
    sys.stdout.write(TABLE.read_text(encoding="utf-8"))


def _read(path: Path) -> dict[str, Any]:
    """What it holds; nothing where it was not made."""
    document: dict[str, Any] = read_json(path) if path.exists() else {}
    return document


def table(judged: Mapping[str, Any], live: Mapping[str, Any], versions: Mapping[str, Any]) -> str:
    """The whole page.

    Args:
        judged: what `judge.judged_document` gives.
        live: what `live.run_live` gathered, or nothing.
        versions: what `versions.run_versions` gathered, or nothing.
    """
    sections = [
        "# What the gate catches, measured",
        "\n".join(judged["provenance"]),
        *_preliminary(judged, live),
        MADE_BY,
        _goals(judged, live),
        _models(judged),
        _work(judged),
        _gates(judged),
        _undecided(judged),
        _live(live),
        _peers(judged),
        _versions(versions),
    ]
    return "\n\n".join(sections) + "\n"


def _rows(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *lines])


def _percent(share: float | None, digits: int = 0) -> str:
    return NOTHING if share is None else f"{100 * share:.{digits}f}"


def _preliminary(judged: Mapping[str, Any], live: Mapping[str, Any]) -> list[str]:
    """What is still missing; nothing where all is there."""
    wanted = sum(BALANCED_WITHIN * series.fours for series in all_series())
    missing = [f"{wanted - judged['missing']:,} of {wanted:,} replicates are recorded"] if judged["missing"] else []
    gates = live.get("missing")
    if gates is None or gates:
        missing.append(f"{'all' if gates is None else gates} live gates are missing")
    return [f"**Preliminary**: {', '.join(missing)}. No figure below is a claim yet."] if missing else []


def _goals(judged: Mapping[str, Any], live: Mapping[str, Any]) -> str:
    rows = [[goal.figure, goal.wished, goal.found, goal.verdict] for goal in goals(judged, live)]
    return f"## Goals\n\n{_rows(['figure', 'goal', 'found', 'met'], rows)}"


def _models(judged: Mapping[str, Any]) -> str:
    rows = []
    for model in MODELS:
        for condition in CONDITIONS:
            found = judged["series"].get(Series(model, SAME, condition).key)
            if found:
                p50 = " / ".join(f"{one:.3g}" for one in found["p50_ms"])
                sds = " / ".join(_percent(one, 2) for one in found["robust_sds"])
                shifts = " / ".join(f"{100 * one:+.2f}" for one in found["slowdowns"])
                neighbours = f"{median(found['neighbours']):+.2f}"
                rows.append([model, condition, str(found["replicates"]), p50, sds, shifts, neighbours])
    head = ("model", "condition", "replicates", "p50, ms", "s, %", "shift, %", "neighbours")
    return (
        "## Noise of identical files\n\nBy batch size 1 / 16 / 32 / 64: s is the robust standard deviation of a "
        "replicate's ln(candidate / baseline), the shift their Hodges-Lehmann centre, which is 0 for a comparison "
        "without a bias. Neighbours: the rank correlation of a replicate with the one before, median of the cells.\n\n"
        + _rows(head, rows)
    )


def _work(judged: Mapping[str, Any]) -> str:
    rows = []
    for arm in (arm for arm in ARMS.values() if arm.name != SAME):
        for model in MODELS:
            for condition in CONDITIONS:
                found = judged["series"].get(Series(model, arm.name, condition).key)
                if found:
                    cells = [f"{100 * one:+.1f}" for one in found["slowdowns"]]
                    slow = BATCH_SIZES.index(RECIPES[model].slow_batch_size)
                    told = [cell if arm.is_everywhere or at != slow else f"**{cell}**" for at, cell in enumerate(cells)]
                    rows.append([f"{arm.name} %", model, condition, str(found["replicates"]), *told])
    head = ("wanted", "model", "condition", "replicates", *(f"batch {size}" for size in BATCH_SIZES))
    return f"## Extra work: what was wanted and what it cost, %\n\n{_rows(head, rows)}"


def _gates(judged: Mapping[str, Any]) -> str:
    rows = []
    for arm in ARMS:
        for condition in CONDITIONS:
            found = series_of(judged, arm, condition)
            if found:
                verdicts = [
                    " / ".join(_percent(one["gates"][verdict] / one["gates"]["gates"], 1) for one in found.values())
                    for verdict in ("regressed", "passed", "inconclusive", "contaminated")
                ]
                used = " / ".join(f"{one['gates']['replicates']:g}" for one in found.values())
                seconds = " / ".join(f"{one['gates']['seconds']:.0f}" for one in found.values())
                rows.append([arm, condition, *verdicts, used, seconds])
    head = ("candidate", "condition", "red", "passed", "inconclusive", "of these contaminated", "processes", "seconds")
    models = " / ".join(MODELS)
    return (
        f"## Resampled gates\n\n{judged['gates']:,} a line and model; {models}, in %; processes and seconds: medians. "
        "A gate is six whole fours of a series drawn with replacement, so its coins are balanced as a real gate's are; "
        "it is judged by the engine's own code, control included. The seconds are those of the processes with all four "
        "cells, so a gate whose cells pass early takes less.\n\n" + _rows(head, rows)
    )


def _undecided(judged: Mapping[str, Any]) -> str:
    """The series in which more than one gate in twenty is inconclusive, each with its reason in figures."""
    lines = []
    for key, found in judged["series"].items():
        gates = found["gates"]
        share = gates["inconclusive"] / gates["gates"]
        if share > OFTEN:
            worst = max(range(len(BATCH_SIZES)), key=lambda at, of=found: of["robust_sds"][at])
            contaminated = f"; {gates['contaminated']} because the baseline's copies differed"
            lines.append(
                f"- `{key}`: {_percent(share)} %; noisiest at batch {BATCH_SIZES[worst]} "
                f"(s {_percent(found['robust_sds'][worst], 2)} %, slow-down {100 * found['slowdowns'][worst]:+.1f} %)"
                f"{contaminated if gates['contaminated'] else ''}"
            )
    told = "\n".join(lines) or "Nothing: in no series more than one gate in twenty."
    return (
        "## What stays inconclusive\n\nA cell passes when it is proven below 5 % and estimated at most 2 %; it is red "
        "when proven above 2 %. A slow-down between the two, or noise so wide that 24 processes prove neither, ends "
        f"inconclusive, and the report says what would have been caught.\n\n{told}"
    )


def _live(live: Mapping[str, Any]) -> str:
    rows = []
    for arm in ARMS:
        for condition in CONDITIONS:
            for model in MODELS:
                found = [gate for gate in live.get("gates", ()) if live_series(gate) == (model, arm, condition)]
                if found:
                    verdicts = [gate["verdict"] for gate in found]
                    counts = [str(verdicts.count(verdict)) for verdict in ("regressed", "passed", "inconclusive")]
                    seconds = sorted(gate["seconds"] for gate in found)
                    told = f"{median(seconds):.0f} ({seconds[0]:.0f} to {seconds[-1]:.0f})"
                    rows.append([arm, condition, model, str(len(found)), *counts, told])
    head = ("candidate", "condition", "model", "gates", "red", "passed", "inconclusive", "seconds to the verdict")
    if not rows:
        return "## Live gates\n\nNone was run."
    return f"## Live gates\n\nFrom two files to a verdict, each in its own minute.\n\n{_rows(head, rows)}"


def _peers(judged: Mapping[str, Any]) -> str:
    rows = []
    for condition in CONDITIONS:
        ours = [pooled(judged, arm, condition, "regressed", is_wished=arm != SAME) for arm in KINDS]
        shown = [NOTHING if one is None else _percent(one.share, 1) for one in ours]
        rows.append([f"**{OURS}**", condition, NOTHING, shown[0], NOTHING, NOTHING, *shown[1:]])
        for rule in RULES:
            alarms = [
                _percent(mean_share(judged, SAME, condition, ("peers", pairing, rule, share)), 1)
                for pairing in PAIRINGS
                for share in ("cells", "runs")
            ]
            power = [
                _percent(mean_share(judged, arm, condition, ("peers", PAIRINGS[0], rule, "runs")), 1)
                for arm in KINDS
                if arm != SAME
            ]
            rows.append([rule, condition, *alarms, *power])
    false = [f"identical file, {pairing}: {what}" for pairing in PAIRINGS for what in ("cells", "runs")]
    head = ("rule", "condition", *false, *(kind for arm, kind in KINDS.items() if arm != SAME))
    return (
        "## Other rules on the same timings\n\n![False alarms and power of each rule](peers.svg)\n\n"
        "In percent, the mean over models: how often a cell, and a whole run of four cells, is called slower. The "
        "baseline's calls are those of one process and the candidate's those of another one, started seconds apart, or "
        "at another time of the recording; power is of whole runs seconds apart. What each rule gets, and where it "
        "stands, is told in `benchmarks/gate/peers.py`.\n\n" + _rows(head, rows)
    )


def _versions(versions: Mapping[str, Any]) -> str:
    title = "## Two versions of the runtime"
    if "skipped" in versions:
        return f"{title}\n\nNot measured: {versions['skipped']}."
    if not versions.get("gates"):
        return f"{title}\n\nNone was run."
    rows = [
        [gate["arm"], gate["model"], gate["verdict"], f"{gate['seconds']:.0f}", gate["reason"]]
        for gate in versions["gates"]
    ]
    return (
        f"{title}\n\nThe same file under onnxruntime {versions['older']} and {versions['newer']}, each in an "
        "interpreter of its own; and the newer one twice, as a control.\n\n"
        + _rows(("onnxruntime", "model", "verdict", "seconds", "found"), rows)
    )
