"""TensorFlow's models as files: Keras' own archive, or a SavedModel, whose folder is packed into one file to travel."""

from __future__ import annotations

import contextlib
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_inferopt.domain.model_file import shown_path
from pytest_inferopt.domain.silence import silence
from pytest_inferopt.domain.text import printable
from pytest_inferopt.errors import InferoptError, NotMeasuredError, RefusedError
from pytest_inferopt.frameworks._tf_calls import is_keras, tensorflow

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["pack", "read_model", "write_model"]

GRAPH = "saved_model.pb"
KERAS = "config.json"
REASON_LENGTH = 300
# Zip cannot tell of earlier times, and a file that holds the same is to be the same.
EPOCH = (1980, 1, 1, 0, 0, 0)


def pack(folder: Path, target: Path) -> Path:
    """A SavedModel as one file, not compressed, the same bytes for the same content."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            archive.writestr(zipfile.ZipInfo(file.relative_to(folder).as_posix(), EPOCH), file.read_bytes())
    return target


def write_model(model: Any, path: Path) -> None:
    """Write a live model so that another process gets it back.

    A Keras model goes into Keras' archive, if that can be read again without code of the user's; else what it computes
    goes into a SavedModel, which needs no code.
    """
    with tempfile.TemporaryDirectory() as place, silence():
        if is_keras(model):
            archive = Path(place) / "model.keras"
            if _is_own(model):
                model.save(archive)
                path.write_bytes(archive.read_bytes())
                return
            model.export(Path(place) / "saved", verbose=False)
        else:
            tensorflow().saved_model.save(model, str(Path(place) / "saved"), signatures=model.signatures)
        pack(Path(place) / "saved", path)


def _is_own(model: Any) -> bool:
    """Whether every layer is Keras' own, so that its configuration alone rebuilds it."""
    layers = [model, *model._flatten_layers()] if hasattr(model, "_flatten_layers") else [model]  # noqa: SLF001
    return all(type(layer).__module__.startswith("keras.") and type(layer).__name__ != "Lambda" for layer in layers)


def read_model(path: Path) -> Any:
    """Read a ``.keras`` file, a SavedModel's folder, or what `write_model` wrote.

    Raises:
        NotMeasuredError: it is damaged, or a class that it needs is not here.
        RefusedError: a layer of it carries code (Lambda).
    """
    with _explained(path), silence():
        if path.is_dir():
            return _loaded(path)
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            if KERAS not in names and GRAPH in names:
                with tempfile.TemporaryDirectory() as place:
                    archive.extractall(place)
                    return _loaded(Path(place))
        tensorflow()
        import keras

        with tempfile.TemporaryDirectory() as place:
            archive_path = Path(place) / "model.keras"
            archive_path.write_bytes(path.read_bytes())
            return keras.models.load_model(archive_path, compile=False, safe_mode=True)


def _loaded(folder: Path) -> Any:
    return tensorflow().saved_model.load(str(folder))


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except InferoptError:
        raise
    # Keras and TensorFlow raise classes of many kinds for what is wrong with a file.
    except Exception as error:
        text = printable(" ".join(str(error).split()), REASON_LENGTH)
        if "Lambda" in text and "safe" in str(error):
            raise RefusedError(
                f"{shown_path(path)} has a Lambda layer, whose code would run when it is loaded.",
                "Replace it by a layer of its own class, or export a SavedModel: model.export(folder).",
            ) from error
        if "Could not locate class" in text or "Unknown layer" in text:
            raise NotMeasuredError(
                f"{shown_path(path)} needs a class that is not here: {text}.",
                "Pass the live model or package.module:factory, or export a SavedModel: model.export(folder).",
            ) from error
        raise NotMeasuredError(
            f"{shown_path(path)} cannot be read by TensorFlow: {type(error).__name__}: {text}.", "Save it again."
        ) from error
