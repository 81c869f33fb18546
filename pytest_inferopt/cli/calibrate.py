"""``pytest-inferopt calibrate``: what the gate can see on this machine."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pytest_inferopt.cli.compare import batch_sizes_of
from pytest_inferopt.cli.output import AsJson, print_json, print_lines, print_table, progress
from pytest_inferopt.cli.places import project_fields
from pytest_inferopt.domain.request import parse_request
from pytest_inferopt.domain.words import ms_text
from pytest_inferopt.engine.calibration.extra_work import make_network
from pytest_inferopt.engine.calibration.figures import LEAST_REPLICATES
from pytest_inferopt.engine.calibration.run import calibrate as run_calibration
from pytest_inferopt.engine.clock.lock import MachineLock
from pytest_inferopt.engine.worker.driver import Worker

if TYPE_CHECKING:
    from pytest_inferopt.engine.calibration.run import Calibration, DrawnGates

__all__ = ["calibrate"]

WHERE = "calibrate"
FIELDS = ("batch_sizes", "max_slowdown", "threads", "provider", "random_seed")
BUILT_IN = "the built-in network"


def calibrate(
    model: Annotated[
        Path | None,
        typer.Argument(metavar="[MODEL]", exists=True, dir_okay=False, help="An ONNX file; a small network without."),
    ] = None,
    *,
    replicates: Annotated[
        int, typer.Option(min=LEAST_REPLICATES, metavar="N", help="Processes, once for each of both records.")
    ] = 48,
    batch_sizes: Annotated[str | None, typer.Option(metavar="LIST", help="Rows a call, between commas.")] = None,
    slowdown: Annotated[
        float, typer.Option(min=1, max=100, metavar="PERCENT", help="The work that is injected, in percent.")
    ] = 5.0,
    json: AsJson = False,
) -> None:
    """Record a model beside itself and beside slower copies, and say how sure a gate is here."""
    given = {} if batch_sizes is None else {"batch_sizes": batch_sizes_of(batch_sizes)}
    project = {name: value for name, value in project_fields().items() if name in FIELDS}
    request = parse_request({**project, **given}, where=WHERE)
    with tempfile.TemporaryDirectory(prefix="inferopt-") as name, progress() as say, Worker() as worker:
        folder = Path(name)
        if model is None:
            make_network(folder / "network.onnx")
        with MachineLock(on_wait=say).measuring():
            found = run_calibration(
                model or folder / "network.onnx",
                request=request,
                replicates=replicates,
                slowdown=slowdown / 100,
                worker=worker,
                folder=folder,
                on_progress=say,
            )
    found = found.model_copy(update={"model": "" if model is None else str(model)})
    if json:
        print_json(found.model_dump(mode="json"))
        return
    _draw(found)


def _draw(found: Calibration) -> None:
    print_lines([f"{found.model or BUILT_IN} on {found.environment.headline}, {found.seconds:.0f} s"])
    looks = list(found.cells[0].detectable)
    heads = ["batch", "p50 ms", "sd", *(f"seen by {look}" for look in looks), "injected"]
    rows = [
        [
            str(cell.batch_size),
            ms_text(cell.ms),
            f"{100 * cell.sd:.2f} %",
            *(f"{100 * cell.detectable[look]:.1f} %" for look in looks),
            f"{100 * found.injected.slowdowns[cell.batch_size]:+.1f} %",
        ]
        for cell in found.cells
    ]
    print_table(heads, rows)
    print_lines([
        f"seen by N: the slow-down that N processes surely show; {100 * found.caught:g} % is to be caught.",
        f"the model beside itself: {_shares(found.same)}",
        f"with the injected work: {_shares(found.injected.drawn)}",
        f"taken again because of steal: {found.repeated}",
    ])  # fmt: skip


def _shares(drawn: DrawnGates) -> str:
    return (
        f"{100 * drawn.regressed:.1f} % red, {100 * drawn.passed:.1f} % passed, {100 * drawn.inconclusive:.1f} % "
        f"inconclusive of {drawn.gates:,} gates drawn from {drawn.recorded} processes; a verdict takes "
        f"{drawn.replicates:g} processes, {drawn.seconds:.0f} s (median)"
    )
