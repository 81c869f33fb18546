"""Two models beside each other as a result that every report can draw: without a test, a baseline or an original.

What is the same file is not measured, what takes other inputs is not compared, and what became slower is explained.
"""

from __future__ import annotations

import subprocess
import time
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_inferopt.domain.artifact import OperatorTime
from pytest_inferopt.domain.comparison import BaselineIdentity, Comparison, Gate
from pytest_inferopt.domain.environment import Environment
from pytest_inferopt.domain.model_file import inspect_model_file
from pytest_inferopt.domain.result import Check, RunResult, VariantResult
from pytest_inferopt.engine.comparison.explain import explain, typical
from pytest_inferopt.engine.comparison.files import compare_files, made_up_rows
from pytest_inferopt.engine.comparison.regression import RUNTIMES, regression_check
from pytest_inferopt.engine.store.folder import file_sha256
from pytest_inferopt.engine.variant import red_check
from pytest_inferopt.errors import InferoptError, NotMeasuredError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pytest_inferopt.domain.comparison import CellComparison, GateVerdict
    from pytest_inferopt.domain.request import OptimizationRequest
    from pytest_inferopt.domain.result import Outcome
    from pytest_inferopt.engine.comparison.files import Interpreters
    from pytest_inferopt.engine.duet.pairs import Ruling
    from pytest_inferopt.engine.worker.driver import Worker
    from pytest_inferopt.engine.worker.replicate import Command

__all__ = ["ModelDoor", "TwoModels", "compare_models", "rows_from_csv", "rows_spec"]

LOADING_SECONDS = 300
EXPLAINING_SECONDS = 120
VERSION_SECONDS = 60
OPSET = 17
TELL_VERSION = "import onnxruntime; print(onnxruntime.__version__)"
OWN_ROWS = "a model whose time depends on its rows is better compared on rows of its own"
LAST_WORDS = 200


@dataclass(frozen=True)
class TwoModels:
    """What is compared.

    Attributes:
        variant: what the candidate is called.
        base: the baseline's file, `head` the candidate's.
        identity: what a report says of the baseline.
        test_id: the test that both belong to; empty where none does.
    """

    variant: str
    base: Path
    head: Path
    identity: BaselineIdentity
    test_id: str = ""


def compare_models(
    models: TwoModels,
    *,
    request: OptimizationRequest,
    feeds: Path | None,
    worker: Worker,
    folder: Path,
    pythons: Interpreters = (None, None),
    on_progress: Callable[[str], None] = lambda _: None,
) -> RunResult:
    """Hold a candidate's file against a baseline's.

    Whoever asks holds the machine's lock for measuring.

    Args:
        models: the two.
        request: how they are compared; its name is the result's.
        feeds: rows as an .npz with an array (N, …) for each input; None makes them up from the signature.
        worker: describes and profiles the files; its likes measure them.
        folder: an empty one for what is written.
        pythons: the interpreters, for files that are to run under different versions of the runtime.
        on_progress: told what takes long.

    Raises:
        UsageError: there is no such file, array or interpreter.
        InferoptError: a file is damaged, refused, or cannot run; a process crashed or hung.
    """
    return _Two(models, request, feeds, worker, folder, pythons, on_progress).result()


class ModelDoor:
    """What a worker is told so that it knows models and rows that no request has brought.

    Args:
        request: threads, provider and seed.
        worker: describes the files.
        folder: for what is written.
    """

    def __init__(self, request: OptimizationRequest, worker: Worker, folder: Path) -> None:
        self._request = request
        self._worker = worker
        self._folder = folder

    def begin(self) -> Command:
        """The command that begins a process."""
        return (
            "begin",
            {
                "folder": str(self._folder),
                "options": {"threads": self._request.threads, "provider": self._request.provider},
                "opset": OPSET,
                "random_seed": self._request.random_seed,
                "seconds_left": float(LOADING_SECONDS),
            },
        )

    def preparing(self, spec: Mapping[str, Any]) -> list[Command]:
        """The commands that begin a process and bring its rows."""
        return [self.begin(), ("load_data", {"spec": spec})]

    def inputs(self, file: Path) -> list[dict[str, Any]]:
        """The inputs of a file that runs by itself; begins a process.

        Raises:
            UsageError: there is no such file, or it is a framework's own.
            InferoptError: it is damaged or refused.
        """
        self.call(*self.begin(), stage="start")
        document = self.describe(file)
        if document["artifact"] is None:
            raise UsageError(
                f"{file}: a {document['format']} file does not run by itself.", "Convert it to ONNX first."
            )
        found: list[dict[str, Any]] = document["artifact"]["signature"]["inputs"]
        return found

    def describe(self, file: Path) -> dict[str, Any]:
        """What ``take_file`` takes of a file."""
        told: dict[str, Any] = self.call("describe_file", {"path": str(file.absolute())}, stage=f"loading {file.name}")
        return told

    def made_up(self, inputs: Sequence[Mapping[str, Any]]) -> Path:
        """Rows made up from the inputs, as an archive."""
        path = self._folder / "made-up.npz"
        with path.open("wb") as stream:
            np.savez(stream, **made_up_rows(inputs, seed=self._request.random_seed))  # type: ignore[arg-type]  # as in `compare_files`
        return path

    def call(self, command: str, parameters: Mapping[str, Any], *, stage: str, seconds: float = LOADING_SECONDS) -> Any:
        """Have the worker do something."""
        return self._worker.call(command, parameters, stage=stage, deadline=time.monotonic() + seconds)


class _Two:
    def __init__(
        self,
        models: TwoModels,
        request: OptimizationRequest,
        feeds: Path | None,
        worker: Worker,
        folder: Path,
        pythons: Interpreters,
        say: Callable[[str], None],
    ) -> None:
        self._models = models
        self._request = request
        self._feeds = feeds
        self._worker = worker
        self._folder = folder
        self._pythons = pythons
        self._say = say
        self._door = ModelDoor(request, worker, folder)
        for file in (models.base, models.head):
            inspect_model_file(file)
        self._digests = [file_sha256(file) for file in (models.base, models.head)]
        sizes = [file.stat().st_size for file in (models.base, models.head)]
        self._sizes = sizes
        self._comparison = Comparison(
            base_sha256=self._digests[0], base_size_bytes=sizes[0], size_change=sizes[1] / sizes[0] - 1
        )

    def result(self) -> RunResult:
        runtimes = self._runtimes()
        self._notes = [f"{models} ran on onnxruntime {version}" for models, version in self._told(runtimes)]
        # Also where both are the same file: a damaged one is not unchanged.
        inputs = self._door.inputs(self._models.head)
        if len(set(self._digests)) == 1 and len(set(runtimes)) == 1:
            return self._settled("unchanged", "the same file")
        is_made_up = self._feeds is None
        self._feeds = self._feeds or self._door.made_up(inputs)
        ruling = compare_files(
            (self._models.base, self._models.head),
            request=self._request,
            feeds=self._feeds,
            worker=self._worker,
            folder=self._folder,
            pythons=self._pythons,
            on_progress=self._say,
        )
        name = self._request.name
        if ruling.gate.verdict == "not_comparable":
            return self._settled("not_comparable", ruling.gate.reason)
        if is_made_up:
            made_up = f"the rows are made up from the signature (seed {self._request.random_seed})"
            self._notes.append(f"{made_up}: {OWN_ROWS}")
        if name in ruling.errors:
            return self._built(ruling.gate, [red_check("regression", self._models.variant, ruling.errors[name])])
        return self._ruled(ruling, ruling.cells[name], inputs)

    def _runtimes(self) -> list[str]:
        here = Environment.here().libraries
        own = next((here[name] for name in RUNTIMES if name in here), "")
        return [own if python is None else runtime_version(python) for python in self._pythons]

    def _told(self, runtimes: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Which model ran on which version, where somebody asked for one."""
        if self._pythons != (None, None):
            yield from zip(("the baseline", "the candidate"), runtimes, strict=True)

    def _settled(self, verdict: GateVerdict, reason: str) -> RunResult:
        """The result where nothing need be measured."""
        outcome: Outcome = "unchanged" if verdict == "unchanged" else "not_comparable"
        return self._built(Gate(verdict=verdict, reason=reason), [self._check(outcome, reason)])

    def _ruled(
        self, ruling: Ruling, cells: tuple[CellComparison, ...], inputs: Sequence[Mapping[str, Any]]
    ) -> RunResult:
        check = regression_check(
            self._models.variant,
            cells,
            ruling.gate,
            limits=self._request.slowdown_limits,
            mode=self._request.gate,
            is_together=ruling.is_together,
        )
        tails = [cell for cell in cells if cell.outcome == "advisory"]
        checks = [check]
        checks += [
            self._check("advisory", cell.reason, f"p{cell.percentile} at batch {cell.batch_size}") for cell in tails
        ]
        changes: dict[str, Any] = {"cells": cells}
        if check.outcome == "regressed":
            changes |= self._explained(cells, inputs)
        self._comparison = self._comparison.model_copy(update=changes)
        return self._built(ruling.gate, checks)

    def _check(self, outcome: Outcome, reason: str, subject: str = "") -> Check:
        variant, mode = self._models.variant, self._request.gate
        told = f"{reason.removesuffix('.')}."
        return Check(
            kind="regression", variant=variant, subject=subject, outcome=outcome, reason=told, gate=mode
        )  # fmt: skip

    def _explained(self, cells: Sequence[CellComparison], inputs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The operators that became slower, at the batch size where it became so most; a note where nobody can tell."""
        worst = max(cells, key=lambda cell: (cell.outcome == "regressed", _estimate(cell)))
        try:
            rounds = self._profiled(worst.batch_size, inputs)
        except InferoptError as error:
            return {"notes": (f"the operators could not be profiled: {error.message}",)}
        times = ([[OperatorTime(*time) for time in found] for found in rounds[arm]] for arm in ("base", "head"))
        return {"operators": explain(*map(typical, times)), "operators_batch_size": worst.batch_size}

    def _profiled(self, batch_size: int, inputs: Sequence[Mapping[str, Any]]) -> Any:
        assert self._feeds is not None  # noqa: S101 - they were made up otherwise
        feeds = self._feeds
        self._say("profiling the operators")
        for command in self._door.preparing(rows_spec(inputs, feeds)):
            self._door.call(*command, stage="loading the rows")
        for target, file in (("base", self._models.base), ("head", self._models.head)):
            taken = {"target": target, **self._door.describe(file)}
            self._door.call("take_file", taken, stage=f"loading {file.name}")
        asked = {"base": "base", "head": "head", "batch_size": batch_size}
        return self._door.call("profile_pair", asked, stage="profiling", seconds=EXPLAINING_SECONDS)

    def _built(self, gate: Gate, checks: Sequence[Check]) -> RunResult:
        models, limits = self._models, self._request.slowdown_limits
        identity = models.identity.model_copy(update={"notes": (*models.identity.notes, *self._notes)})
        stated = {"baseline": identity, "allowed": limits.allowed, "caught": limits.caught}
        base, head = (
            VariantResult(name=name, role=role, format="onnx", path=str(file), sha256=digest, size_bytes=size)
            for name, role, file, digest, size in zip(
                ("baseline", models.variant),
                ("original", "variant"),
                (models.base, models.head),
                self._digests,
                self._sizes,
                strict=True,
            )
        )
        return RunResult(
            name=self._request.name,
            test_id=models.test_id,
            request=self._request,
            environment=Environment.here(),
            original=base,
            variants={
                models.variant: head.model_copy(update={"checks": tuple(checks), "comparison": self._comparison})
            },
            gate=gate.model_copy(update=stated),
        )


def runtime_version(python: str) -> str:
    """The version of ONNX Runtime that an interpreter has.

    Raises:
        UsageError: there is no such interpreter.
        NotMeasuredError: it has no runtime.
    """
    command = [python, "-c", TELL_VERSION]
    try:
        told = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=VERSION_SECONDS, check=False
        )
    except OSError as error:
        raise UsageError(
            f"the interpreter {python} cannot be started: {error.strerror or error}.",
            "Name the python of an environment that has numpy and onnxruntime.",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise NotMeasuredError(f"the interpreter {python} did not say what runtime it has.") from error
    if told.returncode:
        words = " ".join(told.stderr.split())[-LAST_WORDS:]
        raise NotMeasuredError(
            f"the interpreter {python} cannot import onnxruntime: {words}", "Install numpy and onnxruntime there."
        )
    return told.stdout.strip()


def rows_spec(inputs: Sequence[Mapping[str, Any]], feeds: Path) -> dict[str, Any]:
    """The rows of an archive as a dataset's specification: an array an input, a single one may be called ``x``."""
    names = [found["name"] for found in inputs]
    with zipfile.ZipFile(feeds) as archive:
        is_named = f"{names[0]}.npy" in archive.namelist()
    single = names[0] if is_named else "x"
    return {"source": "npz", "path": str(feeds.absolute()), "x": single if len(names) == 1 else names}


def rows_from_csv(frame: Any, path: Path) -> Path:
    """Write a table as the archive that `compare_models` takes: each column by its name, and all numbers as ``x``.

    Args:
        frame: a DataFrame.
        path: where to; returned.
    """
    columns = {str(name): _plain(np.asarray(frame[name])) for name in frame.columns}
    arrays = {name: column.reshape(-1, 1) for name, column in columns.items()}
    if all(column.dtype.kind in "biuf" for column in columns.values()):
        arrays.setdefault("x", np.column_stack(list(columns.values())))
    with path.open("wb") as stream:
        np.savez(stream, **arrays)
    return path


def _plain(column: Any) -> Any:
    """Without objects, which no archive of ours holds."""
    return column.astype(str) if column.dtype.kind == "O" else column


def _estimate(cell: CellComparison) -> float:
    estimate = cell.slowdown.estimate if cell.slowdown else None
    return -1.0 if estimate is None else estimate
