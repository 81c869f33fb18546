"""One request from start to verdict: load, plan, optimize, examine, measure, judge."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_inferopt.domain.budget import SizeBudget
from pytest_inferopt.domain.environment import Environment
from pytest_inferopt.domain.result import (
    Accuracy,
    Check,
    CheckKind,
    Conversion,
    Latency,
    RunResult,
    Samples,
    Speedup,
    Step,
    VariantResult,
)
from pytest_inferopt.domain.selection import best_variant
from pytest_inferopt.engine.accuracy import check_accuracy
from pytest_inferopt.engine.budget_processes import Arm, latency_budgets, measure_in_processes
from pytest_inferopt.engine.budgets import judge_quick_latency, judge_size
from pytest_inferopt.engine.cache import StepCache
from pytest_inferopt.engine.conversion import check_conversion
from pytest_inferopt.engine.lock import MachineLock
from pytest_inferopt.engine.pipeline import plan
from pytest_inferopt.engine.shipping import Cargo, Subject, ship
from pytest_inferopt.engine.store import file_sha256
from pytest_inferopt.errors import ERROR_KINDS, InferoptError, NotMeasuredError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from pytest_inferopt.domain.request import OptimizationRequest
    from pytest_inferopt.engine.execute import Worker
    from pytest_inferopt.engine.pipeline import PlannedStep
    from pytest_inferopt.engine.replicate import Command
    from pytest_inferopt.engine.store import Store
    from pytest_inferopt.registry import Registry

__all__ = ["Subject", "run_request"]

ORIGINAL = "original"
SECONDS_PER_MINUTE = 60
# Measuring has a budget of its own, which the clock in the worker keeps; this is for a call that never returns.
MEASURE_GRACE_SECONDS = 30
LONG_RUN_SECONDS = 10
WORTH_TELLING_SECONDS = 0.1


def run_request(
    request: OptimizationRequest,
    subject: Subject,
    *,
    worker: Worker,
    registry: Registry,
    store: Store,
    reuse: bool = True,
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
        reuse: whether steps that are in the store already are taken from there.
        on_progress: told what takes long.

    Raises:
        UsageError: the request is wrong, or the rows do not fit the model.
    """
    with store.working_folder() as folder:
        cache = StepCache(store, registry, request, is_read=reuse)
        lock = MachineLock(on_wait=lambda text: on_progress(f"{request.name}: {text}"))
        tools = _Tools(worker, registry, store, cache, lock, folder, on_progress)
        return _Run(request, subject, tools).result()


@dataclass(frozen=True, eq=False)
class _Tools:
    """What a run works with."""

    worker: Worker
    registry: Registry
    store: Store
    cache: StepCache
    lock: MachineLock
    folder: Path
    on_progress: Callable[[str], None]


@dataclass(eq=False)
class _Variant:
    """A variant while it is being made."""

    name: str
    steps: list[Step] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    format: str | None = None
    path: Path | None = None
    artifact: str = ORIGINAL
    arm: str = ""
    conversion: Conversion | None = None
    accuracy: Accuracy | None = None
    call: str = ""
    seconds_a_round: float = 0.0

    def stop(self, kind: CheckKind, error: InferoptError) -> None:
        """Its way ends here."""
        self.checks.append(_check(kind, self.name, error))

    @property
    def is_alive(self) -> bool:
        """Whether there is something to measure."""
        return not any(check.outcome in {"not_measured", "refused"} for check in self.checks)


class _Run:
    def __init__(self, request: OptimizationRequest, subject: Subject, tools: _Tools) -> None:
        self._request = request
        self._subject = subject
        self._tools = tools
        self._deadline = time.monotonic() + request.max_time_minutes * SECONDS_PER_MINUTE
        self._seconds: dict[str, float] = {}
        self._notes: list[str] = []
        self._steps: dict[str, dict[str, Any]] = {}
        self._generation = -1
        self._original: dict[str, Any] = {}
        self._cargo: Cargo | None = None
        self._samples: Samples | None = None
        self._probe_ms: float | None = None

    def result(self) -> RunResult:
        try:
            with self._locked(self._tools.lock.optimizing()):
                variants = self._made()
        except UsageError:
            raise
        except InferoptError as error:
            return self._nothing(error)
        with self._locked(self._tools.lock.measuring()):
            with self._stage("measure"):
                measured = self._measure([variant for variant in variants if variant.is_alive])
            alive = [variant for variant in variants if variant.is_alive]
            if alive and latency_budgets(self._request):
                with self._stage("budgets"):
                    self._judge_latency(alive, measured)
        return self._judged(variants, measured)

    def _made(self) -> list[_Variant]:
        """All variants, each optimized and examined."""
        with self._stage("load"):
            self._load()
        chains = plan(self._request, self._original["format"], self._tools.registry)
        with self._stage("examine"):
            self._examine_original()
        variants = []
        for name, chain in chains.items():
            with self._stage("optimize"):
                variant = self._optimize(name, chain)
            is_made = variant.is_alive
            # At once, so that what is done stays done when a later variant takes the worker or the time with it.
            with self._stage("examine"):
                self._examine(variant)
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
            self._deadline += waited
            if waited > WORTH_TELLING_SECONDS:
                self._seconds["wait"] = self._seconds.get("wait", 0) + waited
            yield

    def _load(self) -> None:
        """Bring the rows and the model into the worker; done again after it died."""
        request, subject = self._request, self._subject
        if self._cargo is None:
            self._cargo = ship(request, subject, self._tools.folder, self._tools.registry)
        cargo = self._cargo
        self._call("begin", "start", **self._beginning())
        rows = self._call("load_data", "loading the validation rows", **cargo.rows)
        training = {"digest": "none"}
        if cargo.training is not None:
            training = self._call("load_data", "loading the training rows", **cargo.training, training=True)
        self._original |= self._call("load_model", "loading the model", **cargo.model)
        self._generation = self._tools.worker.generation
        self._tools.cache.start(
            ORIGINAL,
            fingerprint=self._original["fingerprint"],
            code=self._original["code"],
            rows=rows["digest"],
            training=training["digest"],
        )

    def _beginning(self) -> dict[str, Any]:
        """The arguments of `begin`."""
        request = self._request
        return {
            "folder": str(self._tools.folder),
            "options": {"threads": request.threads, "provider": request.provider},
            "opset": request.opset,
            "random_seed": request.random_seed,
            "seconds_left": self._deadline - time.monotonic(),
        }

    def _examine_original(self) -> None:
        request = self._request
        self._original |= self._call(
            "examine_original",
            "asking the original",
            metric=request.metric,
            metric_path=self._cargo.metric_path if self._cargo else None,
            direction=request.metric_direction,
            batch_sizes=list(request.batch_sizes),
        )

    def _optimize(self, name: str, chain: tuple[PlannedStep, ...]) -> _Variant:
        variant = _Variant(name)
        for step in chain:
            try:
                done = self._step(variant, step)
            except UsageError:
                raise
            except InferoptError as error:
                variant.stop("conversion", error)
                return variant
            variant.format, variant.path, variant.artifact = done["format"], Path(done["path"]), done["target"]
            variant.steps.append(_told(step, done))
        return variant

    def _step(self, variant: _Variant, step: PlannedStep) -> dict[str, Any]:
        """Do a step, or take over what another variant or an earlier run got from it on the same artifact."""
        spec = step.spec.model_dump(mode="json")
        key = f"{variant.artifact} {json.dumps(spec, sort_keys=True, default=str)}"
        if key not in self._steps:
            self._recover()
            task: dict[str, Any] = {"source": variant.artifact, "target": f"artifact-{len(self._steps)}", "spec": spec}
            found = self._tools.cache.find(task["source"], task["target"], step.spec)
            if found is None:
                done = self._call("run_step", f"variant {variant.name!r}, step {step.spec.name!r}", **task)
                self._tools.cache.keep(task["target"], done)
            else:
                done = found
                self._adopt(task, done)
            self._steps[key] = {**done, **task}
        return self._steps[key]

    def _adopt(self, task: dict[str, Any], done: dict[str, Any]) -> None:
        """Give the worker what was finished before; what lived in the worker that died is done again."""
        if done["artifact"] is None:
            done |= self._call("run_step", "doing a finished step again", **task)
            return
        parts = {name: done[name] for name in ("format", "path", "artifact")}
        self._call("adopt", "taking over finished steps", target=task["target"], **parts)

    def _recover(self) -> None:
        """After a crash: a new worker, with all that was finished before."""
        if self._tools.worker.is_running and self._tools.worker.generation == self._generation:
            return
        if time.monotonic() > self._deadline:
            raise NotMeasuredError(
                f"the deadline of {self._request.max_time_minutes:g} minutes has passed.",
                "Raise max_time_minutes (OPTIMIZATION_MAX_TIME_MINUTES), or ask for less.",
            )
        self._load()
        self._examine_original()
        for done in self._steps.values():
            self._adopt({name: done[name] for name in ("source", "target", "spec")}, done)

    def _examine(self, variant: _Variant) -> None:
        if not variant.is_alive:
            return
        request = self._request
        try:
            self._recover()
            found = self._call(
                "examine",
                f"asking variant {variant.name!r}",
                target=variant.artifact,
                batch_sizes=list(request.batch_sizes),
                threshold=request.accuracy_threshold,
            )
        except UsageError:
            raise
        except InferoptError as error:
            variant.stop("conversion", error)
            return
        variant.call, variant.seconds_a_round = found["call"], found["seconds_a_round"]
        variant.conversion = Conversion.model_validate(found["conversion"])
        variant.checks.append(check_conversion(variant.name, variant.conversion))
        if "accuracy" not in found:
            wrong = found["accuracy_error"]
            failure = ERROR_KINDS[wrong["kind"]](wrong["message"], wrong["hint"])
            if isinstance(failure, UsageError):
                raise failure
            variant.stop("accuracy", failure)
            return
        variant.accuracy = Accuracy.model_validate(found["accuracy"])
        variant.checks.append(
            check_accuracy(
                variant.name,
                variant.accuracy,
                threshold=request.accuracy_threshold,
                decision=request.accuracy_decision,
            )
        )

    def _measure(self, variants: list[_Variant]) -> dict[str, Any]:
        """The latencies and speed-ups of all arms, by the name of their artifact; empty if it failed."""
        request = self._request
        self._own_threads_arm: str | None = None
        if not variants:
            return {"latency": {}, "speedup": {}}
        own = self._original["own_threads"]
        self._own_threads_arm = f"{ORIGINAL} ({own})" if own else None
        # A step that changed nothing leaves its file as it was; the same file is not timed twice.
        first_of = {variant.path: variant.artifact for variant in reversed(variants)}
        for variant in variants:
            variant.arm = first_of[variant.path]
        arms = {ORIGINAL: [ORIGINAL]}
        for variant in variants:
            arms.setdefault(variant.arm, []).append(variant.name)
        self._tell_duration([self._original, *({"seconds_a_round": variant.seconds_a_round} for variant in variants)])
        # Measuring has a time of its own; what was made before the optimization's deadline is still measured.
        self._deadline = max(self._deadline, time.monotonic() + MEASURE_GRACE_SECONDS)
        try:
            self._recover()
            measured: dict[str, Any] = self._call(
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

    def _judge_size(self, variant: _Variant, size_bytes: int) -> None:
        """Hold its file against the size budgets, whatever else becomes of it."""
        sizes = [budget for budget in self._request.budgets if isinstance(budget, SizeBudget)]
        variant.checks += [judge_size(variant.name, budget, size_bytes) for budget in sizes]

    def _judge_latency(self, variants: list[_Variant], measured: dict[str, Any]) -> None:
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
            Arm(self._bringing(target), target, _p50_ms(measured, target), tuple(names))
            for target, names in sharing.items()
        ]
        evidence = measure_in_processes(
            request,
            arms,
            open_worker=self._tools.worker.another,
            load_seconds=self._seconds["load"],
            on_progress=self._tools.on_progress,
        )
        for variant in variants:
            variant.checks += evidence.judge(variant.name, variant.arm, request)
        self._probe_ms = evidence.probe_ms
        self._notes += evidence.notes

    def _bringing(self, target: str) -> list[Command]:
        """The commands that bring an artifact and the rows into a fresh process."""
        assert self._cargo is not None  # noqa: S101 - it was shipped before anything was made
        cargo = self._cargo
        commands: list[Command] = [("begin", self._beginning()), ("load_data", cargo.rows)]
        if cargo.training is not None:
            commands.append(("load_data", {**cargo.training, "training": True}))
        return [*commands, *self._remaking(target, cargo)]

    def _remaking(self, target: str, cargo: Cargo) -> list[Command]:
        """Take the file; where the file alone is not the artifact, make it again from the original."""
        done = self._done(target)
        if done["artifact"] is not None:
            return [("take_file", {name: done[name] for name in ("target", "format", "path", "artifact")})]
        tasks = []
        while target != ORIGINAL:
            done = self._done(target)
            tasks.append(("run_step", {name: done[name] for name in ("source", "target", "spec")}))
            target = done["source"]
        return [("load_model", cargo.model), *reversed(tasks)]

    def _done(self, target: str) -> dict[str, Any]:
        return next(done for done in self._steps.values() if done["target"] == target)

    def _tell_duration(self, arms: list[dict[str, Any]]) -> None:
        spec = self._request.benchmark
        rounds = spec.warmup_iterations + spec.iterations
        seconds = min(spec.measure_seconds, rounds * sum(arm["seconds_a_round"] for arm in arms))
        if seconds >= LONG_RUN_SECONDS:
            self._tools.on_progress(f"{self._request.name}: measuring for about {seconds:.0f} s")

    def _judged(self, variants: list[_Variant], measured: dict[str, Any]) -> RunResult:
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
            variants=results,
            context=context,
            best=best_variant(results, self._request.batch_sizes[0]),
            samples=self._samples,
            probe_ms=self._probe_ms,
            notes=(*self._original["notes"], *self._notes, *filter(None, [self._tools.store.warning])),
            seconds=self._seconds,
        )

    def _original_result(self, latency: dict[int, Latency], checks: tuple[Check, ...] = ()) -> VariantResult:
        known = self._original
        file = self._cargo.user_file if self._cargo and "format" in known else None
        return VariantResult(
            name=ORIGINAL,
            role="original",
            format=known.get("format"),
            path=None if file is None else str(file),
            sha256=None if file is None else file_sha256(file),
            size_bytes=known.get("size_bytes"),
            call=known.get("call", ""),
            accuracy=Accuracy.model_validate(known["accuracy"]) if "accuracy" in known else None,
            latency=latency,
            checks=checks,
        )

    def _variant_result(self, variant: _Variant, measured: dict[str, Any]) -> VariantResult:
        path, digest, size_bytes = None, None, None
        if variant.path is not None and variant.path.is_file() and variant.is_alive:
            path, digest = self._tools.store.keep(variant.path)
            size_bytes = path.stat().st_size
        return VariantResult(
            name=variant.name,
            format=variant.format,
            path=None if path is None else str(path),
            sha256=digest,
            size_bytes=size_bytes,
            call=variant.call,
            steps=tuple(variant.steps),
            conversion=variant.conversion,
            accuracy=variant.accuracy,
            latency=_latencies(measured, variant.arm) if variant.is_alive else {},
            speedup=_speedups(measured, variant.arm) if variant.is_alive else {},
            checks=tuple(variant.checks),
        )

    def _nothing(self, error: InferoptError) -> RunResult:
        """The result where the original itself could not be measured."""
        check = _check("conversion", ORIGINAL, error)
        names = self._request.pipelines
        return RunResult(
            name=self._request.name,
            request=self._request,
            environment=Environment.here(),
            original=self._original_result({}, (check,)),
            variants={name: VariantResult(name=name) for name in names},
            seconds=self._seconds,
        )

    def _call(self, command: str, stage: str, *, deadline: float | None = None, **parameters: Any) -> Any:
        return self._tools.worker.call(
            command, parameters, stage=stage, deadline=self._deadline if deadline is None else deadline
        )

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        try:
            yield
        finally:
            self._seconds[name] = self._seconds.get(name, 0) + time.monotonic() - started


def _told(step: PlannedStep, done: dict[str, Any]) -> Step:
    """What a step did, for the report."""
    notes = list(done["notes"])
    if step.was_inserted:
        notes.insert(0, "inserted, because the next step takes ONNX")
    if "made_at" in done:
        notes.append(f"taken from the store: nothing that it depends on has changed since {done['made_at'][:10]}")
    figures = {key: done[key] for key in ("name", "seconds", "size_before_bytes", "size_after_bytes")}
    return Step(**figures, notes=tuple(notes), cached="made_at" in done)


def _check(kind: CheckKind, variant: str, error: InferoptError) -> Check:
    outcome = "refused" if error.kind == "refused" else "not_measured"
    return Check(kind=kind, variant=variant, outcome=outcome, reason=error.message, next_step=error.hint)


def _latencies(measured: dict[str, Any], name: str) -> dict[int, Latency]:
    records = [Latency.model_validate(document) for document in measured["latency"].get(name, ())]
    return {record.batch_size: record for record in records}


def _p50_ms(measured: dict[str, Any], name: str) -> dict[int, float]:
    return {size: found.p50_ms for size, found in _latencies(measured, name).items() if found.p50_ms is not None}


def _speedups(measured: dict[str, Any], name: str) -> dict[int, Speedup]:
    records = [Speedup.model_validate(document) for document in measured["speedup"].get(name, ())]
    return {record.batch_size: record for record in records}
