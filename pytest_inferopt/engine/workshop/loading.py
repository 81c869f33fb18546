"""A model file becomes an artifact, described by the framework that its model belongs to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_inferopt.domain.model_file import inspect_model_file
from pytest_inferopt.engine.store.folder import file_sha256
from pytest_inferopt.errors import RefusedError

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_inferopt.domain.artifact import Artifact
    from pytest_inferopt.registry import Registry

__all__ = ["as_owned", "fingerprint", "load_file"]


def load_file(file: Path, registry: Registry, *, trust: bool) -> Artifact:
    """Load a user's model file.

    Raises:
        RefusedError: it executes code when it is loaded, and is not trusted.
    """
    inspect_model_file(file)
    framework = registry.loader(file)
    registry.require(framework)
    if framework.runs_code(file) and not trust:
        raise RefusedError(
            f"{file}: a pickle executes code when it is loaded.", "Set trust=True if you trust this file."
        )
    return framework.load(file)


def as_owned(artifact: Artifact, registry: Registry) -> Artifact:
    """The artifact as its model's owner describes it: a pickle may hold any framework's, whatever its suffix."""
    if artifact.model is None:
        return artifact
    owner = registry.owner(artifact.model)
    if owner.name == artifact.format:
        return artifact
    described = owner.describe(artifact.model, artifact.path)
    return replace(described, notes=(*artifact.notes, *described.notes))


def fingerprint(artifact: Artifact, registry: Registry, *, users_file: Path | None) -> str | None:
    """A digest of an original's content; None where it has none.

    Args:
        artifact: the original.
        registry: the frameworks.
        users_file: its file, where the user named one: that is what it is, while what was written on the way here may
            differ in bytes and be the same model.
    """
    if users_file is not None and artifact.model is not None:
        return f"file {file_sha256(users_file)}"
    framework = registry.framework(artifact.format)
    found = framework.fingerprint(artifact.path if artifact.model is None else artifact.model)
    return None if found is None else f"{artifact.format} {found}"
