"""A graph whose order and names do not depend on what the process converted before."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping

__all__ = ["settle_names"]

# ``functional_1/dense_2/MatMul`` is of the layer ``functional_1/dense_2``.
LAYER_PARTS = 2
WEIGHT_AXES = 2


def settle_names(graph: Any) -> None:
    """Order nodes as the outputs need them; name them after layer and operator, and tensors after their node.

    tf2onnx counts through the whole process and sorts by hashes, and of several equal nodes any may be the one that
    stays. The same model would give other bytes each time it is converted, and would not be told from a changed one.
    Only nodes that have weights keep the layer's name, since what has none may stand for several layers.

    Args:
        graph: an `onnx.GraphProto`, which is changed; its inputs and outputs keep their names.
    """
    for one in _with_bodies(graph):
        _order(one)
    graphs = list(_with_bodies(graph))
    new = {value.name: value.name for value in (*graph.input, *graph.output)}
    _name_nodes(graphs, new)
    _name_constants(graphs, new)
    for one in graphs:
        for node in one.node:
            node.input[:] = [new.get(name, name) for name in node.input]
            node.output[:] = [new.get(name, name) for name in node.output]
        for named in (*one.initializer, *one.input, *one.output, *one.value_info):
            named.name = new.get(named.name, named.name)
        _rewrite(one.initializer, sorted(one.initializer, key=lambda tensor: str(tensor.name)))
        _rewrite(one.value_info, sorted(one.value_info, key=lambda value: str(value.name)))


def _with_bodies(graph: Any) -> Iterator[Any]:
    """The graph and the bodies of its loops and branches, each before what is inside of it."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _with_bodies(attribute.g)


def _order(graph: Any) -> None:
    """Each node after those that it needs, in the order in which the outputs come to them."""
    makers = {name: node for node in graph.node for name in node.output if name}
    ordered: dict[int, Any] = {}
    to_do = [(makers[value.name], False) for value in reversed(graph.output) if value.name in makers]
    while to_do:
        node, is_ready = to_do.pop()
        if id(node) in ordered:
            continue
        if is_ready:
            ordered[id(node)] = node
            continue
        needed = [makers[name] for name in _read_by(node) if name in makers]
        to_do += [(node, True), *((other, False) for other in reversed(needed))]
    left = [node for node in graph.node if id(node) not in ordered]
    _rewrite(graph.node, [*ordered.values(), *left])


def _read_by(node: Any) -> Iterator[str]:
    """What a node reads, its bodies included."""
    yield from node.input
    for attribute in node.attribute:
        if attribute.HasField("g"):
            for inner in attribute.g.node:
                yield from _read_by(inner)
            yield from (value.name for value in attribute.g.output)


def _name_nodes(graphs: list[Any], new: MutableMapping[str, str]) -> None:
    weights = {tensor.name for one in graphs for tensor in one.initializer if len(tensor.dims) >= WEIGHT_AXES}
    counts: Counter[str] = Counter()
    for one in graphs:
        for index, value in enumerate(one.input):
            new.setdefault(value.name, f"body_{graphs.index(one)}:{index}")
        for node in one.node:
            node.name = _numbered(_base(node, weights), counts)
            for index, name in enumerate(node.output):
                if name:
                    new.setdefault(name, f"{node.name}:{index}")


def _name_constants(graphs: list[Any], new: MutableMapping[str, str]) -> None:
    """After the first node that reads them."""
    constants = {tensor.name for one in graphs for tensor in one.initializer}
    for one in graphs:
        for node in one.node:
            for index, name in enumerate(node.input):
                if name in constants:
                    new.setdefault(name, f"{node.name}/input_{index}")


def _base(node: Any, weights: set[str]) -> str:
    """What a node is called but for its number."""
    has_weights = any(name in weights for name in node.input)
    layer = node.name.split("/")[:LAYER_PARTS] if has_weights and "/" in node.name else []
    return "/".join([*layer, node.op_type])


def _numbered(base: str, counts: Counter[str]) -> str:
    counts[base] += 1
    return base if counts[base] == 1 else f"{base}_{counts[base]}"


def _rewrite(field: Any, messages: list[Any]) -> None:
    """Put other messages, or the same in another order, in a repeated field."""
    copies = [type(one).FromString(one.SerializeToString()) for one in messages]
    del field[:]
    field.extend(copies)
