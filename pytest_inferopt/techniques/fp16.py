"""Half precision."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_inferopt.domain.plugins import Technique
from pytest_inferopt.errors import NotMeasuredError
from pytest_inferopt.techniques._failures import explained
from pytest_inferopt.techniques._graphs import check_node_names, name_nodes, nodes_of, operators_of
from pytest_inferopt.techniques._tensors import largest_values
from pytest_inferopt.techniques._timing import told_speed

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Collection

    from pytest_inferopt.domain.artifact import Artifact, Workbench

__all__ = ["Fp16"]

# The largest finite number of IEEE 754's binary16.
LARGEST = 65_504.0
# Values grow a little with other rows than those that were looked at.
HEADROOM = 2.0
BYTES = 4
IR_VERSION = 10


class Fp16(Technique):
    """Weights and arithmetic in half precision: half the size, and faster where the hardware has kernels for it.

    Inputs and outputs stay float32 while `keep_io_types` is on. Nodes whose values come near the end of half precision
    on the rows at hand stay in float32.

    Attributes:
        keep_io_types: inputs and outputs stay as they are.
        op_types_to_exclude: operator types that stay in float32, beside those that have no half-precision form.
        nodes_to_exclude: names of nodes that stay in float32.
    """

    name: ClassVar[str] = "fp16"
    needs: ClassVar[tuple[str, ...]] = ("onnx", "onnxruntime")
    extra: ClassVar[str] = "cpu"

    keep_io_types: bool = True
    op_types_to_exclude: tuple[str, ...] = ()
    nodes_to_exclude: tuple[str, ...] = ()

    @property
    def spoils(self) -> tuple[str, ...]:
        """No float32 weight is left, and no integer operator takes half precision."""
        return ("fp16", "quantization")

    def gives(self, takes: str) -> str | None:
        """ONNX in, ONNX out."""
        return "onnx" if takes == "onnx" else None

    def apply(self, model: Artifact, bench: Workbench) -> Artifact:
        """Convert by onnxruntime's converter for transformers, which keeps subgraphs and blocked operators whole.

        A model without float weights or arithmetic that has a half-precision form keeps its file, and the notes say so.

        Raises:
            UsageError: a name in `nodes_to_exclude` is no node's.
            NotMeasuredError: the converter fails, or the file answers NaN or infinity where the one before does not.
        """
        import onnx
        from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST

        source = onnx.load(model.path)
        check_node_names(source.graph, self.nodes_to_exclude)
        blocked = {*DEFAULT_OP_BLOCK_LIST, *self.op_types_to_exclude}
        name_nodes(source.graph)
        overflowing = self._overflowing(model, source, bench)
        converted = _convert(source, self.keep_io_types, blocked, {*self.nodes_to_exclude, *overflowing})
        operators = operators_of(source.graph)
        if not _half_tensors(converted.graph):
            return model.evolve(self.name, notes=[_nothing_to_do(operators, blocked)])
        path = bench.folder / "fp16.onnx"
        path.write_bytes(converted.SerializeToString(deterministic=True))
        notes = _told(source, converted, sum(operators[kind] for kind in blocked), overflowing)
        signature = model.signature if self.keep_io_types else None
        after = model.evolve(self.name, path=path, signature=signature)
        _prove(model, after, bench)
        speed, slower = told_speed(model, after, bench)
        notes.append(f"Beside the file before: {speed}.")
        if slower:
            notes.append(
                f"Half precision made it slower at batch {', '.join(map(str, slower))}: a CPU has few half-precision "
                "kernels, and onnxruntime computes the others in float32, with casts."
            )
        return model.evolve(self.name, path=path, signature=signature, notes=notes)

    def _overflowing(self, model: Artifact, source: Any, bench: Workbench) -> list[str]:
        """The nodes that read or write a value near the end of half precision, on the samples."""
        largest = largest_values(source, bench.folder / "watched.onnx", bench.open(model).prepare(bench.samples))
        far = {name for name, value in largest.items() if value * HEADROOM > LARGEST}
        return [node.name for node in nodes_of(source.graph) if far & {*node.input, *node.output}]


def _prove(before: Artifact, after: Artifact, bench: Workbench) -> None:
    """Run both on the samples: what was finite is to stay so.

    Raises:
        NotMeasuredError: it does not.
    """
    import numpy as np

    sessions = [bench.open(artifact) for artifact in (before, after)]
    answers = [session.run(session.prepare(bench.samples)) for session in sessions]
    for one, other in zip(*answers, strict=True):
        first, second = np.asarray(one), np.asarray(other)
        if first.dtype.kind == "f" and (np.isfinite(first) & ~np.isfinite(second)).any():
            raise NotMeasuredError(
                "technique 'fp16': answers are NaN or infinite on sample rows where they were finite before.",
                "Keep the operator that overflows in float32 (op_types_to_exclude, nodes_to_exclude).",
            )


def _convert(source: Any, keep_io_types: bool, op_types: Collection[str], nodes: Collection[str]) -> Any:
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    twin = onnx.ModelProto()
    twin.CopyFrom(source)
    with explained("technique 'fp16'", "Leave the operator out (op_types_to_exclude, nodes_to_exclude)."):
        converted = convert_float_to_float16(
            twin, keep_io_types=keep_io_types, op_block_list=sorted(op_types), node_block_list=sorted(nodes)
        )
    _rejoin(converted.graph, {node.name for node in source.graph.node})
    _pack(converted.graph)
    # The converter appends its casts at the end, which onnxruntime reads, and ONNX's checker rejects.
    OnnxModel(converted).topological_sort()
    converted.ir_version = min(converted.ir_version, max(source.ir_version, IR_VERSION))
    return converted


def _rejoin(graph: Any, own_names: Collection[str]) -> None:
    """Take out the detours through half precision that the converter makes between two nodes of float32.

    They would cut off what the two were kept in float32 for.

    Args:
        graph: as converted.
        own_names: of the nodes that it had before: their casts are meant.
    """
    import onnx

    half, single = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    added = [node for node in graph.node if node.op_type == "Cast" and node.name not in own_names]
    source_of = {node.output[0]: node.input[0] for node in added if node.attribute[0].i == half}
    replaced = {
        node.output[0]: source_of[node.input[0]]
        for node in added
        if node.attribute[0].i == single and node.input[0] in source_of
    }
    for node in nodes_of(graph):
        node.input[:] = [replaced.get(name, name) for name in node.input]
    read = {name for node in nodes_of(graph) for name in node.input} | {output.name for output in graph.output}
    while dead := [node for node in added if node.output[0] not in read]:
        for node in dead:
            graph.node.remove(node)
            added.remove(node)
        read = {name for node in nodes_of(graph) for name in node.input} | {output.name for output in graph.output}


def _pack(graph: Any) -> None:
    """Two bytes a number: of a list of floats the converter makes a list of integers, of up to three bytes each."""
    import onnx

    for tensor in graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT16 and not tensor.HasField("raw_data"):
            tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor), tensor.name))


def _float32_bytes(graph: Any) -> int:
    import onnx

    tensors = [tensor for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT]
    return sum(BYTES * math.prod(tensor.dims) for tensor in tensors)


def _half_tensors(graph: Any) -> int:
    """How many constants of half precision there are."""
    import onnx

    half = onnx.TensorProto.FLOAT16
    weights = [tensor.data_type for tensor in graph.initializer]
    constants = [node.attribute[0].t.data_type for node in nodes_of(graph) if node.op_type == "Constant"]
    return [*weights, *constants].count(half)


def _nothing_to_do(operators: Counter[str], blocked: Collection[str]) -> str:
    kinds = ", ".join(kind for kind in operators if kind in blocked) or "there are no float32 weights"
    total = sum(operators.values())
    return f"0 of {total} operators can be in half precision: {kinds}; the file is unchanged."


def _told(source: Any, converted: Any, blocked: int, overflowing: list[str]) -> list[str]:
    before_bytes, after_bytes = (_float32_bytes(model.graph) for model in (source, converted))
    notes = [f"{before_bytes - after_bytes:,} of {before_bytes:,} bytes of float32 weights became half as many."]
    casts = operators_of(converted.graph)["Cast"] - operators_of(source.graph)["Cast"]
    stay = f", and {blocked} operators stay in float32 for want of a half-precision form" if blocked else ""
    notes.append(f"{casts} Cast nodes were added{stay}.")
    if overflowing:
        notes.append(f"Kept in float32, near the end of half precision on these rows: {_some(overflowing)}.")
    return notes


def _some(names: list[str]) -> str:
    shown = 5
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
