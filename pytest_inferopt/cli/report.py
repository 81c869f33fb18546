"""``pytest-inferopt report`` and ``schema``: draw a stored result again, and say what documents look like."""

from __future__ import annotations

import json as json_library
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pytest_inferopt.cli.output import FAILED, AsJson, print_json
from pytest_inferopt.cli.places import StorePath, store_at
from pytest_inferopt.domain.report import Report, parse_report
from pytest_inferopt.domain.request import OptimizationRequest
from pytest_inferopt.engine.baseline.latest import parse_result
from pytest_inferopt.engine.publish import parse_destinations, publish
from pytest_inferopt.errors import NotMeasuredError
from pytest_inferopt.registry import discover

if TYPE_CHECKING:
    from pytest_inferopt.domain.result import RunResult

__all__ = ["report", "schema"]


def report(
    file: Annotated[
        Path, typer.Argument(metavar="RESULT", exists=True, dir_okay=False, help="A report or a result, as JSON.")
    ],
    types: Annotated[
        list[str] | None, typer.Option("--type", metavar="TYPE[:DEST]", help="terminal, html, md, csv, …; repeatable.")
    ] = None,
    *,
    store: StorePath = None,
    json: AsJson = False,
) -> None:
    """Draw a stored result again; the exit code is that of its verdict."""
    registry = discover()
    text = file.read_bytes()
    found = _as_report(text, file)
    wanted = types or ([] if json else ["terminal"])
    destinations = parse_destinations(wanted, registry, base=Path.cwd(), store=store_at(store).root)
    for published in publish(found, destinations, registry):
        if published.failure:
            raise NotMeasuredError(f"no {published.kind} report: {published.failure}")
        if not json:
            sys.stdout.write(published.text if published.path is None else f"{published.path}\n")
    if json:
        print_json(found.to_dict())
    raise typer.Exit(FAILED if found.verdict in {"red", "partial"} else 0)


def schema(
    *,
    json: AsJson = False,  # noqa: ARG001 - it is nothing else
) -> None:
    """Print the JSON Schemas of a request and of a report."""
    documents: dict[str, Any] = {
        "request": OptimizationRequest.model_json_schema(),
        "report": Report.model_json_schema(mode="serialization"),
    }
    print_json(documents)


def _as_report(text: bytes, file: Path) -> Report:
    """A report; a result of a single test becomes one."""
    try:
        document = json_library.loads(text)
    except ValueError:
        document = None
    if isinstance(document, dict) and "results" in document:
        return parse_report(text, where=str(file))
    result: RunResult = parse_result(text, where=str(file))
    return Report(results=(result,), environment=result.environment, command=f"pytest-inferopt report {file}")
