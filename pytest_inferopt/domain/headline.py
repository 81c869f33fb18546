"""A session's verdict in one sentence: what is red with its worst figure first, and what nobody protects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_inferopt.domain.gate_summary import regression_text, unprotected_text
from pytest_inferopt.domain.gate_words import base_text, cell_text, has_caveat, slower_text, worst_cell
from pytest_inferopt.domain.words import check_text, is_warned

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_inferopt.domain.report import Report
    from pytest_inferopt.domain.result import RunResult

__all__ = ["headline", "proven_slowdown", "worst_figure"]


def headline(report: Report) -> str:
    """A report's verdict in one sentence, and in more what is missing in it."""
    results, lost = report.results, len(report.incidents)
    ended = f" {lost} test{'s' if lost > 1 else ''} left no result." if lost else ""
    ended += " The session was ended before it was done." if report.is_partial else ""
    if not results:
        return f"Nothing was measured.{ended}"
    return f"{'; '.join(_parts(results))}.{ended}"


def worst_figure(report: Report) -> str:
    """In a sentence, the figure that a headline leaves out: why it is red, else what came nearest to it.

    That is the first red check where no gate is red; else the largest slow-down beside a baseline; else the lowest
    accuracy ratio. Empty where the headline has it, and where nothing was measured.
    """
    red = [result for result in report.results if not result.passed]
    if any(map(regression_text, red or report.results)):
        return ""
    if red:
        return next(check_text(check) for check in red[0].checks if check.is_red)
    changes = [
        (estimate, f"{result.name}: {cell_text(*worst)} is {slower_text(slowdown)} than {base_text(result.gate)}")
        for result in report.results
        if (worst := worst_cell(result, "passed", "improved", "inconclusive")) is not None
        and (slowdown := worst[1].slowdown) is not None
        and (estimate := slowdown.estimate) is not None
    ]
    if changes:
        return f"Largest change: {max(changes)[1]}."
    ratios = [
        (variant.accuracy.ratio, f"{result.name}: {variant.name} {variant.accuracy.ratio:.4f}")
        for result in report.results
        for variant in result.variants.values()
        if variant.accuracy is not None and variant.accuracy.ratio is not None
    ]
    return f"Lowest accuracy ratio: {min(ratios)[1]}." if ratios else ""


def _parts(results: tuple[RunResult, ...]) -> Iterator[str]:
    count = f"{len(results)} model{'s' if len(results) > 1 else ''}"
    red = [result for result in results if not result.passed]
    if red:
        yield f"{len(red)} of {count} {'is' if len(red) == 1 else 'are'} red: {_worst_first(red)}"
    else:
        yield f"{count} passed"
    green = [result for result in results if result.passed]
    warned = [result for result in green if any(map(is_warned, result.checks))]
    if warned:
        yield f"warned: {_worst_first(warned)}"
    unsure = [result.name for result in green if result.gate and result.gate.verdict == "inconclusive"]
    if unsure:
        yield f"inconclusive: {', '.join(unsure)}"
    weak = [result.name for result in green if result.gate and result.gate.verdict == "passed" and has_caveat(result)]
    if weak:
        yield f"passed with a caveat: {', '.join(weak)}"
    yield from _unprotected(results)


def _worst_first(results: Iterable[RunResult]) -> str:
    """The names, with what is worst about the first of them; those that a gate found come before all others."""
    (text, first), *rest = sorted(
        ((regression_text(result), result) for result in results),
        key=lambda found: (not found[0], -proven_slowdown(found[1])),
    )
    names = [result.name for _, result in rest]
    if not text:
        return ", ".join([first.name, *names])
    return f"{first.name}: {text}" + (f"; and {', '.join(names)}" if names else "")


def proven_slowdown(result: RunResult) -> float:
    """The figure that a gate is red for, relative to the baseline; 0 where it is for none."""
    worst = worst_cell(result, "regressed")
    slowdown = worst[1].slowdown if worst else result.gate.together if result.gate else None
    return (slowdown.estimate or 0.0) if slowdown else 0.0


def _unprotected(results: tuple[RunResult, ...]) -> Iterator[str]:
    """Whose regression would not have been seen, and why; no names where it is so for all of them."""
    names: dict[str, list[str]] = {}
    for result in results:
        why = unprotected_text(result.gate) if result.gate else ""
        if why:
            names.setdefault(why, []).append(result.name)
    for why, found in names.items():
        if len(found) == len(results):
            yield f"not protected: {why}"
        else:
            yield f"{', '.join(found)} {'is' if len(found) == 1 else 'are'} not protected: {why}"
