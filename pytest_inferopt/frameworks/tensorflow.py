"""TensorFlow and Keras."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_inferopt.domain.artifact import Artifact, TensorSpec
from pytest_inferopt.domain.model_file import inspect_model_file, is_saved_model
from pytest_inferopt.domain.plugins import Framework
from pytest_inferopt.domain.predictions import by_role
from pytest_inferopt.domain.request import CONVERSION
from pytest_inferopt.errors import NotMeasuredError, UsageError
from pytest_inferopt.frameworks._native import NativeSession
from pytest_inferopt.frameworks._onnx_file import read_signature, with_roles
from pytest_inferopt.frameworks._skl2onnx import need
from pytest_inferopt.frameworks._tf_calls import compiled, is_keras, tensorflow
from pytest_inferopt.frameworks._tf_export import export
from pytest_inferopt.frameworks._tf_files import read_model, write_model

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_inferopt.domain.artifact import Prediction, Rows, RunOptions, Session
    from pytest_inferopt.frameworks._tf_calls import Compiled

__all__ = ["TensorFlow"]

CPU = "cpu"
TIMED = "tf.function"
# Read by TensorFlow when it makes its first tensor; later it cannot be told.
THREADS, POOLS = "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"
_BEGAN_WITH: dict[str, str] = {}


class TensorFlow(Framework):
    """Models of Keras 3 on TensorFlow, and SavedModels.

    They run as one compiled function (`tf.function`) with a free batch axis, in inference mode: `predict` would mostly
    time its own bookkeeping. A ``.keras`` file is read in safe mode; a SavedModel is a folder.
    """

    name: ClassVar[str] = "tensorflow"
    needs: ClassVar[tuple[str, ...]] = ("tensorflow",)
    extra: ClassVar[str] = "tensorflow"
    module_roots: ClassVar[tuple[str, ...]] = ("keras", "tensorflow")
    suffixes: ClassVar[tuple[str, ...]] = (".keras",)

    def claims(self, path: Path) -> bool:
        """A ``.keras`` file, or a folder that is a SavedModel."""
        return is_saved_model(path) or super().claims(path)

    def settle(self, options: RunOptions) -> None:
        """Say in the environment how many threads TensorFlow is to begin with."""
        if options.threads is not None:
            os.environ[THREADS] = str(options.threads)
            os.environ[POOLS] = "1"

    def save(self, model: Any, path: Path) -> None:
        """Write Keras' archive, or, where the model has code of its own, a SavedModel packed into one file."""
        if is_keras(model) and not getattr(model, "built", True):
            raise UsageError("the Keras model has no weights yet.", "Build it: call it once on rows, or train it.")
        if not is_keras(model) and not getattr(model, "signatures", None):
            kind = type(model).__name__
            raise UsageError(f"the {kind} has no signature to call.", "Pass a Keras model or a loaded SavedModel.")
        write_model(model, path)

    def load(self, path: Path) -> Artifact:
        """Read a ``.keras`` file, a SavedModel's folder, or what `save` wrote.

        Raises:
            NotMeasuredError: it is damaged, or a class that it needs is not here.
            RefusedError: a layer of it carries code (Lambda).
        """
        if super().claims(path):
            inspect_model_file(path)
        return self.describe(read_model(path), path)

    def describe(self, model: Any, path: Path) -> Artifact:
        """The model; what it answers is learnt from its outputs."""
        return Artifact(format=self.name, path=path, model=model)

    def check_rows(self, artifact: Artifact, rows: Rows) -> None:
        """Hold a mapping's keys against the names of the inputs."""
        compiled(artifact.model, rows)

    def to_onnx(self, artifact: Artifact, path: Path, *, opset: int, samples: Rows) -> Artifact:
        """Convert the compiled function by tf2onnx."""
        need(self.extra, "tf2onnx", "onnx")
        name = getattr(artifact.model, "name", None) or type(artifact.model).__name__
        function = compiled(artifact.model, samples)
        model, notes = export(function, path, opset=opset, samples=samples, name=str(name))
        return artifact.evolve(
            CONVERSION, notes=notes, format="onnx", path=path, model=None, signature=read_signature(model)
        )

    def open(self, artifact: Artifact, options: RunOptions) -> Session:
        """Run the compiled function, with so many threads in the whole process.

        Raises:
            NotMeasuredError: another provider than the CPU was asked for, or TensorFlow runs in this process already,
                with another number of threads.
        """
        return _open(artifact, options)

    def fingerprint(self, model: Any) -> str | None:
        """SHA-256 of a Keras model's configuration, where it tells all, and of its weights; None for a SavedModel.

        A SavedModel that the user named is known by its files.
        """
        if not is_keras(model):
            return None
        try:
            digest = hashlib.sha256(model.to_json().encode())
        # A subclass without a configuration.
        except Exception:  # noqa: BLE001
            return None
        for weight in model.weights:
            digest.update(f"{weight.shape} {weight.dtype}".encode())
            digest.update(weight.numpy().tobytes())
        return digest.hexdigest()


def _open(artifact: Artifact, options: RunOptions) -> NativeSession:
    tf = tensorflow()
    if options.provider != CPU and not tf.config.list_physical_devices("GPU"):
        raise NotMeasuredError(
            f"provider {options.provider} was asked for, and TensorFlow {tf.__version__} finds no GPU.",
            "Install a build of TensorFlow for it and its driver, or use provider='cpu'.",
        )
    if options.threads is not None:
        _check_threads(options.threads)
    model = artifact.model
    functions: dict[tuple[str, ...], Compiled] = {}

    def function_of(rows: Rows) -> Compiled:
        key = tuple(map(str, rows)) if isinstance(rows, dict) else ()
        if key not in functions:
            functions[key] = compiled(model, rows)
        return functions[key]

    def run(feed: Any) -> list[Any]:
        function, tensors = feed
        return [tensor.numpy() for tensor in flatten(function(*tensors))]

    def prepare(rows: Rows) -> tuple[Any, list[Any]]:
        found = function_of(rows)
        return found.function, found.feed(rows)

    def predict(rows: Rows) -> Prediction:
        found = function_of(rows)
        arrays = found.answer(found.feed(rows))
        specs = [TensorSpec(name, str(array.dtype), (None, *array.shape[1:])) for name, array in arrays.items()]
        return by_role(list(arrays.values()), with_roles(specs))

    flatten = tf.nest.flatten
    return NativeSession(call=TIMED, own_threads=None, run=run, prepare=prepare, predict=predict)


def _check_threads(threads: int) -> None:
    """Hold the number of threads that TensorFlow began with against what is asked for: it never changes it."""
    began_with = _BEGAN_WITH.setdefault("threads", os.environ.get(THREADS, "all"))
    if began_with != str(threads):
        raise NotMeasuredError(
            f"TensorFlow runs in this process with {began_with} threads already, and {threads} were asked for.",
            "Ask for one number of threads in all tests of a session.",
        )
