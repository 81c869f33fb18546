"""Weights in other files and files that are too large, numbered A15 to A17: each fault beside what is sound."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pytest_inferopt.errors import InferoptError, NotMeasuredError, RefusedError
from pytest_inferopt.frameworks.onnx import Onnx

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

pytest.importorskip("onnx")


@pytest.fixture(autouse=True)
def _work_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path_factory.mktemp("work")))


def refusal(path: Path) -> InferoptError:
    """The error with which a model file is turned away."""
    with pytest.raises(InferoptError) as caught:
        Onnx().load(path)
    return caught.value


def test_a15_weights_in_a_file_beside_the_model_are_put_into_one_file(
    tmp_path: Path, onnx_models: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.setenv("TMPDIR", str(work))
    path = onnx_models.external(tmp_path / "model.onnx", "weights/model.data", offset="4096", length="1024")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/model.data").write_bytes(bytes(4096) + onnx_models.WEIGHTS.tobytes())
    before = path.read_bytes()
    artifact = Onnx().load(path)
    assert onnx_models.read(artifact.path).graph.initializer[0].raw_data == onnx_models.WEIGHTS.tobytes()
    assert (artifact.path.is_relative_to(work), path.read_bytes() == before) == (True, True)
    assert artifact.notes == ("its external data were put into one file",)


@pytest.mark.parametrize(
    "location", ["../secret", "sub/../../secret", "/etc/passwd", "C:\\secret", "..\\secret", "", "a\0b"]
)
def test_a15_a_place_that_is_not_beside_the_model_is_refused(
    tmp_path: Path, onnx_models: ModuleType, location: str
) -> None:
    (tmp_path / "secret").write_bytes(bytes(1024))
    folder = tmp_path / "model"
    folder.mkdir()
    error = refusal(onnx_models.external(folder / "model.onnx", location))
    assert (type(error), error.message) == (
        RefusedError,
        f"'{folder}/model.onnx' keeps weights in '{location}', which is no place beside the model.".replace(
            "\0", r"\x00"
        ),
    )


@pytest.mark.parametrize("via_folder", [False, True])
def test_a15_a_link_that_leads_out_of_the_folder_is_refused(
    tmp_path: Path, onnx_models: ModuleType, via_folder: bool
) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "data").write_bytes(bytes(1024))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "link").symlink_to(secret if via_folder else secret / "data")
    location = "link/data" if via_folder else "link"
    error = refusal(onnx_models.external(folder / "model.onnx", location))
    assert (type(error), error.message) == (
        RefusedError,
        (
            f"'{folder}/model.onnx' keeps weights in '{location}', which leads to '{secret}/data': "
            "no file in the model's folder."
        ),
    )


def test_a15_a_fifo_as_a_data_file_is_refused_and_never_opened(tmp_path: Path, onnx_models: ModuleType) -> None:
    os.mkfifo(tmp_path / "data")
    error = refusal(onnx_models.external(tmp_path / "model.onnx", "data"))
    assert (type(error), "no file in the model's folder" in error.message) == (RefusedError, True)


def test_a15_a_missing_data_file_is_not_measured_and_named(tmp_path: Path, onnx_models: ModuleType) -> None:
    error = refusal(onnx_models.external(tmp_path / "model.onnx", "model.onnx.data"))
    assert (type(error), str(error)) == (
        NotMeasuredError,
        (
            f"'{tmp_path}/model.onnx' keeps weights in 'model.onnx.data', and there is no such file beside it. "
            "Copy or download the data file into the model's folder."
        ),
    )


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ({"offset": "-1"}, "has the offset '-1', which is no number of bytes."),
        ({"offset": "0x10"}, "has the offset '0x10', which is no number of bytes."),
        ({"length": "-1024"}, "has the length '-1024', which is no number of bytes."),
        ({"length": "9" * 60}, f"has the length '{'9' * 39}…', which is no number of bytes."),
        ({"length": "1023"}, "has length 1023, but its type and shape take 1024 bytes."),
        ({"offset": "1"}, "ends at byte 1025, but '{data}' holds 1024 bytes."),
        ({"offset": "9223372036854775807"}, "ends at byte 9223372036854776831, but '{data}' holds 1024 bytes."),
    ],
)
def test_a15_a_wrong_offset_or_length_is_refused(
    tmp_path: Path, onnx_models: ModuleType, entries: dict[str, str], reason: str
) -> None:
    data = tmp_path / "data"
    data.write_bytes(bytes(1024))
    error = refusal(onnx_models.external(tmp_path / "model.onnx", "data", **entries))
    assert (type(error), error.message) == (
        RefusedError,
        f"the external data of tensor 'weights' {reason.format(data=data)}",
    )


@pytest.mark.parametrize(
    ("kind", "dims", "shown"),
    [("STRING", [16, 16], "STRING and shape [16, 16]"), ("FLOAT", [-16, 16], "FLOAT and shape [-16, 16]")],
)
def test_a15_a_type_or_shape_that_has_no_size_in_bytes_is_refused(
    tmp_path: Path, onnx_models: ModuleType, kind: str, dims: list[int], shown: str
) -> None:
    path = onnx_models.external(tmp_path / "model.onnx", "data")
    model = onnx_models.read(path)
    model.graph.initializer[0].data_type = model.graph.initializer[0].DataType.Value(kind)
    model.graph.initializer[0].dims[:] = dims
    path.write_bytes(model.SerializeToString())
    (tmp_path / "data").write_bytes(bytes(1024))
    error = refusal(path)
    assert (type(error), error.message) == (
        RefusedError,
        f"tensor 'weights' of type {shown} cannot lie in another file.",
    )


def test_a15_a_type_that_onnx_does_not_know_is_refused(tmp_path: Path, onnx_models: ModuleType) -> None:
    path = onnx_models.external(tmp_path / "model.onnx", "data")
    model = onnx_models.read(path)
    model.graph.initializer[0].data_type = 99
    path.write_bytes(model.SerializeToString())
    (tmp_path / "data").write_bytes(bytes(1024))
    assert refusal(path).message == "tensor 'weights' of type UNDEFINED and shape [16, 16] cannot lie in another file."


def test_a15_a_data_file_that_shrinks_meanwhile_is_not_measured(
    tmp_path: Path, onnx_models: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = onnx_models.external(tmp_path / "model.onnx", "data")
    (tmp_path / "data").write_bytes(bytes(1024))
    open_file = os.open

    def shrink_and_open(file: Path, *arguments: int) -> int:
        if file.name == "data":
            os.truncate(file, 1000)
        return open_file(file, *arguments)

    monkeypatch.setattr(os, "open", shrink_and_open)
    error = refusal(path)
    assert (type(error), error.message) == (
        NotMeasuredError,
        f"'{tmp_path}/data' became shorter while it was read.",
    )


def test_a16_a_cache_that_links_inside_its_own_tree_works(tmp_path: Path, onnx_models: ModuleType) -> None:
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "main"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    onnx_models.external(blobs / "1f3a", "model.onnx_data")
    (blobs / "9c2e").write_bytes(onnx_models.WEIGHTS.tobytes())
    (snapshot / "model.onnx").symlink_to("../../blobs/1f3a")
    (snapshot / "model.onnx_data").symlink_to("../../blobs/9c2e")
    artifact = Onnx().load(snapshot / "model.onnx")
    assert onnx_models.read(artifact.path).graph.initializer[0].raw_data == onnx_models.WEIGHTS.tobytes()


LOAD_AND_TELL_PEAK = """
import sys
from pathlib import Path
from pytest_inferopt.errors import InferoptError
from pytest_inferopt.frameworks.onnx import Onnx
try:
    Onnx().load(Path(sys.argv[1]))
except InferoptError as error:
    print(error.kind, error, sep="\\n")
status = Path("/proc/self/status").read_text().split()
print(int(status[status.index("VmHWM:") + 1]) // 1024)
"""


def refusal_and_peak_mb(path: Path) -> tuple[str, str, int]:
    """The verdict and message in a process of its own, and its largest resident memory in MB."""
    done = subprocess.run(
        [sys.executable, "-c", LOAD_AND_TELL_PEAK, str(path)], capture_output=True, text=True, check=True, timeout=120
    )
    kind, message, peak = done.stdout.splitlines()
    return kind, message, int(peak)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a17_a_sparse_file_of_three_gib_is_not_measured_and_not_read(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.touch()
    os.truncate(path, 3 * 2**30)
    kind, message, peak_mb = refusal_and_peak_mb(path)
    assert (kind, message) == (
        "not_measured",
        (
            f"'{path}' is 3.0 GiB; an ONNX file holds at most 2 GiB. "
            "Save the model with its weights as external data, at most 2 GiB of them."
        ),
    )
    assert peak_mb < 300


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a17_three_gib_of_external_data_are_not_measured_and_not_read(tmp_path: Path, onnx_models: ModuleType) -> None:
    path = onnx_models.external(tmp_path / "model.onnx", "data")
    model = onnx_models.read(path)
    model.graph.initializer[0].dims[:] = [3, 2**28]
    path.write_bytes(model.SerializeToString())
    (tmp_path / "data").touch()
    os.truncate(tmp_path / "data", 3 * 2**30)
    kind, message, peak_mb = refusal_and_peak_mb(path)
    assert str(refusal(path)) == message
    assert (kind, message) == (
        "not_measured",
        (
            f"'{path}' and its external data take 3.0 GiB; at most 2 GiB are supported. "
            "Use a smaller model, or one with smaller weights."
        ),
    )
    assert peak_mb < 300


def test_a17_a_small_tensor_in_a_huge_data_file_is_read_alone(tmp_path: Path, onnx_models: ModuleType) -> None:
    path = onnx_models.external(tmp_path / "model.onnx", "data", offset=str(2**31))
    (tmp_path / "data").touch()
    os.truncate(tmp_path / "data", 3 * 2**30)
    assert Onnx().load(path).size_bytes < 4096
