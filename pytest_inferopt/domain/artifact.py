"""What flows through a request: rows, artifacts, what a model answers, and the bench a technique works at.

These are dataclasses that compare by identity, because they hold arrays and models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from pytest_inferopt.domain.model_file import size_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "Artifact",
    "Dataset",
    "OperatorTime",
    "OutputRole",
    "Prediction",
    "Rows",
    "RunOptions",
    "Session",
    "Signature",
    "Task",
    "TensorSpec",
    "Workbench",
    "row_count",
    "take_rows",
]

Rows = Any
"""A table of inputs: an array (N, …), a pandas DataFrame, a SciPy sparse matrix, a list of N texts, or a
mapping of input name to array (N, …) for a model with several inputs."""

Task = Literal["classification", "regression", "ranking", "transform", "clustering", "outlier"]
OutputRole = Literal["label", "probabilities", "decision", "values", "other"]


def row_count(rows: Rows) -> int:
    """Count the rows N of a table of inputs; the arrays of a mapping must agree.

    Raises:
        ValueError: the arrays of a mapping have different lengths, or it is empty.
    """
    if isinstance(rows, Mapping):
        counts = {name: row_count(column) for name, column in rows.items()}
        if len(set(counts.values())) != 1:
            raise ValueError(f"the inputs have different numbers of rows: {counts}")
        return next(iter(counts.values()))
    return int(rows.shape[0]) if hasattr(rows, "shape") else len(rows)


def take_rows(rows: Rows, indices: NDArray[np.intp]) -> Rows:
    """Select rows by position, in the given order, keeping the table's own type."""
    if isinstance(rows, Mapping):
        return {name: take_rows(column, indices) for name, column in rows.items()}
    if hasattr(rows, "iloc"):
        return rows.iloc[indices]
    return rows[indices] if hasattr(rows, "shape") else [rows[index] for index in indices]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows `x`, with targets `y` (N,) or (N, K) and query groups `groups` (N,) where there are any.

    `x` keeps the type its owner gave it, so that the original model sees what it sees in production.
    """

    x: Rows
    y: Any = None
    groups: Any = None

    @property
    def rows(self) -> int:
        """The number of rows N."""
        return row_count(self.x)


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a model.

    Attributes:
        name: the tensor's name in the graph.
        dtype: a NumPy type name such as ``float32``, or ``str``.
        shape: a number, a symbol or None (unknown) per axis; the first axis is the batch.
        columns: for an input, the DataFrame columns it is built from, in this order; None takes the whole table.
        role: for an output, what it means.
    """

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]
    columns: tuple[str, ...] | None = None
    role: OutputRole = "other"

    @property
    def is_batch_dynamic(self) -> bool:
        """Whether the first axis takes any number of rows."""
        return bool(self.shape) and not isinstance(self.shape[0], int)


@dataclass(frozen=True)
class Signature:
    """The inputs and outputs of a model, in the graph's order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True, eq=False)
class Artifact:
    """A model in one format, and how it came to be.

    Attributes:
        format: the name of a framework or of a runtime's format: ``sklearn``, ``onnx``, …
        path: its file; the size that is reported is this file's.
        model: the live object, where the format has one.
        task: what the model answers.
        classes: the labels of a classifier, in the order of its probabilities' columns.
        signature: inputs and outputs, where the format states them.
        lineage: the steps that led here, oldest first.
        notes: what the last step did, what it cost and what it could not do; one sentence each.
    """

    format: str
    path: Path
    model: Any = None
    task: Task = "transform"
    classes: tuple[Any, ...] | None = None
    signature: Signature | None = None
    lineage: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def size_bytes(self) -> int:
        """The size of its file, or of its folder, in bytes."""
        return size_of(self.path)

    def evolve(self, step: str, *, notes: Sequence[str] = (), **changes: Any) -> Artifact:
        """A new artifact that `step` made of this one: its lineage grows by the step's name."""
        return replace(self, lineage=(*self.lineage, step), notes=tuple(notes), **changes)


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model answers for N rows; every part is optional, at least one is there.

    Attributes:
        labels: predicted classes or clusters (N,), or (N, K) for multi-label models.
        scores: a column per class (N, K); probabilities or decision values.
        scores_are_probabilities: which of the two.
        values: regression targets, ranks, embeddings or transformed rows (N,) or (N, …).
    """

    labels: NDArray[Any] | None = None
    scores: NDArray[Any] | None = None
    scores_are_probabilities: bool = False
    values: NDArray[Any] | None = None

    @property
    def numbers(self) -> NDArray[Any] | None:
        """The continuous part: values where there are any, else scores."""
        return self.values if self.values is not None else self.scores


@dataclass(frozen=True)
class RunOptions:
    """How a model is run, the same for every arm of a comparison.

    Attributes:
        threads: intra-op threads; None leaves the model's own setting (`n_jobs`) alone.
        provider: the execution provider's short name, ``cpu`` or ``cuda``.
    """

    threads: int | None = 1
    provider: str = "cpu"


class OperatorTime(NamedTuple):
    """What a runtime saw of one node of a graph.

    Attributes:
        name: the node's.
        op_type: its operator.
        ms: milliseconds per call.
    """

    name: str
    op_type: str
    ms: float


class Session(Protocol):
    """A model that is ready to run. The engine owns the clock; a session only runs."""

    @property
    def call(self) -> str:
        """What is timed, in words: ``predict_proba``, ``InferenceSession.run``."""

    @property
    def own_threads(self) -> str | None:
        """The thread setting that the model came with where it differs from the one asked for, e.g. ``n_jobs=-1``."""

    @property
    def run(self) -> Callable[[Any], Any]:
        """The timed call, feed to outputs; returns only when the outputs are on the host.

        A plain callable and not a method, so that no wrapper of ours stands inside the timed region.
        """

    def prepare(self, rows: Rows) -> Any:
        """Build the feed of `run` from rows; timed as a figure of its own."""

    def predict(self, rows: Rows) -> Prediction:
        """Answer completely (labels and scores, or values), for judging accuracy; never timed."""


@dataclass(frozen=True, eq=False)
class Workbench:
    """What a technique may use while it works; it never reaches the clock, the gate or the settings.

    Attributes:
        folder: an empty folder for its files.
        opset: the ONNX opset to write.
        random_seed: for whatever is random.
        samples: a few rows of the kind the model takes.
        training: data to calibrate or train on, apart from the rows that judge; None where none were given.
        seconds_left: the time to the deadline, in seconds, when asked.
        speedup: how many times faster the second artifact runs than the first, by batch size; a quick look at the two
            in turns, on the samples. Nothing where nobody keeps a clock.
        open: makes a session of an artifact of any format.
        to_onnx: converts an artifact of a native format.
    """

    folder: Path
    opset: int
    random_seed: int
    samples: Rows
    open: Callable[[Artifact], Session]
    to_onnx: Callable[[Artifact], Artifact]
    seconds_left: Callable[[], float]
    training: Dataset | None = None
    labels: Any = field(default=None)
    speedup: Callable[[Artifact, Artifact], Mapping[int, float]] = lambda *_: {}
