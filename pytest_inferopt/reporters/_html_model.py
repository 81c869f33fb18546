"""One model's part of the page."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_inferopt.domain.gate_summary import is_told_by_gate
from pytest_inferopt.domain.words import is_calm, is_warned, ms_text, outcome_text, size_text, speedup_text
from pytest_inferopt.reporters._arms import arms_of
from pytest_inferopt.reporters._chart_data import datasets_of
from pytest_inferopt.reporters._charts import charts_of
from pytest_inferopt.reporters._html_gate import GateSection, gate_section
from pytest_inferopt.reporters._html_parts import Fact, Mark, Table, interval_text, mark_of_check, mark_of_outcome, text
from pytest_inferopt.reporters._html_tables import (
    checks_table,
    disagreements_table,
    latency_table,
    slices_table,
    steps_table,
    variants_table,
)

if TYPE_CHECKING:
    from pytest_inferopt.domain.result import Check, RunResult, VariantResult
    from pytest_inferopt.reporters._arms import Arm
    from pytest_inferopt.reporters._chart_data import Rows
    from pytest_inferopt.reporters._charts import Chart

__all__ = ["Finding", "Model", "mark_of_model", "model_of", "shown_variant"]


@dataclass(frozen=True)
class Finding:
    """A check that is not plain passed: what it says, and what to do about it."""

    mark: Mark
    what: str
    reason: str
    next_step: str


@dataclass(frozen=True)
class Model:
    """What the template draws of one result.

    Attributes:
        anchor: its place in the page.
        mark: its verdict.
        batch_size: the one that the table of variants shows.
        lead: which variant the `facts` are of.
        findings: what needs attention, red first.
        gate: the model beside its baseline; None where nothing was asked to be compared.
        notes: what a reader must know.
        datasets: what the `charts` draw.
        request: what was asked for.
        environment: where it was measured; empty where that is the session's machine.
    """

    anchor: str
    name: str
    test_id: str
    mark: Mark
    batch_size: int
    lead: str
    facts: tuple[Fact, ...]
    findings: tuple[Finding, ...]
    gate: GateSection | None
    notes: tuple[str, ...]
    variants: Table
    arms: tuple[Arm, ...]
    charts: tuple[Chart, ...]
    datasets: dict[str, Rows]
    latency: Table
    slices: Table
    disagreements: Table
    steps: Table
    checks: Table
    request: tuple[Fact, ...]
    environment: tuple[Fact, ...]


def model_of(result: RunResult, position: int, environment: tuple[Fact, ...]) -> Model:
    """Gather what the page says about a result.

    Args:
        result: the result.
        position: its number in the page, from 1.
        environment: where it was measured, if it has to be said.
    """
    arms = arms_of(result)
    data = datasets_of(result, arms)
    variant = shown_variant(result)
    return Model(
        anchor=f"model-{position}",
        name=text(result.name),
        test_id=text(result.test_id) if result.test_id else "",
        mark=mark_of_model(result),
        batch_size=result.request.batch_sizes[0],
        lead=_lead(result, variant),
        facts=() if variant is None else _facts(variant, result),
        findings=_findings(result),
        gate=gate_section(result, arms),
        notes=_notes(result, arms),
        variants=variants_table(result, arms),
        arms=arms,
        charts=charts_of(result, arms, data),
        datasets=data,
        latency=latency_table(result, arms),
        slices=slices_table(arms),
        disagreements=disagreements_table(arms),
        steps=steps_table(arms),
        checks=checks_table(result),
        request=_request(result),
        environment=environment,
    )


def mark_of_model(result: RunResult) -> Mark:
    """Passed; or what is red, in a word; or not plain passed."""
    red = [check for check in result.checks if check.is_red]
    if red:
        return Mark(mark_of_outcome(red[0].outcome).icon, "bad", outcome_text(red[0].outcome))
    if any(map(is_warned, result.checks)):
        return Mark("alert", "warn", "warned")
    return Mark("check", "good", "passed")


def shown_variant(result: RunResult) -> VariantResult | None:
    """The best variant, else the first one that was asked for, as `RunResult.optimized`."""
    return result.optimized if result.variants else None


def _lead(result: RunResult, variant: VariantResult | None) -> str:
    if variant is None:
        return "No variant was made."
    if result.best is None:
        return f"No variant passed. These are the figures of {text(variant.name, 80)}."
    return f"{'Best variant' if len(result.variants) > 1 else 'Variant'}: {text(variant.name, 80)}"


def _facts(variant: VariantResult, result: RunResult) -> tuple[Fact, ...]:
    first = result.request.batch_sizes[0]
    facts = []
    speedup = variant.speedup.get(first)
    if speedup is not None and speedup.estimate is not None:
        interval = interval_text(speedup.interval, ".1f" if speedup.estimate >= 1 else ".2f")
        detail = f"at batch {first}, 95 % interval {interval}" if interval else f"at batch {first}"
        facts.append(Fact("Speed-up", speedup_text(speedup, with_interval=False), detail))
    latency, before = variant.latency.get(first), result.original.latency.get(first)
    if latency is not None and latency.p95_ms is not None:
        detail = f"original {ms_text(before.p95_ms)} ms" if before is not None else ""
        facts.append(Fact(f"p95 at batch {first}", f"{ms_text(latency.p95_ms)} ms", detail))
    if variant.size_bytes is not None:
        facts.append(Fact("Size", size_text(variant.size_bytes), f"original {size_text(result.original.size_bytes)}"))
    found = variant.accuracy
    if found is not None and found.score is not None:
        ratio = "" if found.ratio is None else f"ratio {found.ratio:.4f} {interval_text(found.interval, '.3f')}"
        least = f"at least {result.request.accuracy_threshold:g}" if ratio else ""
        facts.append(
            Fact(text(found.metric, 40), f"{found.score:.4f}", ", ".join(filter(None, (ratio.strip(), least))))
        )
    return tuple(facts)


def _findings(result: RunResult) -> tuple[Finding, ...]:
    loud = [check for check in result.checks if _is_loud(check, result)]
    loud.sort(key=lambda check: (not check.is_red, check.kind != "regression"))
    return tuple(_finding(check) for check in loud)


def _is_loud(check: Check, result: RunResult) -> bool:
    """What is green and told by the gate stands in its own part of the page."""
    if is_told_by_gate(check, result):
        return check.is_red or is_warned(check)
    return not is_calm(check)


def _finding(check: Check) -> Finding:
    what = f"{check.variant}: {check.kind} {check.subject}".strip()
    return Finding(mark_of_check(check), text(what, 200), text(check.reason), text(check.next_step))


def _notes(result: RunResult, arms: tuple[Arm, ...]) -> tuple[str, ...]:
    """What holds for the run, then what holds for variants, said once for all that share it."""
    told: dict[str, list[str]] = {}
    for arm in arms:
        accuracy_notes = arm.variant.accuracy.notes if arm.variant.accuracy else ()
        call = (f"a timed call is {arm.variant.call}",) if arm.variant.call else ()
        for note in (*call, *accuracy_notes):
            told.setdefault(note, []).append(arm.label)
    quick = ["Quick run: every latency figure is advisory (~)."] if result.request.quick else []
    tried = [f"Attempt {result.attempt} of the test."] if result.attempt > 1 else []
    about = [f"{', '.join(labels)}: {note}" for note, labels in told.items()]
    return tuple(text(note) for note in (*quick, *tried, *result.notes, *about))


def _request(result: RunResult) -> tuple[Fact, ...]:
    """What was asked for, in the names of the options; what is not set is left out."""
    asked = result.request.model_dump(mode="json")
    shown = {name: value for name, value in asked.items() if value not in (None, [], {}, "")}
    return tuple(
        Fact(text(name, 80), text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)))
        for name, value in shown.items()
    )
