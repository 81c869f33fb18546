"""Digests of code: what a plugin or a model does depends on it as much as on its content."""

from __future__ import annotations

import hashlib
import pickle
import sys
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["code_digest", "source_digest"]

INSTALLED = frozenset({"site-packages", "dist-packages"})


def code_digest(value: Any) -> str | None:
    """The digest of the code of all classes and functions that a value's pickle names; None if it cannot be pickled.

    Of an installed library it is the named module alone, of the user's own code the whole package: a converter that
    is registered for a class stands beside it as a rule.
    """
    pickler = _Names()
    try:
        pickler.dump(value)
    # Pickling runs the value's own code.
    except Exception:  # noqa: BLE001
        return None
    modules = sorted(name for name in pickler.modules if name.partition(".")[0] not in sys.stdlib_module_names)
    return _digest([f"{name} {_code_of(name)}" for name in modules])


class _Names(pickle.Pickler):
    """Collects the modules that a pickle names, and writes it nowhere; large arrays are not even copied."""

    def __init__(self) -> None:
        super().__init__(_Nowhere(), protocol=5, buffer_callback=lambda _: None)
        self.modules: set[str] = set()

    def reducer_override(self, obj: Any) -> Any:
        module = getattr(obj, "__module__", None)
        if isinstance(module, str):
            self.modules.add(module)
        return NotImplemented


class _Nowhere:
    def write(self, content: bytes) -> int:
        return len(content)


def _code_of(module: str) -> str:
    path = _file_of(module)
    if path is None or not INSTALLED.isdisjoint(path.parts):
        return "" if path is None else _digest_of_file(path)
    return source_digest(module)


def source_digest(module: str) -> str:
    """The digest of the Python files of a module's package; of a lone module's file, and its neighbours if it is own.

    A module without a file has its name.
    """
    path = _file_of(module)
    if path is None:
        return module
    folder = path.parent
    if not (folder / "__init__.py").exists():
        return _digest_of_file(path) if not INSTALLED.isdisjoint(path.parts) else _digest_of_folder(folder, "*.py")
    while (folder.parent / "__init__.py").exists():
        folder = folder.parent
    return _digest_of_folder(folder, "**/*.py")


def _file_of(module: str) -> Path | None:
    path = getattr(sys.modules.get(module), "__file__", None)
    return None if path is None else Path(path)


@cache
def _digest_of_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@cache
def _digest_of_folder(folder: Path, pattern: str) -> str:
    files = sorted(path for path in folder.glob(pattern) if path.is_file())
    return _digest([f"{path.relative_to(folder)} {_digest_of_file(path)}" for path in files])


def _digest(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()
