"""The base classes of everything that touches a library from outside: one plugin, one file, one verb.

A plugin is a frozen class: its fields are its options, its docstring is its help. A plugin file imports
nothing of its `needs` at the top, so that finding it costs nothing and a missing library is a sentence, not a crash.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_inferopt.domain.artifact import (
        Artifact,
        Dataset,
        OperatorTime,
        Rows,
        RunOptions,
        Session,
        Workbench,
    )
    from pytest_inferopt.domain.report import Report

__all__ = ["DatasetSource", "Framework", "Plugin", "Reporter", "Runtime", "Technique"]


class Plugin(BaseModel, ABC):
    """What all plugins share.

    Attributes:
        name: under which a request asks for it.
        needs: the importable modules without which it cannot work.
        extra: the extra of this distribution that brings them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    extra: ClassVar[str] = ""

    @classmethod
    def summary(cls) -> str:
        """The first sentence of its docstring."""
        return (cls.__doc__ or "").strip().splitlines()[0]


class Framework(Plugin):
    """A library that models are built with; its name is also the name of the native format."""

    module_roots: ClassVar[tuple[str, ...]] = ()
    suffixes: ClassVar[tuple[str, ...]] = ()

    def owns(self, model: object) -> int | None:
        """How near the model is to this framework: the position in its MRO of the first class of ours.

        None if it is not ours. Nothing is imported: only the classes' module names are read. The lowest number
        of all frameworks wins, so that ``XGBClassifier``, which also is a scikit-learn estimator, goes to XGBoost.
        """
        for distance, cls in enumerate(type(model).__mro__):
            if cls.__module__.partition(".")[0] in self.module_roots:
                return distance
        return None

    def claims(self, path: Path) -> bool:
        """Whether a model file is to be loaded by this framework, by its suffix alone."""
        return path.suffix.lower() in self.suffixes

    def settle(self, options: RunOptions) -> None:
        """Say what holds for the whole process, before a model or its library is loaded; nothing is imported."""

    def runs_code(self, path: Path) -> bool:  # noqa: ARG002
        """Whether loading a file runs code that its author chose, so that it is loaded only where it is trusted."""
        return False

    @abstractmethod
    def save(self, model: object, path: Path) -> None:
        """Write a live model so that `load` in another process gets it back (called where the model lives)."""

    @abstractmethod
    def load(self, path: Path) -> Artifact:
        """Read a model file, or what `save` wrote, into an artifact with its task and classes.

        Raises:
            NotMeasuredError: the file is damaged, or a module it needs is missing.
            RefusedError: the file is not what its suffix claims.
        """

    @abstractmethod
    def describe(self, model: object, path: Path) -> Artifact:
        """The artifact of a live model whose file is `path`."""

    def check_rows(self, artifact: Artifact, rows: Rows) -> None:
        """Hold the columns of the rows against those that the model was fitted on, where both have names.

        Raises:
            UsageError: columns are missing, unknown or in another order; the message names them.
        """

    @abstractmethod
    def to_onnx(self, artifact: Artifact, path: Path, *, opset: int, samples: Rows) -> Artifact:
        """Convert to an ONNX file at `path`, with a dynamic batch axis; the notes tell what was written.

        Args:
            artifact: in this framework's format; it is not changed.
            path: where the file goes.
            opset: the wanted opset of the default domain; where another was written, a note says so.
            samples: a few rows (N ≥ 1), from which column names and types are read.

        Raises:
            RefusedError: a part cannot be converted; the message names it and what to do.
            UsageError: the rows do not fit the model.
        """

    @abstractmethod
    def open(self, artifact: Artifact, options: RunOptions) -> Session:
        """Make the original ready to run, on a copy where options must be set on the model."""

    @abstractmethod
    def fingerprint(self, model: object) -> str | None:
        """A stable digest of the model's content; None where there is none, which is a stated cache miss."""


class Technique(Plugin):
    """One optimization; takes an artifact and gives a new one."""

    @property
    def spoils(self) -> tuple[str, ...]:
        """The techniques that can make nothing of what this one leaves; a plan with them after it is refused."""
        return ()

    @abstractmethod
    def gives(self, takes: str) -> str | None:
        """The format that comes out when `takes` goes in; None is a misfit. Asked of the configured technique."""

    @abstractmethod
    def apply(self, model: Artifact, bench: Workbench) -> Artifact:
        """Optimize; the input stays as it is, and the result's notes tell what was and was not done."""


class Runtime(Plugin):
    """What runs the files of one or more formats."""

    formats: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def open(self, artifact: Artifact, options: RunOptions) -> Session:
        """Load a file; a provider that was asked for and not got is an error, never a fall-back."""

    @abstractmethod
    def inspect(self, artifact: Artifact) -> Artifact:
        """The artifact with its signature, read from the file; checks that the file is valid."""

    def profile(
        self, artifact: Artifact, options: RunOptions, rows: Rows, *, calls: int, folder: Path
    ) -> tuple[OperatorTime, ...]:
        """What each operator takes in `calls` calls on these rows, after a few that are not counted.

        Args:
            artifact: what is run.
            options: how.
            rows: those of one call.
            calls: how many, at least 1.
            folder: an empty folder for what the runtime writes meanwhile.

        Returns:
            The mean of each node; nothing where the runtime cannot tell.
        """
        del artifact, options, rows, calls, folder
        return ()


class DatasetSource(Plugin):
    """Where rows come from; its fields say which."""

    @abstractmethod
    def load(self) -> Dataset:
        """Read the rows.

        Raises:
            UsageError: the source is not there, or a column that was named is not in it.
        """


class Reporter(Plugin):
    """A pure function from a report to text; where the text goes is not its business.

    Attributes:
        file_name: what its file is called where the user names none; None if the text belongs on the terminal.
        carries_samples: whether the raw samples are to be copied beside its file, with paths relative to it.
    """

    file_name: ClassVar[str | None] = None
    carries_samples: ClassVar[bool] = False

    @abstractmethod
    def render(self, report: Report) -> str:
        """Draw the report.

        Raises:
            NotMeasuredError: what it draws from cannot be read.
        """


PLUGIN_KINDS: dict[str, type[Plugin]] = {
    "frameworks": Framework,
    "techniques": Technique,
    "runtimes": Runtime,
    "datasets": DatasetSource,
    "reporters": Reporter,
}

Options = dict[str, Any]
