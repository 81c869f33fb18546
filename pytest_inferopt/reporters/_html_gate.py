"""A model beside its baseline, as the page shows it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_inferopt.domain.gate_summary import accept_command, gate_facts, gate_notes, gate_sentence
from pytest_inferopt.domain.gate_words import (
    cell_outcome_text,
    cell_text,
    change_text,
    environment_differences,
    has_caveat,
    operator_name,
    percent_text,
    regression_of,
    signed_ms_text,
    telling_cell,
    vs_base_text,
    worst_cell,
)
from pytest_inferopt.domain.words import NOTHING, is_warned, ms_text, size_text
from pytest_inferopt.reporters._html_parts import (
    Cell,
    Column,
    Fact,
    Mark,
    Row,
    Table,
    arm_cell,
    mark_cell,
    mark_of_check,
    mark_of_outcome,
    number,
    plain,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_inferopt.domain.comparison import CellComparison, Gate, SlowdownEstimate
    from pytest_inferopt.domain.result import RunResult, VariantResult
    from pytest_inferopt.reporters._arms import Arm

__all__ = ["GateSection", "gate_section", "mark_of_gate", "vs_base_cell"]

PERCENT = 100
SHOWN_FACTS = ("baseline", "machine")  # the others are among the figures
OUTCOMES = ("regressed", "inconclusive", "passed", "improved")


@dataclass(frozen=True)
class GateSection:
    """What the page says about a gate.

    Attributes:
        mark: its verdict, and `sentence` the figure that it rests on.
        figures: the slow-down, what is allowed, and how often it was looked at.
        facts: the baseline and the machine.
        variants: each one beside the baseline's, in the cell that decided.
        cells: all that was compared.
        operators: what accounts for it.
        differences: between the baseline's machine and this one.
        notes: what a reader must know.
        accept: what to type to make it the new baseline; empty where nothing has become worse.
    """

    mark: Mark
    sentence: str
    figures: tuple[Fact, ...]
    facts: tuple[Fact, ...]
    variants: Table
    cells: Table
    operators: Table
    differences: Table
    notes: tuple[str, ...]
    accept: str


def gate_section(result: RunResult, arms: tuple[Arm, ...]) -> GateSection | None:
    """Gather it; None where nothing was asked to be compared."""
    gate = result.gate
    if gate is None:
        return None
    mark = mark_of_gate(result)
    return GateSection(
        mark=mark,
        sentence=text(gate_sentence(result).removeprefix(mark.word).lstrip(":, ")),
        figures=tuple(_figures(result, gate)),
        facts=tuple(Fact(name.capitalize(), text(value)) for name, value in gate_facts(gate) if name in SHOWN_FACTS),
        variants=_variants_table(result, arms),
        cells=_cells_table(arms, result.gate),
        operators=_operators_table(arms),
        differences=_differences_table(result),
        notes=tuple(map(text, gate_notes(result))),
        accept=accept_command(result),
    )


def mark_of_gate(result: RunResult) -> Mark:
    """The verdict of a model's gate; a dash where there is none."""
    if result.gate is None:
        return Mark("dot", "calm", NOTHING)
    if any(map(is_warned, result.checks)):
        return Mark("alert", "warn", f"{result.gate.verdict} (warned)")
    if result.gate.verdict == "passed" and has_caveat(result):
        return Mark("alert", "warn", "passed (advisory)")
    return mark_of_outcome(result.gate.verdict)


def _figures(result: RunResult, gate: Gate) -> Iterator[Fact]:
    """The figures in large; each cell's are in the tables."""
    worst = next(filter(None, (worst_cell(result, outcome) for outcome in OUTCOMES)), None)
    if worst is not None:
        yield _slowdown_fact("Slow-down", worst[1].slowdown, text(cell_text(*worst), 80))
    if gate.together is not None:
        yield _slowdown_fact("All batch sizes together", gate.together, "")
    if gate.allowed is not None:
        caught = "" if gate.caught is None else f"{PERCENT * gate.caught:.3g} % is surely caught"
        yield Fact("Allowed", f"{PERCENT * gate.allowed:.3g} %", caught)
    if gate.control is not None:
        tone = "warn" if gate.is_contaminated else ""
        yield _slowdown_fact("Control", gate.control, "a second copy of the baseline", tone=tone)
    if gate.replicates:
        seconds = "" if gate.seconds is None else f", {gate.seconds:.0f} s"
        yield Fact("Processes", str(gate.replicates), f"looked at {gate.looks}×{seconds}")


def _slowdown_fact(name: str, found: SlowdownEstimate | None, detail: str, *, tone: str = "") -> Fact:
    limits = _limits(found)
    return Fact(name, change_text(found, with_interval=False), " ".join(filter(None, (detail, limits))), tone)


def _limits(found: SlowdownEstimate | None) -> str:
    low, high = (None, None) if found is None else (found.interval.low, found.interval.high)
    return "" if low is None or high is None else f"[{PERCENT * low:+z.1f}, {PERCENT * high:+z.1f}]"


def _slowdown_cell(found: SlowdownEstimate | None, weak: str = "") -> Cell:
    estimate = None if found is None else found.estimate
    return number(estimate, change_text(found, with_interval=False) + weak, _limits(found))


def vs_base_cell(variant: VariantResult, batch_size: int) -> Cell:
    """The slow-down of the median at a batch size, or why there is none."""
    cell = variant.comparison.cell(batch_size) if variant.comparison else None
    if cell is None or cell.slowdown is None or cell.slowdown.estimate is None:
        return number(None, text(vs_base_text(variant, batch_size), 40))
    return _slowdown_cell(cell.slowdown, "~" if cell.outcome == "advisory" else "")


def _variants_table(result: RunResult, arms: tuple[Arm, ...]) -> Table:
    first = result.request.batch_sizes[0]
    metric = text(result.original.accuracy.metric, limit=40) if result.original.accuracy else "accuracy"
    columns = (
        Column("Variant"),
        Column("Against the baseline"),
        Column("Batch size", is_figure=True),
        *(Column(title, is_figure=True) for title in ("Base ms", "Here ms", "Slow-down", "Size", metric)),
    )
    rows = (_variant_row(arm, first) for arm in arms if regression_of(arm.variant) is not None)
    return Table("Each variant beside its baseline, in the cell that decided", columns, tuple(rows))


def _variant_row(arm: Arm, batch_size: int) -> Row:
    variant = arm.variant
    check, cell = regression_of(variant), telling_cell(variant, batch_size)
    mark = mark_of_check(check) if check else Mark("dot", "calm", NOTHING)
    where = number(None, NOTHING) if cell is None else number(None, str(cell.batch_size), f"p{cell.percentile}")
    slowdown = vs_base_cell(variant, batch_size) if cell is None else _slowdown_cell(cell.slowdown)
    return Row(
        (arm_cell(arm), mark_cell(mark), where, *_times(cell), slowdown, _size(variant), _score(variant)),
        tone=mark.tone,
    )


def _times(cell: CellComparison | None) -> tuple[Cell, Cell]:
    base, here = (None, None) if cell is None else (cell.base_ms, cell.head_ms)
    return number(base, ms_text(base)), number(here, ms_text(here))


def _size(variant: VariantResult) -> Cell:
    found = variant.comparison
    before = None if found is None else found.base_size_bytes
    change = None if found is None else found.size_change
    detail = "" if before is None else f"was {size_text(before)}, {percent_text(change)}"
    return number(variant.size_bytes, size_text(variant.size_bytes), detail)


def _score(variant: VariantResult) -> Cell:
    score = variant.accuracy.score if variant.accuracy else None
    found = variant.comparison
    shown = NOTHING if score is None else f"{score:.4f}"
    if found is None or found.base_score is None:
        return number(score, shown)
    change = "not comparable" if found.score_change is None else f"{found.score_change:+z.4f}"
    return number(score, shown, f"was {found.base_score:.4f}, {change}")


def _cells_table(arms: tuple[Arm, ...], gate: Gate | None) -> Table:
    columns = (
        Column("Variant"),
        Column("Batch size", is_figure=True),
        Column("Percentile"),
        Column("Outcome"),
        *(Column(title, is_figure=True) for title in ("Base ms", "Here ms", "Slow-down", "Would be seen")),
        *(Column(title, is_figure=True) for title in ("Processes", "Calls")),
    )
    rows = (
        _cell_row(arm, cell, gate)
        for arm in arms
        for cell in (arm.variant.comparison.cells if arm.variant.comparison else ())
    )
    return Table("All that was compared with the baseline", columns, tuple(rows))


def _cell_row(arm: Arm, cell: CellComparison, gate: Gate | None) -> Row:
    mark, found = mark_of_outcome(cell.outcome), cell.slowdown
    mark = replace(mark, word=cell_outcome_text(cell, gate))
    detectable = None if found is None else found.detectable
    replicates = None if found is None else found.replicates
    return Row(
        (
            arm_cell(arm),
            number(cell.batch_size, str(cell.batch_size)),
            Cell(f"p{cell.percentile}"),
            Cell(mark.word, text(cell.reason), mark=mark),
            *_times(cell),
            _slowdown_cell(found),
            number(detectable, NOTHING if detectable is None else f"{PERCENT * detectable:.1f} %"),
            number(replicates, NOTHING if replicates is None else str(replicates)),
            number(cell.calls, NOTHING if cell.calls is None else f"{cell.calls:,}"),
        ),
        tone=mark.tone,
    )


def _operators_table(arms: tuple[Arm, ...]) -> Table:
    columns = (
        Column("Variant"),
        Column("Batch size", is_figure=True),
        Column("Operator"),
        *(Column(title, is_figure=True) for title in ("Base ms", "Here ms", "Change ms", "Share")),
    )
    rows = (
        Row(
            (
                arm_cell(arm),
                number(found.operators_batch_size, str(found.operators_batch_size or NOTHING)),
                plain(operator_name(operator)),
                number(operator.base_ms, ms_text(operator.base_ms)),
                number(operator.head_ms, ms_text(operator.head_ms)),
                number(operator.change_ms, signed_ms_text(operator.change_ms)),
                number(operator.share, NOTHING if operator.share is None else f"{PERCENT * operator.share:.0f} %"),
            )
        )
        for arm in arms
        if (found := arm.variant.comparison) is not None
        for operator in found.operators
    )
    return Table("Operators that account for it", columns, tuple(rows))


def _differences_table(result: RunResult) -> Table:
    columns = (Column("What"), Column("Baseline"), Column("Here"))
    found = environment_differences(result.gate, result.environment)
    rows = (Row(tuple(map(plain, difference))) for difference in found)
    return Table("The baseline's machine and this one, where they differ", columns, tuple(rows), is_sortable=False)
