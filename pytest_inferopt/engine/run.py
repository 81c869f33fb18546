"""One request from start to verdict: load, plan, optimize, examine, measure, judge."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_inferopt.domain.budget import SizeBudget
from pytest_inferopt.domain.environment import Environment
from pytest_inferopt.domain.measured import Accuracy, Latency, Samples, Speedup
from pytest_inferopt.domain.result import Check, RunResult, VariantResult
from pytest_inferopt.domain.selection import best_variant
from pytest_inferopt.engine.clock.budget_processes import Arm, latency_budgets, measure_in_processes
from pytest_inferopt.engine.clock.budgets import judge_quick_latency, judge_size
from pytest_inferopt.engine.clock.lock import MachineLock
from pytest_inferopt.engine.clock.memory import measure_memory
from pytest_inferopt.engine.comparison.comparing import Comparing
from pytest_inferopt.engine.making import Making, Tools
from pytest_inferopt.engine.pipeline import plan
from pytest_inferopt.engine.store.cache import StepCache
from pytest_inferopt.engine.store.folder import file_sha256
from pytest_inferopt.engine.variant import ORIGINAL, Kept, Variant, red_check
from pytest_inferopt.engine.worker.shipping import Subject
from pytest_inferopt.errors import InferoptError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from pytest_inferopt.domain.comparison import Gate
    from pytest_inferopt.domain.measured import Memory
    from pytest_inferopt.domain.request import OptimizationRequest
    from pytest_inferopt.engine.comparison.comparing import Reference
    from pytest_inferopt.engine.store.folder import Store
    from pytest_inferopt.engine.worker.driver import Worker
    from pytest_inferopt.registry import Registry

__all__ = ["USUAL", "RunMode", "Subject", "run_request"]

# Measuring has a budget of its own, which the clock in the worker keeps; this is for a call that never returns.
MEASURE_GRACE_SECONDS = 30
LONG_RUN_SECONDS = 10
WORTH_TELLING_SECONDS = 0.1


@dataclass(frozen=True)
class RunMode:
    """What is done beside optimizing.

    Attributes:
        reuse: whether steps that are in the store already are taken from there.
        is_measured: whether anything is timed; without, models are made and proven, and that is all.
        baseline: what the variants are compared with, or what is wrong with it; None where nothing is to be compared.
    """

    reuse: bool = True
    is_measured: bool = True
    baseline: Reference | None = None


USUAL = RunMode()


def run_request(
    request: OptimizationRequest,
    subject: Subject,
    *,
    worker: Worker,
    registry: Registry,
    store: Store,
    mode: RunMode = USUAL,
    on_progress: Callable[[str], None] = lambda _: None,
) -> RunResult:
    """Do what a request asks and judge it.

    What goes wrong on the way is part of the result, as a red check of the variant it befell; the other variants go on.

    Args:
        request: what to do.
        subject: the live things that go with it.
        worker: what does it; left running.
        registry: the plugins.
        store: where models, samples and finished steps are kept.
        mode: what is done beside.
        on_progress: told what takes long.

    Raises:
        UsageError: the request is wrong, or the rows do not fit the model.
    """
    with store.working_folder() as folder:
        cache = StepCache(store, registry, request, is_read=mode.reuse)
        lock = MachineLock(on_wait=lambda text: on_progress(f"{request.name}: {text}"))
        tools = Tools(worker, registry, store, cache, lock, folder, on_progress)
        return _Run(request, subject, tools, mode).result()


class _Run:
    def __init__(self, request: OptimizationRequest, subject: Subject, tools: Tools, mode: RunMode) -> None:
        self._request = request
        self._tools = tools
        self._mode = mode
        self._gate: Gate | None = None
        self._gone: dict[str, VariantResult] = {}
        self._making = Making(request, subject, tools)
        self._seconds: dict[str, float] = {}
        self._notes: list[str] = []
        self._own_threads_arm: str | None = None
        self._samples: Samples | None = None
        self._probe_ms: float | None = None
        self._memory: dict[str, Memory] = {}

    def result(self) -> RunResult:
        try:
            with self._locked(self._tools.lock.optimizing()):
                variants = self._made()
        except UsageError:
            raise
        except InferoptError as error:
            return self._nothing(error)
        for variant in variants:
            self._keep(variant)
        if not self._mode.is_measured:
            return self._judged(variants, {"latency": {}, "speedup": {}})
        with self._locked(self._tools.lock.measuring()):
            with self._stage("measure"):
                measured = self._measure([variant for variant in variants if variant.is_alive])
            alive = [variant for variant in variants if variant.is_alive]
            if alive and not self._request.quick:
                with self._stage("memory"):
                    self._measure_memory(alive)
            if alive and latency_budgets(self._request):
                with self._stage("budgets"):
                    self._judge_latency(alive, measured)
            if self._mode.baseline is not None:
                with self._stage("gate"):
                    self._compare(self._mode.baseline, alive, measured)
        return self._judged(variants, measured)

    def _made(self) -> list[Variant]:
        """All variants, each optimized and examined."""
        with self._stage("load"):
            self._making.load()
        chains = plan(self._request, self._making.original["format"], self._tools.registry)
        with self._stage("examine"):
            self._making.examine_original()
        variants = []
        for name, chain in chains.items():
            with self._stage("optimize"):
                variant = self._making.optimize(name, chain)
            is_made = variant.is_alive
            # At once, so that what is done stays done when a later variant takes the worker or the time with it.
            with self._stage("examine"):
                self._making.examine(variant)
            if is_made and variant.path is not None:
                self._judge_size(variant, variant.path.stat().st_size)
            variants.append(variant)
        return variants

    @contextmanager
    def _locked(self, lock: AbstractContextManager[None]) -> Iterator[None]:
        """Hold one of the machine's locks; the time that was spent in the queue is nobody's fault."""
        before = self._tools.lock.waited_seconds
        with lock:
            waited = self._tools.lock.waited_seconds - before
            self._making.deadline += waited
            if waited > WORTH_TELLING_SECONDS:
                self._seconds["wait"] = self._seconds.get("wait", 0) + waited
            yield

    def _measure(self, variants: list[Variant]) -> dict[str, Any]:
        """The latencies and speed-ups of all arms, by the name of their artifact; empty if it failed."""
        request = self._request
        if not variants:
            return {"latency": {}, "speedup": {}}
        own = self._making.original["own_threads"]
        self._own_threads_arm = f"{ORIGINAL} ({own})" if own else None
        # A step that changed nothing leaves its file as it was; the same file is not timed twice.
        first_of = {variant.path: variant.artifact for variant in reversed(variants)}
        for variant in variants:
            variant.arm = first_of[variant.path]
        arms = {ORIGINAL: [ORIGINAL]}
        for variant in variants:
            arms.setdefault(variant.arm, []).append(variant.name)
        original_seconds: float = self._making.original["seconds_a_round"]
        self._tell_duration(original_seconds + sum(variant.seconds_a_round for variant in variants))
        # Measuring has a time of its own; what was made before the optimization's deadline is still measured.
        self._making.deadline = max(self._making.deadline, time.monotonic() + MEASURE_GRACE_SECONDS)
        try:
            self._making.recover()
            measured: dict[str, Any] = self._making.call(
                "measure",
                "measuring",
                deadline=time.monotonic() + 2 * request.measure_seconds + MEASURE_GRACE_SECONDS,
                arms=arms,
                own_threads_arm=self._own_threads_arm,
                spec=request.benchmark.model_dump(mode="json"),
            )
        except InferoptError as error:
            for variant in variants:
                variant.stop("budget", error)
            return {"latency": {}, "speedup": {}}
        path, digest = self._tools.store.keep(Path(measured["samples"]), "samples")
        self._samples = Samples(path=str(path), sha256=digest)
        self._notes += [
            f"batch {size}: calls turned out slower than the warm-up promised, so that measuring ended early "
            f"(measure_seconds={request.measure_seconds:g})"
            for size in measured["was_cut"]
        ]
        return measured

    def _measure_memory(self, variants: list[Variant]) -> None:
        """What loading and running the original and each file takes of memory, in processes of their own."""
        names = {ORIGINAL: ORIGINAL} | {variant.arm: variant.name for variant in reversed(variants)}
        arms = [self._making.memory_arm(name, target) for target, name in names.items()]
        self._memory, notes = measure_memory(
            [arm for arm in arms if arm is not None],
            batch_sizes=self._request.batch_sizes,
            open_worker=self._tools.worker.another,
            seconds=2 * self._seconds["load"] + MEASURE_GRACE_SECONDS,
        )
        self._notes += notes

    def _judge_size(self, variant: Variant, size_bytes: int) -> None:
        """Hold its file against the size budgets, whatever else becomes of it."""
        sizes = [budget for budget in self._request.budgets if isinstance(budget, SizeBudget)]
        variant.checks += [judge_size(variant.name, budget, size_bytes) for budget in sizes]

    def _judge_latency(self, variants: list[Variant], measured: dict[str, Any]) -> None:
        """Hold the variants against the latency budgets, in processes of their own."""
        request = self._request
        if request.quick:
            for variant in variants:
                found = _latencies(measured, variant.arm)
                variant.checks += [
                    judge_quick_latency(variant.name, budget, found.get(budget.batch_size or request.batch_sizes[0]))
                    for budget in latency_budgets(request)
                ]
            return
        sharing: dict[str, list[str]] = {}
        for variant in variants:
            sharing.setdefault(variant.arm, []).append(variant.name)
        arms = [
            Arm(
                [*self._making.preparing(), *self._making.remaking(target)],
                target,
                _p50_ms(measured, target),
                tuple(names),
            )
            for target, names in sharing.items()
        ]
        evidence = measure_in_processes(
            request,
            arms,
            open_worker=self._tools.worker.another,
            making_seconds=self._seconds["load"] + self._seconds["optimize"],
            on_progress=self._tools.on_progress,
        )
        for variant in variants:
            variant.checks += evidence.judge(variant.name, variant.arm, request)
        self._probe_ms = evidence.probe_ms
        self._notes += evidence.notes

    def _keep(self, variant: Variant) -> None:
        """Put its file into the store, if there is one that can be run."""
        if variant.path is not None and variant.path.is_file() and variant.is_alive:
            path, digest = self._tools.store.keep(variant.path)
            variant.kept = Kept(path, digest, path.stat().st_size)
            variant.document = self._making.document(variant.artifact)

    def _compare(self, baseline: Reference, variants: list[Variant], measured: dict[str, Any]) -> None:
        """Hold the variants against their baseline."""
        comparing = Comparing(
            self._request,
            baseline,
            making=self._making,
            tools=self._tools,
            making_seconds=self._seconds["load"],
        )
        p50_ms = {variant.arm: _p50_ms(measured, variant.arm) for variant in variants}
        self._gate = comparing.gate([variant for variant in variants if variant.kept is not None], p50_ms)
        self._gone = comparing.gone(tuple(self._request.pipelines))

    def _tell_duration(self, seconds_a_round: float) -> None:
        spec = self._request.benchmark
        seconds = min(spec.measure_seconds, (spec.warmup_iterations + spec.iterations) * seconds_a_round)
        if seconds >= LONG_RUN_SECONDS:
            self._tools.on_progress(f"{self._request.name}: measuring for about {seconds:.0f} s")

    def _judged(self, variants: list[Variant], measured: dict[str, Any]) -> RunResult:
        original = self._original_result(_latencies(measured, ORIGINAL))
        results = {variant.name: self._variant_result(variant, measured) for variant in variants}
        context: tuple[VariantResult, ...] = ()
        if self._own_threads_arm is not None and self._own_threads_arm in measured["latency"]:
            name = self._own_threads_arm
            context = (
                original.model_copy(
                    update={
                        "name": name,
                        "role": "context",
                        "latency": _latencies(measured, name),
                        "speedup": _speedups(measured, name),
                        "accuracy": None,
                    }
                ),
            )
        return RunResult(
            name=self._request.name,
            request=self._request,
            environment=Environment.here(),
            original=original,
            variants=results | self._gone,
            context=context,
            best=best_variant(results, self._request.batch_sizes[0]),
            samples=self._samples,
            gate=self._gate,
            probe_ms=self._probe_ms,
            notes=(*self._making.original["notes"], *self._notes, *filter(None, [self._tools.store.warning])),
            seconds=self._seconds,
        )

    def _original_result(self, latency: dict[int, Latency], checks: tuple[Check, ...] = ()) -> VariantResult:
        known = self._making.original
        file = self._making.user_file
        return VariantResult(
            name=ORIGINAL,
            role="original",
            format=known.get("format"),
            path=None if file is None else str(file),
            sha256=None if file is None else file_sha256(file),
            size_bytes=known.get("size_bytes"),
            memory=self._memory.get(ORIGINAL),
            call=known.get("call", ""),
            accuracy=Accuracy.model_validate(known["accuracy"]) if "accuracy" in known else None,
            latency=latency,
            checks=checks,
        )

    def _variant_result(self, variant: Variant, measured: dict[str, Any]) -> VariantResult:
        kept = variant.kept if variant.is_alive else None
        return VariantResult(
            name=variant.name,
            format=variant.format,
            path=None if kept is None else str(kept.path),
            sha256=None if kept is None else kept.sha256,
            size_bytes=None if kept is None else kept.size_bytes,
            memory=self._memory.get(variant.arm),
            call=variant.call,
            steps=tuple(variant.steps),
            conversion=variant.conversion,
            accuracy=variant.accuracy,
            latency=_latencies(measured, variant.arm) if variant.is_alive else {},
            speedup=_speedups(measured, variant.arm) if variant.is_alive else {},
            checks=tuple(variant.checks),
            artifact=None if kept is None else variant.document,
            comparison=variant.comparison,
        )

    def _nothing(self, error: InferoptError) -> RunResult:
        """The result where the original itself could not be measured."""
        check = red_check("conversion", ORIGINAL, error)
        names = self._request.pipelines
        return RunResult(
            name=self._request.name,
            request=self._request,
            environment=Environment.here(),
            original=self._original_result({}, (check,)),
            variants={name: VariantResult(name=name) for name in names},
            seconds=self._seconds,
        )

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        try:
            yield
        finally:
            self._seconds[name] = self._seconds.get(name, 0) + time.monotonic() - started


def _latencies(measured: dict[str, Any], name: str) -> dict[int, Latency]:
    records = [Latency.model_validate(document) for document in measured["latency"].get(name, ())]
    return {record.batch_size: record for record in records}


def _p50_ms(measured: dict[str, Any], name: str) -> dict[int, float]:
    return {size: found.p50_ms for size, found in _latencies(measured, name).items() if found.p50_ms is not None}


def _speedups(measured: dict[str, Any], name: str) -> dict[int, Speedup]:
    records = [Speedup.model_validate(document) for document in measured["speedup"].get(name, ())]
    return {record.batch_size: record for record in records}
