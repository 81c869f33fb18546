"""What of a result becomes a baseline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pytest_inferopt.domain.baseline import BaselineFile, BaselineVariant, Manifest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_inferopt.domain.report import GitState
    from pytest_inferopt.domain.result import RunResult, VariantResult
    from pytest_inferopt.engine.store.folder import KeptSet

__all__ = ["manifest_of"]


def manifest_of(
    result: RunResult, git: GitState | None, test_id: str, *, kept: Mapping[str, KeptSet] | None = None
) -> Manifest | None:
    """The baseline that a result makes; None where no variant has a file that was proven and can be run again.

    So a run in which everything failed takes no baseline's place.

    Args:
        result: of one request.
        git: the repository's state; None outside of one.
        test_id: the test that asked.
        kept: the files of variants that have several, as the store keeps them.
    """
    sets = kept or {}
    variants = {
        name: BaselineVariant(
            format=variant.format or "",
            files=_files(variant, sets.get(name)),
            sha256=sets[name].sha256 if name in sets else variant.sha256 or "",
            artifact=variant.artifact or {},
            accuracy=variant.accuracy,
        )
        for name, variant in result.variants.items()
        if _is_whole(variant)
    }
    if not variants:
        return None
    return Manifest(
        test_id=test_id,
        name=result.name,
        commit=None if git is None else git.commit,
        branch=None if git is None else git.branch,
        committed_at=None if git is None else git.committed_at,
        is_dirty=git is not None and git.is_dirty,
        request=result.request.model_dump(mode="json"),
        environment=result.environment,
        variants=variants,
    )


def _is_whole(variant: VariantResult) -> bool:
    """Whether a variant is a file that another process can run, and nothing was wrong with making it."""
    is_doubtful = any(
        check.kind == "conversion" and check.outcome in {"not_measured", "refused"} for check in variant.checks
    )
    is_there = None not in {variant.format, variant.path, variant.sha256, variant.size_bytes}
    return is_there and variant.artifact is not None and not is_doubtful


def _files(variant: VariantResult, kept: KeptSet | None) -> tuple[BaselineFile, ...]:
    if kept is not None:
        return tuple(
            BaselineFile(name=file.name, sha256=file.sha256, size_bytes=file.size_bytes) for file in kept.files
        )
    name = f"model{Path(variant.path or '').suffix}"
    return (BaselineFile(name=name, sha256=variant.sha256 or "", size_bytes=variant.size_bytes or 0),)
