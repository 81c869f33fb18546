from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits

from pytest_inferopt.domain.artifact import Artifact, RunOptions
from pytest_inferopt.domain.request import TechniqueSpec
from pytest_inferopt.errors import NotMeasuredError, UsageError
from pytest_inferopt.registry import discover
from pytest_inferopt.runtimes.ort import OnnxRuntime
from pytest_inferopt.techniques.quantization import Quantization

X, Y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)
RNG = np.random.default_rng(0)
ONE_LEFT = (
    "1 left in float: their weights are not constant, they are excluded by name, or they stand in a loop or branch."
)


def constant(name, *shape):
    return numpy_helper.from_array(RNG.normal(size=shape).astype(np.float32), name)


@pytest.fixture
def mixed(model):
    """A Gemm, then a MatMul, both with constant weights."""
    return model(
        [
            helper.make_node("Gemm", ["x", "w1", "b1"], ["h"], "first"),
            helper.make_node("MatMul", ["h", "w2"], ["y"], "second"),
        ],
        [constant("w1", 16, 16), constant("b1", 16), constant("w2", 16, 16)],
    )


def operators(path):
    return Counter(node.op_type for node in onnx.load(path).graph.node)


@pytest.fixture
def embedding(model):
    """A table of 1,000 rows, of which `ids` picks some; one of integers; and a product of both."""
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["N"])
    positions = numpy_helper.from_array(np.arange(1000, dtype=np.int64).reshape(1000, 1), "positions")
    return model(
        [
            helper.make_node("Gather", ["table", "ids"], ["found"], "embed"),
            helper.make_node("Gather", ["positions", "ids"], ["places"], "place"),
            helper.make_node("Cast", ["places"], ["as_float"], "cast", to=TensorProto.FLOAT),
            helper.make_node("MatMul", ["found", "w"], ["h"], "product"),
            helper.make_node("Add", ["h", "as_float"], ["sum"], "add"),
            helper.make_node("Add", ["sum", "x"], ["y"], "last"),
        ],
        [constant("table", 1000, 16), constant("w", 16, 16), positions],
        [ids],
    )


def weight_types(path):
    return {
        TensorProto.DataType.Name(tensor.data_type)
        for tensor in onnx.load(path).graph.initializer
        if tensor.name.endswith("_quantized")
    }


def weight_scales(path):
    """The number of scales of each quantized weight."""
    return [
        numpy_helper.to_array(tensor).size
        for tensor in onnx.load(path).graph.initializer
        if tensor.name.endswith("_scale")
    ]


# --- what is done -----------------------------------------------------------------------------------------------


def test_a_networks_file_falls_to_about_a_quarter_and_its_weights_are_int8(digits, bench):
    before = Artifact("onnx", digits["network"], task="classification", lineage=("onnx_conversion",))
    after = Quantization().apply(before, bench)
    assert after.path.parent == bench.folder
    assert (after.format, after.task, after.lineage) == ("onnx", "classification", ("onnx_conversion", "quantization"))
    assert after.notes == ("3 of 3 operators quantized (int8 weights, per channel).",)
    assert 0.25 < after.size_bytes / before.size_bytes < 0.3
    assert (operators(after.path)["MatMulInteger"], weight_types(after.path)) == (3, {"INT8"})


def test_a_quantized_network_still_answers_as_the_original_does(digits, bench):
    before = Artifact("onnx", digits["network"])
    after = Quantization().apply(before, bench)
    answers = [
        OnnxRuntime().open(Artifact("onnx", artifact.path), RunOptions()).run({"X": X}) for artifact in (before, after)
    ]
    assert np.mean(answers[0][0] == answers[1][0]) > 0.99
    assert np.max(np.abs(answers[0][1] - answers[1][1])) < 0.1


def test_the_input_stays_as_it_is_and_nothing_is_written_beside_it(digits, bench):
    folder = digits["network"].parent
    # The quantizer's own intermediate file had this name when it was given a path.
    (folder / "network-inferred.onnx").write_text("a file of the user's")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    Quantization().apply(Artifact("onnx", digits["network"]), bench)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_the_same_file_gives_the_same_bytes(mixed, bench):
    first = Quantization().apply(mixed, bench).path.read_bytes()
    assert Quantization().apply(mixed, bench).path.read_bytes() == first


def test_unsigned_weights_are_asked_for_by_their_type(mixed, bench):
    after = Quantization(precision="uint8").apply(mixed, bench)
    assert (after.notes, weight_types(after.path)) == (
        ("2 of 2 operators quantized (uint8 weights, per channel).",),
        {"UINT8"},
    )


@pytest.mark.parametrize(("per_channel", "scales", "words"), [(True, 16, "per channel"), (False, 1, "per tensor")])
def test_weights_have_a_scale_a_channel_or_one_for_all(mixed, bench, per_channel, scales, words):
    after = Quantization(per_channel=per_channel).apply(mixed, bench)
    assert weight_scales(after.path) == [scales, scales]
    assert after.notes == (f"2 of 2 operators quantized (int8 weights, {words}).",)


def test_seven_bit_weights_keep_to_half_the_range(mixed, bench):
    def largest(**options):
        after = Quantization(**options).apply(mixed, bench)
        return max(
            np.abs(numpy_helper.to_array(tensor).astype(int)).max()
            for tensor in onnx.load(after.path).graph.initializer
            if tensor.name.endswith("_quantized")
        )

    assert (largest(reduce_range=True) <= 64, largest(reduce_range=False) > 64) == (True, True)


# --- what is left alone -----------------------------------------------------------------------------------------


def test_an_embedding_is_quantized_and_what_is_gathered_from_integers_is_not(embedding, bench):
    after = Quantization().apply(embedding, bench)
    assert after.notes == ("2 of 2 operators quantized (int8 weights, per channel).",)
    assert after.size_bytes < 0.55 * embedding.size_bytes
    rows = {"x": np.zeros((5, 16), np.float32), "ids": np.array([0, 1, 500, 998, 999])}
    before, now = (OnnxRuntime().open(artifact, RunOptions()).run(rows)[0] for artifact in (embedding, after))
    np.testing.assert_allclose(now, before, atol=0.3)


def test_an_embedding_stays_in_float_where_only_products_are_asked_for(embedding, bench):
    after = Quantization(op_types=("MatMul",)).apply(embedding, bench)
    assert after.notes == ("1 of 1 operators quantized (int8 weights, per channel).",)


def test_trees_have_no_int8_form_and_keep_their_file(digits, bench):
    before = Artifact("onnx", digits["forest"])
    total = sum(operators(digits["forest"]).values())
    after = Quantization().apply(before, bench)
    assert after.notes == (
        f"0 of {total} operators can be quantized: TreeEnsembleClassifier has no INT8 form; the file is unchanged.",
    )
    assert (after.path, after.lineage, list(bench.folder.iterdir())) == (before.path, ("quantization",), [])


def test_a_model_without_any_weights_names_its_operators(model, bench):
    after = Quantization().apply(model([helper.make_node("Relu", ["x"], ["y"])]), bench)
    assert after.notes == (
        (
            "0 of 1 operators can be quantized: there is no MatMul, Gemm, LSTM, Attention, Gather among Relu; "
            "the file is unchanged."
        ),
    )


def test_a_product_of_two_inputs_has_no_weights(model, bench):
    two = model(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        inputs=[helper.make_tensor_value_info("w", TensorProto.FLOAT, [16, 4])],
    )
    after = Quantization().apply(two, bench)
    assert (after.path, after.notes) == (
        two.path,
        ("0 of 1 operators can be quantized: none of the 1 MatMul has constant weights; the file is unchanged.",),
    )


def test_what_is_left_in_float_is_counted_and_named(model, bench):
    half = model(
        [
            helper.make_node("MatMul", ["x", "w"], ["h"]),
            helper.make_node("Transpose", ["h"], ["t"]),
            helper.make_node("MatMul", ["h", "t"], ["g"]),
            helper.make_node("Reshape", ["g", "shape"], ["image"]),
            helper.make_node("Conv", ["image", "kernel"], ["y"]),
        ],
        [
            constant("w", 16, 16),
            constant("kernel", 1, 1, 1, 1),
            numpy_helper.from_array(np.array([1, 1, -1, 4]), "shape"),
        ],
    )
    assert Quantization().apply(half, bench).notes == (
        "1 of 2 operators quantized (int8 weights, per channel).",
        ONE_LEFT,
        "Left in float on purpose or for want of an INT8 form: 1 Conv.",
    )


@pytest.mark.parametrize(("excluded", "left"), [("first", "w1"), ("second", "w2")])
def test_a_node_that_is_excluded_by_name_keeps_its_float_weights(mixed, bench, excluded, left):
    after = Quantization(nodes_to_exclude=(excluded,)).apply(mixed, bench)
    assert after.notes == (
        "1 of 2 operators quantized (int8 weights, per channel).",
        ONE_LEFT,
    )
    assert left in {tensor.name for tensor in onnx.load(after.path).graph.initializer}


def test_where_all_nodes_are_excluded_the_file_is_unchanged(mixed, bench):
    after = Quantization(nodes_to_exclude=("first", "second")).apply(mixed, bench)
    assert (after.path, after.notes) == (
        mixed.path,
        (
            (
                "0 of 2 operators can be quantized: none of the 2 MatMul/Gemm has constant weights and is not excluded "
                "by name; the file is unchanged."
            ),
        ),
    )


@pytest.mark.parametrize(("kind", "left"), [("MatMul", "w1"), ("Gemm", "w2")])
def test_only_the_operator_types_that_are_asked_for_are_quantized(mixed, bench, kind, left):
    after = Quantization(op_types=(kind,)).apply(mixed, bench)
    assert after.notes == ("1 of 1 operators quantized (int8 weights, per channel).",)
    assert left in {tensor.name for tensor in onnx.load(after.path).graph.initializer}
    assert operators(after.path)["MatMulInteger"] == 1


def test_nodes_without_a_name_are_told_apart_by_their_type_too(model, bench):
    nameless = model(
        [helper.make_node("Gemm", ["x", "w1"], ["h"]), helper.make_node("MatMul", ["h", "w2"], ["y"])],
        [constant("w1", 16, 16), constant("w2", 16, 16)],
    )
    after = Quantization(op_types=("Gemm",)).apply(nameless, bench)
    assert after.notes == ("1 of 1 operators quantized (int8 weights, per channel).",)
    assert "w2" in {tensor.name for tensor in onnx.load(after.path).graph.initializer}


def test_the_bodies_of_a_branch_are_left_alone_and_counted(model, bench):
    def branch(name):
        return helper.make_graph(
            [helper.make_node("MatMul", ["x", "w"], [name], f"{name}_product")],
            name,
            [],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)],
        )

    branching = model(
        [helper.make_node("If", ["yes"], ["y"], then_branch=branch("then"), else_branch=branch("other"))],
        [constant("w", 16, 16), numpy_helper.from_array(np.array(True), "yes")],
    )
    after = Quantization().apply(branching, bench)
    assert (after.path, after.notes) == (
        branching.path,
        (
            (
                "0 of 3 operators can be quantized: none of the 2 MatMul has constant weights and stands outside "
                "of loops and branches; the file is unchanged."
            ),
        ),
    )


# --- what is wrong ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"op_types": ["Matmul"]},
            (
                "technique 'quantization': op_types.0='Matmul': "
                "Input should be 'MatMul', 'Gemm', 'LSTM', 'Attention', 'Conv' or 'Gather'."
            ),
        ),
        ({"method": "qat"}, "technique 'quantization': method='qat': Input should be 'dynamic' or 'static'."),
        (
            {"calibration_method": "entropy"},
            "technique 'quantization': calibration_method goes with method=\"static\".",
        ),
        ({"precision": "int4"}, "technique 'quantization': precision='int4': Input should be 'int8' or 'uint8'."),
        ({"per_chanel": True}, "technique 'quantization' has no option 'per_chanel'; did you mean 'per_channel'?"),
    ],
)
def test_an_option_that_is_wrong_is_a_usage_error_before_anything_runs(options, message):
    with pytest.raises(UsageError) as caught:
        discover().technique(TechniqueSpec(name="quantization", options=options))
    assert str(caught.value) == message


def test_at_least_one_operator_type_is_asked_for():
    with pytest.raises(UsageError, match="op_types"):
        discover().technique(TechniqueSpec(name="quantization", options={"op_types": []}))


def test_a_node_that_is_not_there_cannot_be_excluded(mixed, bench):
    with pytest.raises(UsageError) as caught:
        Quantization(nodes_to_exclude=("secnod",)).apply(mixed, bench)
    assert str(caught.value) == "nodes_to_exclude: no node is named 'secnod'; did you mean 'second'?"


def test_a_failure_of_the_quantizer_is_not_measured(mixed, bench, monkeypatch):
    def fail(*_, **__):
        raise KeyError("scale")

    monkeypatch.setattr("onnxruntime.quantization.quantize_dynamic", fail)
    with pytest.raises(NotMeasuredError) as caught:
        Quantization().apply(mixed, bench)
    assert str(caught.value) == (
        "technique 'quantization' (dynamic) failed: KeyError: 'scale': "
        "Leave the operator out (op_types, nodes_to_exclude), or set per_channel=False."
    )


def test_only_onnx_goes_in_and_comes_out():
    assert [Quantization().gives(takes) for takes in ("onnx", "sklearn", "pytorch")] == ["onnx", None, None]
