"""What techniques read off an ONNX graph."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from pytest_inferopt.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["check_node_names", "nodes_of", "operators_of"]


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


def check_node_names(graph: Any, names: Iterable[str]) -> None:
    """Make sure that nodes which are to be left alone are there.

    Raises:
        UsageError: no node has a name; with a suggestion.
    """
    known = {node.name for node in nodes_of(graph)}
    unknown = next((name for name in names if name not in known), None)
    if unknown is not None:
        raise UsageError(f"nodes_to_exclude: no node is named {unknown!r};", did_you_mean(unknown, known - {""}))
