"""What was found out: measurements with their intervals, and the checks that judge them.

Stored results keep unknown fields, so that a newer writer's file survives an older reader. A figure that was
not measured is None, in Python and in JSON; NaN never appears in a document.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, Field

from pytest_inferopt.domain.comparison import Comparison, Gate
from pytest_inferopt.domain.environment import Environment
from pytest_inferopt.domain.record import Interval, Record
from pytest_inferopt.domain.request import OptimizationRequest

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "SCHEMA_VERSION",
    "Accuracy",
    "Check",
    "Conversion",
    "Disagreement",
    "Interval",
    "Latency",
    "Memory",
    "Outcome",
    "Record",
    "RunResult",
    "Samples",
    "Slice",
    "Speedup",
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


T = TypeVar("T")


class ByBatchSize(dict[int, T]):
    """Figures by batch size; one that was not measured is named, with those that were."""

    def __missing__(self, batch_size: object) -> T:
        """Say which batch sizes there are.

        Raises:
            KeyError: always.
        """
        sizes = ", ".join(map(str, self)) or "none"
        raise KeyError(f"batch size {batch_size!r} was not measured; measured: {sizes}")


def _by_batch_size(figures: dict[int, T]) -> dict[int, T]:
    return ByBatchSize(figures)


class Latency(Record):
    """The latency of one arm at one batch size, in milliseconds per call.

    Attributes:
        batch_size: rows per call.
        iterations: timed calls; `iterations_requested` is what was asked for.
        warmup_iterations: untimed calls before them.
        p50_ms: the 50th percentile (linear interpolation, Hyndman & Fan type 7); likewise p95 and p99.
        intervals: distribution-free 95 % intervals from order statistics, keyed ``p50``, ``p95``, ``p99``.
        throughput_rows_per_second: rows over the sum of the timed calls.
        cold_call_ms: the very first call, which is in no percentile.
        feed_ms: building the feed from rows, median; not part of a call.
        advisory: the percentiles that this many iterations cannot carry.
        mean_ms: the mean call, `stddev_ms` the standard deviation (n − 1).
        quantiles_ms: the shortest call, the percentiles 1 to 99, and the longest call: 101 values.
        warmup_ms: the first warm-up calls in order, at most 100.
    """

    batch_size: int
    iterations: int
    iterations_requested: int
    warmup_iterations: int
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    intervals: dict[str, Interval] = Field(default_factory=dict)
    throughput_rows_per_second: float | None = None
    cold_call_ms: float | None = None
    feed_ms: float | None = None
    advisory: tuple[str, ...] = ()
    mean_ms: float | None = None
    stddev_ms: float | None = None
    quantiles_ms: tuple[float, ...] = ()
    warmup_ms: tuple[float, ...] = ()

    def __repr__(self) -> str:
        """Its figures on one line, as a failed assertion shows them."""
        figures = ", ".join(f"{name}={getattr(self, name)!r}" for name in ("p50_ms", "p95_ms", "p99_ms"))
        return f"Latency(batch_size={self.batch_size}, {figures}, iterations={self.iterations})"

    def interval(self, percentile: float) -> Interval:
        """The interval of a measured percentile: ``latency[1].interval(95)``."""
        return self.intervals[f"p{percentile:g}"]


class Speedup(Record):
    """How many times faster than the original, at one batch size: the median over alternating blocks."""

    batch_size: int
    estimate: float | None
    interval: Interval
    blocks: int


class Memory(Record):
    """What loading a model and running it once at each batch size takes, in a process of its own.

    Attributes:
        peak_bytes: the most that was resident of the process.
        before_bytes: what was resident before the model and its libraries were loaded.
    """

    peak_bytes: int
    before_bytes: int

    @property
    def used_bytes(self) -> int:
        """What came on top for the model: its libraries, itself, and what running it takes."""
        return max(self.peak_bytes - self.before_bytes, 0)


class Slice(Record):
    """A part of the rows, and how right both models are on it.

    Attributes:
        name: which rows: ``class 3``, ``target 25 to 61``.
        rows: how many.
        measure: what the two figures are: the share of rows that are right, or the mean absolute error.
        original: the original's figure, and `variant` the variant's.
    """

    name: str
    rows: int
    measure: Literal["share right", "mean absolute error"]
    original: float | None
    variant: float | None

    @property
    def lost(self) -> float:
        """How much worse the variant is, in the measure's unit; below 0 where it is better."""
        if self.original is None or self.variant is None:
            return 0.0
        difference = self.original - self.variant
        return difference if self.measure == "share right" else -difference


class Accuracy(Record):
    """How right a variant is, beside the original on the same rows.

    Attributes:
        metric: its name; `direction` says whether more or less of it is better.
        rows: how many rows it was computed on.
        score: the variant's; `original` is the original's.
        ratio: score / original where higher is better, original / score where lower is: 1 is equal, less is worse.
        interval: the paired 95 % interval of the ratio.
        rows_to_settle: rows that would decide an interval which straddles the threshold; None where it does not,
            or where no number of rows would.
        disagreements: rows where the two give different labels.
        slices: classes or quarters of the target, the one that lost most first; at most ten.
        notes: what a reader must know to read the figure.
    """

    metric: str
    direction: Literal["higher", "lower"]
    rows: int
    score: float | None
    original: float | None
    ratio: float | None
    interval: Interval | None = None
    rows_to_settle: int | None = None
    disagreements: int | None = None
    slices: tuple[Slice, ...] = ()
    notes: tuple[str, ...] = ()


class Disagreement(Record):
    """One row on which a variant and the original answer differently.

    Attributes:
        row: its position in the validation rows, from 0.
        expected: its target, as text; None without targets.
        original: what the original answers, as text, and `variant` what the variant does.
        difference: the largest absolute difference of their numbers; None where there are only labels.
    """

    row: int
    expected: str | None = None
    original: str | None = None
    variant: str | None = None
    difference: float | None = None


class Conversion(Record):
    """How the outputs of a file compare with the original's on the validation rows.

    Attributes:
        opset: what was written in the default domain, `ml_opset` in ``ai.onnx.ml``, `ir_version` of the file.
        batch_sizes_run: numbers of rows that were run to prove the dynamic batch axis.
        rows: rows compared.
        label_flips: rows whose label differs; None for models without labels.
        max_difference: the largest absolute difference of probabilities, decision values or values.
        compared: which of these was compared.
        non_finite: rows with NaN or Inf where the original has none.
        worst_rows: the rows that differ most, other labels first; at most ten.
    """

    opset: int | None = None
    ml_opset: int | None = None
    ir_version: int | None = None
    batch_sizes_run: tuple[int, ...] = ()
    rows: int = 0
    label_flips: int | None = None
    max_difference: float | None = None
    compared: str = ""
    non_finite: int = 0
    worst_rows: tuple[Disagreement, ...] = ()


class Samples(Record):
    """The raw samples of a result: a NumPy archive beside the document.

    Its arrays are named ``<arm>/<batch size>`` and hold the timed calls in nanoseconds, in the order they were made.

    Attributes:
        path: the file; relative to the document where one carries it.
        sha256: its content's digest.
    """

    path: str
    sha256: str


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
    latency: Annotated[dict[int, Latency], AfterValidator(_by_batch_size)] = Field(default_factory=ByBatchSize)
    speedup: Annotated[dict[int, Speedup], AfterValidator(_by_batch_size)] = Field(default_factory=ByBatchSize)
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
