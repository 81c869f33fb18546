from __future__ import annotations

import sys

import joblib
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from sklearn.linear_model import LinearRegression

from pytest_inferopt.domain.request import parse_request
from pytest_inferopt.engine.comparison import files as module
from pytest_inferopt.engine.comparison.files import compare_files, made_up_rows
from pytest_inferopt.engine.worker.driver import Worker
from pytest_inferopt.errors import InferoptError, NotMeasuredError, RefusedError, UsageError

# A real gate on a real machine: one in a hundred may end otherwise, by chance or by what else runs there.
a_live_gate = pytest.mark.flaky(reruns=2)


@pytest.fixture
def network(tmp_path):
    """`network(name, width)`: x (N, 32) → y (N, 8) through two layers of that width."""

    def network(name, width, inputs=32):
        random = np.random.default_rng(0)
        shapes = {"a": (inputs, width), "b": (width, width), "c": (width, 8)}
        weights = [numpy_helper.from_array(random.normal(size=shapes[key]).astype(np.float32), key) for key in shapes]
        nodes = [
            helper.make_node("MatMul", [source, key], [target])
            for source, key, target in (("x", "a", "h"), ("h", "b", "k"), ("k", "c", "y"))
        ]
        graph = helper.make_graph(
            nodes,
            "graph",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", inputs])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 8])],
            initializer=weights,
        )
        path = tmp_path / name
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        path.write_bytes(proto.SerializeToString())
        return path

    return network


@pytest.fixture
def compared(tmp_path):
    """`compared(base, head)`: what real processes find, at batch size 4."""
    folder = tmp_path / "work"
    folder.mkdir()

    def compared(*files, feeds=None, pythons=(None, None), worker=None, **fields):
        request = parse_request({"name": "two", "batch_sizes": [4], **fields}, where="test")
        with worker or Worker() as running:
            return compare_files(files, request=request, feeds=feeds, worker=running, folder=folder, pythons=pythons)

    return compared


@pytest.fixture
def asked(monkeypatch):
    """What would be measured: the arguments of `judge_pairs`, which is left out."""
    calls = []

    def judge_pairs(request, pairs, **rest):
        calls.append({"request": request, "pairs": pairs, **rest})
        return "ruled"

    monkeypatch.setattr(module, "judge_pairs", judge_pairs)
    return calls


# --- real processes ---------------------------------------------------------------------------------------------


def test_identical_files_are_never_red(compared, network):
    ruling = compared(network("a.onnx", 64), network("b.onnx", 64), max_slowdown="50%")
    (cell,) = ruling.cells["two"]
    assert ruling.gate.verdict in {"passed", "inconclusive"}
    assert (cell.batch_size, cell.percentile, len(cell.base_quantiles_ms), ruling.errors) == (4, 50, 101, {})
    assert (ruling.gate.replicates >= 9, ruling.gate.control is not None) == (True, True)
    assert min(cell.base_ms, cell.head_ms, *cell.head_quantiles_ms) > 0


@a_live_gate
def test_a_file_with_many_times_the_work_is_red(compared, network):
    ruling = compared(network("a.onnx", 64), network("b.onnx", 768), max_slowdown="50%")
    (cell,) = ruling.cells["two"]
    assert (ruling.gate.verdict, cell.outcome) == ("regressed", "regressed")
    assert cell.slowdown.interval.low > 0.2


# --- what is brought --------------------------------------------------------------------------------------------


def test_files_are_described_once_and_brought_as_they_are(compared, network, asked, tmp_path):
    base, head = network("a.onnx", 4), network("b.onnx", 5)
    assert compared(base, head, threads=2, pythons=("/old/python", None)) == "ruled"
    (call,) = asked
    (pair,) = call["pairs"]
    ((take, taken),) = pair.head
    assert (pair.variant, take, taken["target"], taken["format"], taken["path"]) == (
        "two",
        "take_file",
        "head",
        "onnx",
        str(head),
    )
    assert (pair.base_target, pair.head_target, pair.base_python, pair.head_python) == (
        "base",
        "head",
        "/old/python",
        None,
    )
    (begin, beginning), (load, loading) = call["prepare"]
    assert (begin, beginning["options"], load) == ("begin", {"threads": 2, "provider": "cpu"}, "load_data")
    assert loading["spec"] == {"source": "npz", "path": str(tmp_path / "work" / "rows.npz"), "x": ["x"]}
    with np.load(loading["spec"]["path"]) as rows:
        assert rows["x"].shape == (256, 32)


@pytest.mark.parametrize(("name", "taken"), [("x", "x"), ("values", "x")])
def test_rows_of_the_users_are_taken_by_the_inputs_name_or_as_x(compared, network, asked, tmp_path, name, taken):
    np.savez(tmp_path / "rows.npz", **{name: np.zeros((3, 32))})
    path = network("a.onnx", 4)
    compared(path, path, feeds=tmp_path / "rows.npz")
    spec = asked[0]["prepare"][1][1]["spec"]
    assert spec == {"source": "npz", "path": str(tmp_path / "rows.npz"), "x": taken}


def test_files_with_other_inputs_are_not_comparable(compared, network, asked):
    ruling = compared(network("a.onnx", 4), network("b.onnx", 4, inputs=33))
    assert (ruling.gate.verdict, ruling.cells, asked) == ("not_comparable", {}, [])
    assert ruling.gate.reason == "its inputs have changed: 'x' float32[?, 32] became 'x' float32[?, 33]."


def message(kind, act, *arguments, **named):
    with pytest.raises(InferoptError) as caught:
        act(*arguments, **named)
    assert isinstance(caught.value, kind)
    return str(caught.value)


def test_rows_that_are_not_there_are_a_usage_error(compared, network, tmp_path):
    path = network("a.onnx", 4)
    assert "rows.npz" in message(UsageError, compared, path, path, feeds=tmp_path / "rows.npz")


def test_a_file_that_cannot_be_taken_is_an_error_before_anything_is_measured(compared, network, asked, tmp_path):
    path = network("a.onnx", 4)
    (tmp_path / "cut.onnx").write_bytes(path.read_bytes()[:100])
    joblib.dump(LinearRegression(), tmp_path / "model.joblib")
    assert "absent.onnx" in message(UsageError, compared, path, tmp_path / "absent.onnx")
    assert "cut.onnx" in message(NotMeasuredError, compared, tmp_path / "cut.onnx", path)
    assert "a pickle executes code" in message(RefusedError, compared, path, tmp_path / "model.joblib")
    assert asked == []


def test_a_native_model_does_not_run_by_itself(compared, network):
    class Native(Worker):
        def call(self, command, *_, **__):
            return {"format": "xgboost", "path": "x", "artifact": None} if command == "describe_file" else None

    path = network("a.onnx", 4)
    assert message(UsageError, compared, path, path, worker=Native()) == (
        f"{path}: a xgboost file does not run by itself. Convert it to ONNX first."
    )


def test_an_interpreter_that_is_not_there_is_the_variants_error(compared, network, tmp_path):
    path = network("a.onnx", 4)
    ruling = compared(path, path, pythons=(str(tmp_path / "python"), sys.executable))
    assert (ruling.gate.verdict, ruling.cells) == ("not_measured", {})
    assert ruling.errors["two"].kind == "usage"
    assert ruling.gate.reason == f"the interpreter {tmp_path}/python cannot be started: No such file or directory"


# --- rows that are made up --------------------------------------------------------------------------------------


def given(name, dtype, *shape):
    return {"name": name, "dtype": dtype, "shape": shape}


def test_made_up_rows_have_the_types_and_shapes_of_the_inputs():
    inputs = [
        given("a", "float16", "N", 3),
        given("b", "int64", None, None),
        given("c", "str", 1, 2),
        given("d", "bool", "N"),
    ]
    rows = made_up_rows(inputs, seed=0)
    assert {name: (array.dtype.str[1:], array.shape) for name, array in rows.items()} == {
        "a": ("f2", (256, 3)),
        "b": ("i8", (256, 16)),
        "c": ("U1", (256, 2)),
        "d": ("b1", (256,)),
    }
    assert set(rows["b"].ravel()) == {0, 1}
    again = made_up_rows(inputs, seed=0)
    assert all(np.array_equal(rows[name], again[name]) for name in rows)
    assert not np.array_equal(rows["a"], made_up_rows(inputs, seed=1)["a"])


def test_for_a_type_that_numpy_does_not_have_no_rows_are_made_up():
    assert message(UsageError, made_up_rows, [given("x", "bfloat16", "N")], seed=0) == (
        "input 'x' takes bfloat16, for which no rows are made up. Give rows: an .npz with an array for each input."
    )
