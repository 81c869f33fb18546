"""What the worker does, one method a command; every answer is plain JSON values.

It keeps the request's rows, artifacts and sessions between commands, so that a model is loaded once.
"""

from __future__ import annotations

import importlib
import json
import os
import pickle
import random
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_inferopt.domain.artifact import (
    Artifact,
    Dataset,
    Prediction,
    RunOptions,
    Session,
    TensorSpec,
    Workbench,
    take_rows,
)
from pytest_inferopt.domain.request import CONVERSION, DatasetSpec, TechniqueSpec
from pytest_inferopt.engine.clock.timing import seconds_of_a_call
from pytest_inferopt.engine.correctness.accuracy import measure_accuracy
from pytest_inferopt.engine.correctness.asking import are_shares, predict_all
from pytest_inferopt.engine.correctness.conversion import check_deterministic, compare_outputs
from pytest_inferopt.engine.correctness.disjoint import without_rows_of
from pytest_inferopt.engine.correctness.metrics import Metric, resolve_metric
from pytest_inferopt.engine.store.adoption import adopted, content_digest, document_of
from pytest_inferopt.engine.store.code import code_digest
from pytest_inferopt.engine.workshop.loading import as_owned, fingerprint, load_file
from pytest_inferopt.engine.workshop.references import resolve
from pytest_inferopt.errors import InferoptError, NotMeasuredError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_inferopt.domain.artifact import Rows
    from pytest_inferopt.registry import Registry

__all__ = ["ORIGINAL", "Workshop", "as_document"]

ORIGINAL = "original"
PROOF_BATCH_SIZES = (1, 3, 7)
SAMPLE_ROWS = 32
REPEATED_ROWS = 256
MATRIX = 2


class Workshop:
    """The worker's state and its commands.

    Args:
        registry: the plugins.
        on_progress: told what is going on, for whoever waits.
    """

    def __init__(self, registry: Registry, *, on_progress: Callable[[str], None] = lambda _: None) -> None:
        self._registry = registry
        self._progress = on_progress
        self._datasets: dict[str, Dataset] = {}
        self._reset()

    def _reset(self) -> None:
        self._artifacts: dict[str, Artifact] = {}
        self._sessions: dict[str, Session] = {}
        self._predictions: dict[str, Prediction] = {}
        self._data = Dataset(x=())
        self._training: Dataset | None = None
        self._metric: Metric | None = None

    def begin(self, *, folder: str, options: dict[str, Any], opset: int, random_seed: int, seconds_left: float) -> None:
        """Start a request: forget the last one's models, and work in `folder` from now on."""
        self._reset()
        self._folder = Path(folder)
        self._options = RunOptions(**options)
        self._opset = opset
        self._random_seed = random_seed
        self._deadline = time.monotonic() + seconds_left
        for framework in self._registry.frameworks():
            framework.settle(self._options)
        os.environ["TMPDIR"] = folder
        tempfile.tempdir = folder
        random.seed(random_seed)
        np.random.seed(random_seed)  # noqa: NPY002 - the user's model code may use the global generator

    def load_data(
        self, *, digest: str = "", path: str = "", spec: dict[str, Any] | None = None, training: bool = False
    ) -> dict[str, Any]:
        """Take the rows from a pickle of the parent's (once per content digest), or from a request's source.

        The rows that judge come first: of the training rows, those that judge too are left out.
        """
        if spec is not None:
            source = self._registry.dataset_source(DatasetSpec.model_validate(spec))
            self._registry.require(source)
            data = source.load()
        else:
            if digest not in self._datasets:
                # One is enough: the next request's rows, if they differ, take its place.
                self._datasets = {digest: _unpickle(Path(path))}
            data = self._datasets[digest]
        left_out = 0
        if training:
            data, left_out = without_rows_of(data, self._data)
            self._training = data
        else:
            self._data = data
        seen = data if training else self._samples()
        return {"rows": data.rows, "left_out": left_out, "digest": content_digest(seen)}

    def load_model(
        self, *, path: str, framework: str | None = None, factory: str | None = None, trust: bool = False
    ) -> dict[str, Any]:
        """Make the original's artifact.

        Args:
            path: the file; for a factory, where the model it makes is to be written.
            framework: the framework that wrote the file in the parent, None for a user's file.
            factory: ``package.module:function``, called without arguments.
            trust: whether a file that executes code when loaded may be loaded.
        """
        file = Path(path)
        if factory is not None:
            model = resolve(factory, "model")()
            owner = self._registry.owner(model)
            owner.save(model, file)
            artifact = owner.describe(model, file)
        elif framework is not None:
            artifact = as_owned(self._registry.framework(framework).load(file), self._registry)
        else:
            artifact = as_owned(load_file(file, self._registry, trust=trust), self._registry)
        self._artifacts[ORIGINAL] = artifact
        users_file = file if framework is factory is None else None
        return {
            "format": artifact.format,
            "size_bytes": artifact.size_bytes,
            "notes": list(artifact.notes),
            "fingerprint": fingerprint(artifact, self._registry, users_file=users_file),
            "code": code_digest(artifact.model),
        }

    def run_step(self, *, source: str, target: str, spec: Any) -> dict[str, Any]:
        """Apply one step to the artifact `source` and keep the outcome as `target`."""
        step = TechniqueSpec.model_validate({"name": spec} if isinstance(spec, str) else _as_spec(spec))
        before = self._artifacts[source]
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        started = time.monotonic()
        if step.name == CONVERSION:
            after = self._convert(before, folder / "model.onnx")
        else:
            technique = self._registry.technique(step)
            self._registry.require(technique)
            after = technique.apply(before, self._bench(folder))
        self._artifacts[target] = after
        return {
            "name": step.name,
            "seconds": time.monotonic() - started,
            "size_before_bytes": before.size_bytes,
            "size_after_bytes": after.size_bytes,
            "notes": list(after.notes),
            "format": after.format,
            "path": str(after.path),
            "artifact": document_of(after, self._artifacts[ORIGINAL]),
        }

    def adopt(self, *, target: str, format: str, path: str, artifact: dict[str, Any] | None) -> None:  # noqa: A002
        """Take over an artifact that another worker finished: of this request before it died, or of an earlier run.

        Args:
            target: what it is called from now on.
            format: of its file.
            path: its file.
            artifact: what `run_step` told of it beside.

        Raises:
            NotMeasuredError: it lived in the worker that died.
        """
        if artifact is None:
            raise NotMeasuredError("what an earlier step had made was lost with the worker.", "Run it again.")
        self._artifacts[target] = adopted(self._artifacts[ORIGINAL], format=format, path=Path(path), document=artifact)

    def _convert(self, artifact: Artifact, path: Path) -> Artifact:
        framework = self._registry.framework(artifact.format)
        self._registry.require(framework)
        return framework.to_onnx(artifact, path, opset=self._opset, samples=self._samples())

    def _samples(self) -> Rows:
        """The rows that a step sees."""
        return take_rows(self._data.x, np.arange(min(SAMPLE_ROWS, self._data.rows)))

    def _bench(self, folder: Path) -> Workbench:
        return Workbench(
            folder=folder,
            opset=self._opset,
            random_seed=self._random_seed,
            samples=self._samples(),
            open=partial(self._open, options=self._options),
            to_onnx=lambda artifact: self._convert(artifact, folder / "converted.onnx"),
            seconds_left=lambda: self._deadline - time.monotonic(),
            training=self._training,
        )

    def examine_original(
        self,
        *,
        metric: str | None,
        metric_path: str | None,
        direction: str | None,
        batch_sizes: list[int],
    ) -> dict[str, Any]:
        """Open the original, have it answer all rows, and settle the metric.

        Raises:
            NotMeasuredError: it rejects the rows, answers differently when asked twice, or cannot take a batch size.
        """
        session = self._session(ORIGINAL)
        native = self._artifacts[ORIGINAL]
        self._registry.framework(native.format).check_rows(native, self._data.x)
        self._check_batch_sizes(ORIGINAL, batch_sizes)
        answer = self._predict(ORIGINAL)
        first = np.arange(min(REPEATED_ROWS, self._data.rows))
        again = partial(predict_all, session, take_rows(self._data.x, first), self._fixed_batch(ORIGINAL))
        check_deterministic(again(), again(), "the original")
        artifact = self._artifacts[ORIGINAL]
        function = None
        if metric_path is not None:
            function = _unpickle(Path(metric_path))
        elif metric is not None and ":" in metric:
            function = resolve(metric, "metric")
        if answer.labels is None and answer.values is not None and self._are_class_scores(answer, metric):
            artifact = self._artifacts[ORIGINAL] = replace(artifact, task="classification")
        if metric is None and artifact.task == "transform" and _is_one_number_a_row(answer):
            metric = "fidelity"  # the cosine of one number is only its sign
        self._metric = resolve_metric(
            metric,
            task=artifact.task,
            y=self._data.y,
            groups=self._data.groups,
            function=function,
            direction=direction,  # type: ignore[arg-type]  # the request's own literal
        )
        original = self._as_judged(self._predict(ORIGINAL))
        score = measure_accuracy(
            original, original, threshold=1.0, metric=self._metric, classes=artifact.classes, **self._judging
        )
        return {
            "task": artifact.task,
            "call": session.call,
            "own_threads": session.own_threads,
            "seconds_a_round": self._seconds_a_round(ORIGINAL, batch_sizes),
            "accuracy": as_document(score),
        }

    def examine(self, *, target: str, batch_sizes: list[int], threshold: float) -> dict[str, Any]:
        """Prove that a variant takes any number of rows, and compare its answers with the original's."""
        self._session(target)
        self._check_batch_sizes(target, batch_sizes)
        proved = self._prove_batches(target)
        if self._metric is None:
            raise UsageError("examine_original comes before examine.")
        original, answer = self._as_judged(self._predict(ORIGINAL)), self._as_judged(self._predict(target))
        conversion = compare_outputs(original, answer, self._data.y).model_copy(
            update={"batch_sizes_run": proved, **_versions(self._artifacts[target])}
        )
        document: dict[str, Any] = {"conversion": as_document(conversion), "call": self._session(target).call}
        document["seconds_a_round"] = self._seconds_a_round(target, batch_sizes)
        # A failed score must not hide what the comparison has found.
        try:
            document["accuracy"] = as_document(
                measure_accuracy(
                    original,
                    answer,
                    threshold=threshold,
                    metric=self._metric,
                    classes=self._artifacts[ORIGINAL].classes,
                    **self._judging,
                )
            )
        except InferoptError as error:
            document["accuracy_error"] = {"kind": error.kind, "message": error.message, "hint": error.hint}
        return document

    @property
    def _judging(self) -> dict[str, Any]:
        return {"y": self._data.y, "groups": self._data.groups, "random_seed": self._random_seed}

    def take_file(self, *, target: str, format: str, path: str, artifact: dict[str, Any]) -> None:  # noqa: A002
        """Take a finished file that is only to be timed, without the original it came from; see `adopt`."""
        self._artifacts[target] = adopted(
            Artifact(format, Path(path)), format=format, path=Path(path), document=artifact
        )

    def describe_file(self, *, path: str) -> dict[str, Any]:
        """What `take_file` takes of a model file of the user's; `artifact` is None where it does not run alone."""
        artifact = load_file(Path(path), self._registry, trust=False)
        return {
            "format": artifact.format,
            "path": str(artifact.path),
            "artifact": document_of(artifact, artifact),
        }

    def _seconds_a_round(self, name: str, batch_sizes: list[int]) -> float:
        """What one call at each batch size takes, roughly; for telling beforehand how long measuring will take."""
        session, rows = self._session(name), np.arange(self._data.rows)
        feeds = [session.prepare(take_rows(self._data.x, np.resize(rows, size))) for size in batch_sizes]
        return sum(seconds_of_a_call(session, feed) for feed in feeds)

    def _session(self, name: str) -> Session:
        if name not in self._sessions:
            self._sessions[name] = self._open(self._artifacts[name], self._options)
        return self._sessions[name]

    def _open(self, artifact: Artifact, options: RunOptions) -> Session:
        runtime = self._registry.runtime_for(artifact.format)
        opener = runtime or self._registry.framework(artifact.format)
        self._registry.require(opener)
        return opener.open(artifact, options)

    def _fixed_input(self, name: str) -> TensorSpec | None:
        signature = self._artifacts[name].signature
        inputs = signature.inputs if signature else ()
        return next((spec for spec in inputs if spec.shape and not spec.is_batch_dynamic), None)

    def _fixed_batch(self, name: str) -> int | None:
        """The number of rows that a file insists on; None if it takes any."""
        spec = self._fixed_input(name)
        return None if spec is None else int(spec.shape[0] or 0)

    def _check_batch_sizes(self, name: str, batch_sizes: list[int]) -> None:
        spec, fixed = self._fixed_input(name), self._fixed_batch(name)
        wrong = [size for size in batch_sizes if size != fixed]
        if spec is not None and wrong:
            raise NotMeasuredError(
                f"batch size {wrong[0]} failed: input {spec.name!r} was exported with fixed batch {fixed}.",
                f"Export with a dynamic batch axis, or set batch_sizes=[{fixed}].",
            )

    def _prove_batches(self, name: str) -> tuple[int, ...]:
        """Run 1, 3 and 7 rows (or the one number that the file takes); each must answer that many."""
        fixed = self._fixed_batch(name)
        sizes = PROOF_BATCH_SIZES if fixed is None else (fixed,)
        for size in sizes:
            rows = take_rows(self._data.x, np.resize(np.arange(self._data.rows), size))
            answer = self._session(name).predict(rows)
            parts = (answer.labels, answer.scores, answer.values)
            counts = {len(part) for part in parts if part is not None}
            if counts != {size}:
                raise NotMeasuredError(
                    f"{size} rows went in, {', '.join(map(str, sorted(counts)))} came out: the batch axis is lost.",
                    "Look for a Reshape with a constant first axis, and export with a dynamic batch axis.",
                )
        return sizes

    def _predict(self, name: str) -> Prediction:
        if name not in self._predictions:
            try:
                answer = predict_all(self._session(name), self._data.x, self._fixed_batch(name))
            except InferoptError:
                raise
            # Whatever the model's own code raises on these rows.
            except Exception as error:
                who = "the original itself" if name == ORIGINAL else f"variant {name!r}"
                text = " ".join(str(error).split())[:300]
                raise NotMeasuredError(f"{who} rejects the validation rows: {type(error).__name__}: {text}") from error
            self._predictions[name] = answer
        return self._predictions[name]

    def _are_class_scores(self, answer: Prediction, metric: str | None) -> bool:
        """Whether a network's (N, K) output is to be read as a score per class: the labels are 0 to K − 1."""
        y, values = self._data.y, answer.values
        if y is None or values is None or values.ndim != MATRIX or values.shape[1] < MATRIX:
            return False
        labels = np.asarray(y)
        if labels.ndim != 1 or labels.dtype.kind not in "iu" or metric in {"cosine", "rmse", "mae", "r2"}:
            return False
        return bool(labels.min() >= 0)

    def _as_judged(self, answer: Prediction) -> Prediction:
        """The answer with the labels that its scores imply, where the original's task says so."""
        if self._artifacts[ORIGINAL].task != "classification" or answer.labels is not None or answer.values is None:
            return answer
        scores = np.asarray(answer.values)
        return Prediction(labels=scores.argmax(axis=1), scores=scores, scores_are_probabilities=are_shares(scores))


def _as_spec(document: dict[str, Any]) -> dict[str, Any]:
    return {"name": document["name"], "options": {key: item for key, item in document.items() if key != "name"}}


def _is_one_number_a_row(answer: Prediction) -> bool:
    values = answer.values
    return values is not None and values.size == len(values)


def _versions(artifact: Artifact) -> dict[str, Any]:
    """The opsets and the IR version of an ONNX file."""
    if artifact.format != "onnx":
        return {}
    onnx = importlib.import_module("onnx")
    model = onnx.load(artifact.path, load_external_data=False)
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    return {"opset": opsets.get(""), "ml_opset": opsets.get("ai.onnx.ml"), "ir_version": model.ir_version}


def as_document(record: Any) -> dict[str, Any]:
    """A record as JSON values: NaN becomes None."""
    document: dict[str, Any] = json.loads(record.model_dump_json())
    return document


def _unpickle(path: Path) -> Any:
    with path.open("rb") as stream:
        return pickle.load(stream)
