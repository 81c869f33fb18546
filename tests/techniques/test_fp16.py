"""Half precision: what shrinks, what stays in float32, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits

from pytest_inferopt.domain.artifact import Artifact, RunOptions
from pytest_inferopt.errors import NotMeasuredError, UsageError
from pytest_inferopt.runtimes.ort import OnnxRuntime
from pytest_inferopt.techniques.fp16 import Fp16

X = (load_digits().data / 16).astype(np.float32)


def weights(name, value, *shape):
    return numpy_helper.from_array(np.full(shape, value, np.float32), name)


def answers(artifact, rows):
    session = OnnxRuntime().open(Artifact("onnx", artifact.path), RunOptions())
    return session.run(session.prepare(rows))


def dtypes(path):
    graph = onnx.load(path).graph
    return [TensorProto.DataType.Name(value.type.tensor_type.elem_type) for value in (*graph.input, *graph.output)]


def test_a_network_falls_to_half_its_size_and_its_answers_hardly_move(digits, bench):
    before = Artifact("onnx", digits["network"], lineage=("onnx_conversion",))
    after = Fp16().apply(before, bench)

    (labels, scores), (after_labels, after_scores) = answers(before, X), answers(after, X)
    assert np.mean(labels != after_labels) < 0.002
    assert np.abs(scores - after_scores).max() < 0.01
    assert 0.5 < after.size_bytes / before.size_bytes < 0.55
    assert after.lineage == ("onnx_conversion", "fp16")
    assert after.notes[0] == "203,304 of 203,304 bytes of float32 weights became half as many."
    assert after.notes[-1] == "Beside the file before: not timed."


def test_a_slow_down_on_this_processor_is_told_with_its_reason(digits, bench):
    before = Artifact("onnx", digits["network"], lineage=("onnx_conversion",))
    slow, fast = (replace(bench, speedup=lambda *_, ratio=ratio: {1: ratio, 32: 1.5}) for ratio in (0.5, 0.99))
    assert Fp16().apply(before, slow).notes[-2:] == (
        "Beside the file before: ×0.50 at batch 1, ×1.50 at batch 32 (a quick look).",
        (
            "Half precision made it slower at batch 1: a CPU has few half-precision kernels, and onnxruntime computes "
            "the others in float32, with casts."
        ),
    )
    assert Fp16().apply(before, fast).notes[-1] == (
        "Beside the file before: ×0.99 at batch 1, ×1.50 at batch 32 (a quick look)."
    )


@pytest.mark.parametrize(("keep_io_types", "dtype"), [(True, "FLOAT"), (False, "FLOAT16")])
def test_inputs_and_outputs_keep_their_types_unless_told_otherwise(model, bench, keep_io_types, dtype):
    source = model([helper.make_node("MatMul", ["x", "w"], ["y"], "only")], [weights("w", 0.5, 16, 4)])
    rows = replace(bench, samples=X[:4, :16])
    after = Fp16(keep_io_types=keep_io_types).apply(source, rows)
    assert dtypes(after.path) == [dtype, dtype]
    # Casts of inputs and outputs stand where their readers and writers expect them.
    onnx.checker.check_model(onnx.load(after.path))


def test_nodes_that_reach_beyond_half_precision_stay_in_float32_and_are_named(model, bench):
    source = model(
        [
            helper.make_node("MatMul", ["x", "w"], ["far"], "grows"),
            helper.make_node("MatMul", ["far", "v"], ["near"], "shrinks"),
            helper.make_node("MatMul", ["near", "u"], ["y"], "small"),
        ],
        [weights("w", 3000.0, 16, 16), weights("v", 1e-4, 16, 16), weights("u", 0.1, 16, 4)],
    )
    rows = np.full((8, 16), 2.0, np.float32)
    after = Fp16().apply(source, replace(bench, samples=rows))
    assert "Kept in float32, near the end of half precision on these rows: grows, shrinks." in after.notes
    np.testing.assert_allclose(answers(after, rows)[0], answers(source, rows)[0], rtol=1e-3)


def test_answers_that_are_no_longer_finite_on_sample_rows_are_refused(model, bench):
    class Overflowing:
        prepare = staticmethod(lambda rows: {"x": rows})
        run = staticmethod(lambda _: [np.array([[1.0], [np.inf]], np.float32)])

    def opened(artifact):
        return Overflowing() if artifact.path.name == "fp16.onnx" else OnnxRuntime().open(artifact, RunOptions())

    source = model([helper.make_node("MatMul", ["x", "w"], ["y"], "only")], [weights("w", 1.0, 16, 1)])
    with pytest.raises(NotMeasuredError) as refused:
        Fp16().apply(source, replace(bench, open=opened, samples=np.ones((2, 16), np.float32)))
    assert "answers are NaN or infinite on sample rows where they were finite before" in refused.value.message
    assert refused.value.hint.endswith("(op_types_to_exclude, nodes_to_exclude).")


def test_a_node_or_an_operator_can_be_kept_in_float32_and_a_name_that_is_none_is_refused(model, bench):
    source = model(
        [
            helper.make_node("MatMul", ["x", "w"], ["h"], "first"),
            helper.make_node("Sigmoid", ["h"], ["s"], "squash"),
            helper.make_node("MatMul", ["s", "v"], ["y"], "second"),
        ],
        [weights("w", 0.5, 16, 16), weights("v", 0.5, 16, 4)],
    )
    bench = replace(bench, samples=X[:4, :16])
    for options in ({"nodes_to_exclude": ("first", "squash")}, {"op_types_to_exclude": ("MatMul",)}):
        after = Fp16(**options).apply(source, bench)
        kept = {tensor.name for tensor in onnx.load(after.path).graph.initializer if tensor.data_type == 1}
        assert "w" in kept
    with pytest.raises(UsageError, match="no node is named 'frist'; did you mean 'first'"):
        Fp16(nodes_to_exclude=("frist",)).apply(source, bench)


def test_trees_have_no_half_precision_form_and_keep_their_file(digits, bench):
    before = Artifact("onnx", digits["forest"])
    after = Fp16().apply(before, bench)
    assert (after.path, len(after.notes)) == (before.path, 1)
    assert after.notes[0].startswith("0 of ")
    assert "TreeEnsembleClassifier" in after.notes[0]
    assert after.notes[0].endswith("the file is unchanged.")
