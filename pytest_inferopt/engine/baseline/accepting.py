"""When a result's models become a baseline: on the way, at a commit without changes, or because somebody says so."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pytest_inferopt.domain.comparison import SHORT_COMMIT
from pytest_inferopt.engine.baseline.manifests import Baselines
from pytest_inferopt.engine.baseline.recording import manifest_of
from pytest_inferopt.engine.store.folder import entry_key
from pytest_inferopt.errors import NotMeasuredError

if TYPE_CHECKING:
    from pytest_inferopt.domain.baseline import Manifest
    from pytest_inferopt.domain.report import GitState
    from pytest_inferopt.domain.result import RunResult
    from pytest_inferopt.engine.store.folder import Store

__all__ = ["ACCEPT", "accept", "record", "why_no_baseline"]

ACCEPT = "Where it is meant, --inferopt-update-baseline accepts it."


def why_no_baseline(result: RunResult) -> str:
    """Why a result is not fit to be compared with; empty where it is.

    A slow model may be a baseline, which is what accepting a regression means; a wrong one or half of one may not.
    """
    asked = [result.variants[name] for name in result.request.pipelines if name in result.variants]
    for check in (check for variant in (result.original, *asked) for check in variant.checks):
        if check.is_red and check.kind != "regression":
            return f"{check.variant}: {check.kind} {check.outcome.replace('_', ' ')}"
    alone = [variant.name for variant in asked if variant.path is not None and variant.artifact is not None]
    return "" if alone else "no variant has a file that stands alone"


def record(result: RunResult, store: Store, git: GitState | None, *, is_asked: bool = True) -> Manifest | None:
    """Keep a result's models as those of its commit; None where tracked files differ from it, or they are not fit.

    Args:
        result: of one request.
        store: where they are kept.
        git: the repository's state; None outside of one.
        is_asked: whether somebody wants it. What is kept on the way takes no other models' place: a red run would be
            green when it is run again at its commit, because it would be compared with itself.

    Raises:
        NotMeasuredError: the store cannot be written, or has other models of the commit that stay.
        UsageError: a newer version has kept some, which stay.
    """
    if git is None or git.is_dirty or why_no_baseline(result):
        return None
    if not is_asked and _is_another(Baselines(store).at(entry_key(result.test_id, result.name), git.commit), result):
        raise NotMeasuredError(f"{git.commit[:SHORT_COMMIT]} has another one already.", ACCEPT)
    return _saved(result, store, git, accepted_at=None)


def _is_another(manifest: Manifest | None, result: RunResult) -> bool:
    """Whether a variant that was kept is another file now, or is gone."""
    kept = {} if manifest is None else manifest.variants
    now = {name: variant.sha256 for name, variant in result.variants.items()}
    return any(now.get(name) != variant.sha256 for name, variant in kept.items())


def accept(result: RunResult, store: Store, git: GitState | None) -> Manifest:
    """Make a result's models the baseline that later runs are compared with.

    Raises:
        NotMeasuredError: they are not fit, or the store cannot be written.
    """
    if reason := why_no_baseline(result):
        raise NotMeasuredError(
            f"{result.name} was not accepted as the baseline: {reason}.", "Mend it first; the old baseline stays."
        )
    return _saved(result, store, git, accepted_at=datetime.now(UTC).isoformat(timespec="seconds"))


def _saved(result: RunResult, store: Store, git: GitState | None, *, accepted_at: str | None) -> Manifest:
    manifest = manifest_of(result, git, result.test_id)
    assert manifest is not None  # noqa: S101 - a variant has a file that stands alone
    return Baselines(store).save(manifest.model_copy(update={"accepted_at": accepted_at}))
