"""Boosted trees as ONNX: the part that XGBoost and LightGBM share.

Both libraries' trees are read from their own model files and written as one tree operator. onnxmltools guesses
classes and objectives from the dump instead; with its converters (1.16) random forests of several classes,
`multi:softmax`, `reg:logistic`, quantiles and models of several targets convert without an error to other numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["Boosted", "Forest", "as_labels", "floor_float32", "register_forests"]

Link = Literal["identity", "sigmoid", "softmax", "exp"]
LABELS = {"sigmoid": "LOGISTIC", "softmax": "SOFTMAX"}
OPERATORS = {"sigmoid": "Sigmoid", "exp": "Exp"}


@dataclass
class Forest:
    """Trees whose leaves add up, as the columns that ONNX's tree operators take (ai.onnx.ml, version 3)."""

    nodes: dict[str, list[Any]] = field(
        default_factory=lambda: {
            name: []
            for name in (
                "treeids",
                "nodeids",
                "featureids",
                "modes",
                "values",
                "truenodeids",
                "falsenodeids",
                "missing_value_tracks_true",
            )
        }
    )
    leaves: dict[str, list[Any]] = field(
        default_factory=lambda: {name: [] for name in ("treeids", "nodeids", "ids", "weights")}
    )

    def branch(self, tree: int, node: int, test: tuple[str, int, float], yes: int, no: int, *, missing: int) -> None:
        """Add a node; `test` is its mode, feature and value, `missing` the child that NaN goes to."""
        mode, feature, value = test
        row = (tree, node, feature, mode, float(value), yes, no, int(missing == yes))
        for column, entry in zip(self.nodes.values(), row, strict=True):
            column.append(entry)

    def leaf(self, tree: int, node: int, target: int, weight: float) -> None:
        """Add a leaf that contributes `weight` to output number `target`."""
        for column, entry in zip(self.nodes.values(), (tree, node, 0, "LEAF", 0.0, 0, 0, 0), strict=True):
            column.append(entry)
        for column, entry in zip(self.leaves.values(), (tree, node, target, float(weight)), strict=True):
            column.append(entry)

    def member_branch(  # noqa: PLR0913
        self,
        tree: int,
        node: int,
        feature: int,
        members: list[int],
        inside: int,
        outside: int,
        *,
        missing: int,
        free: int,
    ) -> int:
        """Add the question "is the category one of `members`?" as a chain of equalities.

        Args:
            tree: the tree.
            node: the number of the chain's first node.
            feature: the column of category codes.
            members: the categories that go to `inside`; not empty.
            inside: the child for members.
            outside: the child for all others.
            missing: the child that NaN goes to.
            free: the first node number not in use.

        Returns:
            The first node number not in use afterwards.
        """
        for number, member in enumerate(members):
            is_last = number == len(members) - 1
            no = outside if is_last else free
            self.branch(
                tree, node, ("BRANCH_EQ", feature, member), inside, no, missing=missing if missing == inside else no
            )
            if not is_last:
                node, free = free, free + 1
        return free

    def attributes(self, kind: Literal["class", "target"]) -> dict[str, list[Any]]:
        """The operator's attributes, whose leaves are called ``class_*`` or ``target_*``."""
        columns = {f"nodes_{name}": column for name, column in self.nodes.items()}
        return columns | {f"{kind}_{name}": column for name, column in self.leaves.items()}


@dataclass(frozen=True, eq=False)
class Boosted:
    """What a booster computes: a forest, and what is made of its sums.

    Attributes:
        forest: the trees that predict.
        base: what is added to each output's sum (K,), before the link.
        link: what turns sums into answers.
        classes: the labels (2 with one output, else K) of a classifier; None for values (N, K).
        is_multilabel: whether each output is a yes-or-no label of its own.
    """

    forest: Forest
    base: tuple[float, ...]
    link: Link
    classes: NDArray[Any] | None = None
    is_multilabel: bool = False


def floor_float32(threshold: float) -> float:
    """The largest float32 not above a float64.

    For a float32 x, ``x <= threshold`` holds exactly where ``x <= floor_float32(threshold)`` does; with a threshold
    rounded to nearest it does not, and a row that lies on a threshold takes the other branch.
    """
    import numpy as np

    with np.errstate(over="ignore"):
        near = np.float32(threshold)
    return float(np.nextafter(near, np.float32(-np.inf)) if float(near) > threshold else near)


def register_forests(classes: tuple[type, ...], read: Callable[[Any], Boosted]) -> None:
    """Teach skl2onnx to convert these classes, alone and inside scikit-learn's estimators.

    A converter that the user registered is left in place.

    Args:
        classes: the model classes.
        read: reads a fitted model of one of them.
    """
    from skl2onnx import update_registered_converter
    from skl2onnx._supported_operators import get_model_alias, sklearn_operator_name_map

    def boosted(operator: Any) -> Boosted:
        if not hasattr(operator, "boosted"):  # large forests are read once per conversion
            operator.boosted = read(operator.raw_operator)
        result: Boosted = operator.boosted
        return result

    def shapes(operator: Any) -> None:
        _set_shapes(operator, boosted(operator))

    def convert(scope: Any, operator: Any, container: Any) -> None:
        _write(scope, operator, container, boosted(operator))

    def parse(scope: Any, model: Any, inputs: Any, custom_parsers: Any = None) -> Any:
        del custom_parsers
        operator = scope.declare_local_operator(get_model_alias(type(model)), model)
        operator.inputs = inputs
        return _declare_outputs(scope, operator, is_classifier=boosted(operator).classes is not None)

    for cls in classes:
        if cls not in sklearn_operator_name_map:
            options = {"zipmap": [False, True], "nocl": [False, True]}
            if hasattr(cls, "decision_function"):  # then calibration and one-vs-rest build on the sums
                options["raw_scores"] = [False, True]
            update_registered_converter(cls, f"Inferopt{cls.__name__}", shapes, convert, parser=parse, options=options)


def _declare_outputs(scope: Any, operator: Any, *, is_classifier: bool) -> Any:
    from skl2onnx.common.data_types import FloatTensorType, Int64TensorType

    if is_classifier:
        operator.outputs.append(scope.declare_local_variable("label", Int64TensorType()))
        operator.outputs.append(scope.declare_local_variable("probabilities", FloatTensorType()))
    else:
        operator.outputs.append(scope.declare_local_variable("variable", FloatTensorType()))
    return operator.outputs


def _set_shapes(operator: Any, boosted: Boosted) -> None:
    from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType

    rows = operator.inputs[0].type.shape[0]
    width = len(boosted.base)
    if boosted.classes is None:
        operator.outputs[0].type = FloatTensorType([rows, width])
    elif boosted.is_multilabel:
        operator.outputs[0].type = Int64TensorType([rows, width])
        operator.outputs[1].type = FloatTensorType([rows, width])
    else:
        text = boosted.classes.dtype.kind in "OUST"
        operator.outputs[0].type = (StringTensorType if text else Int64TensorType)([rows])
        operator.outputs[1].type = FloatTensorType([rows, len(boosted.classes)])


def _write(scope: Any, operator: Any, container: Any, boosted: Boosted) -> None:
    source = _as_one_matrix(scope, operator.inputs, container)
    outputs = [output.full_name for output in operator.outputs]
    if boosted.classes is None:
        _write_values(scope, container, boosted, source, outputs[0])
    elif boosted.is_multilabel:
        from onnx import TensorProto

        _write_values(scope, container, boosted, source, outputs[1])
        half, above = scope.get_unique_variable_name("half"), scope.get_unique_variable_name("above")
        container.add_initializer(half, TensorProto.FLOAT, [], [0.5])
        container.add_node("Greater", [outputs[1], half], [above], name=scope.get_unique_operator_name("Greater"))
        container.add_node(
            "Cast", [above], [outputs[0]], to=TensorProto.INT64, name=scope.get_unique_operator_name("Cast")
        )
    elif _wants_decision(operator, container):
        _write_classifier(scope, container, boosted, source, [outputs[0], scope.get_unique_variable_name("unused")])
        _write_decision(scope, container, boosted, source, outputs[1])
    else:
        _write_classifier(scope, container, boosted, source, outputs)


def _wants_decision(operator: Any, container: Any) -> bool:
    """Whether an estimator around this one builds on its `decision_function`."""
    model = operator.raw_operator
    return hasattr(model, "decision_function") and bool(
        container.get_options(model, {"raw_scores": False})["raw_scores"]
    )


def _write_decision(scope: Any, container: Any, boosted: Boosted, source: str, output: str) -> None:
    """The sums before the link, of two classes as ``[-d, d]``."""
    sums = scope.get_unique_variable_name("decision")
    _write_values(scope, container, replace(boosted, link="identity"), source, sums)
    if len(boosted.base) > 1:
        container.add_node("Identity", [sums], [output], name=scope.get_unique_operator_name("Identity"))
        return
    negative = scope.get_unique_variable_name("negative")
    container.add_node("Neg", [sums], [negative], name=scope.get_unique_operator_name("Neg"))
    container.add_node("Concat", [negative, sums], [output], axis=1, name=scope.get_unique_operator_name("Concat"))


def _as_one_matrix(scope: Any, inputs: Any, container: Any) -> str:
    """The name of one float matrix (N, F) made of the operator's inputs."""
    from onnx import TensorProto
    from skl2onnx.common.data_types import FloatTensorType

    names = []
    for given in inputs:
        name = given.full_name
        if not isinstance(given.type, FloatTensorType):
            name = scope.get_unique_variable_name("floats")
            container.add_node(
                "Cast", [given.full_name], [name], to=TensorProto.FLOAT, name=scope.get_unique_operator_name("Cast")
            )
        names.append(name)
    if len(names) == 1:
        return str(names[0])
    joined = scope.get_unique_variable_name("columns")
    container.add_node("Concat", names, [joined], axis=1, name=scope.get_unique_operator_name("Concat"))
    return str(joined)


def _write_values(scope: Any, container: Any, boosted: Boosted, source: str, output: str) -> None:
    operator = OPERATORS.get(boosted.link)
    sums = scope.get_unique_variable_name("sums") if operator else output
    container.add_node(
        "TreeEnsembleRegressor",
        [source],
        [sums],
        op_domain="ai.onnx.ml",
        name=scope.get_unique_operator_name("TreeEnsembleRegressor"),
        n_targets=len(boosted.base),
        base_values=list(boosted.base),
        **boosted.forest.attributes("target"),
    )
    if operator:
        container.add_node(operator, [sums], [output], name=scope.get_unique_operator_name(operator))


def _write_classifier(scope: Any, container: Any, boosted: Boosted, source: str, outputs: list[str]) -> None:
    assert boosted.classes is not None  # noqa: S101 - the caller asked
    labels: dict[str, list[Any]]
    if boosted.classes.dtype.kind in "OUST":
        labels = {"classlabels_strings": [str(label) for label in boosted.classes]}
    else:
        labels = {"classlabels_int64s": [int(label) for label in boosted.classes]}
    container.add_node(
        "TreeEnsembleClassifier",
        [source],
        outputs,
        op_domain="ai.onnx.ml",
        name=scope.get_unique_operator_name("TreeEnsembleClassifier"),
        post_transform=LABELS[boosted.link],
        base_values=list(boosted.base),
        **labels,
        **boosted.forest.attributes("class"),
    )


def as_labels(values: Any) -> NDArray[Any]:
    """Labels as an array that ONNX can carry.

    Raises:
        ValueError: labels that are neither text nor whole numbers.
    """
    import numpy as np

    labels: NDArray[Any] = np.asarray(values)
    if labels.dtype.kind == "f" and bool((labels != np.floor(labels)).any()):
        raise ValueError(f"labels must be text or whole numbers, not {labels.tolist()}")
    return labels
