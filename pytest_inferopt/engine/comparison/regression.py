"""A candidate's variants beside their baseline: what can be compared, and what came of it, as checks.

The gate decides on figures; here stands what surrounds it: files that are the same, inputs that have changed, variants
that are new or gone, a runtime of another version, and how size and accuracy have moved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pytest_inferopt.domain.comparison import CellComparison, Comparison, Gate
from pytest_inferopt.domain.result import Check, Outcome
from pytest_inferopt.engine.baseline.accepting import ACCEPT
from pytest_inferopt.engine.gate.tails import TAIL_LIMITS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_inferopt.domain.baseline import BaselineVariant, Manifest
    from pytest_inferopt.domain.environment import Environment
    from pytest_inferopt.domain.measured import Accuracy
    from pytest_inferopt.domain.request import OptimizationRequest
    from pytest_inferopt.domain.slowdown import SlowdownLimits

__all__ = [
    "accuracy_check",
    "beside",
    "cell_text",
    "not_comparable_reason",
    "regression_check",
    "runtime_change",
    "setting_change",
]

RUNTIMES = ("onnxruntime", "onnxruntime-gpu")
SETTINGS = ("threads", "provider")
INTEGER_STEP = "quantization"
MEDIAN = 50
COLUMNS_SHOWN = 3
NOT_MEASURED = "not measured"
NEXT_STEPS: dict[Outcome, str] = {
    "regressed": f"Look at the operators below. {ACCEPT}",
    "inconclusive": "Run it again on a quieter machine, or allow more (max_slowdown).",
}

GateMode = Literal["strict", "on", "warn"]
Input = tuple[str, str, tuple[int | None, ...], tuple[str, ...] | None]


def beside(
    base: BaselineVariant, *, size_bytes: int, accuracy: Accuracy | None, is_accuracy_comparable: bool
) -> Comparison:
    """How size and accuracy have moved.

    Args:
        base: what the variant was.
        size_bytes: of the candidate's file.
        accuracy: the candidate's.
        is_accuracy_comparable: False where both machines give different numbers for the same model.
    """
    was = base.accuracy
    comparison = Comparison(
        base_sha256=base.sha256,
        base_size_bytes=base.size_bytes,
        base_format=base.format,
        size_change=size_bytes / base.size_bytes - 1 if base.size_bytes else None,
    )
    if was is None or was.score is None:
        return comparison
    told: dict[str, Any] = {"metric": was.metric, "base_score": was.score, "base_rows": was.rows}
    notes = []
    if accuracy is not None and accuracy.score is not None:
        if accuracy.metric != was.metric:
            notes.append(f"the baseline's accuracy was {was.metric}, this one is {accuracy.metric}: not compared")
        elif is_accuracy_comparable:
            told["score_change"] = accuracy.score - was.score
            if accuracy.rows != was.rows:
                rows = f"{was.rows:,} rows, this one on {accuracy.rows:,}"
                notes.append(f"the baseline's accuracy was measured on {rows}")
    return comparison.model_copy(update={**told, "notes": tuple(notes)})


def accuracy_check(variant: str, base: BaselineVariant, was: Environment, here: Environment) -> Check | None:
    """The check of an INT8 variant whose baseline's accuracy was measured with other instructions; else None.

    Integer kernels differ between instruction sets: some saturate where others do not.
    """
    if INTEGER_STEP not in base.artifact.get("lineage", ()) or was.isa_flags == here.isa_flags:
        return None
    sets = (", ".join(found.isa_flags) or "none of those that matter" for found in (was, here))
    before, now = sets
    return Check(
        kind="accuracy",
        variant=variant,
        subject="against the baseline",
        outcome="not_comparable",
        reason=f"the baseline's INT8 accuracy was measured with {before}, here it is {now}.",
        next_step="Save the baseline on the machines that compare with it.",
    )


def not_comparable_reason(
    base: Mapping[str, Any], head: Mapping[str, Any], *, base_format: str, head_format: str | None
) -> str:
    """Why a candidate cannot be run on the same rows as its baseline; empty where it can.

    Args:
        base: what is known of the baseline's artifact beside its file.
        head: likewise of the candidate's.
        base_format: the baseline's.
        head_format: the candidate's.
    """
    if base_format != head_format:
        return f"the baseline is {base_format}, this one is {head_format}."
    was, now = (_inputs(document) for document in (base, head))
    if was == now:
        return ""
    return f"its inputs have changed: {_told(was)} became {_told(now)}."


def _inputs(document: Mapping[str, Any]) -> list[Input]:
    """Name, type, fixed axes and columns of each input; how a free axis is called does not matter."""
    inputs = (document.get("signature") or {"inputs": []})["inputs"]
    return [
        (
            found["name"],
            found["dtype"],
            tuple(axis if isinstance(axis, int) else None for axis in found["shape"]),
            None if found["columns"] is None else tuple(found["columns"]),
        )
        for found in inputs
    ]


def _told(inputs: Sequence[Input]) -> str:
    return ", ".join(map(_input_text, inputs)) or "no inputs"


def _input_text(found: Input) -> str:
    name, dtype, shape, columns = found
    axes = ", ".join("?" if axis is None else str(axis) for axis in shape)
    if columns is None:
        return f"{name!r} {dtype}[{axes}]"
    more = ", …" if len(columns) > COLUMNS_SHOWN else ""
    return f"{name!r} {dtype}[{axes}] of {', '.join(columns[:COLUMNS_SHOWN])}{more}"


def runtime_change(was: Environment, here: Environment) -> str:
    """Which runtime has another version than the one that the baseline was made with; empty where none has."""
    for name in RUNTIMES:
        before, now = was.libraries.get(name), here.libraries.get(name)
        if before != now:
            made = f"{name} {before}" if before else f"no {name}"
            return (
                f"runtime change not judged: the baseline was made with {made}, both ran on {now or 'another runtime'}"
            )
    return ""


def setting_change(manifest: Manifest, request: OptimizationRequest) -> str:
    """Which setting of the runtime the request has changed; empty where none."""
    changed = [
        f"{name} {manifest.request[name]} became {getattr(request, name)}"
        for name in SETTINGS
        if name in manifest.request and manifest.request[name] != getattr(request, name)
    ]
    return ", ".join(changed)


def regression_check(
    variant: str,
    cells: Sequence[CellComparison],
    gate: Gate,
    *,
    limits: SlowdownLimits,
    mode: GateMode,
    is_together: bool,
    caveat: str = "",
) -> Check:
    """A variant's verdict from its cells and that of the whole gate.

    Args:
        variant: whose.
        cells: its own.
        gate: the verdict on all variants together.
        limits: what was allowed.
        mode: how strictly regressions are judged.
        is_together: whether only all cells of all variants together are proven slower, and no single one.
        caveat: why a pass is not a plain one.
    """
    judged = [cell for cell in cells if cell.outcome != "advisory"]
    outcome = _outcome(judged, gate, is_together=is_together)
    speaking = [cell for cell in judged if cell.outcome == outcome] or judged
    worst = max((cell for cell in speaking if cell.slowdown), key=_badness, default=None)
    slowdown = gate.together if is_together else worst.slowdown if worst else None
    reason = gate.reason if is_together or gate.is_contaminated or worst is None else _reason(speaking, worst, limits)
    if caveat and outcome in {"passed", "improved"}:
        return Check(
            kind="regression", variant=variant, outcome="advisory", reason=f"{caveat}; {reason}", gate=mode,
            next_step="Save the baseline with this runtime, or compare in two interpreters: pytest-inferopt compare.",
        )  # fmt: skip
    return Check(
        kind="regression",
        variant=variant,
        outcome=outcome,
        observed=None if slowdown is None else slowdown.estimate,
        limit=_limits_of(worst, limits).allowed,
        interval=None if slowdown is None else slowdown.interval,
        reason=reason,
        next_step=NEXT_STEPS.get(outcome, ""),
        gate=mode,
    )


def _outcome(cells: Sequence[CellComparison], gate: Gate, *, is_together: bool) -> Outcome:
    outcomes = {cell.outcome for cell in cells}
    if gate.is_contaminated:
        return "inconclusive"
    if is_together or "regressed" in outcomes:
        return "regressed"
    if "inconclusive" in outcomes or not outcomes:
        return "inconclusive"
    return "improved" if "improved" in outcomes else "passed"


def _reason(speaking: Sequence[CellComparison], worst: CellComparison, limits: SlowdownLimits) -> str:
    """The cells that have the verdict, the slowest first, against what is allowed."""
    ordered = sorted((cell for cell in speaking if cell.slowdown), key=_estimate, reverse=True)
    alike = [cell for cell in ordered if (cell.percentile == MEDIAN) == (worst.percentile == MEDIAN)]
    shown = alike if worst.outcome == "regressed" else alike[:1]
    cells = "; ".join(cell_text(cell) for cell in shown)
    told = f"{cells}, allowed {_limits_of(worst, limits).text}"
    if worst.outcome == "inconclusive" and worst.slowdown and worst.slowdown.detectable is not None:
        told += f"; a slow-down of {100 * worst.slowdown.detectable:.1f} % would have been caught"
    return f"{told}."


def _limits_of(cell: CellComparison | None, limits: SlowdownLimits) -> SlowdownLimits:
    """What a cell is held against: a tail has limits of its own."""
    return limits if cell is None or cell.percentile == MEDIAN else TAIL_LIMITS


def cell_text(cell: CellComparison) -> str:
    """``batch 16: +3.1 % [2.4, 3.9]``; a percentile other than the median is named."""
    percentile = "" if cell.percentile == MEDIAN else f" p{cell.percentile}"
    return f"batch {cell.batch_size}{percentile}: {cell.slowdown.text if cell.slowdown else NOT_MEASURED}"


def _badness(cell: CellComparison) -> tuple[bool, float]:
    """A median speaks before a tail, whose limits are wider."""
    return cell.percentile == MEDIAN, _estimate(cell)


def _estimate(cell: CellComparison) -> float:
    estimate = cell.slowdown.estimate if cell.slowdown else None
    return -1.0 if estimate is None else estimate
