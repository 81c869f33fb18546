"""Where imported modules came from: a model of one commit must not be built by the code of another."""

from __future__ import annotations

import os
import site
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import ModuleType

__all__ = ["import_roots", "is_of_repository", "modules_under"]

OURS = "pytest_inferopt"


def modules_under(root: Path, modules: Mapping[str, ModuleType] | None = None) -> dict[str, str]:
    """The imported modules whose file lies in a repository, by name; not installed ones, and not this package.

    Args:
        root: the repository's root.
        modules: those to look at; all that are imported, if None.
    """
    found = {}
    for name, module in list((sys.modules if modules is None else modules).items()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and name.partition(".")[0] != OURS and is_of_repository(Path(file), root):
            found[name] = file
    return found


def import_roots(root: Path, paths: Iterable[str], modules: Mapping[str, ModuleType] | None = None) -> list[str]:
    """The folders of a repository that modules are imported from, relative to its root; ``.`` is the root itself.

    Those on the import path, and those of packages that an editable install finds in its own way.

    Args:
        root: the repository's root.
        paths: the import path.
        modules: the imported ones; all, if None.
    """
    candidates = [Path(path) for path in paths if path]
    for name, file in modules_under(root, modules).items():
        candidates += _root_of(name, Path(file))
    home = Path(os.path.realpath(root))
    inside = (Path(os.path.realpath(path)) for path in candidates if is_of_repository(path, root))
    return list(dict.fromkeys(path.relative_to(home).as_posix() for path in inside))


def _root_of(name: str, file: Path) -> Iterator[Path]:
    """The folder that a module's name counts from, where name and place agree."""
    parts = name.split(".")
    place = file.parent if file.stem == "__init__" else file.with_suffix("")
    if list(place.parts[-len(parts) :]) == parts:
        yield place.parents[len(parts) - 1]


def is_of_repository(path: Path, root: Path) -> bool:
    """Whether a path lies in a repository and is not of an environment that lies in it, such as ``.venv``."""
    real, home = Path(os.path.realpath(path)), Path(os.path.realpath(root))
    return real.is_relative_to(home) and not any(real.is_relative_to(place) for place in _installed())


def _installed() -> Iterator[Path]:
    """The folders of installed packages, and of this interpreter's environment."""
    places = [*site.getsitepackages(), site.getusersitepackages(), sys.prefix]
    yield from (Path(os.path.realpath(place)) for place in places)
