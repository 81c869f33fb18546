"""Walking an ONNX model: all of its nodes and tensors, those of nested graphs and functions too.

The walks keep their own stack, so a deeply nested file exhausts no recursion limit of Python.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["MAX_NESTED_GRAPHS", "nested_graphs", "nodes_of", "tensors_of", "text_of"]

MAX_NESTED_GRAPHS = 32
"""Protobuf's parsers stop at 100 nested messages, and a graph in a graph takes three."""

# Which field of which message holds which message, from
# https://github.com/onnx/onnx/blob/main/onnx/onnx.proto; field numbers never change.
NESTING: dict[str, dict[int, str]] = {
    "model": {7: "graph"},
    "graph": {1: "node"},
    "node": {5: "attribute"},
    "attribute": {6: "graph", 11: "graph"},
}
VARINT, FIXED_64, LENGTH_DELIMITED, FIXED_32 = 0, 1, 2, 5
FIXED_BYTES = {FIXED_64: 8, FIXED_32: 4}
MAX_VARINT_BYTES = 10


def nodes_of(model: Any) -> Iterator[tuple[Any, Mapping[str, int]]]:
    """Every node of a ModelProto, with the opset version by domain that holds where it stands."""
    versions = _versions(model)
    pending = [(graph.node, versions) for graph in _top_graphs(model)]
    pending += [(function.node, _versions(function)) for function in model.functions]
    while pending:
        nodes, versions = pending.pop()
        for node in nodes:
            yield node, versions
            pending += [(graph.node, versions) for graph in _graphs_in(node)]


def tensors_of(model: Any) -> Iterator[Any]:
    """Every TensorProto of a ModelProto: initializers, attributes and the parts of sparse ones."""
    nodes = [node for node, _ in nodes_of(model)]
    for graph in chain(_top_graphs(model), *map(_graphs_in, nodes)):
        yield from graph.initializer
        yield from _parts(graph.sparse_initializer)
    for attribute in chain.from_iterable(node.attribute for node in nodes):
        if attribute.HasField("t"):
            yield attribute.t
        if attribute.HasField("sparse_tensor"):
            yield from _parts([attribute.sparse_tensor])
        yield from attribute.tensors
        yield from _parts(attribute.sparse_tensors)


def text_of(value: str | bytes) -> str:
    """A protobuf string as text; one that is not UTF-8 is handed over by protobuf as bytes."""
    return value if isinstance(value, str) else value.decode("utf-8", "backslashreplace")


def nested_graphs(data: bytes) -> int:
    """How many graphs stand inside one another in a serialized model, counted to one more than parsers take.

    Protobuf's parsers say no more than "error" about a file that nests too deep; this tells the reason. It
    reads tags and lengths only, and stops quietly where the bytes stop making sense.
    """
    deepest = 0
    pending = [(memoryview(data), "model", 0)]
    while pending and deepest <= MAX_NESTED_GRAPHS:
        message, kind, depth = pending.pop()
        depth += kind == "graph"
        deepest = max(deepest, depth)
        inner = NESTING[kind]
        pending += [(content, inner[number], depth) for number, content in _fields(message) if number in inner]
    return deepest


def _versions(owner: Any) -> dict[str, int]:
    return {text_of(opset.domain): opset.version for opset in owner.opset_import}


def _top_graphs(model: Any) -> list[Any]:
    training = chain.from_iterable((info.initialization, info.algorithm) for info in model.training_info)
    return [model.graph, *training]


def _graphs_in(node: Any) -> list[Any]:
    own = [attribute.g for attribute in node.attribute if attribute.HasField("g")]
    return [*own, *chain.from_iterable(attribute.graphs for attribute in node.attribute)]


def _parts(sparse_tensors: Iterable[Any]) -> Iterator[Any]:
    for sparse in sparse_tensors:
        yield sparse.values
        yield sparse.indices


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The length-delimited fields of a serialized message, up to the first that does not fit in it."""
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == VARINT:
            _, place = _varint(message, place)
        elif wire_type in FIXED_BYTES:
            place += FIXED_BYTES[wire_type]
        elif wire_type == LENGTH_DELIMITED:
            length, place = _varint(message, place)
            if place + length > len(message):
                return
            yield number, message[place : place + length]
            place += length
        else:
            return


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """The number at `place` and the place behind it; behind the end where the number is cut."""
    value = 0
    for shift, byte in enumerate(message[place : place + MAX_VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:  # noqa: PLR2004 -- the continuation bit
            return value, place + shift + 1
    return value, len(message) + 1
