"""A gate in sentences: its verdict with the worst figure, what it rests on, and how to accept what it found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_inferopt.domain.gate_words import (
    MEDIAN,
    allowed_text,
    base_text,
    cell_outcome_text,
    cell_text,
    cells_of,
    disturbance_text,
    has_caveat,
    milliseconds_text,
    operator_name,
    score_change_text,
    signed_ms_text,
    size_change_text,
    slower_text,
    worst_cell,
)
from pytest_inferopt.domain.words import NOTHING, is_warned, outcome_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_inferopt.domain.comparison import BaselineIdentity, CellComparison, Gate
    from pytest_inferopt.domain.report import Report
    from pytest_inferopt.domain.result import Check, RunResult, VariantResult

__all__ = [
    "ACCEPT",
    "accept_command",
    "error_bound",
    "gate_facts",
    "gate_lines",
    "gate_notes",
    "gate_sentence",
    "is_told_by_gate",
    "operators_text",
    "regression_text",
    "unprotected_text",
]

ACCEPT = "pytest --inferopt --inferopt-update-baseline"
TOGETHER = "all batch sizes together"
FACTS_A_LINE = 3
ERROR_PERCENT = 1  # of a gate at the median, and of each further percentile
UNPROTECTED = {"new": "no baseline", "advisory": "advisory only"}
TOLD = ("regressed", "inconclusive", "improved", "advisory")  # what passed stands in the tables
# What a gate's own lines say with all figures; of every other outcome the check has its reason and next step.
GATED = frozenset({"regressed", "passed", "improved", "inconclusive", "unchanged", "new"})
UNDECIDED = frozenset({"inconclusive", "new"})
JUDGED = frozenset({"regressed", "passed", "inconclusive"})


def gate_sentence(result: RunResult) -> str:
    """The verdict and the figure that it rests on; empty where nothing was asked to be compared."""
    gate = result.gate
    if gate is None:
        return ""
    gone = _missing(result)
    return _verdict(result, gate) + (f"; {gone}" if gone else "")


def _verdict(result: RunResult, gate: Gate) -> str:
    if not gate.is_protecting:
        return f"{outcome_text(gate.verdict)}, not protected: {gate.reason or _unprotected(gate)}"
    if gate.verdict == "unchanged":
        return f"unchanged: the same files as {base_text(gate)}, so nothing was measured"
    if gate.verdict == "inconclusive":
        # Why it is, no cell knows: the noise, the control, or a machine on which too much was going on.
        return f"inconclusive: {gate.reason or _worst(result, 'inconclusive', is_long=True)}"
    if gate.verdict == "regressed":
        warned = " (warned)" if any(map(is_warned, result.checks)) else ""
        return f"regressed{warned}: {_slower(result, is_long=True) or gate.reason}"
    passed = "passed (advisory)" if has_caveat(result) else "passed"
    return f"{passed}: {_worst(result, 'passed', 'improved', is_long=True) or gate.reason}"


def regression_text(result: RunResult) -> str:
    """What is slower, by how much, than what; or which variant is gone. Empty where a gate found neither."""
    return _slower(result, is_long=False) or _missing(result)


def _slower(result: RunResult, *, is_long: bool) -> str:
    """The worst cell that is proven slower, or all of them together where no single one is."""
    gate = result.gate
    found = _worst(result, "regressed", is_long=is_long)
    if found or gate is None or gate.verdict != "regressed" or gate.together is None:
        return found
    return f"{TOGETHER} are {slower_text(gate.together)} than {base_text(gate)}{_allowed(gate, is_long=is_long)}"


def _worst(result: RunResult, *outcomes: str, is_long: bool) -> str:
    worst = worst_cell(result, *outcomes)
    if worst is None or worst[1].slowdown is None:
        return ""
    # What is allowed is allowed of medians.
    allowed = _allowed(result.gate, is_long=is_long) if worst[1].percentile == MEDIAN else ""
    return f"{cell_text(*worst)} is {slower_text(worst[1].slowdown)} than {base_text(result.gate)}{allowed}"


def _missing(result: RunResult) -> str:
    gone = [check.variant for check in result.checks if check.outcome == "missing"]
    return f"{', '.join(gone)} of {base_text(result.gate)} {'is' if len(gone) == 1 else 'are'} missing" if gone else ""


def is_told_by_gate(check: Check, result: RunResult) -> bool:
    """Whether the gate's own lines say all that a check says."""
    return result.gate is not None and check.kind == "regression" and check.outcome in GATED


def unprotected_text(gate: Gate) -> str:
    """Why a regression would not have been seen, in two words; empty where it would."""
    return "" if gate.is_protecting else _unprotected(gate)


def _unprotected(gate: Gate) -> str:
    return UNPROTECTED.get(gate.verdict, outcome_text(gate.verdict))


def _allowed(gate: Gate | None, *, is_long: bool) -> str:
    text = allowed_text(gate) if gate else ""
    return f", {text if is_long else text.partition(' (')[0]}" if text else ""


def gate_facts(gate: Gate) -> tuple[tuple[str, str], ...]:
    """What the verdict rests on, by name; what is not known is left out."""
    return tuple(_facts(gate))


def _facts(gate: Gate) -> Iterator[tuple[str, str]]:
    if gate.baseline is not None:
        yield "baseline", _identity(gate.baseline)
    if gate.replicates:
        looks = f"looked at {gate.looks} {'time' if gate.looks == 1 else 'times'}"
        took = "" if gate.seconds is None else f", {gate.seconds:.0f} s"
        yield "processes", f"{gate.replicates}, {looks}{took}"
    if gate.together is not None:
        yield TOGETHER, gate.together.text
    if gate.control is not None:
        yield "control", f"{gate.control.text}, the baseline beside a second copy of itself"
    if gate.disturbance is not None:
        yield "machine", disturbance_text(gate.disturbance)


def _identity(baseline: BaselineIdentity) -> str:
    saved = f"saved {baseline.saved_at.replace('T', ' ')[:16]} UTC" if baseline.saved_at else ""
    dirty = "with uncommitted changes" if baseline.is_dirty else ""
    about = ", ".join(part for part in (baseline.branch, saved, dirty) if part)
    return baseline.text + (f" ({about})" if about else "")


def gate_notes(result: RunResult) -> tuple[str, ...]:
    """What a reader must know of the gate, its baseline and each variant's comparison, and what to do; each said once.

    What to do about a regression is not in it: see `accept_command`.
    """
    gate = result.gate
    told = [*(gate.baseline.notes if gate and gate.baseline else ()), *(gate.notes if gate else ())]
    for variant in result.variants.values():
        told += [f"{variant.name}: {note}" for note in (variant.comparison.notes if variant.comparison else ())]
    undecided = (check for check in result.checks if is_told_by_gate(check, result) and check.outcome in UNDECIDED)
    told += [f"next: {check.next_step}" for check in undecided if check.next_step]
    return tuple(dict.fromkeys(told))


def gate_lines(result: RunResult) -> list[str]:
    """The gate as it stands below a table: the verdict, then what is behind it, each fact on a line."""
    if result.gate is None:
        return []
    lines = [f"gate: {gate_sentence(result)}"]
    lines += [f"  {line}" for line in _cell_lines(result)]
    lines += [f"  {line}" for variant in result.variants.values() for line in _variant_lines(variant)]
    facts = [f"{name} {text}" for name, text in gate_facts(result.gate)]
    lines += [f"  {'; '.join(some)}" for some in (facts[:FACTS_A_LINE], facts[FACTS_A_LINE:]) if some]
    lines += [f"  {note}" for note in gate_notes(result)]
    command = accept_command(result)
    return [*lines, f"accept: {command}"] if command else lines


def _cell_lines(result: RunResult) -> Iterator[str]:
    for outcome in TOLD:
        for variant, cell in cells_of(result):
            if cell.outcome == outcome:
                told = cell_outcome_text(cell, result.gate)
                yield f"{told}: {cell_text(variant.name, cell)}: {_figures(cell)}"


def _figures(cell: CellComparison) -> str:
    slowdown = NOTHING if cell.slowdown is None else cell.slowdown.text
    return f"{slowdown}, {milliseconds_text(cell)}" + (f"; {cell.reason}" if cell.reason else "")


def _variant_lines(variant: VariantResult) -> Iterator[str]:
    found = variant.comparison
    if found is None:
        return
    operators = operators_text(variant)
    if operators:
        yield operators
    changed = [
        f"{name} {text}"
        for name, text, change in (
            ("size", size_change_text(variant), found.size_change),
            (found.metric or "score", score_change_text(variant), found.score_change),
        )
        if text != NOTHING and change != 0
    ]
    if changed:
        yield f"{variant.name}: {'; '.join(changed)}"


def operators_text(variant: VariantResult) -> str:
    """Which operators account for a slow-down, the largest first; empty where nobody looked."""
    found = variant.comparison
    if found is None or not found.operators:
        return ""
    at = f" at batch {found.operators_batch_size}" if found.operators_batch_size else ""
    shares = ", ".join(
        f"{operator_name(operator)} {signed_ms_text(operator.change_ms)} ms"
        + ("" if operator.share is None else f" ({100 * operator.share:.0f} %)")
        for operator in found.operators
    )
    return f"{variant.name}{at}, by operator: {shares}"


def accept_command(result: RunResult) -> str:
    """What to type to make this the new baseline; empty where nothing has become worse."""
    is_worse = any(check.outcome in {"regressed", "missing"} for check in result.checks)
    return ACCEPT if is_worse else ""


def error_bound(report: Report) -> str:
    """How likely a session of several gates is to be red by chance alone; empty for a single test of a single gate."""
    gates = [result for result in report.results if result.gate and result.gate.verdict in JUDGED]
    tests = sum(len({cell.percentile for _, cell in cells_of(result)} | {MEDIAN}) for result in gates)
    if tests < 2:  # noqa: PLR2004 - several
        return ""
    count = f"{len(gates)} gates, each" if len(gates) > 1 else "1 gate,"
    each = f"{ERROR_PERCENT} %{' for each of its percentiles' if tests > len(gates) else ''}"
    most = min(100, ERROR_PERCENT * tests)
    return f"{count} red by chance in at most {each}: at most {most} % for the session"
