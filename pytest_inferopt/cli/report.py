"""``pytest-inferopt report`` and ``schema``: draw a stored result again, and say what documents look like."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from pytest_inferopt.cli.output import AsJson, print_json
from pytest_inferopt.cli.places import StorePath, store_at
from pytest_inferopt.cli.verdict import exit_code
from pytest_inferopt.domain.report import Report, parse_any
from pytest_inferopt.domain.request import OptimizationRequest
from pytest_inferopt.engine.publish import parse_destinations, publish
from pytest_inferopt.errors import NotMeasuredError
from pytest_inferopt.registry import discover

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
    found = parse_any(file.read_bytes(), where=str(file))
    wanted = types or ([] if json else ["terminal"])
    destinations = parse_destinations(wanted, registry, base=Path.cwd(), store=store_at(store).root)
    for published in publish(found, destinations, registry):
        if published.failure:
            raise NotMeasuredError(f"no {published.kind} report: {published.failure}")
        if not json:
            sys.stdout.write(published.text if published.path is None else f"{published.path}\n")
    if json:
        print_json(found.to_dict())
    raise typer.Exit(exit_code(found))


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
