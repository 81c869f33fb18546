from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pytest_inferopt.datasets.arrays import Npz
from pytest_inferopt.errors import InferoptError, NotMeasuredError, RefusedError, UsageError

np = pytest.importorskip("numpy")

X, MASK, Y, QUERIES = np.arange(12.0).reshape(3, 4), np.ones((3, 4)), np.array(["a", "b", "a"]), np.array([1, 1, 2])


def npz(folder: Path, **arrays: Any) -> Path:
    path = folder / "data.npz"
    np.savez(path, **(arrays or {"x": X, "mask": MASK, "y": Y, "queries": QUERIES}))
    return path


def refusal(path: Path, **options: Any) -> tuple[type, str]:
    """The error that reading `path` ends in, and its text."""
    with pytest.raises(InferoptError) as caught:
        Npz(path=path, **options).load()
    return type(caught.value), str(caught.value).replace(str(path), "PATH")


def test_the_named_arrays_are_inputs_answers_and_groups(tmp_path: Path) -> None:
    data = Npz(path=npz(tmp_path), y="y", groups="queries").load()
    assert (data.x.tolist(), data.y.tolist(), data.groups.tolist()) == (X.tolist(), Y.tolist(), QUERIES.tolist())


def test_only_the_inputs_are_needed(tmp_path: Path) -> None:
    data = Npz(path=npz(tmp_path)).load()
    assert (data.rows, data.y, data.groups) == (3, None, None)


def test_several_inputs_make_a_mapping_in_the_given_order(tmp_path: Path) -> None:
    data = Npz(path=npz(tmp_path), x=["mask", "x"]).load()
    assert {name: array.tolist() for name, array in data.x.items()} == {"mask": MASK.tolist(), "x": X.tolist()}
    assert list(data.x) == ["mask", "x"]


def test_a_compressed_file_is_read_too(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "data.npz", x=X)
    assert Npz(path=tmp_path / "data.npz").load().x.tolist() == X.tolist()


def test_an_array_that_is_not_there_is_a_usage_error_with_a_suggestion(tmp_path: Path) -> None:
    assert refusal(npz(tmp_path), y="query") == (
        UsageError,
        "'PATH' has no array 'query'; did you mean 'queries'?",
    )


def test_arrays_of_different_lengths_are_a_usage_error_with_both(tmp_path: Path) -> None:
    assert refusal(npz(tmp_path, x=X, y=Y[:2]), y="y") == (
        UsageError,
        "the arrays of 'PATH' have different numbers of rows: x 3, y 2. Save one entry a row in each.",
    )


def test_a_single_value_is_a_usage_error(tmp_path: Path) -> None:
    assert refusal(npz(tmp_path, x=np.float32(1))) == (
        UsageError,
        "the array 'x' of 'PATH' is a single value. Save one entry a row.",
    )


def test_a_member_that_is_no_array_is_a_usage_error(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x", "hello")
    assert refusal(path) == (UsageError, "the array 'x' of 'PATH' is a single value. Save one entry a row.")


def test_arrays_without_rows_are_not_measured(tmp_path: Path) -> None:
    assert refusal(npz(tmp_path, x=X[:0])) == (
        NotMeasuredError,
        "'PATH' has no rows to measure with. Give arrays with rows.",
    )


def test_pickled_objects_are_refused_and_never_read(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return (os.mkdir, (str(tmp_path / "sprung"),))

    path = npz(tmp_path, x=X, y=np.array([Trap(), None], dtype=object))
    assert refusal(path, y="y") == (
        RefusedError,
        (
            "the array 'y' of 'PATH' holds pickled Python objects. "
            "Save numbers or fixed-width text: numpy.asarray(values, dtype=str)."
        ),
    )
    assert not (tmp_path / "sprung").exists()
    assert Npz(path=path).load().rows == 3


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x01\x00", b"PK\x03\x04 and no more"])
def test_what_is_no_archive_is_a_usage_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "data.npz"
    path.write_bytes(content)
    kind, message = refusal(path)
    assert (kind, message.startswith("'PATH' cannot be read: ")) == (UsageError, True)


@pytest.mark.parametrize("compressed", [False, True])
def test_a_damaged_array_is_a_usage_error(tmp_path: Path, compressed: bool) -> None:
    path = tmp_path / "data.npz"
    (np.savez_compressed if compressed else np.savez)(path, x=np.arange(4000.0))
    content = bytearray(path.read_bytes())
    content[400:440] = b"\xff" * 40
    path.write_bytes(content)
    kind, message = refusal(path)
    assert (kind, message.startswith("'PATH' cannot be read: ")) == (UsageError, True)


def test_an_array_with_a_damaged_header_is_a_usage_error(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00\x10\x00 no header here \n")
    kind, message = refusal(path)
    assert (kind, message.startswith("'PATH' cannot be read: ")) == (UsageError, True)


@pytest.mark.parametrize("make", [None, Path.mkdir, os.mkfifo])
def test_what_is_no_file_is_a_usage_error_and_never_blocks(tmp_path: Path, make) -> None:
    path = tmp_path / "data.npz"
    if make:
        make(path)
    assert refusal(path)[0] is UsageError


@pytest.mark.parametrize("options", [{"x": []}, {"z": "z"}])
def test_an_option_that_makes_no_sense_is_refused_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Npz(path="data.npz", **options)
