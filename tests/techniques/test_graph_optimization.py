"""Offline optimization of graphs: fewer nodes, the same answers, and the time told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from sklearn.datasets import load_digits

from pytest_inferopt.domain.artifact import Artifact, Dataset, RunOptions
from pytest_inferopt.errors import MissingDependencyError, NotMeasuredError, RefusedError
from pytest_inferopt.runtimes.ort import OnnxRuntime
from pytest_inferopt.techniques.graph_optimization import GraphOptimization

X = (load_digits().data / 16).astype(np.float32)


@pytest.fixture
def layered(model):
    """Two matrix products with a bias each, and a constant that is computed anew at every call."""
    rng = np.random.default_rng(0)

    def constant(name, *shape):
        return numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name)

    return model(
        [
            helper.make_node("MatMul", ["x", "w1"], ["h1"], "first"),
            helper.make_node("Add", ["h1", "b1"], ["a1"], "bias"),
            helper.make_node("Relu", ["a1"], ["r1"], "relu"),
            helper.make_node("Add", ["b2", "b3"], ["b"], "constant"),
            helper.make_node("MatMul", ["r1", "w2"], ["h2"], "second"),
            helper.make_node("Add", ["h2", "b"], ["y"], "bias of the second"),
        ],
        [constant("w1", 16, 32), constant("b1", 32), constant("w2", 32, 4), constant("b2", 4), constant("b3", 4)],
    )


@pytest.fixture
def bench(bench):
    return replace(bench, samples=X[:8, :16])


def operators(artifact):
    return [node.op_type for node in onnx.load(artifact.path).graph.node]


@pytest.mark.parametrize(
    ("level", "left"),
    [("basic", ["Gemm", "Relu", "Gemm"]), ("extended", ["FusedGemm", "Gemm"])],
)
def test_constants_are_folded_and_nodes_fused_and_the_answers_stay(layered, bench, level, left):
    after = GraphOptimization(level=level).apply(layered, bench)

    assert operators(after) == left
    rows = np.random.default_rng(1).normal(size=(50, 16)).astype(np.float32)
    one, other = (OnnxRuntime().open(found, RunOptions()).run({"x": rows})[0] for found in (layered, after))
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)
    assert after.lineage == ("graph_optimization",)
    assert after.notes[0].startswith(
        f"onnxruntime: 6 nodes became {len(left)}; largest relative difference of an output"
    )
    assert after.notes[0].endswith("; not timed.")


def test_passes_follow_each_other_and_each_is_told(layered, bench):
    bench = replace(bench, speedup=lambda *_: {1: 0.5, 32: 1.25})
    after = GraphOptimization(passes=("transformers", "onnxruntime")).apply(layered, bench)
    assert [note.partition(":")[0] for note in after.notes] == [
        "transformers",
        "transformers made it slower at batch 1.",
        "onnxruntime",
        "onnxruntime made it slower at batch 1.",
    ]
    assert after.notes[0].endswith("; ×0.50 at batch 1, ×1.25 at batch 32 (a quick look).")


def test_onnxslim_keeps_the_answers(layered, bench):
    after = GraphOptimization(passes=("onnxslim",)).apply(layered, bench)
    assert operators(after) == ["MatMul", "Add", "Relu", "MatMul", "Add"]
    assert after.notes[0].startswith("onnxslim: 6 nodes became 5; ")


def test_onnxslim_is_asked_for_by_name_where_it_is_not_installed(layered, bench, monkeypatch):
    monkeypatch.setattr("pytest_inferopt.techniques.graph_optimization.find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError) as missing:
        GraphOptimization(passes=("onnxslim",)).apply(layered, bench)
    assert "the pass onnxslim needs onnxslim, not installed here" in missing.value.message


@pytest.mark.parametrize("where", ["samples", "training rows"])
def test_a_pass_that_changes_the_answers_is_refused(where, layered, bench, monkeypatch):
    def spoil(source, target, _):
        graph = onnx.load(source)
        weight = next(tensor for tensor in graph.graph.initializer if tensor.name == "w2")
        weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * 1.01, "w2"))
        onnx.save(graph, target)

    monkeypatch.setattr("pytest_inferopt.techniques.graph_optimization._fold", spoil)
    if where == "training rows":
        bench = replace(bench, samples=np.zeros((2, 16), np.float32), training=Dataset(X[:, :16]))
    with pytest.raises(RefusedError) as refused:
        GraphOptimization().apply(layered, bench)
    assert "the pass onnxruntime changed output 0 by 0.0" in refused.value.message
    assert refused.value.hint == "Leave it out of passes."


def test_a_pass_that_fails_is_named(layered, bench, monkeypatch):
    def fail(*_):
        raise KeyError("shape")

    monkeypatch.setattr("pytest_inferopt.techniques.graph_optimization._fold", fail)
    with pytest.raises(NotMeasuredError) as failed:
        GraphOptimization().apply(layered, bench)
    assert failed.value.message == "technique 'graph_optimization': the pass onnxruntime failed: KeyError: 'shape'"


def test_trees_pass_through(digits, bench):
    bench = replace(bench, samples=X[:8])
    before = Artifact("onnx", digits["forest"])
    after = GraphOptimization().apply(before, bench)
    assert "TreeEnsembleClassifier" in operators(after)
