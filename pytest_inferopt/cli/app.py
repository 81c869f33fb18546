"""The commands and how they are called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pytest_inferopt._version import __version__
from pytest_inferopt.cli import baseline, calibrate, compare, doctor, report

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["app", "run"]

PROGRAM = "pytest-inferopt"

app = typer.Typer(
    name=PROGRAM,
    help="Holds ML models against their baselines, and keeps those baselines.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(baseline.app, name="baseline")
app.command()(compare.compare)
app.command()(calibrate.calibrate)
app.command()(doctor.doctor)
app.command()(report.report)
app.command()(report.schema)


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"{PROGRAM} {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
    traceback: Annotated[bool, typer.Option("--traceback", help="Show where an internal fault happened.")] = False,
) -> None:
    pass


def run(arguments: Sequence[str]) -> int:
    """Parse and run; the command's exit code, 2 where the arguments are wrong, which is told on stderr.

    Raises:
        InferoptError: what the command found wrong.
    """
    try:
        app(list(arguments), prog_name=PROGRAM)
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else 0
    return 0
