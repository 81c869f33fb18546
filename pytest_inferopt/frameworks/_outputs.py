"""What a converted graph's outputs mean, and the few nodes that make them comparable with the original's answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_inferopt.domain.artifact import TensorSpec
from pytest_inferopt.errors import RefusedError
from pytest_inferopt.frameworks._parts import final_estimator, is_kind

if TYPE_CHECKING:
    from pytest_inferopt.domain.artifact import OutputRole, Prediction, Task

__all__ = ["finish_outputs", "prune", "specs_of"]

ONE_COLUMN = ("LinearSVC", "RidgeClassifier", "RidgeClassifierCV")  # they write d (N, 1) for two classes
SWAPPED = ("SVC", "NuSVC")  # they write [d, -d] for two classes
UNFLAT_LABELS = ("QuadraticDiscriminantAnalysis", "OneVsOneClassifier", "BaseMixture")  # label (1, N) or (N, 1)
DTYPES = {"FLOAT": "float32", "DOUBLE": "float64", "INT64": "int64", "INT32": "int32", "STRING": "str", "BOOL": "bool"}


def finish_outputs(proto: Any, model: Any, task: Task, expected: Prediction) -> tuple[OutputRole, ...]:
    """Reshape, drop and declare in place, so that each output is what the same method of the original returns.

    Labels are (N,), or (N, K) of a classifier with several outputs, of which only the labels stay; decision values
    of two classes are a column a class, ``[-d, d]``; outlier scores are (N, 1), and so are single regression values.

    Args:
        proto: the graph as the converters wrote it.
        model: the original.
        task: what it answers.
        expected: its answer to a few rows, whose shapes are declared; the converters declare some wrongly.

    Returns:
        The role of each output that is left.
    """
    final = final_estimator(model)
    answers = _answers(final, expected)
    del proto.graph.output[len(answers) :]
    outputs = [output.name for output in proto.graph.output]
    if task == "outlier":
        _reshape(proto, outputs[0], [-1])
        _reshape(proto, outputs[1], [-1, 1])
    elif is_kind(final, *UNFLAT_LABELS):
        _reshape(proto, outputs[0], [-1])
    elif task == "regression" and answers[0][1].shape[1] > 1:
        _reshape(proto, outputs[0], [-1, answers[0][1].shape[1]])
    elif answers[-1][0] == "decision" and answers[-1][1].shape[1] == 2:  # noqa: PLR2004
        if is_kind(final, *ONE_COLUMN):
            _insert(
                proto,
                outputs[1],
                [("Neg", ["{in}"], "{negative}", {}), ("Concat", ["{negative}", "{in}"], "{out}", {"axis": 1})],
            )
        elif is_kind(final, *SWAPPED):
            _insert(proto, outputs[1], [("Neg", ["{in}"], "{out}", {})])
    for info, (_, answer) in zip(proto.graph.output, answers, strict=True):
        _declare_shape(info, answer)
    return tuple(role for role, _ in answers)


def _answers(final: Any, expected: Prediction) -> list[tuple[OutputRole, Any]]:
    """The outputs in the converters' order, each with the original's answer."""
    values = expected.values if expected.values is None or expected.values.ndim > 1 else expected.values.reshape(-1, 1)
    if is_kind(final, "NearestNeighbors"):
        return [("other", values), ("values", values)]  # indices, then distances
    scores: OutputRole = "probabilities" if expected.scores_are_probabilities else "decision"
    found: list[tuple[OutputRole, Any]] = [("label", expected.labels), (scores, expected.scores), ("values", values)]
    return [(role, answer) for role, answer in found if answer is not None]


def _reshape(proto: Any, output: str, shape: list[int]) -> None:
    import numpy as np
    from onnx import numpy_helper

    constant = f"{output}_shape"
    proto.graph.initializer.append(numpy_helper.from_array(np.array(shape, dtype=np.int64), constant))
    _insert(proto, output, [("Reshape", ["{in}", constant], "{out}", {})])


def _declare_shape(info: Any, answer: Any) -> None:
    """Any number of rows, and the original's number of everything else."""
    if info.type.WhichOneof("value") != "tensor_type":
        return
    shape = info.type.tensor_type.shape
    del shape.dim[:]
    shape.dim.add()
    for size in answer.shape[1:]:
        shape.dim.add().dim_value = size


def _insert(proto: Any, output: str, steps: list[tuple[str, list[str], str, dict[str, Any]]]) -> None:
    """Put nodes before an output: what was called `output` gets another name, which is their ``{in}``."""
    from onnx import helper

    names = {"in": f"{output}_raw", "out": output, "negative": f"{output}_negative"}
    for node in proto.graph.node:
        for names_of in (node.input, node.output):
            names_of[:] = [names["in"] if name == output else name for name in names_of]
    for operator, inputs, result, attributes in steps:
        inputs_named, result_named = [name.format(**names) for name in inputs], result.format(**names)
        node = helper.make_node(operator, inputs_named, [result_named], name=f"{result_named}_{operator}", **attributes)
        proto.graph.node.append(node)


def prune(proto: Any) -> None:
    """Take out, in place, what no output needs: nodes, constants, and inputs of columns that the model drops."""
    graph = proto.graph
    needed = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(_names_read(node))
    for field, remaining in (
        ("node", list(reversed(kept))),
        ("initializer", [constant for constant in graph.initializer if constant.name in needed]),
        ("input", [value for value in graph.input if value.name in needed]),
    ):
        del getattr(graph, field)[:]
        getattr(graph, field).extend(remaining)


def _names_read(node: Any) -> set[str]:
    """The names that a node and the graphs inside it read."""
    names = set(node.input)
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            names.update(output.name for output in graph.output)
            names.update(*(_names_read(inner) for inner in graph.node))
    return names


def specs_of(values: Any, roles: tuple[OutputRole, ...]) -> tuple[TensorSpec, ...]:
    """The graph's outputs as specs.

    Raises:
        RefusedError: an output that is no tensor.
    """
    from onnx import TensorProto

    specs = []
    for value, role in zip(values, roles, strict=True):
        if value.type.WhichOneof("value") != "tensor_type":
            raise RefusedError(f"the output {value.name!r} is no tensor.", "Take a model with plain arrays as answers.")
        dims = tuple(dim.dim_value or dim.dim_param or None for dim in value.type.tensor_type.shape.dim)
        dtype = DTYPES[TensorProto.DataType.Name(value.type.tensor_type.elem_type)]
        specs.append(TensorSpec(value.name, dtype, (None, *dims[1:]), role=role))
    return tuple(specs)
