"""Static quantization on real rows: what is calibrated, what is written, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits

from pytest_inferopt.domain.artifact import Artifact, Dataset, RunOptions, Signature, TensorSpec
from pytest_inferopt.domain.environment import Environment
from pytest_inferopt.errors import NotMeasuredError, UsageError
from pytest_inferopt.runtimes.ort import OnnxRuntime
from pytest_inferopt.techniques._calibration import calibration_feeds
from pytest_inferopt.techniques.quantization import Quantization

X, Y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)
TRAINING, JUDGED = Dataset(X[:600], Y[:600]), X[600:]


@pytest.fixture
def calibrated(bench):
    return replace(bench, training=TRAINING)


@pytest.fixture
def network(digits):
    return Artifact("onnx", digits["network"], task="classification", lineage=("onnx_conversion",))


def answers(artifact):
    return OnnxRuntime().open(Artifact("onnx", artifact.path), RunOptions()).run({"X": JUDGED})


def elements(path, ends):
    return {
        TensorProto.DataType.Name(tensor.data_type)
        for tensor in onnx.load(path).graph.initializer
        if tensor.name.endswith(ends)
    }


@pytest.mark.parametrize("quant_format", ["qdq", "qoperator"])
@pytest.mark.parametrize("calibration_method", ["minmax", "entropy", "percentile"])
def test_a_network_keeps_its_answers_at_a_third_of_its_size(network, calibrated, calibration_method, quant_format):
    technique = Quantization(method="static", calibration_method=calibration_method, quant_format=quant_format)
    after = technique.apply(network, calibrated)

    (labels, scores), (after_labels, after_scores) = answers(network), answers(after)
    assert np.mean(labels != after_labels) < 0.01
    assert np.abs(scores - after_scores).mean() < 0.02
    assert after.size_bytes / network.size_bytes < 0.33
    activations = "uint8" if Environment.here().is_x86 else "int8"
    assert after.notes[0] == (
        f"3 of 3 operators quantized (int8 weights, per channel, {activations} activations, {quant_format.upper()})."
    )
    assert after.notes[1].startswith(f"Activations are {activations}, as ")
    assert after.notes[2].startswith(f"Calibrated by {calibration_method} in 32 bites; the process's peak of memory")


def test_as_many_rows_are_seen_as_were_asked_for_and_no_more(network, calibrated):
    after = Quantization(method="static", calibration_rows=100).apply(network, calibrated)
    assert "in 7 bites" in after.notes[-1]


@pytest.mark.parametrize(("activations", "element"), [("uint8", "UINT8"), ("int8", "INT8")])
def test_activations_have_the_type_that_was_asked_for(network, calibrated, activations, element):
    after = Quantization(method="static", activations=activations).apply(network, calibrated)
    assert elements(after.path, "_output_0_zero_point") | elements(after.path, "_zero_point") >= {element}
    assert not any(note.startswith("Activations are") for note in after.notes)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (None, "0 calibration rows, needs at least 100."),
        (X[:12], "12 calibration rows, needs at least 100."),
        (np.full((200, 64), 0.5, np.float32), "all 200 calibration rows are the same."),
        (np.where(np.arange(200)[:, None] == 130, np.nan, X[:200]), "calibration row 130 has NaN or infinity in 'X'."),
    ],
    ids=["none", "too few", "constant", "NaN"],
)
def test_b36_calibration_rows_that_say_nothing_are_refused(network, bench, rows, told):
    training = None if rows is None else Dataset(rows)
    with pytest.raises(NotMeasuredError) as refused:
        Quantization(method="static").apply(network, replace(bench, training=training))
    assert refused.value.message == f"technique 'quantization' (static): {told}"
    assert 'use method="dynamic"' in refused.value.hint


def test_a_node_that_is_excluded_stays_in_float_also_where_a_fusion_would_take_it(model, calibrated):
    weights = [numpy_helper.from_array(np.ones((16, 16), np.float32), name) for name in ("w1", "w2")]
    bias = numpy_helper.from_array(np.ones(16, np.float32), "b")
    source = model(
        [
            helper.make_node("MatMul", ["x", "w1"], ["h"], "first"),
            helper.make_node("Add", ["h", "b"], ["a"], "add"),
            helper.make_node("MatMul", ["a", "w2"], ["y"], "second"),
        ],
        [*weights, bias],
    )
    rows = np.random.default_rng(0).normal(size=(120, 16)).astype(np.float32)
    bench = replace(calibrated, training=Dataset(rows))
    after = Quantization(method="static", nodes_to_exclude=("first",)).apply(source, bench)
    assert after.notes[0].startswith("1 of 2 operators quantized")
    with pytest.raises(UsageError, match="nodes_to_exclude: no node is named 'frist'; did you mean 'first'"):
        Quantization(method="static", nodes_to_exclude=("frist",)).apply(source, bench)


def test_a_relu_between_two_products_disappears_in_the_range_of_what_it_clips(network, calibrated):
    after = Quantization(method="static").apply(network, calibrated)
    assert "Relu" in {node.op_type for node in onnx.load(network.path).graph.node}
    assert "Relu" not in {node.op_type for node in onnx.load(after.path).graph.node}


@pytest.fixture
def outliers(model):
    """Two products; between them a column grows so much in one of a hundred rows that 8 bits hold no other row."""
    factors = np.ones(16, np.float32)
    factors[0] = 3000.0
    same = np.eye(16, dtype=np.float32)
    return model(
        [
            helper.make_node("MatMul", ["x", "w1"], ["h"], "first"),
            helper.make_node("Mul", ["h", "factors"], ["r"], "grow"),
            helper.make_node("MatMul", ["r", "w2"], ["y"], "second"),
        ],
        [numpy_helper.from_array(array, name) for array, name in ((same, "w1"), (same, "w2"), (factors, "factors"))],
    )


def rows_with_outliers(count):
    rows = np.random.default_rng(0).normal(size=(count, 16)).astype(np.float32)
    rows[:, 0] = np.arange(count) % 100 == 0
    return rows


def test_what_eight_bits_cannot_hold_stays_in_float_and_is_told(outliers, bench):
    bench = replace(bench, training=Dataset(rows_with_outliers(200)))
    after = Quantization(method="static").apply(outliers, bench)
    assert after.notes[0].startswith("1 of 2 operators quantized")
    told = "1 left in float: 8 bits of what they read or give lose up to 98% of a row (largest_error): second."
    assert told in after.notes
    assert not any("their weights are not constant" in note for note in after.notes)


def test_all_is_quantized_where_that_is_asked_for_and_then_the_rows_are_lost(outliers, bench):
    rows = rows_with_outliers(200)
    bench = replace(bench, training=Dataset(rows))
    spared, whole = (
        Quantization(method="static", largest_error=limit).apply(outliers, replace(bench, folder=folder))
        for limit, folder in ((1 / 16, made(bench.folder / "spared")), (None, made(bench.folder / "whole")))
    )
    assert whole.notes[0].startswith("2 of 2 operators quantized")
    right, near, far = (
        OnnxRuntime().open(Artifact("onnx", artifact.path), RunOptions()).run({"x": rows[1:100]})[0]
        for artifact in (outliers, spared, whole)
    )
    length = np.linalg.norm(right)
    assert np.linalg.norm(near - right) < 0.05 * length
    assert np.linalg.norm(far - right) > 0.5 * length


def made(folder):
    folder.mkdir()
    return folder


def test_trees_have_nothing_to_calibrate(digits, bench):
    before = Artifact("onnx", digits["forest"])
    after = Quantization(method="static").apply(before, bench)
    assert after.path == before.path
    assert "TreeEnsembleClassifier has no INT8 form; the file is unchanged." in after.notes[0]


def test_a_file_that_insists_on_a_number_of_rows_is_fed_that_many_each_time():
    class Session:
        def prepare(self, rows):
            return {"x": rows}

    signature = Signature((TensorSpec("x", "float32", (32, 64)),), ())
    feeds = list(calibration_feeds(X[:100], Session(), Artifact("onnx", None, signature=signature)))
    assert [len(feed["x"]) for feed in feeds] == [32, 32, 32, 32]
    np.testing.assert_array_equal(np.concatenate([feed["x"] for feed in feeds])[:100], X[:100])
