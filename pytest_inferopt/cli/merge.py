"""``pytest-inferopt merge``: the reports of a matrix as one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pytest_inferopt.cli.output import AsJson, print_json, print_lines
from pytest_inferopt.domain.headline import headline
from pytest_inferopt.engine.publish import parse_destinations, publish
from pytest_inferopt.engine.reports.files import read_shards
from pytest_inferopt.engine.reports.merging import merge_reports
from pytest_inferopt.errors import NotMeasuredError
from pytest_inferopt.registry import discover

__all__ = ["merge"]


def merge(
    shards: Annotated[
        list[Path],
        typer.Argument(
            metavar="SHARD...", exists=True, help="A report as JSON, or a folder or zip with files report.json."
        ),
    ],
    *,
    output: Annotated[Path, typer.Option(metavar="FILE", help="The report to write, as JSON.")],
    json: AsJson = False,
) -> None:
    """Join the reports of several jobs into one, from which reports and comments are made."""
    registry = discover()
    (destination,) = parse_destinations([f"json:{output}"], registry, base=Path.cwd(), store=Path.cwd())
    found = [report for shard in shards for report in read_shards(shard)]
    merged = merge_reports(found)
    (published,) = publish(merged, [destination], registry)
    if published.failure:
        raise NotMeasuredError(f"no merged report: {published.failure}")
    told = headline(merged)
    if json:
        print_json(
            {
                "path": str(published.path),
                "reports": [report.where for report in found],
                "models": [result.name for result in merged.results],
                "verdict": merged.verdict,
                "headline": told,
            }
        )
        return
    count = f"{len(found)} report{'' if len(found) == 1 else 's'}"
    print_lines([f"{published.path}: {count} merged. {told}"])
