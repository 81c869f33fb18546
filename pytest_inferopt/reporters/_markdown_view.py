"""What a Markdown report says, as tables and lines of plain text; whoever draws them escapes it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pytest_inferopt.domain.gate_summary import (
    accept_command,
    error_bound,
    gate_facts,
    gate_notes,
    gate_sentence,
    is_told_by_gate,
)
from pytest_inferopt.domain.headline import headline
from pytest_inferopt.domain.tables import Column, Table, variants_table
from pytest_inferopt.domain.words import check_text, is_calm, latency_note, remarks
from pytest_inferopt.reporters._markdown_chart import base_chart
from pytest_inferopt.reporters._markdown_tables import (
    base_table,
    cells_table,
    checks_table,
    differences_table,
    disagreements_table,
    environment_table,
    latency_table,
    operators_table,
    slices_table,
    stages_table,
    steps_table,
    undone_table,
)

if TYPE_CHECKING:
    from pytest_inferopt.domain.report import GitState, Report
    from pytest_inferopt.domain.result import Check, RunResult

__all__ = ["Beside", "Finding", "Model", "View", "view_of"]

MARKS = {"passed": "✅", "red": "❌", "partial": "⚠️", "empty": "⚠️"}
SHORT_COMMIT = 10


@dataclass(frozen=True)
class Finding:
    """A check in words, and what to do about it; `next_step` may be empty."""

    text: str
    next_step: str


@dataclass(frozen=True)
class Beside:
    """A model beside its baseline.

    Attributes:
        verdict: in one sentence.
        variants: each one beside the baseline's.
        notes: what to know of it.
        accept: what to type to make it the new baseline; empty where nothing has become worse.
    """

    verdict: str
    variants: Table
    notes: tuple[str, ...]
    accept: str


@dataclass(frozen=True)
class Model:
    """One result.

    Attributes:
        figures: the table that everybody reads.
        beside: the gate; None where nothing was asked to be compared.
        chart: the source of a chart beside the baseline; empty where nothing was timed beside one.
        red: what fails the test.
        others: what is only uncertain, and then the budgets that are kept, whose figures no table in sight has.
        remarks: what to know beside the figures.
        details: further tables that have rows, by title.
    """

    name: str
    figures: Table
    beside: Beside | None
    chart: str
    red: tuple[Finding, ...]
    others: tuple[Finding, ...]
    remarks: tuple[str, ...]
    details: dict[str, Table]


@dataclass(frozen=True)
class View:
    """The whole report.

    Attributes:
        mark: the verdict as a sign, which never stands without `headline`.
        basis: machine, commit and time.
        bound: how likely it is to be red by chance; empty where that is not worth a line.
        command: what to type to see it again; empty where it is not known. `commit` is what to check out before.
    """

    mark: str
    headline: str
    basis: str
    bound: str
    incidents: tuple[str, ...]
    models: tuple[Model, ...]
    environment: Table
    command: str
    commit: str

    @property
    def red(self) -> tuple[Model, ...]:
        """The models that something is wrong with."""
        return tuple(model for model in self.models if model.red)


def view_of(report: Report) -> View:
    """What there is to say about a report, in its order."""
    commit = _commit(report.git, SHORT_COMMIT)
    machines = {result.environment.headline for result in report.results} or {report.environment.headline}
    machine = machines.pop() if len(machines) == 1 else f"{len(machines)} machines"
    parts = (machine, f"commit {commit}" if commit else "", _time(report.created_at))
    return View(
        mark=MARKS[report.verdict],
        headline=headline(report),
        basis=" · ".join(part for part in parts if part),
        bound=error_bound(report),
        incidents=report.incidents,
        models=tuple(map(_model, report.results)),
        environment=environment_table(report),
        command=report.command,
        commit=_commit(report.git),
    )


def _model(result: RunResult) -> Model:
    timed = [f"timed: original {result.original.call}; {latency_note(result)}"] if result.original.call else []
    red = [check for check in result.checks if check.is_red]
    told = (check for check in result.checks if not is_told_by_gate(check, result))
    uncertain = [check for check in told if not check.is_red and not is_calm(check)]
    kept = [check for check in result.checks if check.kind == "budget" and check.outcome == "passed"]
    details = {
        "All that was compared with the base": cells_table(result),
        "Operators that account for it": operators_table(result),
        "What the gate rests on": _gate_table(result),
        "The baseline's machine and this one": differences_table(result),
        "All batch sizes": latency_table(result),
        "All checks": checks_table(result),
        "Accuracy by class or target": slices_table(result),
        "Rows that differ most": disagreements_table(result),
        "Steps": steps_table(result),
        "Stages": stages_table(result),
        "Not done or not decided, and why": undone_table(result),
    }
    return Model(
        name=result.name,
        figures=variants_table(result),
        beside=_beside(result),
        chart=base_chart(result),
        red=tuple(map(_finding, sorted(red, key=lambda check: check.kind != "regression"))),
        others=tuple(map(_finding, (*uncertain, *kept))),
        remarks=(*remarks(result), *timed),
        details={title: table for title, table in details.items() if table.rows},
    )


def _beside(result: RunResult) -> Beside | None:
    if result.gate is None:
        return None
    return Beside(gate_sentence(result), base_table(result), gate_notes(result), accept_command(result))


def _gate_table(result: RunResult) -> Table:
    return Table((Column("what"), Column("which")), gate_facts(result.gate) if result.gate else ())


def _finding(check: Check) -> Finding:
    return Finding(check_text(check), check.next_step)


def _commit(git: GitState | None, digits: int | None = None) -> str:
    if git is None:
        return ""
    state = [*([git.branch] if git.branch else []), *(["with uncommitted changes"] if git.is_dirty else [])]
    return git.commit[:digits] + (f" ({', '.join(state)})" if state else "")


def _time(text: str) -> str:
    """An ISO time to the minute, in UTC; what is none is shown as it is."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError):
        return text
