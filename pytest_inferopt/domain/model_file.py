"""What a model file is, told from its suffix and its first bytes; nothing is loaded and nothing is executed.

Everything that reads a model asks here first, so that a parser or an unpickler never sees a file that is
plainly something else.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pytest_inferopt.domain.text import printable
from pytest_inferopt.errors import NotMeasuredError, RefusedError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "MAX_PROTOBUF_BYTES",
    "ModelFile",
    "ModelFileKind",
    "inspect_model_file",
    "is_saved_model",
    "regular_file",
    "shown_path",
    "size_of",
]

ModelFileKind = Literal["onnx", "pickle", "torch", "keras", "saved_model", "json", "ubjson", "text"]

MAX_PROTOBUF_BYTES = 2**31 - 1
"""The most that one protobuf message holds, and with it one ONNX file."""

KINDS: dict[str, ModelFileKind] = {
    ".joblib": "pickle",
    ".json": "json",
    ".keras": "keras",
    ".onnx": "onnx",
    ".pickle": "pickle",
    ".pkl": "pickle",
    ".pt": "torch",
    ".pt2": "torch",
    ".pth": "torch",
    ".txt": "text",
    ".ubj": "ubjson",
}
"""What a suffix promises; ``text`` is LightGBM's own format, ``json`` and ``ubjson`` are XGBoost's."""

RESULTS = (".engine", ".plan", ".trt")
LEGACY_KERAS = (".h5", ".hdf5")

HEAD_BYTES = 512
LFS_POINTER = b"version https://git-lfs.github.com/spec"
WEB_PAGE = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype|html|head|body|error|\?xml|!--)", re.IGNORECASE)

# What the first bytes prove. The order matters: the tests of a later row may assume that no earlier one held.
CONTENTS: tuple[tuple[str, re.Pattern[bytes]], ...] = (
    ("a zip archive", re.compile(rb"PK(?:\x03\x04|\x05\x06)")),
    ("an HDF5 file", re.compile(rb"\x89HDF\r\n\x1a\n")),
    ("a gzip file", re.compile(rb"\x1f\x8b")),
    ("a compressed file", re.compile(rb"BZh[1-9]1AY&SY|\xfd7zXZ\x00|\x04\x22\x4d\x18|\x28\xb5\x2f\xfd")),
    ("a zlib stream", re.compile(rb"\x78[\x01\x5e\x9c\xda]")),
    ("a pickle", re.compile(rb"\x80[\x02-\x05]")),
    ("a NumPy file", re.compile(rb"\x93NUMPY")),
    ("a JSON document", re.compile(rb"(?:\xef\xbb\xbf)?\s*[{\[]\s*(?:[\"}\]{]|\Z)")),
    ("a UBJSON document", re.compile(rb"\{[iUIlL]")),
    ("a LightGBM text model", re.compile(rb"tree\r?\n")),
    ("an ONNX file", re.compile(rb"\x08[\x01-\x7f][\x12\x1a\x22\x28\x32\x3a\x42\x72]")),
    ("text", re.compile(rb"[\t\n\r\x20-\x7e]{16,}\Z")),
)

# None: nothing was recognised, and the framework's own reader has the last word.
ACCEPTED: dict[ModelFileKind, frozenset[str | None]] = {
    "onnx": frozenset({None, "an ONNX file"}),
    # joblib compresses; a pickle of protocol 0 is plain text.
    "pickle": frozenset({None, "a pickle", "a gzip file", "a compressed file", "a zlib stream", "text"}),
    "torch": frozenset({"a zip archive", "a pickle"}),
    "keras": frozenset({"a zip archive"}),
    "json": frozenset({"a JSON document"}),
    "ubjson": frozenset({"a UBJSON document"}),
    "text": frozenset({"a LightGBM text model"}),
}
PROMISED: dict[ModelFileKind, str] = {
    "onnx": "an ONNX file",
    "pickle": "a pickle",
    "torch": "a PyTorch archive",
    "keras": "a Keras archive",
    "json": "an XGBoost JSON model",
    "ubjson": "an XGBoost UBJSON model",
    "text": "a LightGBM text model",
}


@dataclass(frozen=True)
class ModelFile:
    """A file that may be handed to the reader of its kind.

    Attributes:
        path: as it was given; symbolic links are not resolved.
        kind: what its suffix promises and its first bytes do not contradict.
        size_bytes: the size of what the path leads to.
    """

    path: Path
    kind: ModelFileKind
    size_bytes: int


def inspect_model_file(path: Path) -> ModelFile:
    """Tell what kind of model file `path` is, from its status, its first 512 bytes and its suffix.

    Raises:
        UsageError: there is no such file, it is no regular file, it cannot be read, or its suffix is unknown.
        NotMeasuredError: it is empty, a Git LFS pointer or a web page, or larger than an ONNX file can be.
        RefusedError: it holds something else than its suffix says, or is of a kind that is never loaded.
    """
    if is_saved_model(path):
        return ModelFile(path, "saved_model", size_of(path))
    size = regular_file(path, "the model").st_size
    kind = _promised_kind(path)
    if size == 0:
        raise NotMeasuredError(f"{shown_path(path)} is empty (0 bytes).", "Write or download the model again.")
    if kind == "onnx" and size > MAX_PROTOBUF_BYTES:
        raise NotMeasuredError(
            f"{shown_path(path)} is {size / 2**30:.1f} GiB; an ONNX file holds at most 2 GiB.",
            "Save the model with its weights as external data, at most 2 GiB of them.",
        )
    _check_content(path, kind, _first_bytes(path))
    return ModelFile(path, kind, size)


def is_saved_model(path: Path) -> bool:
    """Whether a path leads to a folder that is a SavedModel of TensorFlow's."""
    try:
        return (path / "saved_model.pb").is_file()
    # A name that no file can have is told with the others.
    except (OSError, ValueError):
        return False


def size_of(path: Path) -> int:
    """The bytes of a model's file, or of all files of its folder."""
    return (
        sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) if path.is_dir() else path.stat().st_size
    )


def regular_file(path: Path, what: str) -> os.stat_result:
    """The status of the regular file that `path` leads to; it is not opened, so a FIFO cannot block.

    Args:
        path: symbolic links are followed.
        what: the file's part in the request, for the message: ``the model``.

    Raises:
        UsageError: there is no such file, or it is a folder, a FIFO, a socket or a device.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        raise UsageError(f"{what} {shown_path(path)} does not exist.", "Check the path.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{what} {shown_path(path)} cannot be reached: {reason}.", "Check the path.") from None
    if not stat.S_ISREG(status.st_mode):
        raise UsageError(
            f"{what} {shown_path(path)} is {_node_kind(status.st_mode)}, not a file.", "Give the path of a file."
        )
    return status


def shown_path(path: Path) -> str:
    """A path as it stands in a message: on one line, printable, and cut where it is very long."""
    return f"'{printable(str(path), 400)}'"


def _node_kind(mode: int) -> str:
    kinds = (
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a FIFO"),
        (stat.S_ISSOCK, "a socket"),
    )
    return next((name for test, name in kinds if test(mode)), "a device")


def _promised_kind(path: Path) -> ModelFileKind:
    suffix = path.suffix.lower()
    if suffix in RESULTS:
        raise RefusedError(
            f"{shown_path(path)} is a TensorRT engine: a result for one GPU, not a model to start from.",
            "Give the ONNX file or the model that it was built from.",
        )
    if suffix in LEGACY_KERAS:
        raise RefusedError(
            f"{shown_path(path)} is a legacy HDF5 model, which can carry code that runs when it is loaded.",
            "Save it again in the .keras format.",
        )
    if suffix not in KINDS:
        named = f"the suffix '{printable(suffix, 20)}'" if suffix else "no suffix"
        raise UsageError(f"{shown_path(path)} has {named}, which names no model format;", f"known: {', '.join(KINDS)}")
    return KINDS[suffix]


def _first_bytes(path: Path) -> bytes:
    """The first 512 bytes. Non-blocking, in case the file was replaced by a FIFO since its status was read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise UsageError(
            f"the model {shown_path(path)} cannot be read: {error.strerror}.", "Check its permissions."
        ) from None
    try:
        return os.read(descriptor, HEAD_BYTES)
    finally:
        os.close(descriptor)


def _check_content(path: Path, kind: ModelFileKind, head: bytes) -> None:
    if head.startswith(LFS_POINTER):
        raise NotMeasuredError(
            f"{shown_path(path)} is a Git LFS pointer; the model itself was not downloaded.", "Run `git lfs pull`."
        )
    if WEB_PAGE.match(head):
        raise NotMeasuredError(
            f"{shown_path(path)} holds a web page, not a model: a download failed.", "Download the model again."
        )
    content = next((name for name, pattern in CONTENTS if pattern.match(head)), None)
    if content not in ACCEPTED[kind]:
        raise RefusedError(
            f"{shown_path(path)} is named as {PROMISED[kind]} but holds {content or 'something else'}.",
            "Rename it to what it is, or save the model again.",
        )
