"""Hostile and damaged model files, numbered A1 to A24: each fault, and beside it what looks alike and is sound."""

from __future__ import annotations

import os
import pickle
import socket
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_inferopt.domain.artifact import Signature, TensorSpec
from pytest_inferopt.domain.model_file import inspect_model_file
from pytest_inferopt.errors import InferoptError, NotMeasuredError, RefusedError, UsageError
from pytest_inferopt.frameworks.onnx import Onnx

if TYPE_CHECKING:
    from types import ModuleType

pytest.importorskip("onnx")

SIGNATURE = Signature((TensorSpec("x", "float32", ("N", 16)),), (TensorSpec("y", "float32", ("N", 16), role="values"),))


def refusal(path: Path) -> InferoptError:
    """The error with which a model file is turned away."""
    with pytest.raises(InferoptError) as caught:
        Onnx().load(path)
    return caught.value


def test_a01_a_missing_path_is_a_usage_error(tmp_path: Path) -> None:
    error = refusal(tmp_path / "model.onnx")
    assert (type(error), str(error)) == (
        UsageError,
        f"the model '{tmp_path}/model.onnx' does not exist. Check the path.",
    )


def fifo(path: Path) -> None:
    os.mkfifo(path)


def bound_socket(path: Path) -> None:
    # By its name, in the working directory: a socket's whole path has at most 107 characters.
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)


def device(path: Path) -> None:
    path.symlink_to("/dev/null")


@pytest.mark.parametrize(
    ("make", "kind"), [(Path.mkdir, "a folder"), (fifo, "a FIFO"), (bound_socket, "a socket"), (device, "a device")]
)
def test_a01_what_is_no_file_is_a_usage_error_and_is_never_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "model.onnx"
    make(path)
    error = refusal(path)
    assert (type(error), str(error)) == (
        UsageError,
        f"the model '{path}' is {kind}, not a file. Give the path of a file.",
    )


def test_a01_a_link_to_a_model_is_a_model(tmp_path: Path, onnx_models: ModuleType) -> None:
    link = tmp_path / "link.onnx"
    link.symlink_to(onnx_models.dense(tmp_path / "model.onnx"))
    assert Onnx().load(link).signature == SIGNATURE


def test_a02_an_empty_file_is_not_measured(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.touch()
    error = refusal(path)
    assert (type(error), str(error)) == (
        NotMeasuredError,
        f"'{path}' is empty (0 bytes). Write or download the model again.",
    )


@pytest.mark.parametrize("tenths", range(1, 10))
def test_a03_a_file_cut_at_each_tenth_is_not_measured(tmp_path: Path, onnx_models: ModuleType, tenths: int) -> None:
    path = onnx_models.dense(tmp_path / "model.onnx")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * tenths // 10])
    error = refusal(path)
    assert (type(error), str(error)) == (
        NotMeasuredError,
        f"'{path}' is damaged or incomplete: it does not parse as an ONNX model. Download or export the model again.",
    )


def test_a03_no_cut_at_all_is_taken_for_a_model(tmp_path: Path, onnx_models: ModuleType) -> None:
    path = onnx_models.one_node(tmp_path / "model.onnx", "Relu")
    content = path.read_bytes()
    for size in range(len(content)):
        path.write_bytes(content[:size])
        assert isinstance(refusal(path), NotMeasuredError)


def test_a04_a_git_lfs_pointer_is_not_measured_and_names_the_command(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n")
    error = refusal(path)
    assert (type(error), str(error)) == (
        NotMeasuredError,
        f"'{path}' is a Git LFS pointer; the model itself was not downloaded. Run `git lfs pull`.",
    )


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")


@pytest.mark.parametrize(
    ("write", "content"),
    [
        (lambda path: path.write_bytes(pickle.dumps({})), "a pickle"),
        (zipped, "a zip archive"),
        (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n\0\0"), "an HDF5 file"),
        (lambda path: path.write_text('{"learner": {}}'), "a JSON document"),
        (lambda path: path.write_text("Invalid username or password."), "text"),
    ],
)
def test_a05_something_else_named_onnx_is_refused(tmp_path: Path, write, content: str) -> None:
    path = tmp_path / "model.onnx"
    write(path)
    error = refusal(path)
    assert (type(error), str(error)) == (
        RefusedError,
        f"'{path}' is named as an ONNX file but holds {content}. Rename it to what it is, or save the model again.",
    )


@pytest.mark.parametrize(
    ("name", "promised"),
    [
        ("model.joblib", "a pickle"),
        ("model.pt", "a PyTorch archive"),
        ("model.txt", "a LightGBM text model"),
        ("model.json", "an XGBoost JSON model"),
    ],
)
def test_a05_an_onnx_file_named_as_something_else_is_refused(
    tmp_path: Path, onnx_models: ModuleType, name: str, promised: str
) -> None:
    path = onnx_models.dense(tmp_path / name)
    with pytest.raises(RefusedError) as caught:
        inspect_model_file(path)
    assert caught.value.message == f"'{path}' is named as {promised} but holds an ONNX file."


@pytest.mark.parametrize(
    "page",
    ["<!DOCTYPE html><title>Sign in</title>", "\ufeff\n <html>", "<?xml version='1.0'?><Error>AccessDenied</Error>"],
)
def test_a06_a_web_page_named_onnx_is_not_measured(tmp_path: Path, page: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_text(page, encoding="utf-8")
    error = refusal(path)
    assert (type(error), str(error)) == (
        NotMeasuredError,
        f"'{path}' holds a web page, not a model: a download failed. Download the model again.",
    )


def test_a06_a_model_that_mentions_a_web_page_is_a_model(tmp_path: Path, onnx_models: ModuleType) -> None:
    path = onnx_models.dense(tmp_path / "model.onnx", producer_name="<!doctype html>")
    assert Onnx().load(path).signature == SIGNATURE


def test_a20_a_thousand_nested_graphs_are_not_measured(tmp_path: Path, onnx_models: ModuleType) -> None:
    error = refusal(onnx_models.nested_graphs(tmp_path / "model.onnx", 1000))
    assert (type(error), str(error)) == (
        NotMeasuredError,
        (
            f"'{tmp_path}/model.onnx' nests more than 32 graphs inside one another, which no ONNX reader takes. "
            "Export the model with fewer nested If, Loop and Scan bodies."
        ),
    )


def test_a20_as_many_nested_graphs_as_readers_take_are_a_model(tmp_path: Path, onnx_models: ModuleType) -> None:
    assert Onnx().load(onnx_models.nested_graphs(tmp_path / "model.onnx", 32)).signature is not None


def test_a21_an_unknown_operator_is_not_measured_and_its_node_is_named(tmp_path: Path, onnx_models: ModuleType) -> None:
    error = refusal(onnx_models.unknown_operator(tmp_path / "model.onnx"))
    assert isinstance(error, NotMeasuredError)
    assert error.message.startswith(
        "node 'middle' (operator 'Frobnicate') is unknown in opset 17 of the domain 'ai.onnx' to the installed onnx "
    )


def test_a21_an_operator_newer_than_the_opset_is_not_measured(tmp_path: Path, onnx_models: ModuleType) -> None:
    error = refusal(onnx_models.one_node(tmp_path / "model.onnx", "Gelu", name="middle"))
    assert (type(error), "node 'middle' (operator 'Gelu') is unknown in opset 17" in error.message) == (
        NotMeasuredError,
        True,
    )


@pytest.mark.parametrize(
    ("stamp", "said"),
    [({"ir_version": 200}, "the model has IR version 200; "), ({"opset": 200}, "the model has opset 200 of ai.onnx; ")],
)
def test_a21_versions_that_the_runtime_does_not_know_are_not_measured_and_named(
    tmp_path: Path, onnx_models: ModuleType, stamp: dict[str, int], said: str
) -> None:
    pytest.importorskip("onnxruntime")
    path = onnx_models.dense(tmp_path / "model.onnx")
    model = onnx_models.read(path)
    model.ir_version = stamp.get("ir_version", model.ir_version)
    model.opset_import[0].version = stamp.get("opset", 17)
    path.write_bytes(model.SerializeToString())
    error = refusal(path)
    assert (type(error), error.message.startswith(f"{said}the installed onnx")) == (NotMeasuredError, True)


def test_a22_a_custom_operator_is_refused_with_its_node_and_domain(tmp_path: Path, onnx_models: ModuleType) -> None:
    error = refusal(onnx_models.custom_domain(tmp_path / "model.onnx"))
    assert (type(error), str(error)) == (
        RefusedError,
        (
            "node 'middle' (operator 'Frobnicate') is of the domain 'com.example', whose operators need a library of "
            "their own. Export the model with standard operators only, or with the operator as a function in the model."
        ),
    )


def test_a22_an_operator_that_is_a_function_of_the_model_works(tmp_path: Path, onnx_models: ModuleType) -> None:
    assert Onnx().load(onnx_models.local_function(tmp_path / "model.onnx")).signature == SIGNATURE


HOSTILE = [
    "\x1b[31mred",
    "<script>alert(1)</script>",
    "::error::fake",
    "two\nlines",
    "\u202egnp.exe",
    "n" * 10_000,
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a24_a_hostile_name_is_kept_as_it_is(tmp_path: Path, onnx_models: ModuleType, name: str) -> None:
    path = onnx_models.hostile_names(tmp_path / "model.onnx", name)
    before = path.read_bytes()
    artifact = Onnx().load(path)
    assert [spec.name for spec in artifact.signature.inputs] == [f"in {name}"]
    assert (artifact.path, path.read_bytes()) == (path, before)


@pytest.mark.parametrize("name", HOSTILE)
def test_a24_a_hostile_name_is_printable_and_short_in_a_message(
    tmp_path: Path, onnx_models: ModuleType, name: str
) -> None:
    error = refusal(onnx_models.one_node(tmp_path / "model.onnx", name, name=name))
    assert (str(error).isprintable(), len(str(error)) < 500) == (True, True)
