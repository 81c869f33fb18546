"""The steps by name."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from steps.workflow import StepError, annotate

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["STEPS", "main"]

STEPS = ("plan", "install", "baseline", "measure", "merge", "fetch", "outputs", "publish", "verdict")


def main(arguments: Sequence[str]) -> int:
    """Run a step; its exit code, 1 where something is wrong that a user can mend, which is told as an annotation."""
    if len(arguments) != 1 or arguments[0] not in STEPS:
        annotate("error", f"there is no step {' '.join(arguments)!r}. Name one of {', '.join(STEPS)}.")
        return 2
    # One step needs no library that another one does.
    step = importlib.import_module(f"steps.{arguments[0]}")
    try:
        code: int = step.run()
    except StepError as error:
        annotate("error", str(error))
        return 1
    return code
