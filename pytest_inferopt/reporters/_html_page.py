"""The page as a whole: its verdict, the overview, the machine, and how to do it again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_inferopt.domain.gate_summary import error_bound
from pytest_inferopt.domain.headline import headline
from pytest_inferopt.domain.words import NOTHING, ms_text, size_text, speedup_text
from pytest_inferopt.reporters._html_gate import mark_of_gate
from pytest_inferopt.reporters._html_model import Model, mark_of_model, model_of, shown_variant
from pytest_inferopt.reporters._html_parts import (
    Cell,
    Column,
    Fact,
    Mark,
    Row,
    Table,
    interval_text,
    mark_cell,
    number,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_inferopt.domain.environment import Environment
    from pytest_inferopt.domain.report import Report
    from pytest_inferopt.domain.result import RunResult

__all__ = ["Page", "page_of"]

COMMAND_LIMIT = 4000
VERDICTS = {
    "passed": Mark("check", "good", "Passed"),
    "red": Mark("cross", "bad", "Not passed"),
    "partial": Mark("alert", "warn", "Incomplete"),
    "empty": Mark("question", "warn", "Nothing measured"),
}


@dataclass(frozen=True)
class Page:
    """What the template draws.

    Attributes:
        mark: the verdict; `headline` says it in a sentence.
        facts: the run in a line.
        incidents: what went wrong around the results.
        overview: all models, where there are several.
        environment: the session's machine; `libraries` what is installed there.
        commands: how to do it again, in order.
        git_note: what these commands do not bring back.
    """

    mark: Mark
    headline: str
    facts: tuple[Fact, ...]
    incidents: tuple[str, ...]
    overview: Table
    models: tuple[Model, ...]
    environment: tuple[Fact, ...]
    libraries: tuple[Fact, ...]
    commands: tuple[str, ...]
    git_note: str
    tool_version: str
    created_at: str


def page_of(report: Report) -> Page:
    """Gather what the page says about a session."""
    git = report.git
    commands = [f"git checkout {text(git.commit)}"] if git else []
    commands += [text(report.command, COMMAND_LIMIT)] if report.command else []
    return Page(
        mark=VERDICTS[report.verdict],
        headline=text(headline(report), 600),
        facts=tuple(_facts(report)),
        incidents=tuple(text(incident) for incident in report.incidents),
        overview=_overview(report),
        models=tuple(
            model_of(result, position, _environment_of(result, report))
            for position, result in enumerate(report.results, start=1)
        ),
        environment=_machine(report.environment),
        libraries=tuple(Fact(text(name), text(version)) for name, version in report.environment.libraries.items()),
        commands=tuple(commands),
        git_note="The commit had changes on top of it that were not committed." if git and git.is_dirty else "",
        tool_version=text(report.tool_version),
        created_at=text(report.created_at),
    )


def _facts(report: Report) -> Iterator[Fact]:
    checks = [check for result in report.results for check in result.checks]
    red = sum(check.is_red for check in checks)
    if report.results:
        passed = sum(result.passed for result in report.results)
        yield Fact("Models", f"{passed} of {len(report.results)} passed", tone="" if passed else "bad")
    if checks:
        yield Fact("Checks", f"{len(checks)}, {red} red" if red else f"{len(checks)}, none red")
    bound = error_bound(report)
    if bound:
        yield Fact("Gates", bound)
    yield Fact("Machine", text(report.environment.headline))
    if report.git:
        branch = f"{report.git.branch} at " if report.git.branch else ""
        dirty = " with uncommitted changes" if report.git.is_dirty else ""
        yield Fact("Commit", text(f"{branch}{report.git.commit[:10]}{dirty}", 120))
    yield Fact("Measured", text(report.created_at.replace("T", " ").replace("+00:00", " UTC")))


def _overview(report: Report) -> Table:
    titles = ("Speed-up", "p50 ms", "p95 ms", "Size", "Accuracy ratio", "Checks")
    is_gated = any(result.gate for result in report.results)
    columns = (
        Column("Model"),
        Column("Verdict"),
        *((Column("Gate"),) if is_gated else ()),
        Column("Variant"),
        *(Column(title, is_figure=True) for title in titles),
    )
    several = report.results if len(report.results) > 1 else ()
    rows = (_overview_row(result, position, is_gated=is_gated) for position, result in enumerate(several, start=1))
    return Table("All models, each with its best variant and, below it, what the original was", columns, tuple(rows))


def _overview_row(result: RunResult, position: int, *, is_gated: bool) -> Row:
    first = result.request.batch_sizes[0]
    mark = mark_of_model(result)
    name = Cell(text(result.name), href=f"#model-{position}")
    verdicts = (mark_cell(mark), *((mark_cell(mark_of_gate(result)),) if is_gated else ()))
    red = sum(check.is_red for check in result.checks)
    checks = number(red, f"{red} red" if red else "none red", f"of {len(result.checks)}")
    variant = shown_variant(result)
    if variant is None:
        return Row((name, *verdicts, Cell(), *[number(None, NOTHING)] * 5, checks), tone=mark.tone)
    found, speedup = variant.accuracy, variant.speedup.get(first)
    ratio = None if found is None else found.ratio
    estimate = None if speedup is None else speedup.estimate
    interval = "" if speedup is None else interval_text(speedup.interval, ".1f" if (estimate or 0) >= 1 else ".2f")
    return Row(
        (
            name,
            *verdicts,
            Cell(text(variant.name, 80), f"batch {first}"),
            number(estimate, speedup_text(speedup, with_interval=False), interval),
            _before_after(result, "p50_ms"),
            _before_after(result, "p95_ms"),
            _sizes(result),
            number(
                ratio,
                NOTHING if ratio is None else f"{ratio:.4f}",
                interval_text(found.interval if found else None, ".3f"),
            ),
            checks,
        ),
        tone=mark.tone,
    )


def _before_after(result: RunResult, field: str) -> Cell:
    first = result.request.batch_sizes[0]
    before, after = result.original.latency.get(first), result.optimized.latency.get(first)
    milliseconds = None if after is None else getattr(after, field)
    return number(milliseconds, ms_text(milliseconds), f"was {ms_text(getattr(before, field))}" if before else "")


def _sizes(result: RunResult) -> Cell:
    after = result.optimized.size_bytes
    return number(after, size_text(after), f"was {size_text(result.original.size_bytes)}")


def _machine(environment: Environment) -> tuple[Fact, ...]:
    return (
        Fact("Processor", text(environment.cpu_model)),
        Fact("Logical processors", str(environment.cpu_count)),
        Fact("Instruction sets", text(", ".join(environment.isa_flags)) or "none that matter to inference"),
        Fact("System", text(environment.system)),
        Fact("Python", text(environment.python)),
    )


def _environment_of(result: RunResult, report: Report) -> tuple[Fact, ...]:
    """Where a result was taken, if that is another machine than the session's; and how fast it was then."""
    machine = () if result.environment == report.environment else _machine(result.environment)
    probe = (
        (Fact("Probe", f"{ms_text(result.probe_ms)} ms", "for a fixed piece of work, beside the measurements"),)
        if result.probe_ms is not None
        else ()
    )
    stages = tuple(Fact(f"Stage {text(name, 60)}", f"{seconds:.2f} s") for name, seconds in result.seconds.items())
    return (*machine, *probe, *stages)
