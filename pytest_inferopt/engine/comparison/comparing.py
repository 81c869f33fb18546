"""One request's variants beside their baseline: sorts out what needs no measuring, has the rest judged, and explains.

All variants and batch sizes of a request are one gate.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pytest_inferopt.domain.artifact import OperatorTime
from pytest_inferopt.domain.comparison import CellComparison, Gate, GateVerdict
from pytest_inferopt.domain.environment import Environment
from pytest_inferopt.domain.result import Check, VariantResult
from pytest_inferopt.engine.baseline.accepting import ACCEPT
from pytest_inferopt.engine.baseline.source import Absent, Found
from pytest_inferopt.engine.comparison.explain import explain, typical
from pytest_inferopt.engine.comparison.regression import (
    accuracy_check,
    beside,
    not_comparable_reason,
    regression_check,
    runtime_change,
    setting_change,
)
from pytest_inferopt.engine.duet.pairs import Pair, judge_pairs
from pytest_inferopt.engine.variant import red_check
from pytest_inferopt.errors import InferoptError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_inferopt.domain.baseline import BaselineVariant
    from pytest_inferopt.domain.request import OptimizationRequest
    from pytest_inferopt.domain.result import Outcome
    from pytest_inferopt.engine.duet.pairs import Ruling
    from pytest_inferopt.engine.making import Making, Tools
    from pytest_inferopt.engine.variant import Variant
    from pytest_inferopt.engine.worker.replicate import Command

__all__ = ["Comparing", "Reference"]

Reference = Found | Absent | InferoptError
"""What was found to compare with, why there is nothing, or what is wrong with it."""

EXPLAINING_SECONDS = 60
# What protects least is said of all.
UNMEASURED: tuple[GateVerdict, ...] = ("not_measured", "new", "not_comparable", "advisory", "unchanged")


class Comparing:
    """The comparison of one request.

    Args:
        request: what was asked.
        baseline: what was found to compare with, or what is wrong with it.
        making: gives the commands that bring an artifact into a fresh process.
        tools: what the run works with.
        making_seconds: what loading and optimizing took; a process that must do them again is given as much.
    """

    def __init__(
        self,
        request: OptimizationRequest,
        baseline: Reference,
        *,
        making: Making,
        tools: Tools,
        making_seconds: float,
    ) -> None:
        self._request = request
        self._baseline = baseline
        self._making = making
        self._tools = tools
        self._making_seconds = making_seconds
        self._here = Environment.here()
        self._pairs: dict[tuple[str, str], tuple[list[Variant], Pair]] = {}

    def gate(self, variants: Sequence[Variant], p50_ms: Mapping[str, Mapping[int, float]]) -> Gate:
        """Compare the variants: each gets its comparison and its checks.

        Args:
            variants: those that can be run; their files are kept in the store.
            p50_ms: what was measured of them already, by artifact and batch size.
        """
        if isinstance(self._baseline, Absent):
            for variant in variants:
                self._tell(variant, "new", self._baseline.reason, self._baseline.next_step)
            return Gate(verdict="new", reason=self._baseline.reason)
        if isinstance(self._baseline, InferoptError):
            for variant in variants:
                variant.checks.append(red_check("regression", variant.name, self._baseline))
            return Gate(verdict="not_measured", reason=self._baseline.message)
        for variant in variants:
            self._sort_out(variant, self._baseline, p50_ms)
        caveat = runtime_change(self._baseline.manifest.environment, self._here)
        gate = self._judged(caveat) if self._pairs else self._unmeasured(variants)
        told = self._beside_the_gate(variants) if self._pairs else ()
        limits = self._request.slowdown_limits
        return gate.model_copy(
            update={
                "baseline": self._baseline.identity,
                "allowed": limits.allowed,
                "caught": limits.caught,
                "notes": (*gate.notes, *told),
            }
        )

    def _beside_the_gate(self, variants: Sequence[Variant]) -> tuple[str, ...]:
        """The variants that the verdict says nothing of, and why."""
        judged = {variant.name for found, _ in self._pairs.values() for variant in found}
        return tuple(
            f"{variant.name}: {check.outcome.replace('_', ' ')}: {check.reason.removesuffix('.')}"
            for variant in variants
            for check in variant.checks
            if variant.name not in judged and check.kind == "regression"
        )

    def gone(self, names: Sequence[str]) -> dict[str, VariantResult]:
        """The variants that the baseline has and the request, which asks for `names`, does not."""
        if not isinstance(self._baseline, Found):
            return {}
        told = self._baseline.identity.text
        return {
            name: VariantResult(name=name, checks=(self._missing(name, told),))
            for name in self._baseline.manifest.variants
            if name not in names
        }

    def _missing(self, name: str, told: str) -> Check:
        return Check(
            kind="regression",
            variant=name,
            outcome="missing",
            reason=f"the baseline ({told}) has this variant, and the test does not ask for it any more.",
            next_step=ACCEPT,
            gate=self._request.gate,
        )

    def _sort_out(self, variant: Variant, found: Found, p50_ms: Mapping[str, Mapping[int, float]]) -> None:
        """Say what can be said without measuring, or have it measured."""
        base = found.manifest.variants.get(variant.name)
        if base is None:
            reason = f"the baseline ({found.identity.text}) has no variant of this name."
            self._tell(variant, "new", reason, ACCEPT)
            return
        assert variant.kept is not None  # noqa: S101 - only those are compared
        accuracy = accuracy_check(variant.name, base, found.manifest.environment, self._here)
        variant.comparison = beside(
            base,
            size_bytes=variant.kept.size_bytes,
            accuracy=variant.accuracy,
            is_accuracy_comparable=accuracy is None,
        )
        if accuracy is not None:
            variant.checks.append(accuracy)
        outcome, reason, next_step = self._settled(variant, variant.kept.sha256, base, found)
        if outcome is not None:
            self._tell(variant, outcome, reason, next_step)
            return
        if change := setting_change(found.manifest, self._request):
            self._note(variant, f"since the baseline, {change}; both files ran as this request says")
        # Variants that are the same files are measured once.
        files = base.sha256, variant.kept.sha256
        try:
            if files not in self._pairs:
                self._pairs[files] = [], self._pair(variant, found, p50_ms.get(variant.arm, {}))
            self._pairs[files][0].append(variant)
        except InferoptError as error:
            variant.checks.append(red_check("regression", variant.name, error))

    def _settled(
        self, variant: Variant, sha256: str, base: BaselineVariant, found: Found
    ) -> tuple[Outcome | None, str, str]:
        """The outcome where nothing need be measured, with the reason and what to do; None where it must be."""
        if variant.document is None:
            reason = "its steps leave no file that stands alone, so there is nothing to run beside the baseline's."
            return "not_comparable", reason, ""
        reason = not_comparable_reason(
            base.artifact, variant.document, base_format=base.format, head_format=variant.format
        )
        if reason:
            return "not_comparable", reason, ACCEPT
        if base.sha256 == sha256:
            return self._same_file(found)
        if self._request.quick:
            return "advisory", "not judged in a quick run.", "Run without quick to have it judged."
        return None, "", ""

    def _same_file(self, found: Found) -> tuple[Outcome, str, str]:
        if change := runtime_change(found.manifest.environment, self._here):
            next_step = "Save the baseline with this runtime, or compare in two interpreters: pytest-inferopt compare."
            return "advisory", f"the same file; {change}.", next_step
        if change := setting_change(found.manifest, self._request):
            return "not_comparable", f"the same file, but {change}.", ACCEPT
        return "unchanged", f"the same file as {found.identity.text}'s.", ""

    def _pair(self, variant: Variant, found: Found, p50_ms: Mapping[int, float]) -> Pair:
        number = len(self._pairs)
        folder = self._tools.folder / f"baseline-{number}"
        folder.mkdir()
        path = found.baselines.open_files(found.manifest, variant.name, folder)
        base = found.manifest.variants[variant.name]
        taking = {"target": f"base-{number}", "format": base.format, "path": str(path), "artifact": base.artifact}
        return Pair(
            variant=variant.name,
            base=[("take_file", taking)],
            head=self._making.remaking(variant.artifact),
            base_target=f"base-{number}",
            head_target=variant.artifact,
            p50_ms=p50_ms,
        )

    def _judged(self, caveat: str) -> Gate:
        """Have the gate rule over all pairs; `caveat` says why a pass is not a plain one."""
        sharing = {pair.variant: variants for variants, pair in self._pairs.values()}
        started = time.monotonic()
        try:
            ruling = judge_pairs(
                self._request,
                [pair for _, pair in self._pairs.values()],
                prepare=self._making.preparing(),
                open_worker=self._tools.worker.another_with_huge_pages,
                making_seconds=self._making_seconds,
                on_progress=self._tools.on_progress,
            )
        except InferoptError as error:
            for variant in (variant for variants in sharing.values() for variant in variants):
                variant.checks.append(red_check("regression", variant.name, error))
            return Gate(verdict="not_measured", reason=error.message, seconds=time.monotonic() - started)
        for name, variants in sharing.items():
            explained: dict[str, Any] = {}
            for variant in variants:
                if name in ruling.errors:
                    variant.checks.append(red_check("regression", variant.name, ruling.errors[name]))
                elif self._rule(variant, ruling.cells[name], ruling, caveat).outcome == "regressed":
                    explained = explained or self._explained(name, ruling.cells[name])
                    self._add(variant, **explained)
        return ruling.gate

    def _rule(self, variant: Variant, cells: Sequence[CellComparison], ruling: Ruling, caveat: str) -> Check:
        """Give a variant its cells and its verdict."""
        self._add(variant, cells=tuple(cells))
        check = regression_check(
            variant.name,
            cells,
            ruling.gate,
            limits=self._request.slowdown_limits,
            mode=self._request.gate,
            is_together=ruling.is_together,
            caveat=caveat,
        )
        variant.checks += [check, *self._tails(variant.name, cells)]
        return check

    def _tails(self, variant: str, cells: Sequence[CellComparison]) -> list[Check]:
        """What could not be judged for want of calls."""
        return [
            Check(
                kind="regression",
                variant=variant,
                subject=f"p{cell.percentile} at batch {cell.batch_size}",
                outcome="advisory",
                reason=f"{cell.reason}.",
                next_step="Leave it out of gate_percentiles, or judge it on a model with shorter calls.",
                gate=self._request.gate,
            )
            for cell in cells
            if cell.outcome == "advisory"
        ]

    def _explained(self, name: str, cells: Sequence[CellComparison]) -> dict[str, Any]:
        """The operators that became slower, where the files did so most; a note where they cannot be told."""
        worst = max(cells, key=lambda cell: (cell.outcome == "regressed", _estimate(cell)))
        pair = next(pair for _, pair in self._pairs.values() if pair.variant == name)
        try:
            operators = self._profiled(pair, worst.batch_size)
        except InferoptError as error:
            return {"notes": (f"the operators could not be profiled: {error.message}",)}
        return {"operators": operators, "operators_batch_size": worst.batch_size}

    def _profiled(self, pair: Pair, batch_size: int) -> Any:
        deadline = time.monotonic() + EXPLAINING_SECONDS + 2 * self._making_seconds
        asked = {"base": pair.base_target, "head": pair.head_target, "batch_size": batch_size}
        commands: list[Command] = [*self._making.preparing(), *pair.base, *pair.head, ("profile_pair", asked)]
        answer: Any = None
        with self._tools.worker.another_with_huge_pages() as worker:
            for command, parameters in commands:
                answer = worker.call(command, parameters, stage=f"profiling {pair.variant!r}", deadline=deadline)
        rounds = ([[OperatorTime(*time) for time in times] for times in answer[arm]] for arm in ("base", "head"))
        return explain(*map(typical, rounds))

    def _unmeasured(self, variants: Sequence[Variant]) -> Gate:
        """The verdict on all where nothing was measured: the one that protects least."""
        checks = [check for variant in variants for check in variant.checks if check.kind == "regression"]
        found: dict[str, str] = {check.outcome: check.reason for check in reversed(checks)}
        verdict = next((verdict for verdict in UNMEASURED if verdict in found), "not_measured")
        return Gate(verdict=verdict, reason=found.get(verdict, "no variant could be run."))

    def _tell(self, variant: Variant, outcome: Outcome, reason: str, next_step: str) -> None:
        variant.checks.append(
            Check(
                kind="regression",
                variant=variant.name,
                outcome=outcome,
                reason=reason,
                next_step=next_step,
                gate=self._request.gate,
            )
        )

    def _note(self, variant: Variant, text: str) -> None:
        self._add(variant, notes=(text,))

    def _add(self, variant: Variant, *, notes: tuple[str, ...] = (), **changes: Any) -> None:
        """Add to what is known of a variant beside its baseline."""
        known = variant.comparison
        assert known is not None  # noqa: S101 - it was sorted out before
        variant.comparison = known.model_copy(update={**changes, "notes": (*known.notes, *notes)})


def _estimate(cell: CellComparison) -> float:
    estimate = cell.slowdown.estimate if cell.slowdown else None
    return -1.0 if estimate is None else estimate
