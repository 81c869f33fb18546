"""The commands and how they are called."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pytest_inferopt._version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["COMMANDS", "application", "run"]

PROGRAM = "pytest-inferopt"
# Each command and where it is. A command loads its own modules alone: who merges or comments on what anybody measured
# loads neither NumPy nor what unpickles.
COMMANDS = {
    "baseline": "baseline:app",
    "compare": "compare:compare",
    "calibrate": "calibrate:calibrate",
    "comment": "comment:comment",
    "doctor": "doctor:doctor",
    "merge": "merge:merge",
    "report": "report:report",
    "schema": "report:schema",
}


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"{PROGRAM} {__version__}")
        raise typer.Exit


def _common(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
    traceback: Annotated[bool, typer.Option("--traceback", help="Show where an internal fault happened.")] = False,
) -> None:
    pass


def application(names: Iterable[str] = COMMANDS) -> typer.Typer:
    """The program with these commands."""
    app = typer.Typer(
        name=PROGRAM,
        help="Holds ML models against their baselines, keeps those baselines, and tells a pull request of it.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_common)
    for name in names:
        command = _loaded(COMMANDS[name])
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name)(command)
    return app


def _loaded(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(f"pytest_inferopt.cli.{module}"), name)


def run(arguments: Sequence[str]) -> int:
    """Parse and run; the command's exit code, 2 where the arguments are wrong, which is told on stderr.

    Raises:
        InferoptError: what the command found wrong.
    """
    first = next((argument for argument in arguments if argument != "--traceback"), "")
    app = application([first] if first in COMMANDS else COMMANDS)
    try:
        app(list(arguments), prog_name=PROGRAM)
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else 0
    return 0
