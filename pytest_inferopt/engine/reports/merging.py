"""The reports of several jobs as one: what a matrix measured, in one document from which every report is drawn."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pytest_inferopt.domain.comparison import SHORT_COMMIT
from pytest_inferopt.domain.report import Report
from pytest_inferopt.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_inferopt.domain.environment import Environment
    from pytest_inferopt.domain.report import GitState
    from pytest_inferopt.domain.result import RunResult
    from pytest_inferopt.engine.reports.files import FoundReport

__all__ = ["merge_reports"]


def merge_reports(found: Sequence[FoundReport]) -> Report:
    """Join reports of one commit; a report that was given twice counts once.

    A result that several shards have under one name keeps every one of them, told apart by what differs between their
    machines. Raw samples stay with the shards.

    Args:
        found: at least one, in the order in which the results are to stand.

    Raises:
        UsageError: they are of different commits.
    """
    shards = _without_copies(found)
    reports = [shard.report for shard in shards]
    return Report(
        created_at=max(report.created_at for report in reports),
        command="; ".join(dict.fromkeys(report.command for report in reports if report.command)),
        results=tuple(_told_apart(reports)),
        environment=reports[0].environment,
        git=_git(shards),
        incidents=tuple(incident for report in reports for incident in report.incidents),
        is_partial=any(report.is_partial for report in reports),
    )


def _without_copies(found: Sequence[FoundReport]) -> list[FoundReport]:
    digests = {hashlib.sha256(shard.report.model_dump_json().encode()).digest(): shard for shard in reversed(found)}
    return [shard for shard in found if any(shard is kept for kept in digests.values())]


def _git(shards: Iterable[FoundReport]) -> GitState | None:
    """The one commit of all of them; dirty where one of them was."""
    known = [(shard.where, shard.report.git) for shard in shards if shard.report.git is not None]
    if not known:
        return None
    (where, git), *others = known
    for place, other in others:
        if other.commit != git.commit:
            commits = f"{where} was measured at {git.commit[:SHORT_COMMIT]}, {place} at {other.commit[:SHORT_COMMIT]}"
            raise UsageError(f"the reports are of different commits: {commits}.", "Merge the reports of one run.")
    return git.model_copy(update={"is_dirty": any(found.is_dirty for _, found in known)})


def _told_apart(reports: Sequence[Report]) -> Iterable[RunResult]:
    """All results, without their samples; of those with one name, each with its machine behind the name."""
    results = [(number, result) for number, report in enumerate(reports, start=1) for result in report.results]
    for number, result in results:
        same = [(shard, other) for shard, other in results if _key(other) == _key(result)]
        changes: dict[str, object] = {"samples": None}
        if len({shard for shard, _ in same}) > 1:
            changes["name"] = f"{result.name} ({_label(result, number, same)})"
        yield result.model_copy(update=changes)


def _key(result: RunResult) -> tuple[str, str]:
    return result.test_id, result.name


def _label(result: RunResult, number: int, same: Sequence[tuple[int, RunResult]]) -> str:
    """As few facts of a machine as tell it from the others; the shard's number too where the machines are alike."""
    machines = [_machine(other.environment) for _, other in same]
    telling: list[str] = []
    for what in dict.fromkeys(what for machine in machines for what in machine):
        if _kinds(machines, [*telling, what]) > _kinds(machines, telling):
            telling.append(what)
    own = _machine(result.environment)
    label = [own.get(what, f"no {what}") for what in telling]
    return ", ".join(label if _kinds(machines, telling) == len(machines) else [*label, f"shard {number}"])


def _kinds(machines: Sequence[dict[str, str]], telling: Sequence[str]) -> int:
    """How many of the machines these facts tell from each other."""
    return len({tuple(machine.get(what) for what in telling) for machine in machines})


def _machine(environment: Environment) -> dict[str, str]:
    """What a matrix varies on purpose, and then what it may have got by chance, as it stands in a name."""
    return {
        "Python": f"Python {environment.python}",
        "system": environment.system,
        **{name: f"{name} {version}" for name, version in sorted(environment.libraries.items())},
        "processor": f"{environment.cpu_count}× {environment.cpu_model}",
        "instructions": ", ".join(environment.isa_flags) or "no vector flags",
    }
