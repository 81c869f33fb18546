"""``pytest-inferopt compare``: two model files, or all models of two bundles, beside each other on this machine."""

from __future__ import annotations

import tempfile
import zipfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pytest_inferopt.cli.output import AsJson, print_json, print_lines, print_table, progress
from pytest_inferopt.cli.places import project_fields
from pytest_inferopt.cli.verdict import exit_code
from pytest_inferopt.domain.comparison import BaselineIdentity
from pytest_inferopt.domain.environment import Environment
from pytest_inferopt.domain.gate_summary import ACCEPT, error_bound, gate_lines
from pytest_inferopt.domain.gate_words import cell_outcome_text, cells_of, change_text
from pytest_inferopt.domain.headline import headline
from pytest_inferopt.domain.report import Report
from pytest_inferopt.domain.request import DatasetSpec, parse_request
from pytest_inferopt.domain.words import ms_text, outcome_text
from pytest_inferopt.engine.baseline.bundle import open_bundle
from pytest_inferopt.engine.clock.lock import MachineLock
from pytest_inferopt.engine.comparison.bundles import counterparts
from pytest_inferopt.engine.comparison.models import TwoModels, compare_models, rows_from_csv
from pytest_inferopt.engine.git import git_state
from pytest_inferopt.engine.publish import parse_destinations, publish
from pytest_inferopt.engine.worker.driver import Worker
from pytest_inferopt.errors import NotMeasuredError, UsageError
from pytest_inferopt.options import as_integers, as_names
from pytest_inferopt.registry import discover

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pytest_inferopt.domain.request import OptimizationRequest
    from pytest_inferopt.domain.result import RunResult

__all__ = ["batch_sizes_of", "compare"]

WHERE = "compare"
# Of the fields that a project or a baseline may set, those that matter here.
FIELDS = ("batch_sizes", "max_slowdown", "gate_percentiles", "gate", "threads", "provider", "random_seed")
HEADS = ("model", "batch", "at", "base ms", "head ms", "slow-down", "verdict")


@dataclass(frozen=True)
class Asked:
    """How models are compared, beside what their requests say."""

    given: dict[str, Any]
    data: Path | None
    pythons: tuple[str | None, str | None]


def compare(  # noqa: PLR0913 - a command line
    base: Annotated[
        Path,
        typer.Argument(metavar="BASE", exists=True, dir_okay=False, help="The baseline: an .onnx file or a bundle."),
    ],
    head: Annotated[
        Path, typer.Argument(metavar="HEAD", exists=True, dir_okay=False, help="The candidate, of the same kind.")
    ],
    *,
    data: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Rows, .npz or .csv; made up from the signature without."),
    ] = None,
    batch_sizes: Annotated[str | None, typer.Option(metavar="LIST", help="Rows a call, between commas.")] = None,
    max_slowdown: Annotated[
        str | None, typer.Option(metavar="PERCENT", help="The slow-down that is surely caught: 5%.")
    ] = None,
    gate_percentiles: Annotated[
        str | None, typer.Option(metavar="LIST", help="The percentiles that are judged: p50,p95.")
    ] = None,
    gate: Annotated[str | None, typer.Option(metavar="MODE", help="strict, on or warn.")] = None,
    threads: Annotated[int | None, typer.Option(help="Intra-op threads of both.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the rows and of who goes first.")] = None,
    python_base: Annotated[
        str | None, typer.Option(metavar="PYTHON", help="An interpreter whose onnxruntime runs the baseline.")
    ] = None,
    python_head: Annotated[str | None, typer.Option(metavar="PYTHON", help="Likewise the candidate.")] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a report in Markdown.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a report as a page.")] = None,
    json: AsJson = False,
) -> None:
    """Compare two models in fresh processes, interleaved, and say which is slower and why."""
    fields = {
        "batch_sizes": batch_sizes_of(batch_sizes),
        "max_slowdown": max_slowdown,
        "gate_percentiles": None if gate_percentiles is None else as_names(gate_percentiles),
        "gate": gate,
        "threads": threads,
        "random_seed": seed,
    }
    asked = Asked(
        {name: value for name, value in fields.items() if value is not None}, data, (python_base, python_head)
    )
    parse_request(asked.given, where=WHERE)
    wanted = [f"{kind}:{path}" for kind, path in (("md", markdown), ("html", html)) if path is not None]
    destinations = parse_destinations(wanted, discover(), base=Path.cwd(), store=Path.cwd())
    with progress() as say:
        results = _results(base, head, asked, say)
    report = Report(
        command=f"pytest-inferopt compare {base} {head}",
        results=tuple(results),
        environment=Environment.here(),
        git=git_state(Path.cwd()),
    )
    if json:
        print_json(report.to_dict())
    else:
        _draw(report)
    for published in publish(report, destinations, discover()):
        if published.failure:
            raise NotMeasuredError(f"no {published.kind} report: {published.failure}")
    raise typer.Exit(exit_code(report))


def batch_sizes_of(text: str | None) -> tuple[int, ...] | None:
    """Read ``1,16``.

    Raises:
        UsageError: one is no whole number.
    """
    try:
        return None if text is None else as_integers(text)
    except ValueError as error:
        raise UsageError(f"--batch-sizes {text}: {error}.", "Write: 1,16,64.") from None


def _results(base: Path, head: Path, asked: Asked, say: Callable[[str], None]) -> list[RunResult]:
    if _is_bundle(base) != _is_bundle(head):
        raise UsageError(
            f"{base} and {head} are not of one kind: one is a bundle, the other is not.", "Name two of a kind."
        )
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="inferopt-")))
        feeds = _feeds(asked.data, folder)
        pairs, alone = _pairs(base, head, folder)
        requests = [_request(asked, fields) for _, fields in pairs]
        worker = stack.enter_context(Worker())
        stack.enter_context(MachineLock(on_wait=say).measuring())
        results = []
        for number, ((models, _), request) in enumerate(zip(pairs, requests, strict=True)):
            place = folder / f"work-{number}"
            place.mkdir()
            results.append(
                compare_models(
                    models,
                    request=request,
                    feeds=feeds,
                    worker=worker,
                    folder=place,
                    pythons=asked.pythons,
                    on_progress=say,
                )
            )
        return [*results, *alone]


def _pairs(
    base: Path, head: Path, folder: Path
) -> tuple[Sequence[tuple[TwoModels, dict[str, Any]]], Sequence[RunResult]]:
    """The models to compare with what is known of how, and what is to be told of the rest."""
    if not _is_bundle(base):
        models = TwoModels(str(head), base, head, BaselineIdentity(source=str(base)))
        return [(models, {"name": head.name})], ()
    places = [folder / name for name in ("base", "head", "models")]
    for place in places:
        place.mkdir()
    found = counterparts(open_bundle(base, places[0]), open_bundle(head, places[1]), places[2])
    return found.pairs, found.alone


def _is_bundle(path: Path) -> bool:
    return path.suffix != ".onnx" and zipfile.is_zipfile(path)


def _request(asked: Asked, fields: dict[str, Any]) -> OptimizationRequest:
    """The command line over what the candidate's own request said, over the project."""
    project = {name: value for name, value in project_fields().items() if name in FIELDS}
    return parse_request({**project, **fields, **asked.given}, where=WHERE)


def _feeds(data: Path | None, folder: Path) -> Path | None:
    if data is None or data.suffix == ".npz":
        return data
    if data.suffix != ".csv":
        raise UsageError(f"--data {data}: rows are read from .npz and .csv files.", "Convert them to one of these.")
    source = discover().dataset_source(DatasetSpec(source="csv", options={"path": str(data)}))
    discover().require(source)
    return rows_from_csv(source.load().x, folder / "rows-given.npz")


def _draw(report: Report) -> None:
    rows = [row for result in report.results for row in _rows(result)]
    if rows:
        print_table(HEADS, rows)
    for result in report.results:
        print_lines(list(_lines(result)))
    print_lines([line for line in (headline(report), error_bound(report)) if line])


def _rows(result: RunResult) -> Iterator[tuple[str, ...]]:
    for variant, cell in cells_of(result):
        yield (
            variant.name,
            str(cell.batch_size),
            f"p{cell.percentile}",
            ms_text(cell.base_ms),
            ms_text(cell.head_ms),
            change_text(cell.slowdown),
            cell_outcome_text(cell, result.gate),
        )


def _lines(result: RunResult) -> Iterator[str]:
    # Nothing is accepted here: what is compared belongs to no test.
    yield from (line for line in gate_lines(result) if ACCEPT not in line)
    for check in result.checks:
        if check.outcome in {"missing", "not_measured", "refused"}:
            yield f"{check.variant}: {outcome_text(check.outcome)}: {check.reason}"
            if check.next_step:
                yield f"  next: {check.next_step}"
