"""What was measured: figures with their intervals. One that was not measured is None, in Python and in JSON."""

from __future__ import annotations

from typing import Literal, TypeVar

from pydantic import Field

from pytest_inferopt.domain.record import Interval, Record

__all__ = [
    "Accuracy",
    "ByBatchSize",
    "Conversion",
    "Disagreement",
    "Latency",
    "Memory",
    "Samples",
    "Slice",
    "Speedup",
    "by_batch_size",
]

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


def by_batch_size(figures: dict[int, T]) -> dict[int, T]:
    """The same figures, as `ByBatchSize`."""
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
