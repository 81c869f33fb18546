"""Small ONNX files, sound and hostile; every builder writes one to `path` and returns it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from pathlib import Path

OPSET = 17
IR_VERSION = 8  # of the time of opset 17; a newer onnx stamps one that onnxruntime may not read
WEIGHTS = np.arange(256, dtype=np.float32).reshape(16, 16)
GRAPH_ATTRIBUTE = b"\xa0\x01\x05"  # AttributeProto.type = GRAPH


def value(name: str, shape: list[int | str | None] | None = None, kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, ["N", 16] if shape is None else shape)


def write(path: Path, nodes: list[Any], *, initializers: tuple[Any, ...] = (), **model: Any) -> Path:
    """A model from x (N, 16) to y (N, 16)."""
    graph = helper.make_graph(nodes, "graph", [value("x")], [value("y")], initializer=list(initializers))
    settings = {"opset_imports": [helper.make_opsetid("", OPSET)], "ir_version": IR_VERSION, **model}
    path.write_bytes(helper.make_model(graph, **settings).SerializeToString())
    return path


def dense(path: Path, **model: Any) -> Path:
    """A sound model: one matrix product, 1 KiB of weights."""
    weights = numpy_helper.from_array(WEIGHTS, "weights")
    return write(path, [helper.make_node("MatMul", ["x", "weights"], ["y"], "dense")], initializers=(weights,), **model)


def external(path: Path, location: str, **entries: str) -> Path:
    """The same model, with its weights in another file, which is not written."""
    weights = TensorProto(name="weights", data_type=TensorProto.FLOAT, dims=WEIGHTS.shape)
    weights.data_location = TensorProto.EXTERNAL
    for key, text in {"location": location, **entries}.items():
        weights.external_data.add(key=key, value=text)
    return write(path, [helper.make_node("MatMul", ["x", "weights"], ["y"], "dense")], initializers=(weights,))


def one_node(path: Path, operator: str, *, name: str = "node", domain: str = "", **model: Any) -> Path:
    """A model of one node from x to y."""
    return write(path, [helper.make_node(operator, ["x"], ["y"], name, domain=domain)], **model)


def unknown_operator(path: Path) -> Path:
    """A node of the standard domain that no version of ONNX knows."""
    return one_node(path, "Frobnicate", name="middle")


def custom_domain(path: Path) -> Path:
    """A node that needs a library of custom operators."""
    imports = [helper.make_opsetid("", OPSET), helper.make_opsetid("com.example", 1)]
    return one_node(path, "Frobnicate", name="middle", domain="com.example", opset_imports=imports)


def local_function(path: Path) -> Path:
    """The same node, with its operator as a function inside the model."""
    imports = [helper.make_opsetid("", OPSET), helper.make_opsetid("com.example", 1)]
    body = [helper.make_node("Relu", ["a"], ["b"])]
    function = helper.make_function("com.example", "Frobnicate", ["a"], ["b"], body, imports[:1])
    return one_node(
        path, "Frobnicate", name="middle", domain="com.example", opset_imports=imports, functions=[function]
    )


def hostile_names(path: Path, name: str) -> Path:
    """A sound model whose node, inner tensor, input, output, graph and metadata all carry `name`."""
    nodes = [
        helper.make_node("Relu", [f"in {name}"], [f"inner {name}"], name),
        helper.make_node("Abs", [f"inner {name}"], [f"out {name}"], f"second {name}"),
    ]
    graph = helper.make_graph(nodes, name, [value(f"in {name}")], [value(f"out {name}")], doc_string=name)
    model = helper.make_model(
        graph, producer_name=name, ir_version=IR_VERSION, opset_imports=[helper.make_opsetid("", OPSET)]
    )
    helper.set_model_props(model, {name: name})
    path.write_bytes(model.SerializeToString())
    return path


def nested_graphs(path: Path, depth: int) -> Path:
    """If nodes inside one another, `depth` deep; written by hand, as protobuf's writer refuses so many."""
    innermost = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "graph", [], [value("y")])
    graph = other = innermost.SerializeToString()
    for _ in range(depth - 1):
        branches = [
            _field(1, name) + _field(6, body) + GRAPH_ATTRIBUTE
            for name, body in ((b"then_branch", graph), (b"else_branch", other))
        ]
        node = _field(1, b"c") + _field(2, b"y") + _field(4, b"If") + b"".join(_field(5, each) for each in branches)
        graph = _field(1, node) + _field(2, b"graph") + _field(12, value("y").SerializeToString())
    inputs = (value("x"), value("c", [], TensorProto.BOOL))
    graph += b"".join(_field(11, each.SerializeToString()) for each in inputs)
    opset = helper.make_opsetid("", OPSET).SerializeToString()
    path.write_bytes(bytes([1 << 3, IR_VERSION]) + _field(7, graph) + _field(8, opset))
    return path


def constant_of_shape_bomb(path: Path, gigabytes: int = 64) -> Path:
    """A file of 300 bytes that takes `gigabytes` of memory as soon as it is loaded or run."""
    shape = numpy_helper.from_array(np.array([gigabytes, 2**28], dtype=np.int64), "shape")
    one = numpy_helper.from_array(np.ones(1, dtype=np.float32), "one")
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["huge"], "bomb", value=one),
        helper.make_node("ReduceMax", ["huge"], ["largest"], keepdims=0),
        helper.make_node("Add", ["x", "largest"], ["y"]),
    ]
    return write(path, nodes, initializers=(shape,))


def endless_loop(path: Path) -> Path:
    """A Loop without a trip count whose condition stays true."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Abs", ["turn"], ["turned"])],
        "body",
        [value("number", [], TensorProto.INT64), value("go", [], TensorProto.BOOL), value("turn")],
        [value("go_on", [], TensorProto.BOOL), value("turned")],
    )
    yes = numpy_helper.from_array(np.array(True), "yes")
    return write(path, [helper.make_node("Loop", ["", "yes", "x"], ["y"], "endless", body=body)], initializers=(yes,))


def read(path: Path) -> Any:
    """The file as it is, external data left alone."""
    return onnx.load_model(path, load_external_data=False)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    encoded = b""
    while number > 0x7F:
        encoded += bytes([number & 0x7F | 0x80])
        number >>= 7
    return encoded + bytes([number])
