from __future__ import annotations

from functools import partial

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from onnx import TensorProto, helper
from scipy import sparse
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression

from pytest_inferopt.domain.artifact import Artifact, RunOptions, Signature, TensorSpec
from pytest_inferopt.errors import NotMeasuredError, RefusedError, UsageError
from pytest_inferopt.runtimes import ort
from pytest_inferopt.runtimes.ort import OnnxRuntime, OrtSession

FLOAT, INT64, STRING = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING
X = np.arange(12, dtype=np.float32).reshape(3, 4)


def value(name, kind=FLOAT, shape=("N", 4)):
    return helper.make_tensor_value_info(name, kind, shape)


@pytest.fixture
def written(tmp_path):
    """`written(nodes, inputs, outputs)`: the artifact of such a file."""

    def written(nodes, inputs, outputs):
        graph = helper.make_graph(nodes, "g", inputs, outputs)
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        path = tmp_path / "model.onnx"
        path.write_bytes(proto.SerializeToString())
        return Artifact("onnx", path)

    return written


@pytest.fixture
def negative(written):
    """`negative(kind, shape)`: a file whose y is −x."""

    def negative(kind=FLOAT, shape=("N", 4)):
        return written([helper.make_node("Neg", ["x"], ["y"])], [value("x", kind, shape)], [value("y", kind, shape)])

    return negative


@pytest.fixture
def echo(written):
    """`echo(*inputs)`: a file whose outputs are its inputs, each with `_out` behind its name."""

    def echo(*inputs):
        return written(
            [helper.make_node("Identity", [name], [f"{name}_out"]) for name, _, _ in inputs],
            [value(*entry) for entry in inputs],
            [value(f"{name}_out", kind, shape) for name, kind, shape in inputs],
        )

    return echo


def opened(artifact, **options):
    return OnnxRuntime().open(artifact, RunOptions(**options))


def usage(act, *arguments):
    with pytest.raises(UsageError) as caught:
        act(*arguments)
    return str(caught.value)


# --- opening ----------------------------------------------------------------------------------------------------


def test_a_signature_that_is_not_known_is_read_from_the_file(negative):
    assert OnnxRuntime().inspect(negative()).signature == Signature(
        (TensorSpec("x", "float32", ("N", 4)),), (TensorSpec("y", "float32", ("N", 4)),)
    )


def test_a_signature_that_is_known_is_kept_and_the_file_is_not_opened(tmp_path):
    artifact = Artifact("onnx", tmp_path / "no such file", signature=Signature((), ()))
    assert OnnxRuntime().inspect(artifact) is artifact


def test_what_is_timed_is_the_runtimes_own_call_with_no_wrapper_of_ours(negative):
    session = opened(negative())
    assert isinstance(session.run, partial)
    assert (session.run.func, session.run.args, session.run.keywords) == (session.session.run, (["y"],), {})
    assert session.run is session.run
    assert (session.call, session.own_threads) == ("InferenceSession.run", None)


@pytest.mark.parametrize(("threads", "stated"), [(1, 1), (2, 2), (None, 0)])
def test_threads_are_stated_and_idle_ones_do_not_spin(negative, threads, stated):
    options = opened(negative(), threads=threads).session.get_session_options()
    spinning = [options.get_session_config_entry(f"session.{kind}_op.allow_spinning") for kind in ("intra", "inter")]
    assert (options.intra_op_num_threads, options.inter_op_num_threads, spinning) == (stated, 1, ["0", "0"])


@pytest.mark.parametrize("provider", ["cpu", "CPU", "CPUExecutionProvider"])
def test_a_provider_is_named_shortly_or_in_full(negative, provider):
    assert opened(negative(), provider=provider).session.get_providers() == ["CPUExecutionProvider"]


@pytest.mark.parametrize("provider", ["tensorrt", "ROCMExecutionProvider", "cqu"])
def test_a_provider_that_is_not_in_this_build_is_a_usage_error(negative, provider, monkeypatch):
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["AzureExecutionProvider", "CPUExecutionProvider"]
    )
    assert usage(lambda: opened(negative(), provider=provider)) == (
        f"provider {provider!r} is not in this build of onnxruntime, which has AzureExecutionProvider, "
        "CPUExecutionProvider. Install the runtime that brings it, or use one of: cpu."
    )


def test_a_silent_fall_back_to_another_provider_is_not_measured(negative, monkeypatch):
    monkeypatch.setitem(ort.PROVIDERS, "cuda", "CUDAExecutionProvider")
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    real = onnxruntime.InferenceSession

    def fall_back(path, settings, providers):
        assert providers == ["CUDAExecutionProvider"]
        return real(path, settings, providers=["CPUExecutionProvider"])

    artifact = OnnxRuntime().inspect(negative())
    monkeypatch.setattr(onnxruntime, "InferenceSession", fall_back)
    with pytest.raises(NotMeasuredError) as caught:
        opened(artifact, provider="cuda")
    assert str(caught.value) == (
        "provider CUDAExecutionProvider was asked for, the session runs on CPUExecutionProvider. "
        "Check the driver and the libraries of the provider; nothing is measured on another one instead."
    )


@pytest.mark.parametrize("content", [b"", b"\x08\x07garbage", b"<html>"])
def test_a_damaged_file_is_not_measured_and_named(tmp_path, content):
    path = tmp_path / "damaged.onnx"
    path.write_bytes(content)
    with pytest.raises(NotMeasuredError) as caught:
        opened(Artifact("onnx", path))
    assert caught.value.message.startswith(f"onnxruntime {onnxruntime.__version__} cannot load damaged.onnx: ")
    assert "\n" not in caught.value.message
    assert caught.value.hint.startswith("Write an opset and operators that this runtime knows")


def test_an_output_that_is_no_tensor_is_refused_with_the_way_out(tmp_path):
    model = LogisticRegression().fit(X, [0, 1, 0])
    path = tmp_path / "zipmap.onnx"
    path.write_bytes(to_onnx(model, X[:1], target_opset={"": 17, "ai.onnx.ml": 3}).SerializeToString())
    with pytest.raises(RefusedError) as caught:
        opened(Artifact("onnx", path))
    assert caught.value.message.startswith("output 'output_probability' is a seq(map(int64,tensor(float)))")


def test_an_input_that_is_no_tensor_is_refused_as_an_input(written):
    sequence = helper.make_tensor_sequence_value_info("xs", FLOAT, None)
    artifact = written([helper.make_node("SequenceLength", ["xs"], ["n"])], [sequence], [value("n", INT64, ())])
    with pytest.raises(RefusedError, match=r"input 'xs' is a seq\(tensor\(float\)\), not a tensor"):
        opened(artifact)


# --- feeds ------------------------------------------------------------------------------------------------------


def assert_feed(feed, expected):
    assert feed.keys() == expected.keys()
    for name, array in expected.items():
        assert (feed[name].dtype, feed[name].flags.c_contiguous) == (array.dtype, True)
        np.testing.assert_array_equal(feed[name], array)


@pytest.mark.parametrize(
    "rows",
    [
        X.astype(np.float64),
        X.astype(int),
        np.asfortranarray(X),
        X.tolist(),
        pd.DataFrame(X, columns=list("abcd")),
        sparse.csr_array(X),
    ],
    ids=["doubles", "integers", "column by column", "lists", "frame", "sparse"],
)
def test_a_feed_has_the_type_and_the_layout_that_the_graph_states(negative, rows):
    assert_feed(opened(negative()).prepare(rows), {"x": X})


def test_an_input_takes_its_own_columns_of_a_frame_in_its_own_order(echo):
    artifact = OnnxRuntime().inspect(
        echo(("age", INT64, ("N", 1)), ("rest", FLOAT, ("N", 2)), ("city", STRING, ("N", 1)))
    )
    columns = {"age": ("age",), "rest": ("c", "b"), "city": ("city",)}
    specs = tuple(
        TensorSpec(spec.name, spec.dtype, spec.shape, columns=columns[spec.name]) for spec in artifact.signature.inputs
    )
    session = opened(artifact.evolve("test", signature=Signature(specs, artifact.signature.outputs)))
    frame = pd.DataFrame({"b": [1.0, 2.0], "city": ["Bonn", "Ulm"], "age": [30, 40], "unused": 0, "c": [3.0, 4.0]})
    feed = session.prepare(frame)
    assert_feed(
        feed,
        {
            "age": np.array([[30], [40]]),
            "rest": np.array([[3, 1], [4, 2]], dtype=np.float32),
            "city": np.array([["Bonn"], ["Ulm"]], dtype=object),
        },
    )
    assert [output.tolist() for output in session.run(feed)] == [[[30], [40]], [[3, 1], [4, 2]], [["Bonn"], ["Ulm"]]]
    assert usage(session.prepare, frame.drop(columns=["c", "b"])) == (
        "the rows have no column 'c', 'b', which input 'rest' takes."
    )


def test_a_mapping_feeds_several_inputs_by_name(echo):
    session = opened(echo(("a", FLOAT, ("N", 4)), ("b", INT64, ("N", 1))))
    assert_feed(session.prepare({"b": [1, 2, 3], "a": X}), {"a": X, "b": np.array([[1], [2], [3]])})
    assert usage(session.prepare, {"a": X, "c": X}) == "the rows have no input 'b'; they have 'a', 'c'."


def test_texts_are_a_column_of_texts(echo):
    session = opened(echo(("text", STRING, ("N", 1))))
    assert_feed(session.prepare(["one", "two"]), {"text": np.array([["one"], ["two"]], dtype=object)})


def test_texts_stay_a_list_where_the_graph_takes_one(echo):
    session = opened(echo(("text", STRING, ("N",))))
    assert_feed(session.prepare(["one", "two"]), {"text": np.array(["one", "two"], dtype=object)})


def test_b33_rows_that_do_not_fit_the_type_are_a_usage_error_whether_they_are_prepared_or_predicted(negative):
    session = opened(negative())
    rows = [["a", "b", "c", "d"]]
    for act in (session.prepare, session.predict):
        assert usage(act, rows).startswith("input 'x' takes float32, the rows do not fit: could not convert string")


# --- answers ----------------------------------------------------------------------------------------------------


def answer_of(written, roles, rows=X):
    """What a file answers whose outputs (shape by name) are constants of its input, read by these roles."""
    nodes, outputs, specs = [], [], []
    for name, (role, width) in roles.items():
        nodes += [
            helper.make_node("Constant", [], [f"{name}_from"], value_ints=[0]),
            helper.make_node("Constant", [], [f"{name}_to"], value_ints=[width or 1]),
            helper.make_node("Constant", [], [f"{name}_axis"], value_ints=[1]),
            helper.make_node("Slice", ["x", f"{name}_from", f"{name}_to", f"{name}_axis"], [name]),
        ]
        outputs.append(value(name, FLOAT, ("N", width or 1)))
        specs.append(TensorSpec(name, "float32", ("N", width or 1), role=role))
    artifact = OnnxRuntime().inspect(written(nodes, [value("x")], outputs))
    signature = Signature(artifact.signature.inputs, tuple(specs))
    found = opened(artifact.evolve("test", signature=signature)).predict(rows)
    return {
        name: part.tolist() if isinstance(part, np.ndarray) else part
        for name, part in vars(found).items()
        if part is not None
    }


@pytest.mark.parametrize(
    ("roles", "expected"),
    [
        (
            {"label": ("label", 1), "p": ("probabilities", 2)},
            {"labels": [0, 4, 8], "scores": [[0, 1], [4, 5], [8, 9]], "scores_are_probabilities": True},
        ),
        (
            {"label": ("label", 1), "d": ("decision", 2)},
            {"labels": [0, 4, 8], "scores": [[0, 1], [4, 5], [8, 9]], "scores_are_probabilities": False},
        ),
        ({"tags": ("label", 2)}, {"labels": [[0, 1], [4, 5], [8, 9]], "scores_are_probabilities": False}),
        ({"v": ("values", 2)}, {"values": [[0, 1], [4, 5], [8, 9]], "scores_are_probabilities": False}),
        ({"a": ("other", 1), "b": ("other", 2)}, {"values": [[0], [4], [8]], "scores_are_probabilities": False}),
        (
            {"a": ("other", 2), "b": ("values", 1), "c": ("values", 2)},
            {"values": [[0], [4], [8]], "scores_are_probabilities": False},
        ),
    ],
    ids=["probabilities", "decision values", "several labels", "values", "no role", "first of a role"],
)
def test_outputs_are_read_by_their_roles(written, roles, expected):
    assert answer_of(written, roles) == expected


def test_a_fixed_batch_is_named_with_the_way_out(negative):
    session = opened(negative(shape=(1, 4)))
    np.testing.assert_array_equal(session.predict(X[:1]).numbers, -X[:1])
    with pytest.raises(NotMeasuredError) as caught:
        session.predict(X)
    assert str(caught.value) == (
        "batch size 3 failed: input 'x' was exported with fixed batch 1. "
        "Export with a dynamic batch axis, or set batch_sizes=[1]."
    )


def test_any_other_failure_is_told_in_the_runtimes_own_words_on_one_line(negative):
    with pytest.raises(NotMeasuredError) as caught:
        opened(negative()).predict(X[:, :2])
    assert caught.value.message.startswith("onnxruntime could not run model.onnx: ")
    assert "Got: 2 Expected: 4" in caught.value.message
    assert "\n" not in caught.value.message


def test_a_wrong_width_is_not_blamed_on_a_fixed_batch_that_fits(negative):
    with pytest.raises(NotMeasuredError, match="Got: 2 Expected: 4"):
        opened(negative(shape=(3, 4))).predict(X[:, :2])


def test_a_session_keeps_the_artifact_it_runs(negative):
    artifact = OnnxRuntime().inspect(negative())
    session = opened(artifact)
    assert isinstance(session, OrtSession)
    assert session.artifact is artifact


def test_b32_an_input_that_the_model_does_not_have_is_a_usage_error(negative):
    session = OnnxRuntime().open(negative(), RunOptions())
    with pytest.raises(UsageError) as caught:
        session.prepare({"x": X, "y": X})
    assert str(caught.value) == "the rows have 'y', which is no input of the model."


def test_fractions_are_not_cut_off_for_an_input_of_whole_numbers(negative):
    session = OnnxRuntime().open(negative(INT64), RunOptions())
    with pytest.raises(UsageError) as caught:
        session.prepare(X)
    assert str(caught.value) == (
        "input 'x' takes int64, the rows are float32: fractions would be cut off. Pass them as int64."
    )


def test_a_profile_tells_what_each_node_took_under_its_name_and_type(written, tmp_path):
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], name="big"),
        helper.make_node("Relu", ["h"], ["y"], name="small"),
    ]
    weights = helper.make_node(
        "Constant", [], ["w"], value=helper.make_tensor("w", FLOAT, (4, 200_000), np.ones(800_000, np.float32))
    )
    artifact = written([weights, *nodes], [value("x")], [value("y", shape=("N", 200_000))])
    folder = tmp_path / "profile"
    folder.mkdir()
    found = OnnxRuntime().profile(artifact, RunOptions(), X, calls=3, folder=folder)
    assert [(time.name, time.op_type) for time in found] == [("big", "MatMul"), ("small", "Relu")]
    assert all(time.ms > 0 for time in found)


def test_a_trace_becomes_the_mean_of_each_nodes_last_calls_in_milliseconds():
    def ran(name, dur, op_name="Gemm", cat="Node"):
        return {"cat": cat, "name": name, "dur": dur, "args": {"op_name": op_name}}

    events = [
        ran("model_run", 90, cat="Session"),
        ran("a_kernel_time", 500),
        ran("b_kernel_time", 1, "Relu"),
        ran("a_kernel_time", 2),
        ran("a_fence_before", 7),
        ran("a_kernel_time", 4),
        ran("b_kernel_time", 3, "Relu"),
    ]
    assert ort._operator_times(events, 2) == (("a", "Gemm", 0.003), ("b", "Relu", 0.002))
