"""Two bundles beside each other: which of their models belong together, and which have no counterpart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_inferopt.domain.comparison import BaselineIdentity, Gate
from pytest_inferopt.domain.request import OptimizationRequest
from pytest_inferopt.domain.result import Check, RunResult, VariantResult
from pytest_inferopt.engine.baseline.manifests import key_of
from pytest_inferopt.engine.comparison.models import TwoModels
from pytest_inferopt.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_inferopt.domain.baseline import Manifest
    from pytest_inferopt.engine.baseline.manifests import Baselines

__all__ = ["Counterparts", "counterparts"]

KEPT_FIELDS = ("batch_sizes", "threads", "provider", "gate_percentiles", "max_slowdown", "gate")


@dataclass(frozen=True)
class Counterparts:
    """What two bundles have in common.

    Attributes:
        pairs: the models to compare, each with what the candidate's request said of how (field by field).
        alone: results that tell what has no counterpart: a new test or variant, and one that is missing.
    """

    pairs: tuple[tuple[TwoModels, dict[str, Any]], ...]
    alone: tuple[RunResult, ...]


def counterparts(base: Baselines, head: Baselines, folder: Path) -> Counterparts:
    """Put the models of two bundles beside each other, by test, name and variant; of several commits, the last.

    A variant that the baseline has and the candidate of the same test has not is red, as it is in a test; a whole test
    that only one of them has is told and fails nothing, because a bundle need not hold all tests.

    Args:
        base: the baseline's bundle, opened.
        head: the candidate's.
        folder: an empty one, into which the models are laid.

    Raises:
        UsageError: they have no test in common.
        NotMeasuredError: a model is damaged.
    """
    was, now = ({key_of(manifest): manifest for manifest in _newest(side)} for side in (base, head))
    if not was.keys() & now.keys():
        raise UsageError(
            "the two bundles have no test in common, so there is nothing to compare.",
            f"The baseline's has {_listed(was)}; the candidate's has {_listed(now)}.",
        )
    pairs: list[tuple[TwoModels, dict[str, Any]]] = []
    gone = sorted(was.keys() - now.keys())
    alone = [_missing(was[key], name, gate="warn") for key in gone for name in was[key].variants]
    alone += [_new(now[key], name) for key in sorted(now.keys() - was.keys()) for name in now[key].variants]
    for key in sorted(was.keys() & now.keys()):
        before, after = was[key], now[key]
        alone += [_missing(before, name, gate="on") for name in before.variants if name not in after.variants]
        alone += [_new(after, name) for name in after.variants if name not in before.variants]
        for name in (name for name in after.variants if name in before.variants):
            place = folder / str(len(pairs))
            was_file = base.open_files(before, name, _made(place / "base"))
            now_file = head.open_files(after, name, _made(place / "head"))
            models = TwoModels(name, was_file, now_file, _identity(before), after.test_id)
            fields = {field: after.request[field] for field in KEPT_FIELDS if field in after.request}
            pairs.append((models, {**fields, "name": _title(after, name)}))
    return Counterparts(tuple(pairs), tuple(alone))


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _newest(baselines: Baselines) -> Iterator[Manifest]:
    """The baseline of each test and name that speaks for it: the one accepted last, else the one saved last."""
    for key in dict.fromkeys(map(key_of, baselines.all())):
        yield from filter(None, [baselines.newest_accepted(key) or baselines.newest(key)])


def _listed(manifests: dict[str, Manifest]) -> str:
    return ", ".join(manifest.test_id or manifest.name for manifest in manifests.values()) or "none"


def _title(manifest: Manifest, variant: str) -> str:
    return manifest.name if len(manifest.variants) == 1 else f"{manifest.name}: {variant}"


def _identity(manifest: Manifest) -> BaselineIdentity:
    return BaselineIdentity(
        source="bundle",
        commit=manifest.commit,
        branch=manifest.branch,
        saved_at=manifest.saved_at,
        is_dirty=manifest.is_dirty,
        environment=manifest.environment,
    )


def _new(manifest: Manifest, variant: str) -> RunResult:
    reason = "the baseline's bundle has no such model."
    check = Check(kind="regression", variant=variant, outcome="new", reason=reason)
    return _told(manifest, variant, check, Gate(verdict="new", reason=reason))


def _missing(manifest: Manifest, variant: str, *, gate: Any) -> RunResult:
    reason = "the baseline's bundle has this model, and the candidate's has not."
    check = Check(kind="regression", variant=variant, outcome="missing", reason=reason, gate=gate)
    return _told(manifest, variant, check, Gate(verdict="not_comparable", reason=reason, baseline=_identity(manifest)))


def _told(manifest: Manifest, variant: str, check: Check, gate: Gate) -> RunResult:
    return RunResult(
        name=_title(manifest, variant),
        test_id=manifest.test_id,
        request=OptimizationRequest(name=_title(manifest, variant)),
        environment=manifest.environment,
        original=VariantResult(name="baseline", role="original"),
        variants={variant: VariantResult(name=variant, checks=(check,))},
        gate=gate,
    )
