"""The models, and the work that is added to them.

A baseline that is to be made slower is a soft vote of two trained models: the main one, and a side one of which there
are four, one for each batch size, chosen by the length of the batch (``If`` on the shape). A candidate is the same
graph with more trees or more hidden units in the side models of some batch sizes: each batch size can be made slower
by itself, no node is added, and every bit of the extra time is work on the rows.
"""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import ModelProto, TensorProto, compose, helper, numpy_helper
from onnx.utils import Extractor
from skl2onnx import to_onnx
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.neural_network import MLPClassifier

from benchmarks.gate.series import BATCH_SIZES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from onnx import GraphProto, NodeProto

OPSET = {"": 17, "ai.onnx.ml": 3}
IR_VERSION = 8
TRAINING_ROWS = 898
FEATURES, CLASSES = 64, 10
INPUT, MAIN, SIDE, OUTPUT = "X", "main", "side", "probabilities"


@dataclass(frozen=True)
class Recipe:
    """How a model is made.

    Attributes:
        main: what is trained.
        side: the largest side model.
        least: trees or hidden units of each side model in the baseline.
        first: how many more are tried first.
        most: likewise of the largest one there can be.
        slow_batch_size: the one that is made slower alone.
    """

    main: Any
    side: Any
    least: int
    first: int
    most: int
    slow_batch_size: int


def _network(*hidden: int, iterations: int = 20) -> MLPClassifier:
    return MLPClassifier(hidden, max_iter=iterations, random_state=0)


def _forest(trees: int, seed: int) -> RandomForestClassifier:
    return RandomForestClassifier(trees, max_depth=8, random_state=seed)


RECIPES = {
    "small": Recipe(_network(64), _network(2048), least=16, first=100, most=2048, slow_batch_size=16),
    "forest": Recipe(_forest(160, 0), _forest(160, 1), least=40, first=20, most=160, slow_batch_size=1),
    "mlp": Recipe(_network(512, 512), _network(4096), least=64, first=200, most=4096, slow_batch_size=32),
    "large": Recipe(
        _network(2560, 2560, 2560, iterations=2),
        _network(32768, iterations=2),
        least=256,
        first=8000,
        most=32768,
        slow_batch_size=64,
    ),
}


def digits() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The rows (1797, 64) from 0 to 1, and their classes."""
    x, y = load_digits(return_X_y=True)
    return (x / 16).astype(np.float32), y


class Trained:
    """A model and its side models, trained.

    Args:
        recipe: how.
    """

    def __init__(self, recipe: Recipe) -> None:
        x, y = digits()
        with warnings.catch_warnings():
            # Few iterations are enough: what is told apart here is time, not classes.
            warnings.simplefilter("ignore")
            self._main = recipe.main.fit(x[:TRAINING_ROWS], y[:TRAINING_ROWS])
            self._side = recipe.side.fit(x[:TRAINING_ROWS], y[:TRAINING_ROWS])

    def plain(self) -> bytes:
        """The main model alone, as an ONNX file."""
        return bytes(_model(_converted(self._main, "")).SerializeToString())

    def voting(self, amounts: Mapping[int, int]) -> bytes:
        """The vote with side models of so many trees or hidden units at each batch size, as an ONNX file."""
        main = _converted(self._main, f"{MAIN}/")
        one, sixteen, thirty_two, rest = (self._branch(size, amounts[size]) for size in BATCH_SIZES)
        few = _graph("few", [_choice("few", one, sixteen, at_most=1)], "few")
        many = _graph("many", [_choice("many", thirty_two, rest, at_most=32)], "many")
        nodes = [
            *main.node,
            helper.make_node("Shape", [INPUT], ["length"], start=0, end=1),
            *(helper.make_node("LessOrEqual", ["length", str(size)], [f"at most {size}"]) for size in BATCH_SIZES[:-1]),
            _choice(SIDE, few, many, at_most=16),
            helper.make_node("Mean", [f"{MAIN}/{OUTPUT}", SIDE], [OUTPUT]),
        ]
        bounds = [numpy_helper.from_array(np.array([size]), str(size)) for size in BATCH_SIZES[:-1]]
        graph = helper.make_graph(
            nodes,
            "vote",
            [_tensor(INPUT, FEATURES)],
            [_tensor(OUTPUT, CLASSES)],
            [*main.initializer, *bounds],
        )
        return bytes(_model(graph).SerializeToString())

    def _branch(self, batch_size: int, amount: int) -> GraphProto:
        graph = _converted(_smaller(self._side, amount), f"{SIDE}{batch_size}/")
        # A branch has no inputs of its own: it sees those of the graph around it.
        del graph.input[:]
        return graph


def _converted(model: Any, prefix: str) -> GraphProto:
    """From rows to probabilities, all names but the rows' prefixed; without labels, which nobody asks a vote for."""
    whole = to_onnx(model, np.zeros((1, FEATURES), np.float32), target_opset=OPSET, options={"zipmap": False})
    graph = compose.add_prefix(Extractor(whole).extract_model([INPUT], [OUTPUT]), prefix, rename_inputs=False).graph
    for node in graph.node:
        node.input[:] = [INPUT if name == f"{prefix}{INPUT}" else name for name in node.input]
    return graph


def _model(graph: GraphProto) -> ModelProto:
    opsets = [helper.make_opsetid(*found) for found in OPSET.items()]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


def _smaller(side: Any, amount: int) -> Any:
    """The same side model with its first trees or hidden units only."""
    part = copy.copy(side)
    if isinstance(side, MLPClassifier):
        (into, out), (first, last) = side.coefs_, side.intercepts_
        part.coefs_, part.intercepts_ = [into[:, :amount], out[:amount]], [first[:amount], last]
        part.hidden_layer_sizes = (amount,)
    else:
        part.estimators_, part.n_estimators = side.estimators_[:amount], amount
    return part


def _graph(name: str, nodes: list[NodeProto], output: str) -> GraphProto:
    return helper.make_graph(nodes, name, [], [_tensor(output, CLASSES)])


def _choice(output: str, yes: GraphProto, no: GraphProto, *, at_most: int) -> NodeProto:
    return helper.make_node("If", [f"at most {at_most}"], [output], then_branch=yes, else_branch=no)


def _tensor(name: str, width: int) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", width])
