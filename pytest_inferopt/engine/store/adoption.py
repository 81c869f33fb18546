"""Artifacts that outlive the worker that made them: a file, and a document with what the file does not say."""

from __future__ import annotations

import hashlib
import importlib
import pickle
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from pytest_inferopt.domain.artifact import Artifact, Signature, TensorSpec

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["adopted", "content_digest", "document_of"]


def document_of(artifact: Artifact, original: Artifact) -> dict[str, Any] | None:
    """What `adopted` needs beside the file; None where the file alone is not the artifact.

    That is so for a live model, for weights in files beside it, and where task or labels are not the original's.
    """
    stands_alone = artifact.model is None and not _has_external_data(artifact)
    told, known = ((found.task, found.classes) for found in (artifact, original))
    if not stands_alone or content_digest(told) != content_digest(known):
        return None
    signature = None if artifact.signature is None else asdict(artifact.signature)
    return {"signature": signature, "lineage": list(artifact.lineage), "notes": list(artifact.notes)}


def adopted(original: Artifact, *, format: str, path: Path, document: dict[str, Any]) -> Artifact:  # noqa: A002
    """The artifact of a file that was made of `original`, as `document_of` has described it."""
    told = document["signature"]
    return replace(
        original,
        format=format,
        path=path,
        model=None,
        signature=None if told is None else Signature(_specs(told["inputs"]), _specs(told["outputs"])),
        lineage=tuple(document["lineage"]),
        notes=tuple(document["notes"]),
    )


def _specs(documents: list[dict[str, Any]]) -> tuple[TensorSpec, ...]:
    """Inputs or outputs out of JSON, which knows lists and no tuples."""
    return tuple(
        TensorSpec(
            name=found["name"],
            dtype=found["dtype"],
            shape=tuple(found["shape"]),
            columns=None if found["columns"] is None else tuple(found["columns"]),
            role=found["role"],
        )
        for found in documents
    )


def _has_external_data(artifact: Artifact) -> bool:
    """Whether an ONNX file keeps weights in files beside it."""
    if artifact.format != "onnx":
        return False
    onnx = importlib.import_module("onnx")
    model = onnx.load(artifact.path, load_external_data=False)
    return any(onnx.external_data_helper.uses_external_data(tensor) for tensor in model.graph.initializer)


def content_digest(value: Any) -> str | None:
    """The SHA-256 of a value's pickle; None where it cannot be pickled."""
    try:
        return hashlib.sha256(pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)).hexdigest()
    # Pickling runs the value's own code.
    except Exception:  # noqa: BLE001
        return None
