"""What a request makes in its worker: the original, and each variant optimized and examined.

It knows what was made and how, so that after a crash a new worker takes over all that was finished, and a fresh
process can be given one artifact alone.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_inferopt.domain.measured import Accuracy, Conversion
from pytest_inferopt.engine.clock.memory import MemoryArm
from pytest_inferopt.engine.correctness.accuracy import check_accuracy
from pytest_inferopt.engine.correctness.conversion import check_conversion
from pytest_inferopt.engine.variant import ORIGINAL, Variant, step_record
from pytest_inferopt.engine.worker.driver import MEASURING_IS_LATE, Worker
from pytest_inferopt.engine.worker.shipping import Cargo, Subject, ship
from pytest_inferopt.errors import ERROR_KINDS, InferoptError, NotMeasuredError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_inferopt.domain.request import OptimizationRequest
    from pytest_inferopt.engine.clock.lock import MachineLock
    from pytest_inferopt.engine.pipeline import PlannedStep
    from pytest_inferopt.engine.store.cache import StepCache
    from pytest_inferopt.engine.store.folder import Store
    from pytest_inferopt.engine.worker.replicate import Command
    from pytest_inferopt.registry import Registry

__all__ = ["Making", "Tools"]

SECONDS_PER_MINUTE = 60


@dataclass(frozen=True, eq=False)
class Tools:
    """What a run works with."""

    worker: Worker
    registry: Registry
    store: Store
    cache: StepCache
    lock: MachineLock
    folder: Path
    on_progress: Callable[[str], None]


class Making:
    """One request's artifacts.

    Args:
        request: what to do.
        subject: the live things that go with it.
        tools: what it works with.

    Attributes:
        original: what the worker has told of the original.
        deadline: on `time.monotonic()`, for all that is made; whoever waits in a queue may move it.
    """

    def __init__(self, request: OptimizationRequest, subject: Subject, tools: Tools) -> None:
        self.original: dict[str, Any] = {}
        self.deadline = time.monotonic() + request.max_time_minutes * SECONDS_PER_MINUTE
        self._request = request
        self._subject = subject
        self._tools = tools
        self._steps: dict[str, dict[str, Any]] = {}
        self._generation = -1
        self._cargo: Cargo | None = None

    @property
    def user_file(self) -> Path | None:
        """The original's file, where the user named one and it could be loaded."""
        return self._cargo.user_file if self._cargo and "format" in self.original else None

    def load(self) -> None:
        """Bring the rows and the model into the worker; done again after it died."""
        request, subject = self._request, self._subject
        if self._cargo is None:
            self._cargo = ship(request, subject, self._tools.folder, self._tools.registry)
        cargo = self._cargo
        self.call("begin", "start", **self._beginning())
        rows = self.call("load_data", "loading the validation rows", **cargo.rows)
        training: dict[str, Any] = {"digest": "none", "rows": 0, "left_out": 0}
        if cargo.training is not None:
            training = self.call("load_data", "loading the training rows", **cargo.training, training=True)
        self.original |= self.call("load_model", "loading the model", **cargo.model)
        if training["left_out"]:
            self.original["notes"].append(
                f"{training['left_out']:,} of {training['rows'] + training['left_out']:,} training rows stand among "
                "the validation rows; they judge, and nothing is calibrated or trained on them"
            )
        self._generation = self._tools.worker.generation
        self._tools.cache.start(
            ORIGINAL,
            fingerprint=self.original["fingerprint"],
            code=self.original["code"],
            rows=rows["digest"],
            training=training["digest"],
        )

    def examine_original(self) -> None:
        """Have the original answer all rows, and settle the metric."""
        request = self._request
        self.original |= self.call(
            "examine_original",
            "asking the original",
            metric=request.metric,
            metric_path=self._cargo.metric_path if self._cargo else None,
            direction=request.metric_direction,
            batch_sizes=list(request.batch_sizes),
        )

    def optimize(self, name: str, chain: tuple[PlannedStep, ...]) -> Variant:
        """Do the steps of a variant; where one fails, its way ends there.

        Raises:
            UsageError: a step was set up wrongly.
        """
        variant = Variant(name)
        for step in chain:
            try:
                done = self._step(variant, step)
            except UsageError:
                raise
            except InferoptError as error:
                variant.stop("conversion", error)
                return variant
            variant.format, variant.path, variant.artifact = done["format"], Path(done["path"]), done["target"]
            variant.steps.append(step_record(step, done))
        return variant

    def examine(self, variant: Variant) -> None:
        """Compare its answers with the original's, and judge conversion and accuracy.

        Raises:
            UsageError: the metric does not fit the rows.
        """
        if not variant.is_alive:
            return
        request = self._request
        try:
            self.recover()
            found = self.call(
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

    def recover(self) -> None:
        """After a crash: a new worker, with all that was finished before."""
        if self._tools.worker.is_running and self._tools.worker.generation == self._generation:
            return
        if time.monotonic() > self.deadline:
            raise NotMeasuredError(
                f"the deadline of {self._request.max_time_minutes:g} minutes has passed.",
                "Raise max_time_minutes (OPTIMIZATION_MAX_TIME_MINUTES), or ask for less.",
            )
        self.load()
        self.examine_original()
        for done in self._steps.values():
            self._adopt({name: done[name] for name in ("source", "target", "spec")}, done)

    def preparing(self) -> list[Command]:
        """The commands that begin a fresh process and bring it the rows."""
        cargo = self._shipped()
        commands: list[Command] = [("begin", self._beginning()), ("load_data", cargo.rows)]
        return commands if cargo.training is None else [*commands, ("load_data", {**cargo.training, "training": True})]

    def remaking(self, target: str) -> list[Command]:
        """The commands that bring an artifact into a process that has the rows.

        Its file; where the file alone is not the artifact, it is made again from the original.
        """
        done = self._done(target)
        if done["artifact"] is not None:
            return [("take_file", {name: done[name] for name in ("target", "format", "path", "artifact")})]
        tasks = []
        while target != ORIGINAL:
            done = self._done(target)
            tasks.append(("run_step", {name: done[name] for name in ("source", "target", "spec")}))
            target = done["source"]
        return [("load_model", self._shipped().model), *reversed(tasks)]

    def memory_arm(self, name: str, target: str) -> MemoryArm | None:
        """How its memory is measured: the original, or a file that stands alone; None where it is neither."""
        if target == ORIGINAL:
            loading: list[Command] = [("load_model", self._shipped().model)]
        elif self._done(target)["artifact"] is not None:
            loading = self.remaking(target)
        else:
            return None
        return MemoryArm(name, target, self.preparing()[:2], loading)

    def document(self, target: str) -> dict[str, Any] | None:
        """What a process needs beside an artifact's file to run it; None where the file alone is not the artifact."""
        found: dict[str, Any] | None = None if target == ORIGINAL else self._done(target)["artifact"]
        return found

    def call(self, command: str, stage: str, *, deadline: float | None = None, **parameters: Any) -> Any:
        """Have the worker do something; by the deadline of all, unless it is measuring, by a deadline of its own."""
        if deadline is None:
            return self._tools.worker.call(command, parameters, stage=stage, deadline=self.deadline)
        return self._tools.worker.call(command, parameters, stage=stage, deadline=deadline, late_hint=MEASURING_IS_LATE)

    def _step(self, variant: Variant, step: PlannedStep) -> dict[str, Any]:
        """Do a step, or take over what another variant or an earlier run got from it on the same artifact."""
        spec = step.spec.model_dump(mode="json")
        key = f"{variant.artifact} {json.dumps(spec, sort_keys=True, default=str)}"
        if key not in self._steps:
            self.recover()
            task: dict[str, Any] = {"source": variant.artifact, "target": f"artifact-{len(self._steps)}", "spec": spec}
            found = self._tools.cache.find(task["source"], task["target"], step.spec)
            if found is None:
                done = self.call("run_step", f"variant {variant.name!r}, step {step.spec.name!r}", **task)
                self._tools.cache.keep(task["target"], done)
            else:
                done = found
                self._adopt(task, done)
            self._steps[key] = {**done, **task}
        return self._steps[key]

    def _adopt(self, task: dict[str, Any], done: dict[str, Any]) -> None:
        """Give the worker what was finished before; what lived in the worker that died is done again."""
        if done["artifact"] is None:
            done |= self.call("run_step", "doing a finished step again", **task)
            return
        parts = {name: done[name] for name in ("format", "path", "artifact")}
        self.call("adopt", "taking over finished steps", target=task["target"], **parts)

    def _beginning(self) -> dict[str, Any]:
        """The arguments of `begin`."""
        request = self._request
        return {
            "folder": str(self._tools.folder),
            "options": {"threads": request.threads, "provider": request.provider},
            "opset": request.opset,
            "random_seed": request.random_seed,
            "seconds_left": self.deadline - time.monotonic(),
        }

    def _shipped(self) -> Cargo:
        assert self._cargo is not None  # noqa: S101 - it was shipped before anything was made
        return self._cargo

    def _done(self, target: str) -> dict[str, Any]:
        return next(done for done in self._steps.values() if done["target"] == target)
