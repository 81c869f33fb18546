"""Weights that an ONNX file keeps in other files, read into the model so that one file holds everything.

A model file names its data files itself, so a hostile one could name any file of the machine. Ours are read only
from the folder of the model, as it was given and after all symbolic links were followed: the second is what the
cache of Hugging Face needs, where model and data are links into one folder of blobs. ONNX's own reader refuses
every link: https://github.com/onnx/onnx/pull/7717
"""

from __future__ import annotations

import math
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

from pytest_inferopt.domain.model_file import MAX_PROTOBUF_BYTES, shown_path
from pytest_inferopt.domain.text import printable
from pytest_inferopt.errors import NotMeasuredError, RefusedError
from pytest_inferopt.frameworks._onnx_graphs import tensors_of, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["embed_external_data", "external_files", "has_external_data"]

NUMBER = re.compile(r"[0-9]{1,19}")
# Bits of one element where ONNX packs several into a byte; the others are whole NumPy items.
PACKED_BITS = {"UINT4": 4, "INT4": 4, "FLOAT4E2M1": 4, "UINT2": 2, "INT2": 2}
INSIDE = "Put the data file into the folder of the model, under the plain name that the model gives it."


@dataclass(frozen=True)
class _Region:
    """Where a tensor's bytes lie: `length` bytes of `file`, from `offset` on."""

    tensor: Any
    file: Path
    offset: int
    length: int


def has_external_data(model: Any) -> bool:
    """Whether any tensor of a ModelProto lies in another file."""
    return any(map(_is_external, tensors_of(model)))


def external_files(model: Any, path: Path) -> tuple[Path, ...]:
    """The data files of the model at `path`, resolved, each once, in the order of their names.

    Raises:
        NotMeasuredError: one is missing.
        RefusedError: one lies elsewhere than beside the model.
    """
    return tuple(sorted({region.file for region in _regions(model, path)}))


def embed_external_data(model: Any, path: Path) -> bool:
    """Read the weights that the model at `path` keeps in other files into `model`; say whether there were any.

    Every place is checked before the first byte is read, and no more is read than one ONNX file can hold.

    Raises:
        NotMeasuredError: a data file is missing, or the weights take more than 2 GiB.
        RefusedError: a data file lies elsewhere than beside the model, or an offset or length is wrong.
    """
    regions = _regions(model, path)
    total = model.ByteSize() + sum(region.length for region in regions)
    if total > MAX_PROTOBUF_BYTES:
        raise NotMeasuredError(
            f"{shown_path(path)} and its external data take {total / 2**30:.1f} GiB; at most 2 GiB are supported.",
            "Use a smaller model, or one with smaller weights.",
        )
    for region in regions:
        region.tensor.raw_data = _read(region)
        region.tensor.ClearField("external_data")
        region.tensor.ClearField("data_location")
    return bool(regions)


def _is_external(tensor: Any) -> bool:
    import onnx

    return bool(tensor.data_location == onnx.TensorProto.EXTERNAL)


def _regions(model: Any, path: Path) -> list[_Region]:
    return [_region(tensor, path) for tensor in tensors_of(model) if _is_external(tensor)]


def _region(tensor: Any, path: Path) -> _Region:
    entries = {text_of(entry.key): text_of(entry.value) for entry in tensor.external_data}
    file = _inside(entries.get("location", ""), path)
    size = file.stat().st_size
    offset = _number(entries.get("offset", "0"), "offset", tensor)
    wanted = _size_bytes(tensor)
    length = _number(entries.get("length", str(wanted)), "length", tensor)
    if length != wanted:
        raise RefusedError(
            f"the external data of {_shown(tensor)} has length {length}, but its type and shape take {wanted} bytes.",
            "Export the model again.",
        )
    if offset + length > size:
        raise RefusedError(
            f"the external data of {_shown(tensor)} ends at byte {offset + length}, "
            f"but {shown_path(file)} holds {size} bytes.",
            "The data file belongs to another model or is incomplete: download both again.",
        )
    return _Region(tensor, file, offset, length)


def _inside(location: str, path: Path) -> Path:
    """The resolved data file that `location` names for the model at `path`, which lies beside it or below."""
    parts = PurePosixPath(location.replace("\\", "/")).parts
    absolute = PurePosixPath(location).is_absolute() or PureWindowsPath(location).anchor
    if not parts or absolute or ".." in parts or "\0" in location:
        raise RefusedError(
            f"{shown_path(path)} keeps weights in '{printable(location)}', which is no place beside the model.", INSIDE
        )
    folders = (path.parent.resolve(), path.resolve().parent)
    file = _existing((folder / location for folder in folders), location, path).resolve()
    if not any(file.is_relative_to(folder) for folder in folders) or not stat.S_ISREG(file.stat().st_mode):
        raise RefusedError(
            f"{shown_path(path)} keeps weights in '{printable(location)}', which leads to {shown_path(file)}: "
            "no file in the model's folder.",
            INSIDE,
        )
    return file


def _existing(candidates: Iterable[Path], location: str, path: Path) -> Path:
    for candidate in candidates:
        if candidate.exists():
            return candidate
    raise NotMeasuredError(
        f"{shown_path(path)} keeps weights in '{printable(location)}', and there is no such file beside it.",
        "Copy or download the data file into the model's folder.",
    )


def _number(text: str, what: str, tensor: Any) -> int:
    if not NUMBER.fullmatch(text):
        raise RefusedError(
            f"the external data of {_shown(tensor)} has the {what} '{printable(text, 40)}', which is no number "
            "of bytes.",
            "Export the model again.",
        )
    return int(text)


def _size_bytes(tensor: Any) -> int:
    """The bytes that a tensor takes by its type and shape."""
    import onnx

    try:
        name = onnx.TensorProto.DataType.Name(tensor.data_type)
        item = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    except (KeyError, ValueError):
        name, item = "UNDEFINED", None
    if item is None or item.hasobject or any(size < 0 for size in tensor.dims):
        raise RefusedError(
            f"{_shown(tensor)} of type {name} and shape {list(tensor.dims)[:8]} cannot lie in another file.",
            "Export the model again.",
        )
    bits: int = PACKED_BITS.get(name, item.itemsize * 8)
    return (math.prod(map(int, tensor.dims)) * bits + 7) // 8


def _read(region: _Region) -> bytes:
    # Resolved paths hold no link any more: one that stands there now was put there in between.
    descriptor = os.open(region.file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:  # noqa: PTH123 -- of a descriptor
        file.seek(region.offset)
        data = file.read(region.length)
    if len(data) != region.length:
        raise NotMeasuredError(
            f"{shown_path(region.file)} became shorter while it was read.", "Run again when nothing writes to it."
        )
    return data


def _shown(tensor: Any) -> str:
    return f"tensor '{printable(text_of(tensor.name))}'"
