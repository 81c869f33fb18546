"""The command ``pytest-inferopt``: parses, calls the engine, draws. Importing this loads nothing heavy."""

from __future__ import annotations

import json
import sys
import traceback
from typing import TYPE_CHECKING

from pytest_inferopt.errors import InferoptError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

FAILED, USAGE, INTERNAL, REFUSED = 1, 2, 3, 5
EXIT_CODES = {"usage": USAGE, "not_measured": FAILED, "refused": REFUSED}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and give its exit code.

    0 passed · 1 the gate failed, or nothing could be measured · 2 usage · 3 internal · 4 inconclusive under a strict
    gate · 5 refused. What went wrong stands on stderr in a sentence or two; with ``--json``, on stdout as well.

    Args:
        arguments: without the program's name; the process's own, if None.
    """
    from pytest_inferopt.cli.app import run

    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return run(given)
    except InferoptError as error:
        _tell(given, error.kind, error.message, error.hint)
        return EXIT_CODES[error.kind]
    # Ours, and no concern of the user's beyond the fact.
    except Exception as error:  # noqa: BLE001
        if "--traceback" in given:
            traceback.print_exc()
        what = f"this is a fault of pytest-inferopt: {type(error).__name__}: {error}"
        _tell(given, "internal", what, "Run `pytest-inferopt --traceback …` for where it happened, and report it.")
        return INTERNAL


def _tell(given: Sequence[str], kind: str, message: str, hint: str) -> None:
    """Say what went wrong; one document on stdout for a reader that takes nothing else."""
    sys.stderr.write(f"pytest-inferopt: {InferoptError(message, hint)}\n")
    if "--json" in given:
        sys.stdout.write(json.dumps({"error": {"kind": kind, "message": message, "hint": hint}}, indent=1) + "\n")
