"""What the worker measures: arms beside each other, one alone, a baseline beside its candidate, operators."""

from __future__ import annotations

import math
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_inferopt.domain.artifact import take_rows
from pytest_inferopt.domain.request import BenchmarkSpec
from pytest_inferopt.engine.clock.measure import measure, summarize
from pytest_inferopt.engine.clock.memory import begin_watching, peak_bytes
from pytest_inferopt.engine.clock.probe import probe_ms
from pytest_inferopt.engine.clock.solo import measure_alone
from pytest_inferopt.engine.clock.timing import keep_samples, seconds_of_a_call, threads_limited
from pytest_inferopt.engine.duet.process import BASE, COPY, HEAD, DuetCell, SessionArm, batches, measure_duet
from pytest_inferopt.engine.duet.remote_arm import open_remote_arm
from pytest_inferopt.engine.duet.sensors import Sensors
from pytest_inferopt.engine.workshop.provenance import modules_under
from pytest_inferopt.engine.workshop.verbs import ORIGINAL, Workshop, as_document
from pytest_inferopt.errors import NotMeasuredError

if TYPE_CHECKING:
    from pytest_inferopt.domain.artifact import Artifact, Rows, Session, Workbench
    from pytest_inferopt.engine.duet.process import DuetArm, Role

__all__ = ["MeasuringWorkshop"]

LOOKED_AT = (1, 32)
PROFILE_ROUNDS = 6
PROFILE_SECONDS = 0.25
LEAST_PROFILE_CALLS, MOST_PROFILE_CALLS = 3, 500


class MeasuringWorkshop(Workshop):
    """The worker's commands that need a clock, beside those that make and examine."""

    _resident_bytes: int | None = None

    def _bench(self, folder: Path) -> Workbench:
        return replace(super()._bench(folder), speedup=self._speedup)

    def _speedup(self, before: Artifact, after: Artifact) -> dict[int, float]:
        """How many times faster the second is, by batch size: a quick look, of one process and on the samples."""
        rows = self._samples()
        fixed = (
            next((spec.shape[0] for spec in before.signature.inputs if spec.shape), None) if before.signature else None
        )
        sizes = [fixed] if isinstance(fixed, int) else LOOKED_AT

        def opened(_: str, role: Role) -> DuetArm:
            session = self._open(after if role == HEAD else before, self._options)
            return SessionArm(session, lambda size: batches(rows, size, seed=self._random_seed, index=0))

        with threads_limited(self._options.threads or 1):
            cells = [DuetCell("", size) for size in sizes]
            found = measure_duet(opened, cells, control=None, seed=self._random_seed, index=0)
        return {cell["batch_size"]: math.exp(-cell["contrast"]) for cell in found["cells"] if "error" not in cell}

    def measure(
        self, *, arms: dict[str, list[str]], own_threads_arm: str | None, spec: dict[str, Any]
    ) -> dict[str, Any]:
        """Time the arms side by side, and keep the raw samples.

        Args:
            arms: artifacts, each with the names under which its samples are kept.
            own_threads_arm: the original as its owner set its threads; None without such settings.
            spec: a `BenchmarkSpec`.
        """
        benchmark = BenchmarkSpec.model_validate(spec)
        # Fresh ones: the sessions that answered for the accuracy are warm, and the first call is to be cold.
        sessions = {name: self._open(self._artifacts[name], self._options) for name in arms}
        if own_threads_arm is not None:
            sessions[own_threads_arm] = self._open(self._artifacts[ORIGINAL], replace(self._options, threads=None))
        with threads_limited(benchmark.threads):
            cells = measure(
                sessions, self._data.x, benchmark, random_seed=self._random_seed, on_progress=self._progress
            )
        summaries = [summarize(cell, benchmark, reference=ORIGINAL) for cell in cells]
        return {
            "latency": {name: [as_document(latencies[name]) for latencies, _ in summaries] for name in sessions},
            "speedup": {
                name: [as_document(speedups[name]) for _, speedups in summaries]
                for name in sessions
                if name != ORIGINAL
            },
            "samples": str(keep_samples(cells, arms, self._folder / "samples.npz")),
            "was_cut": [cell.batch_size for cell in cells if cell.was_cut],
        }

    def watch_memory(self) -> None:
        """Note what is resident before a model comes."""
        self._resident_bytes = begin_watching()

    def run_for_memory(self, *, target: str, batch_sizes: list[int]) -> dict[str, int | None]:
        """Run an artifact once at each batch size, and tell the peak since `watch_memory`."""
        session, rows = self._open(self._artifacts[target], self._options), np.arange(self._data.rows)
        with threads_limited(self._options.threads or 1):
            for size in batch_sizes:
                session.run(session.prepare(take_rows(self._data.x, np.resize(rows, size))))
        return {"peak_bytes": peak_bytes(), "before_bytes": self._resident_bytes}

    def measure_alone(self, *, target: str, cells: list[dict[str, Any]], spec: dict[str, Any]) -> dict[str, Any]:
        """Time one artifact in a process that holds nothing else; see `solo.measure_alone`."""
        benchmark = BenchmarkSpec.model_validate(spec)

        def opened(batch_size: int) -> Session:
            self._check_batch_sizes(target, [batch_size])
            return self._open(self._artifacts[target], self._options)

        with threads_limited(benchmark.threads):
            probe, before = probe_ms(), Sensors.now()
            timed = measure_alone(opened, self._data.x, cells, benchmark, random_seed=self._random_seed)
            return {"cells": timed, "probe_ms": probe, "sensors": before.until(Sensors.now())}

    def measure_duet(
        self,
        *,
        pairs: dict[str, dict[str, str | None]],
        cells: list[dict[str, Any]],
        control: dict[str, Any] | None,
        seed: int,
        index: int,
        percentiles: list[int],
        samples: str | None = None,
    ) -> dict[str, Any]:
        """Time the baseline of each variant beside its candidate; see `duet.measure_duet`.

        Args:
            pairs: by variant, the artifacts that are its ``base`` and its ``head``, and the interpreters that run them,
                ``base_python`` and ``head_python``; this process where these are absent or None.
            cells: what is measured, each a ``variant`` and a ``batch_size``; `control` is one of them.
            control: in which a second copy of the baseline takes part.
            seed: of the coins.
            index: the replicate's number.
            percentiles: of the tails.
            samples: where all samples are written, ``<variant>/<batch size>/<arm>`` (blocks, calls) in nanoseconds.
        """
        asked = [DuetCell(**cell) for cell in cells]

        def tables(batch_size: int) -> list[Rows]:
            return batches(self._data.x, batch_size, seed=self._random_seed, index=index)

        def opened(variant: str, role: Role) -> DuetArm:
            which = BASE if role == COPY else role
            pair, sizes = pairs[variant], [cell.batch_size for cell in asked if cell.variant == variant]
            self._check_batch_sizes(str(pair[which]), sizes)
            artifact, python = self._artifacts[str(pair[which])], pair.get(f"{which}_python")
            if python is None:
                return SessionArm(self._open(artifact, self._options), tables)
            session = self._open(self._artifacts[str(pair[HEAD])], self._options)
            feeds = {size: [session.prepare(table) for table in tables(size)] for size in sizes}
            return open_remote_arm(python, artifact.path, feeds, self._options, folder=self._folder)

        with threads_limited(self._options.threads or 1):
            before, started = Sensors.now(), time.monotonic()
            found = measure_duet(
                opened,
                asked,
                control=None if control is None else DuetCell(**control),
                seed=seed,
                index=index,
                percentiles=percentiles,
                samples=None if samples is None else Path(samples),
            )
            return {**found, "sensors": before.until(Sensors.now()), "seconds": time.monotonic() - started}

    def profile_pair(self, *, base: str, head: str, batch_size: int) -> dict[str, Any]:
        """What each operator of two artifacts takes in one call, in rounds that take turns; see `Runtime.profile`."""
        rows = take_rows(self._data.x, np.resize(np.arange(self._data.rows), batch_size))
        arms = {"base": self._artifacts[base], "head": self._artifacts[head]}
        rounds: dict[str, list[Any]] = {arm: [] for arm in arms}
        calls = {arm: self._profile_calls(artifact, rows) for arm, artifact in arms.items()}
        for number in range(PROFILE_ROUNDS):
            for arm in arms if number % 2 == 0 else reversed(arms):
                rounds[arm].append(self._profiled(arms[arm], rows, calls[arm]))
        return rounds

    def _profile_calls(self, artifact: Artifact, rows: Rows) -> int:
        session = self._open(artifact, self._options)
        seconds = seconds_of_a_call(session, session.prepare(rows))
        return max(min(int(PROFILE_SECONDS / max(seconds, 1e-9)), MOST_PROFILE_CALLS), LEAST_PROFILE_CALLS)

    def _profiled(self, artifact: Artifact, rows: Rows, calls: int) -> list[Any]:
        runtime = self._registry.runtime_for(artifact.format)
        if runtime is None:
            raise NotMeasuredError(f"no runtime can tell what the operators of {artifact.format} take.")
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        return list(runtime.profile(artifact, self._options, rows, calls=calls, folder=folder))

    def modules_under(self, *, root: str) -> dict[str, str]:
        """The modules that this process has imported from a repository; see `provenance.modules_under`."""
        return modules_under(Path(root))
