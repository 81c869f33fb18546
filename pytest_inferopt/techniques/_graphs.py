"""What techniques read off an ONNX graph."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from pytest_inferopt.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["check_node_names", "count_quantized_tables", "name_nodes", "nodes_of", "operators_of", "table_lookups"]


def nodes_of(graph: Any) -> Iterator[Any]:
    """The nodes of a graph and of the bodies of its loops and branches."""
    open_graphs = [graph]
    while open_graphs:
        for node in open_graphs.pop().node:
            yield node
            open_graphs += [attribute.g for attribute in node.attribute if attribute.HasField("g")]


def operators_of(graph: Any) -> Counter[str]:
    """How many nodes there are of each type, bodies included."""
    return Counter(node.op_type for node in nodes_of(graph))


def name_nodes(graph: Any) -> None:
    """A name for every node that has none, since nodes are left alone by name."""
    for index, node in enumerate(nodes_of(graph)):
        node.name = node.name or f"{node.op_type}_{index}_inferopt"


def table_lookups(graph: Any) -> list[Any]:
    """The Gather nodes that take rows out of a constant float32 table, as an embedding does."""
    import onnx

    tables = {
        tensor.name
        for tensor in graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) > 1
    }
    return [node for node in graph.node if node.op_type == "Gather" and node.input[0] in tables]


def count_quantized_tables(graph: Any) -> int:
    """How many Gather nodes take rows out of a table of 8-bit integers."""
    import onnx

    kinds = (onnx.TensorProto.INT8, onnx.TensorProto.UINT8)
    tables = {tensor.name for tensor in graph.initializer if tensor.data_type in kinds}
    tables |= {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear" and node.input[0] in tables}
    return sum(node.op_type == "Gather" and node.input[0] in tables for node in graph.node)


def check_node_names(graph: Any, names: Iterable[str]) -> None:
    """Make sure that nodes which are to be left alone are there.

    Raises:
        UsageError: no node has a name; with a suggestion.
    """
    known = {node.name for node in nodes_of(graph)}
    unknown = next((name for name in names if name not in known), None)
    if unknown is not None:
        raise UsageError(f"nodes_to_exclude: no node is named {unknown!r};", did_you_mean(unknown, known - {""}))
