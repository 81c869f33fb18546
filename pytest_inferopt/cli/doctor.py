"""``pytest-inferopt doctor``: what is installed, what this machine is like, and what a gate will find here."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pytest_inferopt.cli.output import FAILED, PASSED, AsJson, print_json, print_lines, print_table, progress
from pytest_inferopt.cli.places import StorePath, store_at
from pytest_inferopt.engine.checkup import installation, machine, noise_here, repository, store_findings
from pytest_inferopt.engine.clock.lock import MachineLock
from pytest_inferopt.engine.worker.driver import Worker
from pytest_inferopt.registry import discover

if TYPE_CHECKING:
    from pytest_inferopt.engine.checkup import Finding

__all__ = ["doctor"]

MARKS = {"ok": "✓ ok", "look": "! look", "wrong": "✗ wrong"}


def doctor(
    *,
    noise: Annotated[bool, typer.Option(help="Measure for ten seconds how steady this machine is.")] = True,
    store: StorePath = None,
    json: AsJson = False,
) -> None:
    """Look at the installation, the machine, the store and the repository; exit code 1 where something is wrong."""
    found = [*installation(discover()), *machine(), *store_findings(store_at(store)), *repository(Path.cwd())]
    if noise:
        found += _noise()
    if json:
        print_json([asdict(finding) for finding in found])
    else:
        print_table(("", "", ""), [(MARKS[one.state], one.subject, one.text) for one in found])
        print_lines([f"{one.subject}: {one.next_step}" for one in found if one.next_step])
    raise typer.Exit(FAILED if any(one.state == "wrong" for one in found) else PASSED)


def _noise() -> list[Finding]:
    with (
        tempfile.TemporaryDirectory(prefix="inferopt-") as folder,
        progress() as say,
        Worker() as worker,
        MachineLock(on_wait=say).measuring(),
    ):
        return list(noise_here(worker, Path(folder), say))
