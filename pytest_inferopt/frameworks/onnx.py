"""Models that are ONNX already: checked and described, never rewritten."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_inferopt.domain.artifact import Artifact, Rows, RunOptions, Session
from pytest_inferopt.domain.model_file import inspect_model_file
from pytest_inferopt.domain.plugins import Framework
from pytest_inferopt.domain.request import CONVERSION
from pytest_inferopt.errors import NotMeasuredError, UsageError
from pytest_inferopt.frameworks._onnx_check import check_model
from pytest_inferopt.frameworks._onnx_external import embed_external_data, external_files, has_external_data
from pytest_inferopt.frameworks._onnx_file import (
    opset_of,
    read_classes,
    read_model,
    read_signature,
    read_task,
    write_model,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Onnx"]

SUFFIX = ".onnx"


class Onnx(Framework):
    """ONNX files and `onnx.ModelProto` objects, taken as they are; ONNX Runtime runs them.

    Weights in other files are read from the model's own folder and put into one file in a temporary folder, so
    that whatever follows handles a single file; the user's files are never written to. A path stands for a live
    model wherever one is asked for.
    """

    name: ClassVar[str] = "onnx"
    needs: ClassVar[tuple[str, ...]] = ("onnx",)
    extra: ClassVar[str] = "cpu"
    module_roots: ClassVar[tuple[str, ...]] = ("onnx",)
    suffixes: ClassVar[tuple[str, ...]] = (SUFFIX,)

    def save(self, model: object, path: Path) -> None:
        """Write a ModelProto, or the model file at a path together with its external data, as one file."""
        if isinstance(model, (str, Path)):
            source = Path(model)
            inspect_model_file(source)
            proto = read_model(source)
            if embed_external_data(proto, source):
                write_model(proto, path)
            else:
                shutil.copyfile(source, path)
            return
        proto = _model_proto(model)
        if has_external_data(proto):
            raise NotMeasuredError(
                "the ModelProto refers to external data, and a live object does not tell in which folder they lie.",
                "Give the path of the model file, or load it with onnx.load(path, load_external_data=True).",
            )
        write_model(proto, path)

    def load(self, path: Path) -> Artifact:
        """Check an ONNX file and describe it; one with external data becomes one file in a new temporary folder.

        The folder is made under ``TMPDIR`` and is the caller's to remove.

        Raises:
            UsageError: there is no such file.
            NotMeasuredError: the file is damaged, its data file is missing, or it needs a newer onnx or onnxruntime.
            RefusedError: it is no ONNX file, its data lie elsewhere than beside it, or it needs custom operators.
        """
        inspect_model_file(path)
        model = read_model(path)
        if not embed_external_data(model, path):
            return _artifact(model, path)
        folder = Path(tempfile.mkdtemp(prefix="onnx-", dir=os.environ.get("TMPDIR")))
        whole = write_model(model, folder / f"model{SUFFIX}")
        return _artifact(model, whole, notes=["its external data were put into one file"])

    def describe(self, model: object, path: Path) -> Artifact:
        """The artifact of a ModelProto that was written to `path`; it is checked as a file is."""
        return _artifact(_model_proto(model), path)

    def to_onnx(self, artifact: Artifact, path: Path, *, opset: int, samples: Rows) -> Artifact:  # noqa: ARG002
        """Copy the file to `path`: it is ONNX already, and its opset is never changed."""
        found = opset_of(read_model(artifact.path))
        if artifact.path != path:
            shutil.copyfile(artifact.path, path)
        notes = [f"already ONNX ({'no default opset' if found is None else f'opset {found}'}); kept as it is"]
        if found not in {None, opset}:
            notes.append(f"opset {opset} was asked for; a ready ONNX file is not rewritten")
        return artifact.evolve(CONVERSION, notes=notes, path=path)

    def open(self, artifact: Artifact, options: RunOptions) -> Session:
        """Never asked: runtimes open the format ``onnx``."""
        raise NotImplementedError("a runtime opens ONNX artifacts, not the framework that loads them")

    def fingerprint(self, model: object) -> str:
        """SHA-256 of a model file and its data files, or of a serialized ModelProto; errors of a file as in `load`."""
        if not isinstance(model, (str, Path)):
            return hashlib.sha256(_model_proto(model).SerializeToString(deterministic=True)).hexdigest()
        path = Path(model)
        inspect_model_file(path)
        digest = hashlib.sha256()
        for file in (path, *external_files(read_model(path), path)):
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        return digest.hexdigest()


def _model_proto(model: object) -> Any:
    import onnx

    if not isinstance(model, onnx.ModelProto):
        raise UsageError(
            f"{type(model).__module__}.{type(model).__qualname__} is no ONNX model;",
            "give an onnx.ModelProto or the path of an .onnx file.",
        )
    return model


def _artifact(model: Any, path: Path, notes: Sequence[str] = ()) -> Artifact:
    check_model(model)
    signature = read_signature(model)
    return Artifact(
        format=Onnx.name,
        path=path,
        task=read_task(signature),
        classes=read_classes(model, signature),
        signature=signature,
        notes=tuple(notes),
    )
