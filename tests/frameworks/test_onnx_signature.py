from __future__ import annotations

from typing import Any

import pytest

from pytest_inferopt.domain.artifact import Signature, TensorSpec
from pytest_inferopt.domain.model_file import MAX_PROTOBUF_BYTES
from pytest_inferopt.errors import NotMeasuredError, RefusedError
from pytest_inferopt.frameworks._onnx_file import read_classes, read_signature, read_task, write_model
from pytest_inferopt.frameworks._onnx_graphs import nested_graphs

onnx = pytest.importorskip("onnx")
make = onnx.helper
FLOAT, INT64, STRING = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64, onnx.TensorProto.STRING


def value(name: str, shape: list[Any] | None, kind: int = FLOAT) -> Any:
    return make.make_tensor_value_info(name, kind, shape)


def model(*outputs: Any, nodes: tuple[Any, ...] = (), inputs: tuple[Any, ...] = (), constants: Any = ()) -> Any:
    return make.make_model(make.make_graph(list(nodes), "graph", list(inputs), list(outputs), list(constants)))


LABEL, STRING_LABEL = value("label", ["N"], INT64), value("output_label", ["N"], STRING)
PROBABILITIES = value("probabilities", ["N", 3])


@pytest.mark.parametrize(
    ("outputs", "roles", "task"),
    [
        ((LABEL, PROBABILITIES), ["label", "probabilities"], "classification"),
        ((STRING_LABEL, value("p", [None, 3])), ["label", "probabilities"], "classification"),
        ((LABEL, value("scores", ["N", 3])), ["label", "decision"], "classification"),
        ((value("class", ["N", 1], INT64), PROBABILITIES), ["label", "probabilities"], "classification"),
        ((LABEL,), ["label"], "classification"),
        ((PROBABILITIES,), ["probabilities"], "classification"),
        ((value("variable", ["N", 1]),), ["values"], "regression"),
        ((value("variable", ["N"]),), ["values"], "regression"),
        ((value("variable", None),), ["values"], "regression"),
        ((value("logits", ["N", 10]),), ["values"], "transform"),
        ((value("tokens", ["N", 10], INT64),), ["values"], "transform"),
        ((value("hidden", ["N", "T", 384]), value("pooled", ["N", 384])), ["values", "values"], "transform"),
    ],
)
def test_outputs_tell_their_roles_and_the_task(outputs: tuple[Any, ...], roles: list[str], task: str) -> None:
    signature = read_signature(model(*outputs))
    assert ([output.role for output in signature.outputs], read_task(signature)) == (roles, task)


def test_names_types_and_axes_are_read_and_a_constant_input_is_not_fed() -> None:
    weights = make.make_tensor("weights", FLOAT, [1], [1.0])
    sparse = onnx.SparseTensorProto(dims=[1], values=make.make_tensor("thin", FLOAT, [1], [1.0]))
    inputs = (
        value("tokens", ["N", "T"], INT64),
        value("text", [None, 1], STRING),
        value("half", [2, 3], onnx.TensorProto.FLOAT16),
        value("flag", [], onnx.TensorProto.BOOL),
        value("weights", [1]),
        value("thin", [1]),
        value("new", ["N"], 250),
    )
    proto = model(value("y", ["N", 2], onnx.TensorProto.DOUBLE), inputs=inputs, constants=[weights])
    proto.graph.sparse_initializer.append(sparse)
    assert read_signature(proto) == Signature(
        (
            TensorSpec("tokens", "int64", ("N", "T")),
            TensorSpec("text", "str", (None, 1)),
            TensorSpec("half", "float16", (2, 3)),
            TensorSpec("flag", "bool", ()),
            TensorSpec("new", "unknown", ("N",)),
        ),
        (TensorSpec("y", "float64", ("N", 2), role="values"),),
    )


MAP = make.make_map_type_proto(INT64, make.make_tensor_type_proto(FLOAT, None))


@pytest.mark.parametrize("kind", [MAP, make.make_sequence_type_proto(MAP)])
def test_a_zipmap_s_maps_are_refused_with_how_to_convert(kind: Any) -> None:
    with pytest.raises(RefusedError) as caught:
        read_signature(model(LABEL, make.make_value_info("output_probability", kind)))
    assert str(caught.value) == (
        "output 'output_probability' gives a map per row (a ZipMap node), which cannot be compared as an array. "
        "Convert the model with zipmap=False."
    )


def test_a_sequence_of_tensors_is_refused() -> None:
    kind = make.make_sequence_type_proto(make.make_tensor_type_proto(FLOAT, None))
    with pytest.raises(RefusedError, match="output 'boxes' is not a tensor"):
        read_signature(model(make.make_value_info("boxes", kind)))


def test_a_name_that_is_not_utf_8_is_not_measured() -> None:
    proto = model(value("ABCD", ["N"]))
    damaged = onnx.ModelProto.FromString(proto.SerializeToString().replace(b"ABCD", b"\xff\x1bCD"))
    with pytest.raises(NotMeasuredError) as caught:
        read_signature(damaged)
    assert caught.value.message == r"the name of output '\xff\x1bCD' is not UTF-8."


def classifier(operator: str = "LinearClassifier", **attributes: Any) -> Any:
    return make.make_node(operator, ["x"], ["inner", "probabilities"], domain="ai.onnx.ml", **attributes)


CAST = make.make_node("Cast", ["inner"], ["label"], to=INT64)
PASS = make.make_node("Identity", ["inner"], ["output_label"])


@pytest.mark.parametrize(
    ("nodes", "label", "classes"),
    [
        ((classifier(classlabels_ints=[3, 5, 7]), CAST), LABEL, (3, 5, 7)),
        ((classifier("TreeEnsembleClassifier", classlabels_int64s=[0, 1]), CAST), LABEL, (0, 1)),
        ((classifier(classlabels_strings=["a", "b"]), PASS), STRING_LABEL, ("a", "b")),
        ((classifier(classlabels_ints=[0, 1]), PASS), STRING_LABEL, None),
        ((classifier(), CAST), LABEL, None),
        ((make.make_node("ArgMax", ["x"], ["label"]),), LABEL, None),
        ((make.make_node("Identity", ["label"], ["label"]),), LABEL, None),
        ((make.make_node("Identity", [], ["label"]),), LABEL, None),
        ((), value("y", ["N"]), None),
    ],
)
def test_the_classes_are_those_of_the_classifier_that_gives_the_label(
    nodes: tuple[Any, ...], label: Any, classes: tuple[Any, ...] | None
) -> None:
    proto = model(label, PROBABILITIES, nodes=nodes)
    assert read_classes(proto, read_signature(proto)) == classes


def test_a_model_that_no_file_can_hold_is_not_written(tmp_path) -> None:
    class Huge:
        def ByteSize(self) -> int:  # noqa: N802 -- protobuf's name
            return MAX_PROTOBUF_BYTES + 1

    with pytest.raises(NotMeasuredError, match=r"takes 2\.0 GiB in one file"):
        write_model(Huge(), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x3a",
        b"\x3a\x05",
        b"\x3a" + b"\xff" * 12,
        b"\x08\x08\x0d\x00\x00\x00\x00\x11" + bytes(8) + b"\x07",
        b"\x08" + b"\x80" * 9,
    ],
)
def test_bytes_that_make_no_sense_hold_no_graphs(content: bytes) -> None:
    assert nested_graphs(content) == 0


def test_graphs_are_counted_from_the_model_s_own_on() -> None:
    assert nested_graphs(model(LABEL).SerializeToString()) == 1
