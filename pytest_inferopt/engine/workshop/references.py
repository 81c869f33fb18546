"""Finds what ``package.module:name`` stands for."""

from __future__ import annotations

import importlib
from typing import Any

from pytest_inferopt.errors import NotMeasuredError, UsageError

__all__ = ["resolve"]


def resolve(reference: str, what: str) -> Any:
    """The object that ``package.module:name`` names.

    Raises:
        UsageError: it is not of that form, or it names nothing.
    """
    module_name, _, name = reference.partition(":")
    if not all(part.isidentifier() for part in (*module_name.split("."), *name.split("."))):
        raise UsageError(f"{what}={reference!r} names nothing.", "Write package.module:function.")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # A missing module inside the user's module is another story than a mistyped reference.
        if error.name is not None and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise UsageError(f"{what}={reference!r}: there is no module {error.name!r} here.") from error
        raise NotMeasuredError(f"{what}={reference!r} needs {error.name!r}, which is not installed.") from error
    try:
        for part in name.split("."):
            found = getattr(found, part)
    except AttributeError as error:
        raise UsageError(f"{what}={reference!r}: {error}.", "Write package.module:function.") from error
    return found
