"""What the plugin costs: imported and unused, around a timed call, and where a run's time goes.

Run ``python -m benchmarks.overhead``; it writes ``benchmarks/overhead/table.md``. All figures are ratios or
differences of things measured side by side, in turn.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from skl2onnx import to_onnx
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.neural_network import MLPClassifier

from benchmarks.machine import provenance
from pytest_inferopt import InferenceOptimizer
from pytest_inferopt.domain.artifact import Artifact, RunOptions
from pytest_inferopt.domain.request import BenchmarkSpec
from pytest_inferopt.engine.clock.measure import Arm, measure_cell
from pytest_inferopt.engine.statistics.intervals import block_ratio_interval
from pytest_inferopt.engine.worker.driver import Worker
from pytest_inferopt.runtimes.ort import OnnxRuntime

if TYPE_CHECKING:
    from pytest_inferopt.runtimes.ort import OrtSession

TABLE = Path(__file__).parent / "table.md"
ROUNDS = 101
LOOP_ROUNDS = 32
LOOP_CALLS = 1000
NS_PER_US = 1000
SECONDS_TO_NS = 1_000_000_000


def main() -> int:
    """Measure all three and write the table."""
    sections = [_unused(), _loop(), _worker(), _run()]
    TABLE.write_text("\n\n".join(["# Overhead", provenance(), *sections]) + "\n", encoding="utf-8")
    print(TABLE.read_text(encoding="utf-8"))
    return 0


def _unused() -> str:
    """Whole pytest runs with the plugin installed and unused against ``-p no:inferopt``, in turn."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_nothing.py").write_text("def test_nothing(): pass\n", encoding="utf-8")
        with_plugin = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *_others_off()]
        without = [*with_plugin, "-p", "no:inferopt"]
        # Compiled files of the plugin itself are what every user has after the first run.
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        pairs = []
        for turn in range(ROUNDS + 2):
            first, second = (with_plugin, without) if turn % 2 else (without, with_plugin)
            one, two = (_seconds(command, folder, environment) for command in (first, second))
            pairs.append((one, two) if turn % 2 else (two, one))
        used, unused = zip(*pairs[2:], strict=True)
    differences = sorted(a - b for a, b in zip(used, unused, strict=True))
    low, high = differences[40] * 1000, differences[-41] * 1000
    return (
        "## Installed and unused\n\n"
        f"Processor time of a pytest run of one empty test, {ROUNDS} pairs in turn: {median(unused) * 1000:.0f} ms "
        f"with `-p no:inferopt`, {median(used) * 1000:.0f} ms without; the median difference of a pair is "
        f"**{median(differences) * 1000:.1f} ms** [{low:.1f}, {high:.1f}]. Neither numpy nor pydantic is loaded."
    )


def _others_off() -> list[str]:
    return ["-p", "no:randomly", "-p", "no:xdist", "-p", "no:cov", "-p", "no:hypothesispytest"]


def _seconds(command: list[str], folder: Path, environment: dict[str, str]) -> float:
    """The processor time of a command, user and system, which other processes disturb less than the clock's."""
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command} ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def _loop() -> str:
    """The measuring loop against a bare loop around `InferenceSession.run`, alternating."""
    rows = []
    for label, hidden, batch in (("about 10 µs", (64,), 1), ("about 1 ms", (1024, 1024), 64)):
        with tempfile.TemporaryDirectory() as folder:
            session, feed = _session(hidden, batch, Path(folder))
        ratios, bare_us, ours_us = [], [], []
        for turn in range(LOOP_ROUNDS + 1):
            loops = (_bare, _ours) if turn % 2 else (_ours, _bare)
            figures = {loop.__name__: loop(session, feed) for loop in loops}
            if turn:
                ratios.append(float(np.log(figures["_ours"] / figures["_bare"])))
                bare_us.append(figures["_bare"] / NS_PER_US)
                ours_us.append(figures["_ours"] / NS_PER_US)
        estimate, low, high = (float(np.exp(value or np.nan)) for value in block_ratio_interval(ratios))
        rows.append(
            f"| {label} | {median(bare_us):.2f} | {median(ours_us):.2f} | {(estimate - 1) * 100:+.2f} % "
            f"[{(low - 1) * 100:+.2f}, {(high - 1) * 100:+.2f}] |"
        )
    return (
        "## The measuring loop\n\n"
        f"p50 of {LOOP_CALLS} calls in a bare loop around `session.run(names, feed)` and in the plugin's, "
        f"{LOOP_ROUNDS} pairs in turn.\n\n| model | bare p50 µs | plugin p50 µs | difference |\n|---|---|---|---|\n"
        + "\n".join(rows)
    )


def _session(hidden: tuple[int, ...], batch: int, folder: Path) -> tuple[OrtSession, dict[str, Any]]:
    """The plugin's own session of a small network on the digits, and one feed."""
    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = MLPClassifier(hidden, max_iter=2, random_state=0).fit(x, y)
    content = to_onnx(model, x[:1], target_opset={"": 17, "ai.onnx.ml": 3}, options={"zipmap": False})
    path = folder / "model.onnx"
    path.write_bytes(content.SerializeToString())
    session = OnnxRuntime().open(Artifact("onnx", path), RunOptions())
    return session, session.prepare(x[:batch])


def _bare(session: OrtSession, feed: Any) -> float:
    run, clock, samples = session.session.run, time.perf_counter_ns, []
    names = [output.name for output in session.session.get_outputs()]
    for _ in range(LOOP_CALLS):
        before = clock()
        run(names, feed)
        samples.append(clock() - before)
    return float(np.median(samples))


def _ours(session: OrtSession, feed: Any) -> float:
    spec = BenchmarkSpec(
        warmup_iterations=1, iterations=LOOP_CALLS, batch_sizes=(1,), measure_seconds=60, threads=1, provider="cpu"
    )
    cell = measure_cell({"one": Arm(session.run, [feed])}, 1, spec, budget_ns=60 * SECONDS_TO_NS)
    return float(np.median(cell.arms["one"].samples_ns))


def _worker() -> str:
    """From nothing to a worker that has answered, and one more answer of it."""
    begin = {"folder": tempfile.gettempdir(), "options": {}, "opset": 17, "random_seed": 0, "seconds_left": 60}
    starts, answers = [], []
    for _ in range(15):
        with Worker() as worker:
            for figures in (starts, answers):
                started = time.perf_counter()
                worker.call("begin", begin, stage="start", deadline=time.monotonic() + 60)
                figures.append(time.perf_counter() - started)
    return (
        "## The worker\n\n"
        f"Started and asked for the first time: {median(starts) * 1000:.0f} ms, once a session. "
        f"Each further command: {median(answers) * 1_000_000:.0f} µs."
    )


def _run() -> str:
    """Where the time of a whole run goes: the forest on the digits, with the default counts."""
    x, y = load_digits(return_X_y=True)
    model = RandomForestClassifier(100, random_state=0).fit(x[:1200], y[:1200])
    rows = []
    with tempfile.TemporaryDirectory() as store, InferenceOptimizer(store) as optimizer:
        for label in ("first run of a session", "second run"):
            started = time.perf_counter()
            result = optimizer.optimize(model, x[1200:], y[1200:])
            total = time.perf_counter() - started
            stages = " | ".join(f"{result.seconds[stage]:.2f}" for stage in ("load", "optimize", "examine", "measure"))
            rows.append(f"| {label} | {stages} | {total:.2f} |")
    return (
        "## Where a run's time goes\n\nA random forest of 100 trees on the digits, 100 + 1,000 calls at batch sizes "
        "1, 16, 32 and 64, in seconds.\n\n"
        "| | load | optimize | examine | measure | total |\n|---|---|---|---|---|---|\n" + "\n".join(rows)
    )


if __name__ == "__main__":
    sys.exit(main())
