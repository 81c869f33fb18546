"""What a pull request's comment says, as tables and lines of plain text; whoever draws them escapes it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_inferopt.domain.gate_summary import error_bound, gate_notes, gate_sentence, operators_text
from pytest_inferopt.domain.gate_words import (
    beside_base,
    has_baseline_figures,
    percent_text,
    regression_of,
)
from pytest_inferopt.domain.headline import proven_slowdown, worst_figure
from pytest_inferopt.domain.tables import Column, Table, figure_columns, marked_verdict
from pytest_inferopt.domain.words import (
    NOTHING,
    PERCENTILES,
    accuracy_text,
    check_text,
    is_warned,
    outcome_text,
    percentiles_text,
    size_text,
    speedup_text,
    variant_label,
)
from pytest_inferopt.reporters._markdown_view import Finding, View, view_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_inferopt.domain.report import Report
    from pytest_inferopt.domain.result import Check, RunResult, VariantResult

__all__ = ["CommentModel", "CommentView", "comment_view"]

NAMED = 5
FEW = 3
CALM = "✅"
SLOWER = "❌ "
MEDIAN = 50


@dataclass(frozen=True)
class CommentModel:
    """One result.

    Attributes:
        mark: its verdict as a sign.
        red: what fails the test, regressions first; `explained` the operators behind them.
        figures: the table that everybody reads, at the first batch size.
        gate: the gate's sentence, where the headline and `red` do not say it already.
        notes: what to know of the gate.
        batches: the median at the other batch sizes.
    """

    name: str
    mark: str
    red: tuple[Finding, ...]
    explained: tuple[str, ...]
    figures: Table
    gate: str
    notes: tuple[str, ...]
    batches: Table


@dataclass(frozen=True)
class CommentView:
    """The whole comment.

    Attributes:
        report: what every Markdown document says of a report.
        worst: the figure that says most, where the headline leaves it out.
        models: those that have a place, what is red first, then what only warns; tables with as many rows as fit.
        left_out: how much has no place, in a sentence; empty where all has.
        legend: how the tables are to be read.
        facts: the machine, or the machines, and the versions.
        accept: what to type to make this the new baseline; empty where nothing has become worse.
        bound: how likely the whole is to be red by chance.
    """

    report: View
    worst: str
    models: tuple[CommentModel, ...]
    left_out: str
    legend: str
    facts: tuple[str, ...]
    accept: str
    bound: str

    @property
    def in_sight(self) -> tuple[CommentModel, ...]:
        """The models that everybody sees: all of a few, else those that somebody should look at."""
        return tuple(model for model in self.models if model not in self.folded)

    @property
    def folded(self) -> tuple[CommentModel, ...]:
        """The models that passed, where there are many."""
        return tuple(model for model in self.models if model.mark == CALM) if len(self.models) > FEW else ()

    @property
    def with_batches(self) -> tuple[CommentModel, ...]:
        """Those that were timed at further batch sizes."""
        return tuple(model for model in self.models if model.batches.rows)

    @property
    def is_slower_elsewhere(self) -> bool:
        """Whether a variant is proven slower at a batch size that the first table does not show."""
        return any(cell.startswith(SLOWER) for model in self.models for row in model.batches.rows for cell in row[1:])


def comment_view(report: Report, max_rows: int) -> CommentView:
    """What there is to say to a reviewer, in at most so many rows of tables."""
    drawn = view_of(report)
    models = [_model(result) for result in sorted(report.results, key=_urgency)]
    shown = _fitting(models, max_rows)
    return CommentView(
        report=drawn,
        worst=worst_figure(report),
        models=shown,
        left_out=_left_out(models, shown),
        legend=". ".join(_legend(report.results)),
        facts=tuple(_facts(drawn.environment)),
        accept=next((model.beside.accept for model in drawn.models if model.beside and model.beside.accept), ""),
        bound=error_bound(report),
    )


def _urgency(result: RunResult) -> tuple[int, float]:
    """What is slower comes first, by how much; then what else is red, what only warns, and what is undecided."""
    red = {check.kind for check in result.checks if check.is_red}
    if red:
        return (0, -proven_slowdown(result)) if "regression" in red else (1, 0.0)
    if any(map(is_warned, result.checks)):
        return 2, -proven_slowdown(result)
    return (3 if _is_undecided(result) else 4), 0.0


def _is_undecided(result: RunResult) -> bool:
    return result.gate is not None and result.gate.verdict == "inconclusive"


def _mark(result: RunResult) -> str:
    if not result.passed:
        return "❌"
    return "⚠️" if any(map(is_warned, result.checks)) or _is_undecided(result) else CALM


def _model(result: RunResult) -> CommentModel:
    slower = [model for model in _ordered(result) if (check := regression_of(model)) and check.outcome == "regressed"]
    is_told = result.gate is None or result.gate.verdict == "regressed"
    return CommentModel(
        name=result.name,
        mark=_mark(result),
        red=tuple(_findings(result)),
        explained=tuple(filter(None, map(operators_text, slower))),
        figures=_figures(result),
        gate="" if is_told else f"Gate: {gate_sentence(result)}",
        notes=gate_notes(result),
        batches=_batches(result),
    )


def _findings(result: RunResult) -> Iterator[Finding]:
    """What is red, regressions first; what was found of several variants alike is told once."""
    alike: dict[tuple[str, ...], list[Check]] = {}
    for check in sorted(filter(_is_red, result.checks), key=lambda check: check.kind != "regression"):
        alike.setdefault((check.kind, check.subject, check.outcome, check.reason, check.next_step), []).append(check)
    for first, *others in alike.values():
        names = ", ".join([first.variant, *(check.variant for check in others)])
        named = first.model_copy(update={"variant": names})
        if first.kind == "regression":
            text = f"{names}: {outcome_text(first.outcome)}" + (f": {first.reason}" if first.reason else "")
        else:
            text = check_text(named)
        yield Finding(text, first.next_step)


def _is_red(check: Check) -> bool:
    return check.is_red


def _ordered(result: RunResult) -> list[VariantResult]:
    """The variants, those that something is wrong with first."""
    return sorted(result.variants.values(), key=lambda model: (not model.is_red, not any(map(is_warned, model.checks))))


def _figures(result: RunResult) -> Table:
    first = result.request.batch_sizes[0]
    metric = result.original.accuracy.metric if result.original.accuracy else "accuracy"
    columns = (
        Column("variant"),
        Column("verdict"),
        *figure_columns("size", f"{metric} (ratio)", f"batch {first} p50 ms", "p95 ms", "p99 ms", "speed-up"),
    )
    return Table(columns, tuple(_row(model, result, first) for model in (result.original, *_ordered(result))))


def _row(model: VariantResult, result: RunResult, first: int) -> tuple[str, ...]:
    speedup = speedup_text(model.speedup.get(first))
    return (
        variant_label(model),
        marked_verdict(model, result),
        _size(model),
        accuracy_text(model),
        *(_latency(model, result, first, name) for name in PERCENTILES),
        speedup + "~" if result.request.quick and speedup != NOTHING else speedup,
    )


def _size(model: VariantResult) -> str:
    """``9.8 MB (+4.0 %, was 9.4 MB)``; the size alone where it is the base's."""
    here, found = size_text(model.size_bytes), model.comparison
    if found is None or not found.size_change:
        return here
    return f"{here} ({percent_text(found.size_change)}, was {size_text(found.base_size_bytes)})"


def _latency(model: VariantResult, result: RunResult, batch_size: int, name: str) -> str:
    """Beside the base's, both over the gate's processes; without a base, as it was timed beside the other variants."""
    found = beside_base(model, batch_size, int(name[1:]))
    if found is None:
        return percentiles_text(model, batch_size, result, (name,))
    return f"{SLOWER}{found.text}" if found.is_regressed else found.text


def _batches(result: RunResult) -> Table:
    """The median of each variant at all batch sizes but the first, beside the base's."""
    sizes = result.request.batch_sizes[1:]
    columns = (Column("variant"), *figure_columns(*(f"batch {size} p50 ms" for size in sizes)))
    rows = (
        (variant_label(model), *(_latency(model, result, size, "p50") for size in sizes))
        for model in (result.original, *_ordered(result))
    )
    return Table(columns, tuple(row for row in rows if set(row[1:]) - {NOTHING}))


def _legend(results: Sequence[RunResult]) -> Iterator[str]:
    compared = [result for result in results if has_baseline_figures(result)]
    if any(result.request.judged_percentiles == (MEDIAN,) for result in compared):
        yield "Of what was timed beside the base, p50 is judged; p95 and p99 are for the reader"
    if any(result.request.quick for result in results):
        yield "A quick run's latencies are advisory (~)"


def _fitting(models: Sequence[CommentModel], max_rows: int) -> tuple[CommentModel, ...]:
    """As many models, and then rows of further batch sizes, as there is room for."""
    room = max_rows
    shown: list[CommentModel] = []
    for model in models:
        count = len(model.figures.rows)
        if count > room and shown:
            break
        shown.append(replace(model, figures=_first_rows(model.figures, room)))
        room -= min(count, room)
    for at, model in enumerate(shown):
        shown[at] = replace(model, batches=_first_rows(model.batches, room))
        room -= len(shown[at].batches.rows)
    return tuple(shown)


def _first_rows(table: Table, count: int) -> Table:
    return replace(table, rows=table.rows[:count])


def _left_out(models: Sequence[CommentModel], shown: Sequence[CommentModel]) -> str:
    names = [model.name for model in models[len(shown) :]]
    rows = _count(models[: len(shown)]) - _count(shown)
    parts = []
    if names:
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        parts.append(f"{len(names)} of {len(models)} models: {', '.join(names[:NAMED])}{more}")
    if rows:
        parts.append(f"{rows} row{'' if rows == 1 else 's'} of the models above")
    return f"Left out here: {'; '.join(parts)}." if parts else ""


def _count(models: Sequence[CommentModel]) -> int:
    return sum(len(model.figures.rows) + len(model.batches.rows) for model in models)


def _facts(environment: Table) -> Iterator[str]:
    """A line a fact, with each machine's where they differ."""
    for what, *values in environment.rows:
        yield f"{what}: {' · '.join(dict.fromkeys(values))}"
