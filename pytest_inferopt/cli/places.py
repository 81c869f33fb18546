"""Where a command looks: the project's folder, its store, and what pyproject.toml and the environment set."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from pytest_inferopt.api import DEFAULT_STORE
from pytest_inferopt.engine.store.folder import Store
from pytest_inferopt.settings import project_defaults

__all__ = ["StorePath", "project_fields", "store_at"]

OWN_KEYS = {"report", "store"}

StorePath = Annotated[
    Path | None,
    typer.Option("--store", help="The store; by default `store` of [tool.inferopt], else .inferopt.", metavar="PATH"),
]


def store_at(path: Path | None) -> Store:
    """The store that an option names, else the project's own.

    Raises:
        UsageError: pyproject.toml or an environment variable is wrong.
    """
    if path is None:
        path = Path(str(project_defaults(Path.cwd(), os.environ).get("store", DEFAULT_STORE)))
    return Store(path.expanduser())


def project_fields() -> dict[str, Any]:
    """What the project sets of a request; raises as `store_at` does."""
    found = project_defaults(Path.cwd(), os.environ)
    return {key: value for key, value in found.items() if key not in OWN_KEYS}
