from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import pickle
import socket
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_inferopt.domain.model_file import ModelFile, inspect_model_file
from pytest_inferopt.errors import InferoptError, NotMeasuredError, RefusedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

ONNX = b"\x08\x08\x12\x07skl2onnx"
PICKLE = pickle.dumps({"a": 1})


def file(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def zip_file(folder: Path, name: str) -> Path:
    with zipfile.ZipFile(folder / name, "w") as archive:
        archive.writestr("data.pkl", PICKLE)
    return folder / name


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("m.onnx", ONNX, "onnx"),
        ("M.ONNX", ONNX, "onnx"),
        ("m.onnx", b"\x3a\x04grap", "onnx"),
        ("m.pkl", PICKLE, "pickle"),
        ("m.pickle", pickle.dumps({"a": 1}, protocol=0), "pickle"),
        ("m.joblib", gzip.compress(PICKLE, mtime=0), "pickle"),
        ("m.joblib", zlib.compress(PICKLE), "pickle"),
        ("m.joblib", bz2.compress(PICKLE), "pickle"),
        ("m.joblib", lzma.compress(PICKLE), "pickle"),
        ("m.joblib", lzma.compress(PICKLE, format=lzma.FORMAT_ALONE), "pickle"),
        ("m.pth", PICKLE, "torch"),
        ("m.json", json.dumps({"learner": {}}, indent=1).encode(), "json"),
        ("m.ubj", b"{L\x00\x00\x00\x00\x00\x00\x00\x07learner", "ubjson"),
        ("m.txt", b"tree\nversion=v4\n", "text"),
        ("m.txt", b"tree\r\nversion=v4\r\n", "text"),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else value,
)
def test_a_file_that_is_what_its_suffix_says_is_of_that_kind(
    tmp_path: Path, name: str, content: bytes, kind: str
) -> None:
    path = file(tmp_path, name, content)
    assert inspect_model_file(path) == ModelFile(path, kind, len(content))


@pytest.mark.parametrize(("name", "kind"), [("m.pt", "torch"), ("m.keras", "keras")])
def test_an_archive_is_of_the_kind_that_its_suffix_says(tmp_path: Path, name: str, kind: str) -> None:
    path = zip_file(tmp_path, name)
    assert inspect_model_file(path) == ModelFile(path, kind, path.stat().st_size)


@pytest.mark.parametrize("name", ["m.json", "m.txt", "m.pt", "m.keras", "m.ubj"])
def test_bytes_that_nothing_recognises_are_refused_where_the_format_would_be_recognised(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(RefusedError, match="but holds something else"):
        inspect_model_file(file(tmp_path, name, b"\x00\x01\x02\x03"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "m.plan",
            (
                "'{path}' is a TensorRT engine: a result for one GPU, not a model to start from. "
                "Give the ONNX file or the model that it was built from."
            ),
        ),
        (
            "m.h5",
            (
                "'{path}' is a legacy HDF5 model, which can carry code that runs when it is loaded. "
                "Save it again in the .keras format."
            ),
        ),
    ],
)
def test_a_format_that_is_never_loaded_is_refused_with_what_to_give_instead(
    tmp_path: Path, name: str, message: str
) -> None:
    path = file(tmp_path, name, b"\x00")
    with pytest.raises(RefusedError) as caught:
        inspect_model_file(path)
    assert str(caught.value) == message.format(path=path)


@pytest.mark.parametrize(
    ("name", "named"), [("model.bin", "the suffix '.bin'"), ("model", "no suffix"), ("m.\x1b[31m", "'.\\x1b[31m'")]
)
def test_an_unknown_suffix_is_answered_with_the_known_ones(tmp_path: Path, name: str, named: str) -> None:
    with pytest.raises(UsageError) as caught:
        inspect_model_file(file(tmp_path, name, b"\x00"))
    assert named in caught.value.message
    assert caught.value.hint == "known: .joblib, .json, .keras, .onnx, .pickle, .pkl, .pt, .pt2, .pth, .txt, .ubj"


def test_an_onnx_file_larger_than_protobuf_is_not_measured_and_one_of_that_size_is_let_through(tmp_path: Path) -> None:
    path = file(tmp_path, "m.onnx", ONNX)
    os.truncate(path, 2**31 - 1)
    assert inspect_model_file(path) == ModelFile(path, "onnx", 2**31 - 1)
    os.truncate(path, 2**31)
    with pytest.raises(NotMeasuredError) as caught:
        inspect_model_file(path)
    assert caught.value.message == f"'{path}' is 2.0 GiB; an ONNX file holds at most 2 GiB."


def test_a_pickle_may_be_larger_than_an_onnx_file(tmp_path: Path) -> None:
    path = file(tmp_path, "m.pkl", PICKLE)
    os.truncate(path, 2**31)
    assert inspect_model_file(path) == ModelFile(path, "pickle", 2**31)


def test_a_file_that_may_not_be_read_is_a_usage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = file(tmp_path, "m.onnx", ONNX)

    def denied(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    # The tests may run as root, whom no permission bit stops.
    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(UsageError) as caught:
        inspect_model_file(path)
    assert str(caught.value) == f"the model '{path}' cannot be read: Permission denied. Check its permissions."


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("x\0.onnx", "embedded null byte"),
        ("x" * 5000 + ".onnx", "File name too long"),
    ],
)
def test_a_path_that_no_file_can_have_is_a_usage_error_on_one_short_line(path: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as caught:
        inspect_model_file(Path(path))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


def test_the_file_stays_as_it_was_and_nothing_else_appears(tmp_path: Path) -> None:
    path = file(tmp_path, "m.pkl", PICKLE)
    inspect_model_file(path)
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {"m.pkl": PICKLE}


def test_every_error_is_one_of_ours_for_any_first_bytes(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    for first in range(256):
        path.write_bytes(bytes([first, 0x28, 0xB5]) * 20)
        try:
            inspect_model_file(path)
        except InferoptError as error:
            assert str(error).isprintable()  # noqa: PT017 -- most first bytes raise nothing


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda _: None, "does not exist. Check the path."),
        (lambda path: path.symlink_to("nowhere"), "does not exist. Check the path."),
        (Path.mkdir, "is a folder, not a file. Give the path of a file."),
        (os.mkfifo, "is a FIFO, not a file. Give the path of a file."),
        (lambda path: path.symlink_to("/dev/null"), "is a device, not a file. Give the path of a file."),
    ],
    ids=["missing", "broken link", "folder", "FIFO", "device"],
)
def test_what_is_no_file_is_a_usage_error_that_says_what_it_is(
    tmp_path: Path, make: Callable[[Path], None], told: str
) -> None:
    path = tmp_path / "m.onnx"
    make(path)
    with pytest.raises(UsageError) as caught:
        inspect_model_file(path)
    assert str(caught.value) == f"the model '{path}' {told}"


def test_a_socket_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("m.onnx")
        with pytest.raises(UsageError, match=r"'m\.onnx' is a socket, not a file"):
            inspect_model_file(Path("m.onnx"))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty (0 bytes). Write or download the model again."),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
            "is a Git LFS pointer; the model itself was not downloaded. Run `git lfs pull`.",
        ),
        (
            b"\xef\xbb\xbf\n <!DOCTYPE html><title>404</title>",
            "holds a web page, not a model: a download failed. Download the model again.",
        ),
        (
            b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
            "holds a web page, not a model: a download failed. Download the model again.",
        ),
    ],
    ids=["empty", "pointer", "page", "bucket"],
)
def test_what_a_failed_download_leaves_is_not_measured(tmp_path: Path, content: bytes, told: str) -> None:
    path = file(tmp_path, "m.onnx", content)
    with pytest.raises(NotMeasuredError) as caught:
        inspect_model_file(path)
    assert str(caught.value) == f"'{path}' {told}"
