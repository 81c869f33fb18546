"""A copy of an ONNX file with really more work in its graph: what a gate must find, made to measure.

The work is a chain of matrix products that hangs on the model's first input, so no optimizer can do it beforehand, and
ends in an output of its own, so none can leave it out.
"""

from __future__ import annotations

import importlib
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_inferopt.errors import MissingDependencyError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Work", "add_work", "make_network", "plan_work"]

PREFIX = "inferopt_extra"
SIDES = (4, 8, 16, 32, 64, 128, 256)
# About one product of two n × n matrices on one core: what every node costs, and two operations n³ times.
NODE_NS = 800
FLOPS_PER_NS = 20
# A chain of at least so many products can be cut finely.
LEAST_PRODUCTS = 8
NEWEST_IR, OPSET = 10, 17


class Work(NamedTuple):
    """A chain of products of square float32 matrices: `products` of them, `side` × `side` each."""

    side: int
    products: int

    def scaled(self, factor: float) -> Work:
        """As much work as this many times, in whole products, at least one."""
        return self._replace(products=max(round(self.products * factor), 1))


def plan_work(wanted_ns: float) -> Work:
    """About so much work: the largest matrices of which it takes eight products or more."""
    fitting = [side for side in SIDES if LEAST_PRODUCTS * _product_ns(side) <= wanted_ns]
    side = fitting[-1] if fitting else SIDES[0]
    return Work(side, max(math.ceil(wanted_ns / _product_ns(side)), 1))


def _product_ns(side: int) -> float:
    return NODE_NS + 2 * side**3 / FLOPS_PER_NS


def add_work(source: Path, target: Path, work: Work) -> None:
    """Write a copy of an ONNX file that does this work too, and answers as before, with one output more.

    Raises:
        MissingDependencyError: onnx is not installed.
    """
    onnx = _onnx()
    helper, numbers = onnx.helper, onnx.TensorProto.FLOAT
    model = onnx.load(source)
    graph = model.graph
    initializers = {tensor.name for tensor in graph.initializer}
    first = next(found for found in graph.input if found.name not in initializers)
    is_text = first.type.tensor_type.elem_type == onnx.TensorProto.STRING
    seen, number, matrix = (f"{PREFIX}_{name}" for name in ("seen", "number", "matrix"))
    nodes = [helper.make_node("Shape", [first.name], [seen])] if is_text else []
    nodes += [
        helper.make_node("Cast", [seen if is_text else first.name], [f"{number}_all"], to=numbers),
        helper.make_node("ReduceMax", [f"{number}_all"], [number], keepdims=0),
    ]
    # Each row of a product adds up to the number, so it neither grows nor vanishes.
    share = helper.make_tensor(matrix, numbers, [work.side, work.side], [1 / work.side] * work.side**2)
    last = f"{PREFIX}_0"
    nodes.append(helper.make_node("Mul", [matrix, number], [last]))
    for place in range(1, work.products + 1):
        before, last = last, f"{PREFIX}_{place}"
        nodes.append(helper.make_node("MatMul", [before, matrix], [last], name=f"{PREFIX}/MatMul_{place}"))
    nodes.append(helper.make_node("ReduceMax", [last], [PREFIX], keepdims=0))
    graph.initializer.append(share)
    graph.node.extend(nodes)
    graph.output.append(helper.make_tensor_value_info(PREFIX, numbers, []))
    target.write_bytes(model.SerializeToString())


def make_network(path: Path, *, inputs: int = 256, width: int = 1024, outputs: int = 10) -> None:
    """Write a small network of three layers with random weights: x (N, inputs) → y (N, outputs).

    Raises:
        MissingDependencyError: onnx is not installed.
    """
    import numpy as np

    onnx = _onnx()
    helper = onnx.helper
    random = np.random.default_rng(0)
    shapes = [(inputs, width), (width, width), (width, outputs)]
    nodes, weights, last = [], [], "x"
    for place, shape in enumerate(shapes, 1):
        values = (random.normal(size=shape) / math.sqrt(shape[0])).astype(np.float32)
        weights.append(onnx.numpy_helper.from_array(values, f"w{place}"))
        is_last = place == len(shapes)
        product = "y" if is_last else f"h{place}"
        nodes.append(helper.make_node("MatMul", [last, f"w{place}"], [product], name=f"layer{place}"))
        if not is_last:
            nodes.append(helper.make_node("Relu", [product], [f"r{place}"], name=f"relu{place}"))
        last = f"r{place}"
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["N", inputs])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["N", outputs])],
        initializer=weights,
    )
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=min(onnx.IR_VERSION, NEWEST_IR))
    path.write_bytes(model.SerializeToString())


def _onnx() -> Any:
    """The library, where it is installed; the engine does not know it otherwise."""
    try:
        onnx = importlib.import_module("onnx")
    except ImportError as error:
        raise MissingDependencyError(
            "a model with more work in its graph is made with onnx, not installed here.",
            'pip install "pytest-inferopt[cpu]".',
        ) from error
    return onnx
