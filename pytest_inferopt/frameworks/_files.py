"""Model files on disk: pickles, and what stands in the place of a model when something went wrong."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from pytest_inferopt.errors import NotMeasuredError, RefusedError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["content_digest", "is_pickle", "load_pickle", "read_head", "save_pickle"]

HEAD_BYTES = 512
PICKLE = b"\x80"  # protocol 2 and later; joblib's compressed files are told by their own magic
COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x5d\x00", b"\x78", b"\x04\x22\x4d\x18")


def read_head(path: Path) -> bytes:
    """The first bytes of a model file.

    Raises:
        NotMeasuredError: it is missing, empty or a Git LFS pointer.
        RefusedError: it is a web page.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise NotMeasuredError(f"{path} cannot be read: {error.strerror}", hint="check the path") from error
    if not head:
        raise NotMeasuredError(f"{path} is empty", hint="save the model again")
    if head.startswith(b"version https://git-lfs"):
        raise NotMeasuredError(f"{path} is a Git LFS pointer, not the model", hint="git lfs pull")
    if head.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html")):
        raise RefusedError(f"{path} is a web page, not a model", hint="download the file itself")
    return head


def is_pickle(head: bytes) -> bool:
    """Whether a file that starts like this is a pickle, plain or compressed."""
    return head.startswith((PICKLE, *COMPRESSED))


def save_pickle(model: object, path: Path) -> None:
    """Write a live model so that another process gets it back."""
    import cloudpickle

    with path.open("wb") as file:
        cloudpickle.dump(model, file)


def load_pickle(path: Path) -> tuple[Any, tuple[str, ...]]:
    """Read a pickle or a joblib file, and what to know about it.

    Raises:
        NotMeasuredError: it is damaged, or a module or class it needs is not here; the message names it.
        RefusedError: it is no pickle.
    """
    import joblib

    if not is_pickle(read_head(path)):
        raise RefusedError(f"{path} is no pickle, whatever its name says", hint="save it with joblib.dump")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            model = joblib.load(path)
        except ModuleNotFoundError as error:
            raise NotMeasuredError(f"{path} needs the module {error.name!r}, which is not installed",
                                   hint=f"install {(error.name or '').partition('.')[0]}") from error  # fmt: skip
        except AttributeError as error:
            raise NotMeasuredError(f"{path} needs a class that is not here: {error}",
                                   hint="install the version it was saved with") from error  # fmt: skip
        except Exception as error:
            raise NotMeasuredError(f"{path} is damaged: {type(error).__name__}: {error}",
                                   hint="save the model again") from error  # fmt: skip
    return model, tuple(dict.fromkeys(_sentence(each.message) for each in caught if _matters(each.message)))


def _matters(warning: Warning | str) -> bool:
    return type(warning).__name__ == "InconsistentVersionWarning" or "older version of XGBoost" in str(warning)


def _sentence(warning: Any) -> str:
    if hasattr(warning, "original_sklearn_version"):
        return (
            f"saved with scikit-learn {warning.original_sklearn_version}, "
            f"loaded with {warning.current_sklearn_version}: answers may differ"
        )
    return str(warning).split("\n", 1)[0]


def content_digest(model: object) -> str:
    """A digest of a model's content (MD5 of its pickle, arrays by their bytes)."""
    import joblib

    return str(joblib.hash(model))
