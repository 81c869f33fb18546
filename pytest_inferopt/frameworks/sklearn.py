"""scikit-learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pytest_inferopt.domain.artifact import Artifact, RunOptions
from pytest_inferopt.domain.model_file import inspect_model_file
from pytest_inferopt.domain.plugins import Framework
from pytest_inferopt.frameworks._feeds import check_columns_of
from pytest_inferopt.frameworks._files import content_digest, load_pickle, save_pickle
from pytest_inferopt.frameworks._native import open_estimator
from pytest_inferopt.frameworks._parts import column_names, describe_estimator
from pytest_inferopt.frameworks._skl2onnx import Source, convert_estimator, need

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_inferopt.domain.artifact import Rows, Session

__all__ = ["Sklearn"]


class Sklearn(Framework):
    """Estimators, pipelines and searches of scikit-learn.

    The file is a pickle, which runs code when it is read: only files of your own belong here.
    """

    name: ClassVar[str] = "sklearn"
    needs: ClassVar[tuple[str, ...]] = ("sklearn",)
    extra: ClassVar[str] = "sklearn"
    module_roots: ClassVar[tuple[str, ...]] = ("sklearn",)
    suffixes: ClassVar[tuple[str, ...]] = (".joblib", ".pkl", ".pickle")

    def runs_code(self, path: Path) -> bool:  # noqa: ARG002
        """A pickle does."""
        return True

    def save(self, model: object, path: Path) -> None:
        """Pickle it; classes that travel by value are registered by the caller."""
        save_pickle(model, path)

    def load(self, path: Path) -> Artifact:
        """Unpickle it.

        A pickle may hold any library's model: one whose class is not scikit-learn's own comes back in the format
        ``pickle``, and is to be described by its owner.

        Raises:
            NotMeasuredError: it is damaged, or a module or class it needs is not here.
            RefusedError: it is no pickle, whatever its suffix says.
        """
        if self.claims(path):
            inspect_model_file(path)
        model, notes = load_pickle(path)
        if self.owns(model) != 0:  # a class that only inherits from ours may be nearer to another framework
            return Artifact(format="pickle", path=path, model=model, notes=notes)
        return describe_estimator(self.name, model, path, notes)

    def describe(self, model: Any, path: Path) -> Artifact:
        """The task and the labels of a fitted estimator.

        Raises:
            UsageError: it is not fitted.
        """
        return describe_estimator(self.name, model, path)

    def check_rows(self, artifact: Artifact, rows: Rows) -> None:
        """Hold the columns against `feature_names_in_`."""
        check_columns_of(artifact.model, rows, column_names(artifact.model))

    def to_onnx(self, artifact: Artifact, path: Path, *, opset: int, samples: Rows) -> Artifact:
        """Convert with skl2onnx."""
        need(self.extra, "skl2onnx", "onnx")
        model = artifact.model
        answer = self.open(artifact, RunOptions(threads=None)).predict
        source = Source(model, answer, column_names(model), getattr(model, "n_features_in_", None))
        return convert_estimator(artifact, path, source, opset=opset, samples=samples)

    def open(self, artifact: Artifact, options: RunOptions) -> Session:
        """Run the estimator on the rows as they are."""
        return open_estimator(artifact, options)

    def fingerprint(self, model: object) -> str | None:
        """Joblib's hash of the estimator."""
        return content_digest(model)
