"""What was found out: measurements with their intervals, and the checks that judge them.

Stored results keep unknown fields, so that a newer writer's file survives an older reader. A figure that was
not measured is None, in Python and in JSON; NaN never appears in a document.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field

from pytest_inferopt.domain.comparison import Comparison, Gate
from pytest_inferopt.domain.environment import Environment
from pytest_inferopt.domain.measured import (
    Accuracy,
    ByBatchSize,
    Conversion,
    Latency,
    Memory,
    Samples,
    Speedup,
    by_batch_size,
)
from pytest_inferopt.domain.record import Interval, Record
from pytest_inferopt.domain.request import OptimizationRequest

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "SCHEMA_VERSION",
    "Check",
    "Outcome",
    "RunResult",
    "Step",
    "VariantResult",
    "is_red",
]

SCHEMA_VERSION = 1
BYTES_PER_MB = 1_000_000

CheckKind = Literal["accuracy", "budget", "regression", "conversion"]
Outcome = Literal[
    "passed",
    "failed",
    "not_measured",
    "refused",
    "advisory",
    "regressed",
    "improved",
    "inconclusive",
    "unchanged",
    "new",
    "missing",
    "not_comparable",
]
RED: frozenset[Outcome] = frozenset({"failed", "regressed", "missing", "not_measured", "refused"})


def is_red(outcome: Outcome, *, strict: bool = False) -> bool:
    """Whether an outcome fails a test; `inconclusive` does so only under a strict gate."""
    return outcome in RED or (strict and outcome == "inconclusive")


class Step(Record):
    """One step of a variant's way: what it did, what it cost, what it could not do.

    Attributes:
        seconds: what it took; for a step out of the cache, what it took when it was done.
        cached: whether it was taken from the store, because nothing that it depends on had changed.
    """

    name: str
    seconds: float
    size_before_bytes: int
    size_after_bytes: int
    notes: tuple[str, ...] = ()
    cached: bool = False


class Check(Record):
    """One judgement, with the evidence it rests on.

    Attributes:
        kind: what was judged.
        subject: which of several, for a budget its text: ``p95<5ms``.
        variant: whose.
        outcome: the verdict.
        observed: the figure that decided; `limit` is what it was held against.
        interval: the uncertainty of the figure.
        reason: one sentence; `next_step` says what to do about it.
        gate: how strictly a regression is judged: under ``warn`` it fails nothing, under ``strict`` an inconclusive
            one fails too; ``on`` for every other kind.
    """

    kind: CheckKind
    variant: str
    outcome: Outcome
    subject: str = ""
    observed: float | None = None
    limit: float | None = None
    interval: Interval | None = None
    reason: str = ""
    next_step: str = ""
    gate: Literal["strict", "on", "warn"] = "on"

    @property
    def is_red(self) -> bool:
        """Whether it fails the test."""
        return self.gate != "warn" and is_red(self.outcome, strict=self.gate == "strict")


class VariantResult(Record):
    """The original, a variant, or an arm that is timed only for context.

    Attributes:
        name: as the request calls it.
        role: which of the three it is.
        format: the format it ended in; None where it never came to be.
        path: its file, `sha256` its content's digest.
        memory: of loading and running it; None where it was not measured.
        call: what was timed.
        steps: how it was made.
        checks: what was judged of it.
        artifact: what a process needs beside the file to run it: its signature, for example; None where the file alone
            is not the model.
        comparison: what it is beside its baseline; None where there is none.
    """

    name: str
    role: Literal["original", "variant", "context"] = "variant"
    format: str | None = None
    path: str | None = None
    sha256: str | None = None
    size_bytes: int | None = None
    memory: Memory | None = None
    call: str = ""
    steps: tuple[Step, ...] = ()
    conversion: Conversion | None = None
    accuracy: Accuracy | None = None
    latency: Annotated[dict[int, Latency], AfterValidator(by_batch_size)] = Field(default_factory=ByBatchSize)
    speedup: Annotated[dict[int, Speedup], AfterValidator(by_batch_size)] = Field(default_factory=ByBatchSize)
    checks: tuple[Check, ...] = ()
    artifact: dict[str, Any] | None = None
    comparison: Comparison | None = None

    def __repr__(self) -> str:
        """Its name and verdicts on one line, as a failed assertion shows them."""
        verdicts = ", ".join(f"{check.kind} {check.outcome}" for check in self.checks) or "not judged"
        return f"VariantResult({self.name!r}, {self.size_mb} MB, {verdicts})"

    @property
    def size_mb(self) -> float | None:
        """The size of its file in MB (10⁶ bytes)."""
        return None if self.size_bytes is None else self.size_bytes / BYTES_PER_MB

    @property
    def is_red(self) -> bool:
        """Whether any of its checks fails the test."""
        return any(check.is_red for check in self.checks)

    @property
    def worst(self) -> Check | None:
        """The check that speaks for the variant: the first red one, else the first that is not plain passed."""
        for check in self.checks:
            if check.is_red:
                return check
        return next((check for check in self.checks if check.outcome != "passed"), None)


class RunResult(Record):
    """Everything that one request found out.

    Attributes:
        name: what the report calls the model.
        test_id: the test that asked; empty for a call from Python.
        test_file: its file, from the root of the repository; `test_line` its line there, from 1.
        original: the model as it is; `variants` what was made of it, by name; `context` arms timed beside them.
        best: the variant that the documented rule chose; None where none passes.
        attempt: which run of the test this is, from 1; more where a plugin runs failed tests again.
        samples: the raw timings.
        gate: the verdict on all variants beside their baselines; None where nothing was asked to be compared.
        probe_ms: how long this machine took for a fixed piece of work, beside which budgets are read.
        seconds: what each stage took.
    """

    schema_version: int = SCHEMA_VERSION
    name: str
    test_id: str = ""
    test_file: str = ""
    test_line: int | None = None
    request: OptimizationRequest
    environment: Environment
    original: VariantResult
    variants: dict[str, VariantResult]
    context: tuple[VariantResult, ...] = ()
    best: str | None = None
    attempt: int = 1
    samples: Samples | None = None
    gate: Gate | None = None
    probe_ms: float | None = None
    notes: tuple[str, ...] = ()
    seconds: dict[str, float] = Field(default_factory=dict)

    def __repr__(self) -> str:
        """Its name and verdict on one line, as a failed assertion shows them."""
        verdict = "passed" if self.passed else "red"
        return f"RunResult({self.name!r}, {verdict}, best={self.best!r}, variants={list(self.variants)})"

    @property
    def optimized(self) -> VariantResult:
        """The best variant: the fastest at p50 of the first batch size among those that pass.

        Where none passes, the first one of the request, so that a failed run can still be looked at.
        """
        return self.variants[self.best or next(iter(self.variants))]

    @property
    def checks(self) -> tuple[Check, ...]:
        """All checks, in the order of the variants."""
        return tuple(check for variant in (self.original, *self.variants.values()) for check in variant.checks)

    @property
    def passed(self) -> bool:
        """Whether no check is red."""
        return not any(check.is_red for check in self.checks)

    @property
    def accuracy_ratio(self) -> float | None:
        """The accuracy ratio of the best variant."""
        return self.optimized.accuracy.ratio if self.optimized.accuracy else None

    @property
    def speedup(self) -> dict[int, float | None]:
        """The speed-up of the best variant, by batch size."""
        return {batch_size: speedup.estimate for batch_size, speedup in self.optimized.speedup.items()}

    def to_dict(self) -> dict[str, Any]:
        """The result as plain JSON values; what was not measured is None."""
        document: dict[str, Any] = json.loads(self.model_dump_json())
        return document

    def to_pandas(self) -> pd.DataFrame:
        """A row a variant and batch size; see `pytest_inferopt.domain.frame.data_frame`."""
        from pytest_inferopt.domain.frame import data_frame

        return data_frame([self])

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from pytest_inferopt.domain.notebook import result_html

        return result_html(self)
