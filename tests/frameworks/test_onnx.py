from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from pytest_inferopt.domain.artifact import RunOptions, Signature, TensorSpec
from pytest_inferopt.errors import NotMeasuredError, UsageError
from pytest_inferopt.frameworks import _onnx_check
from pytest_inferopt.frameworks.onnx import Onnx

if TYPE_CHECKING:
    from pathlib import Path

onnx = pytest.importorskip("onnx")
np = pytest.importorskip("numpy")
make = onnx.helper

FLOAT, INT64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
WEIGHTS = np.eye(4, dtype=np.float32)


@pytest.fixture(autouse=True)
def _work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "work"))


def model(*nodes: Any, weights: Any = None, opsets: tuple[tuple[str, int], ...] = (("", 17),)) -> Any:
    """A ModelProto from x (N, 4) to y (N, 4): one matrix product if no nodes are given."""
    graph = make.make_graph(
        list(nodes) or [make.make_node("MatMul", ["x", "weights"], ["y"], "dense")],
        "graph",
        [make.make_tensor_value_info("x", FLOAT, ["N", 4])],
        [make.make_tensor_value_info("y", FLOAT, ["N", 4])],
        initializer=[onnx.numpy_helper.from_array(WEIGHTS, "weights") if weights is None else weights],
    )
    imports = [make.make_opsetid(*opset) for opset in opsets]
    return make.make_model(graph, opset_imports=imports, ir_version=8)


def elsewhere(location: str) -> Any:
    """The weights as a tensor that lies in another file."""
    tensor = onnx.TensorProto(name="weights", data_type=FLOAT, dims=[4, 4], data_location=onnx.TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    return tensor


def written(path: Path, proto: Any) -> Path:
    path.write_bytes(proto.SerializeToString())
    return path


def with_external_data(folder: Path) -> Path:
    """A model file whose weights lie beside it."""
    (folder / "weights.bin").write_bytes(WEIGHTS.tobytes())
    return written(folder / "external.onnx", model(weights=elsewhere("weights.bin")))


def test_a_ready_file_is_described_where_it_lies(tmp_path: Path) -> None:
    path = written(tmp_path / "model.onnx", model())
    artifact = Onnx().load(path)
    assert (artifact.format, artifact.path, artifact.model, artifact.task) == ("onnx", path, None, "transform")
    assert (artifact.classes, artifact.lineage, artifact.notes) == (None, (), ())
    assert artifact.signature == Signature(
        (TensorSpec("x", "float32", ("N", 4)),), (TensorSpec("y", "float32", ("N", 4), role="values"),)
    )


def test_a_live_model_crosses_into_another_process_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "saved.onnx"
    Onnx().save(model(), path)
    assert onnx.load(path) == model()
    assert Onnx().describe(model(), path).signature == Onnx().load(path).signature


def test_a_model_file_is_copied_byte_by_byte(tmp_path: Path) -> None:
    source = written(tmp_path / "model.onnx", model())
    Onnx().save(source, tmp_path / "copy.onnx")
    Onnx().save(str(source), tmp_path / "again.onnx")
    assert source.read_bytes() == (tmp_path / "copy.onnx").read_bytes() == (tmp_path / "again.onnx").read_bytes()


def test_a_model_file_with_external_data_is_copied_into_one_file(tmp_path: Path) -> None:
    Onnx().save(with_external_data(tmp_path), tmp_path / "copy.onnx")
    assert onnx.load(tmp_path / "copy.onnx").graph.initializer[0].raw_data == WEIGHTS.tobytes()


def test_a_live_model_whose_data_lie_elsewhere_is_not_measured(tmp_path: Path) -> None:
    with pytest.raises(NotMeasuredError) as caught:
        Onnx().save(model(weights=elsewhere("weights.bin")), tmp_path / "saved.onnx")
    assert str(caught.value) == (
        "the ModelProto refers to external data, and a live object does not tell in which folder they lie. "
        "Give the path of the model file, or load it with onnx.load(path, load_external_data=True)."
    )


def test_an_object_of_onnx_that_is_no_model_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        Onnx().save(model().graph, tmp_path / "saved.onnx")
    assert str(caught.value) == (
        f"{type(model().graph).__module__}.GraphProto is no ONNX model; give an onnx.ModelProto or the path of an "
        ".onnx file."
    )


def test_a_live_model_is_claimed_by_its_module(tmp_path: Path) -> None:
    assert (Onnx().owns(model()), Onnx().owns("x"), Onnx().claims(tmp_path / "m.ONNX")) == (0, None, True)


@pytest.mark.parametrize(
    ("opsets", "asked", "notes"),
    [
        ((("", 17),), 17, ("already ONNX (opset 17); kept as it is",)),
        (
            (("", 15),),
            17,
            (
                "already ONNX (opset 15); kept as it is",
                "opset 17 was asked for; a ready ONNX file is not rewritten",
            ),
        ),
        ((("ai.onnx.ml", 3),), 17, ("already ONNX (no default opset); kept as it is",)),
    ],
)
def test_the_conversion_keeps_the_file_as_it_is_and_says_so(
    tmp_path: Path, opsets: tuple[tuple[str, int], ...], asked: int, notes: tuple[str, ...]
) -> None:
    scaler = make.make_node("Scaler", ["x"], ["y"], domain="ai.onnx.ml", offset=[0.0] * 4, scale=[1.0] * 4)
    proto = model(*([scaler] if opsets[0][0] else []), opsets=opsets)
    artifact = Onnx().load(written(tmp_path / "model.onnx", proto))
    converted = Onnx().to_onnx(artifact, tmp_path / "converted.onnx", opset=asked, samples=None)
    assert converted.path.read_bytes() == artifact.path.read_bytes()
    assert (converted.path.name, converted.lineage, converted.notes) == ("converted.onnx", ("onnx_conversion",), notes)


def test_the_conversion_may_stay_in_place(tmp_path: Path) -> None:
    artifact = Onnx().load(written(tmp_path / "model.onnx", model()))
    assert Onnx().to_onnx(artifact, artifact.path, opset=17, samples=None).path == artifact.path


def test_running_it_is_a_runtime_s_business(tmp_path: Path) -> None:
    artifact = Onnx().load(written(tmp_path / "model.onnx", model()))
    with pytest.raises(NotImplementedError):
        Onnx().open(artifact, RunOptions())


def test_the_fingerprint_follows_the_file_and_its_data_files(tmp_path: Path) -> None:
    path = with_external_data(tmp_path)
    before = Onnx().fingerprint(path)
    same = Onnx().fingerprint(str(path))
    (tmp_path / "weights.bin").write_bytes((WEIGHTS * 2).tobytes())
    assert (before == same, before == Onnx().fingerprint(path)) == (True, False)


def test_the_fingerprint_of_what_is_no_file_is_a_usage_error_and_never_blocks(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.onnx")
    with pytest.raises(UsageError, match="is a FIFO, not a file"):
        Onnx().fingerprint(tmp_path / "model.onnx")


@pytest.mark.parametrize("domain", ["", "ai.onnx"])
def test_the_standard_domain_has_two_names(tmp_path: Path, domain: str) -> None:
    nodes = [make.make_node("Relu", ["x"], ["r"]), make.make_node("Relu", ["r"], ["y"], domain=domain)]
    proto = model(*nodes, opsets=((domain, 17),))
    artifact = Onnx().load(written(tmp_path / "model.onnx", proto))
    converted = Onnx().to_onnx(artifact, artifact.path, opset=17, samples=None)
    assert converted.notes == ("already ONNX (opset 17); kept as it is",)


def test_the_fingerprint_of_a_live_model_follows_its_content() -> None:
    other = model(weights=onnx.numpy_helper.from_array(WEIGHTS * 2, "weights"))
    prints = [Onnx().fingerprint(each) for each in (model(), model(), other)]
    assert (prints[0] == prints[1], prints[0] == prints[2]) == (True, False)


def test_external_data_are_found_in_every_place_that_holds_a_tensor(tmp_path: Path) -> None:
    branch = make.make_graph(
        [make.make_node("Constant", [], ["inner"], value=elsewhere("weights.bin"))],
        "branch",
        [],
        [make.make_tensor_value_info("inner", FLOAT, [4, 4])],
    )
    sparse = onnx.SparseTensorProto(dims=[16], values=elsewhere("weights.bin"))
    sparse.values.dims[:] = [16]
    sparse.indices.CopyFrom(onnx.numpy_helper.from_array(np.arange(16, dtype=np.int64), "indices"))
    proto = model(
        make.make_node("Constant", [], ["yes"], value=onnx.numpy_helper.from_array(np.array(True))),
        make.make_node("If", ["yes"], ["picked"], then_branch=branch, else_branch=branch),
        make.make_node("Constant", [], ["thin"], sparse_value=sparse),
        make.make_node("MatMul", ["x", "picked"], ["y"]),
        weights=elsewhere("weights.bin"),
    )
    (tmp_path / "weights.bin").write_bytes(WEIGHTS.tobytes())
    artifact = Onnx().load(written(tmp_path / "model.onnx", proto))
    assert artifact.path.read_bytes().count(WEIGHTS.tobytes()) == 4
    assert b"weights.bin" not in artifact.path.read_bytes()


@pytest.mark.parametrize(("dtype", "size"), [("INT4", 8), ("FLOAT16", 32), ("DOUBLE", 128)])
def test_the_size_of_external_data_follows_the_type(tmp_path: Path, dtype: str, size: int) -> None:
    tensor = elsewhere("weights.bin")
    tensor.data_type = onnx.TensorProto.DataType.Value(dtype)
    (tmp_path / "weights.bin").write_bytes(bytes(range(size)) + bytes(1000))
    path = written(tmp_path / "model.onnx", model(make.make_node("Relu", ["x"], ["y"]), weights=tensor))
    # Not `load`: the checker knows INT4 only from IR version 10 on.
    Onnx().save(path, tmp_path / "copy.onnx")
    assert onnx.load(tmp_path / "copy.onnx").graph.initializer[0].raw_data == bytes(range(size))


def test_an_operator_of_the_runtime_s_own_domain_passes(tmp_path: Path) -> None:
    opsets = (("", 17), ("com.microsoft", 1))
    proto = model(make.make_node("Gelu", ["x"], ["y"], domain="com.microsoft"), opsets=opsets)
    assert Onnx().load(written(tmp_path / "model.onnx", proto)).task == "transform"


def test_what_the_checker_rejects_is_not_measured_and_its_node_is_named(tmp_path: Path) -> None:
    proto = model(make.make_node("Relu", ["x", "x"], ["y"], "two-inputs"))
    with pytest.raises(NotMeasuredError) as caught:
        Onnx().load(written(tmp_path / "model.onnx", proto))
    assert caught.value.message.startswith("ONNX's checker rejects the model: ")
    assert "two-inputs" in caught.value.message


def test_without_a_runtime_its_limits_are_not_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert Onnx().load(written(tmp_path / "model.onnx", model())).task == "transform"


def test_a_runtime_s_unknown_words_are_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_onnx_check, "RUNTIME_PACKAGES", ("no-such-distribution",))
    assert _onnx_check._too_new(model(), "out of\nluck").message == (
        r"the installed onnxruntime of unknown version does not take the model's versions: out of\nluck."
    )
