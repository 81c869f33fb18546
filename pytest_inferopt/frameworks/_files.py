"""Pickles of models: written, read, digested."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from pytest_inferopt.domain.model_file import shown_path
from pytest_inferopt.domain.text import printable
from pytest_inferopt.errors import NotMeasuredError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["content_digest", "is_pickle", "load_pickle", "save_pickle"]

# Protocol 2 and later, and the magic of what joblib compresses with.
PICKLES = (b"\x80", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x5d\x00", b"\x78", b"\x04\x22\x4d\x18")


def is_pickle(path: Path) -> bool:
    """Whether a file starts as a pickle does, plain or compressed."""
    with path.open("rb") as file:
        return file.read(5).startswith(PICKLES)


def save_pickle(model: object, path: Path) -> None:
    """Write a live model so that another process gets it back."""
    import cloudpickle

    with path.open("wb") as file:
        cloudpickle.dump(model, file)


def load_pickle(path: Path) -> tuple[Any, tuple[str, ...]]:
    """Read a pickle or a joblib file, and what to know about it.

    Raises:
        NotMeasuredError: it is damaged, or a module or class it needs is not here; the message names it.
    """
    import joblib

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            model = joblib.load(path)
        except ModuleNotFoundError as error:
            name = error.name or ""
            raise NotMeasuredError(
                f"{shown_path(path)} needs the module {name!r}, which is not installed.",
                f"Install what brings {name.partition('.')[0]!r}.",
            ) from error
        except AttributeError as error:
            raise NotMeasuredError(
                f"{shown_path(path)} needs a class that is not here: {printable(str(error), 300)}.",
                "Install the version that it was saved with.",
            ) from error
        # Unpickling runs the constructors of any class, which raise what they like.
        except Exception as error:
            raise NotMeasuredError(
                f"{shown_path(path)} cannot be read: {type(error).__name__}: {printable(str(error), 300)}.",
                "Save the model again.",
            ) from error
    return model, tuple(dict.fromkeys(note for each in caught if (note := _note_of(each.message))))


def _note_of(warning: Any) -> str:
    """What a warning of unpickling means for the answers; empty where it means nothing."""
    if hasattr(warning, "original_sklearn_version"):
        before, now = warning.original_sklearn_version, warning.current_sklearn_version
        return f"saved with scikit-learn {before}, loaded with {now}: its answers may differ"
    return "saved with an older XGBoost: its answers may differ" if "older version of XGBoost" in str(warning) else ""


def content_digest(model: object) -> str | None:
    """A digest of a model's content (MD5 of its pickle, arrays by their bytes); None if joblib cannot pickle it.

    Records are packed first: a tree's nodes have padding between their fields, whose bytes are whatever the memory
    held before, so that the same tree would have another digest each time that it is loaded.
    """
    import numpy as np
    from joblib.hashing import NumpyHasher
    from numpy.lib.recfunctions import repack_fields

    class Hasher(NumpyHasher):  # type: ignore[misc]  # joblib has no types
        def save(self, obj: Any) -> None:
            is_record = isinstance(obj, np.ndarray) and obj.dtype.names is not None
            super().save(repack_fields(obj) if is_record else obj)

    try:
        return str(Hasher(hash_name="md5").hash(model))
    # Pickling runs the model's own code; a lambda in it, for one, is something that only cloudpickle takes.
    except Exception:  # noqa: BLE001
        return None
