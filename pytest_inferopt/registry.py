"""Finds the plugins: one file each, in the package's own folders or behind an entry point.

A registry is a value. Nothing imports a plugin by name, so a new file is found with no other edit.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pydantic import ValidationError

from pytest_inferopt.domain.plugins import PLUGIN_KINDS, DatasetSource, Framework, Plugin, Reporter, Runtime, Technique
from pytest_inferopt.errors import MissingDependencyError, NotMeasuredError, UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path
    from types import ModuleType

    from pytest_inferopt.domain.request import DatasetSpec, TechniqueSpec

__all__ = ["Broken", "Registry", "discover"]

PACKAGE = "pytest_inferopt"
P = TypeVar("P", bound=Plugin)
SINGULAR = {
    "frameworks": "framework",
    "techniques": "technique",
    "runtimes": "runtime",
    "datasets": "dataset source",
    "reporters": "report type",
}


@dataclass(frozen=True)
class Broken:
    """A plugin that could not be used, and why; shown, and never fatal to the others."""

    kind: str
    source: str
    reason: str

    @property
    def name(self) -> str:
        """What a request would call it: the file's or the entry point's name."""
        return self.source.partition(" (")[0].rpartition(".")[2]


@dataclass(frozen=True)
class Registry:
    """The plugins by kind and name, and those that are broken."""

    plugins: Mapping[str, Mapping[str, type[Plugin]]]
    broken: tuple[Broken, ...] = field(default=())

    def names(self, kind: str) -> tuple[str, ...]:
        """The names of one kind, sorted."""
        return tuple(sorted(self.plugins[kind]))

    def technique(self, spec: TechniqueSpec) -> Technique:
        """The configured technique of a request's step.

        Raises:
            UsageError: no such technique, or an option it does not have; with a suggestion.
        """
        return cast("Technique", self._make("techniques", spec.name, spec.options))

    def dataset_source(self, spec: DatasetSpec) -> DatasetSource:
        """The configured source of a request's rows; errors as `technique`."""
        return cast("DatasetSource", self._make("datasets", spec.source, spec.options))

    def framework(self, name: str) -> Framework:
        """A framework by its name, which is its format's name."""
        return cast("Framework", self._make("frameworks", name, {}))

    def reporter(self, name: str, **options: Any) -> Reporter:
        """A reporter by the name of what it writes; errors as `technique`."""
        return cast("Reporter", self._make("reporters", name, options))

    def runtime_for(self, format_name: str) -> Runtime | None:
        """The runtime that opens a format, if it is not a framework's own."""
        runtimes = cast("Iterable[type[Runtime]]", self.plugins["runtimes"].values())
        return next((runtime() for runtime in runtimes if format_name in runtime.formats), None)

    def owner(self, model: object) -> Framework:
        """The framework that a live model belongs to: the one nearest in its class hierarchy.

        Raises:
            UsageError: no framework knows it.
        """
        candidates = [(distance, found) for found in self.frameworks() if (distance := found.owns(model)) is not None]
        if not candidates:
            kind = f"{type(model).__module__}.{type(model).__qualname__}"
            raise UsageError(
                f"a model of type {kind} belongs to no known framework.",
                f"Pass a model of {', '.join(self.names('frameworks'))}, or the path of an ONNX file made of it.",
            )
        return min(candidates, key=lambda candidate: candidate[0])[1]

    def loader(self, path: Path) -> Framework:
        """The framework that loads a model file, by its suffix.

        Raises:
            UsageError: no framework claims the suffix.
        """
        found = next((framework for framework in self.frameworks() if framework.claims(path)), None)
        if found is None:
            known = sorted({suffix for framework in self.frameworks() for suffix in framework.suffixes})
            raise UsageError(f"{path}: no framework loads a {path.suffix!r} file.", f"Known: {', '.join(known)}.")
        return found

    def require(self, plugin: Plugin) -> None:
        """Make sure that what a plugin needs is installed.

        Raises:
            MissingDependencyError: names the modules and the extra that brings them.
        """
        absent = [module for module in plugin.needs if find_spec(module.partition(".")[0]) is None]
        if absent:
            extra = f'pip install "pytest-inferopt[{plugin.extra}]"' if plugin.extra else f"pip install {absent[0]}"
            raise MissingDependencyError(f"{plugin.name} needs {', '.join(absent)}, not installed here.", f"{extra}.")

    def frameworks(self) -> Iterator[Framework]:
        """All frameworks."""
        return (cast("Framework", framework()) for framework in self.plugins["frameworks"].values())

    def _make(self, kind: str, name: str, options: Mapping[str, Any]) -> Plugin:
        plugin = self.plugins[kind].get(name)
        if plugin is None:
            lost = next((entry for entry in self.broken if (entry.kind, entry.name) == (kind, name)), None)
            if lost is not None:
                raise NotMeasuredError(f"{SINGULAR[kind]} {name!r} is broken: {lost.reason}")
            raise UsageError(f"no {SINGULAR[kind]} named {name!r};", did_you_mean(name, self.plugins[kind]))
        try:
            return plugin.model_validate(dict(options))
        except ValidationError as error:
            raise _option_error(SINGULAR[kind], plugin, error) from None


def _option_error(kind: str, plugin: type[Plugin], error: ValidationError) -> UsageError:
    first = error.errors(include_url=False)[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return UsageError(f"{kind} {plugin.name!r} has no option {name!r};", did_you_mean(name, plugin.model_fields))
    if first["type"] == "missing":
        return UsageError(f"{kind} {plugin.name!r} needs {name!r}.", f"Add {name}=….")
    message = first["msg"].removeprefix("Value error, ")
    subject = f"{name}={first['input']!r}: " if name else ""
    return UsageError(f"{kind} {plugin.name!r}: {subject}{message}.")


@cache
def discover() -> Registry:
    """Scan the package's plugin folders and the entry points ``pytest_inferopt.<kind>``; importing them is cheap."""
    plugins: dict[str, dict[str, type[Plugin]]] = {}
    broken: list[Broken] = []
    for kind, base in PLUGIN_KINDS.items():
        plugins[kind] = {}
        for source, found in (*_in_folder(kind), *_behind_entry_points(kind)):
            try:
                own = _plugins_of(found(), base)
                if not own:
                    raise UsageError(f"{source} brings no {SINGULAR[kind]}.")  # noqa: TRY301 - it is listed with the others
                for plugin in own:
                    _add(plugins[kind], plugin, source)
            # A plugin may fail in any way at all while it is imported; the others must not suffer for it.
            except Exception as error:  # noqa: BLE001
                broken.append(Broken(kind, source, f"{type(error).__name__}: {error}"))
    return Registry(plugins, tuple(broken))


def _add(known: dict[str, type[Plugin]], plugin: type[Plugin], source: str) -> None:
    other = known.setdefault(plugin.name, plugin)
    if other is not plugin:
        raise UsageError(f"{source} brings {plugin.name!r}, which {other.__module__} has already.", "Rename one.")


def _in_folder(kind: str) -> list[tuple[str, Any]]:
    package = importlib.import_module(f"{PACKAGE}.{kind}")
    names = [f"{package.__name__}.{found.name}" for found in pkgutil.iter_modules(package.__path__)]
    return [
        (name, lambda name=name: importlib.import_module(name))
        for name in names
        if not name.rpartition(".")[2].startswith("_")
    ]


def _behind_entry_points(kind: str) -> list[tuple[str, Any]]:
    return [(f"{entry.name} ({entry.value})", entry.load) for entry in entry_points(group=f"{PACKAGE}.{kind}")]


def _plugins_of(found: ModuleType | type[Plugin], base: type[P]) -> list[type[P]]:
    """The plugin classes of a module, or the one class that an entry point names."""
    if inspect.isclass(found):
        return [found] if issubclass(found, base) and not inspect.isabstract(found) else []
    own = (value for value in vars(found).values() if inspect.isclass(value) and value.__module__ == found.__name__)
    return [value for value in own if issubclass(value, base) and not inspect.isabstract(value)]
