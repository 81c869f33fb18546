from __future__ import annotations

import json
import math

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pytest_inferopt.domain.request import parse_request
from pytest_inferopt.domain.slowdown import parse_max_slowdown
from pytest_inferopt.engine.calibration import extra_work
from pytest_inferopt.engine.calibration import figures as module
from pytest_inferopt.engine.calibration.extra_work import Work, add_work, plan_work
from pytest_inferopt.engine.calibration.figures import Record, Recorder, draw_gates, noise, sees, typical_slowdown
from pytest_inferopt.errors import MissingDependencyError, NotMeasuredError

LIMITS = parse_max_slowdown("5%")


# --- the whole command, in real processes -----------------------------------------------------------------------


def test_a_model_is_calibrated_at_each_batch_size(command, network):
    path = network("a.onnx", 256)
    ran = command("calibrate", path, "--replicates", "4", "--batch-sizes", "4", "--slowdown", "50", "--json")
    found = json.loads(ran.out)
    (cell,) = found["cells"]
    assert (ran.code, ran.err, found["model"], found["wanted"], found["caught"]) == (0, "", str(path), 0.5, 0.05)
    assert (cell["batch_size"], cell["detectable"].keys()) == (4, {"12", "16", "24"})
    assert (cell["ms"] > 0, cell["sd"] >= 0, found["seconds"] > 0) == (True, True, True)
    for drawn in (found["same"], found["injected"]["drawn"]):
        assert (drawn["gates"], drawn["recorded"]) == (1000, 4)
        assert drawn["regressed"] + drawn["passed"] + drawn["inconclusive"] == pytest.approx(1)
    assert found["injected"]["slowdowns"].keys() == {"4"}


def test_without_a_model_a_network_of_our_own_is_calibrated(command, monkeypatch):
    monkeypatch.setattr(module, "TUNING_ROUNDS", 1)
    ran = command("calibrate", "--replicates", "4", "--batch-sizes", "1", "--slowdown", "20")
    heads = ran.out.splitlines()[1].split("  ")
    assert (ran.code, ran.out.startswith("the built-in network on ")) == (0, True)
    assert [head.strip() for head in heads if head] == [
        "batch", "p50 ms", "sd", "seen by 12", "seen by 16", "seen by 24", "injected",
    ]  # fmt: skip
    assert "of 1,000 gates drawn from 4 processes" in ran.out


@pytest.mark.parametrize(
    "options", [("--replicates", "3"), ("--slowdown", "0"), ("--batch-sizes", "0"), ("absent.onnx",)]
)
def test_a_wrong_option_is_a_usage_error(command, options):
    ran = command("calibrate", *options)
    assert (ran.code, ran.out, bool(ran.err)) == (2, "", True)


# --- what is drawn ----------------------------------------------------------------------------------------------


def record(slowdown, sd, *, count=24, cells=2, copy=0.0):
    random = np.random.default_rng(1)
    return Record(
        values=math.log1p(slowdown) + sd * random.standard_normal((count, cells)),
        control=math.log1p(copy) + sd * random.standard_normal(count),
        seconds=np.full(count, 2.0),
        base_ms=(1.0,) * cells,
    )


@pytest.mark.parametrize(
    ("slowdown", "sd", "copy", "expected"),
    [
        (0.0, 0.002, 0.0, (0.0, 1.0, 0.0)),
        (0.1, 0.002, 0.0, (1.0, 0.0, 0.0)),
        (0.0, 0.002, 0.2, (0.0, 0.0, 1.0)),
    ],
)
def test_drawn_gates_are_judged_as_gates_are(slowdown, sd, copy, expected):
    drawn = draw_gates(record(slowdown, sd, copy=copy), LIMITS, names=["a", "b"], seed=0, gates=50)
    assert drawn == (50, *expected, 9, 18.0)
    assert drawn == draw_gates(record(slowdown, sd, copy=copy), LIMITS, names=["a", "b"], seed=0, gates=50)


def test_replicates_beyond_the_last_whole_four_are_not_drawn():
    found = record(0.0, 0.002, count=27)
    found.values[24:] = 10.0
    assert draw_gates(found, LIMITS, names=["a", "b"], seed=0, gates=50).passed == 1.0


def test_the_noise_is_that_of_the_middle_and_more_of_it_hides_more():
    values = np.random.default_rng(0).standard_normal(4000) * 0.01
    values[:100] = 5.0
    assert noise(values) == pytest.approx(0.01, rel=0.1)
    quiet, loud = (sees(sd * values[100:148] / 0.01, LIMITS, seed=0) for sd in (0.005, 0.02))
    assert quiet.keys() == loud.keys() == {12, 16, 24}
    assert all(LIMITS.allowed < quiet[count] < loud[count] for count in quiet)
    assert quiet[24] < quiet[16] < quiet[12]
    assert typical_slowdown(np.full(8, math.log1p(0.05))) == pytest.approx(0.05)


# --- how it is recorded -----------------------------------------------------------------------------------------


def answer(contrast, stolen=0, **changes):
    cell = {"variant": "head-0", "batch_size": 4, "contrast": contrast, "percentiles_ms": {"base": {"50": 1.0}}}
    return {
        "cells": [{**cell, **changes}],
        "control": {"contrast": 0.0},
        "sensors": {"ticks": 100, "stolen_ticks": stolen},
    }


@pytest.fixture
def recorder(monkeypatch):
    """`recorder(answers)`: one whose processes answer so; its `asked` keeps what they were told."""

    def recorder(answers):
        left = iter(answers)

        def run_replicate(measure, **_):
            made.asked.append(measure[1])
            found = next(left)
            return found(measure[1]) if callable(found) else found

        monkeypatch.setattr(module, "run_replicate", run_replicate)
        request = parse_request({"name": "m", "batch_sizes": (4,)}, where="test")
        made = Recorder(request, prepare=[], describe=lambda path: {"path": str(path)}, open_worker=lambda: None)
        made.asked = []
        return made

    return recorder


def test_f93_a_replicate_from_which_the_host_took_much_is_taken_again(recorder, tmp_path):
    made = recorder([answer(0.1, stolen=50), answer(0.2), answer(0.3)])
    found = made.record(tmp_path / "a.onnx", {4: tmp_path / "b.onnx"}, 2, what="a")
    assert (found.values.ravel().tolist(), found.repeated, found.base_ms) == ([0.2, 0.3], 1, (1.0,))
    assert [asked["index"] for asked in made.asked] == [0, 0, 1]


def test_on_a_machine_that_is_never_left_alone_the_record_still_ends(recorder, tmp_path):
    made = recorder([answer(0.1, stolen=50)] * 100)
    found = made.record(tmp_path / "a.onnx", {4: tmp_path / "b.onnx"}, 2, what="a")
    assert (len(found.values), found.repeated) == (2, module.MOST_REPEATS)


def test_what_befell_a_cell_is_raised(recorder, tmp_path):
    error = {"kind": "not_measured", "message": "it is damaged.", "hint": "Make it again."}
    with pytest.raises(NotMeasuredError, match="it is damaged"):
        recorder([answer(0.1, error=error)]).record(tmp_path / "a", {4: tmp_path / "b"}, 1, what="a")


@pytest.fixture
def sized(monkeypatch):
    """The work that was added last, in place of a file."""
    works = []
    monkeypatch.setattr(module, "add_work", lambda _source, _target, work: works.append(work))
    return works


def test_work_is_added_until_the_slow_down_is_what_was_asked_for(recorder, sized, tmp_path):
    made = recorder([lambda _: answer(sized[-1].products * 0.002)] * 100)
    path = made.slowed(tmp_path / "a.onnx", 4, 1.0, 0.05, tmp_path)
    assert path == tmp_path / "slower-at-4.onnx"
    assert sized[-1].products * 0.002 == pytest.approx(math.log1p(0.05), rel=0.1)


def test_where_one_node_is_too_much_the_nearest_is_taken(recorder, sized, tmp_path):
    made = recorder([lambda _: answer(0.3 + sized[-1].products * 0.01)] * 100)
    made.slowed(tmp_path / "a.onnx", 4, 0.01, 0.05, tmp_path)
    assert sized[-1].products == 1


def test_a_machine_too_loud_to_tune_on_does_not_tune_for_ever(recorder, sized, tmp_path):
    made = recorder([answer(-0.5)] * 100)
    made.slowed(tmp_path / "a.onnx", 4, 1.0, 0.05, tmp_path)
    assert len(sized) == module.TUNING_ROUNDS + 1


# --- the work itself --------------------------------------------------------------------------------------------


def test_work_is_planned_in_pieces_that_can_be_cut():
    assert plan_work(1) == Work(4, 1)
    small, large = plan_work(20_000), plan_work(20_000_000)
    assert (small.products >= 8, large.products >= 8, small.side < large.side) == (True, True, True)
    assert (Work(8, 10).scaled(1.5), Work(8, 10).scaled(0)) == (Work(8, 15), Work(8, 1))


@pytest.mark.parametrize(
    ("kind", "rows"), [(TensorProto.FLOAT, np.float32), (TensorProto.INT64, np.int64), (TensorProto.STRING, str)]
)
def test_a_model_with_more_work_answers_as_before(tmp_path, kind, rows):
    import onnxruntime

    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "graph",
        [helper.make_tensor_value_info("x", kind, ["N", 2])],
        [helper.make_tensor_value_info("y", kind, ["N", 2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
    add_work(tmp_path / "a.onnx", tmp_path / "b.onnx", Work(8, 5))
    session = onnxruntime.InferenceSession(tmp_path / "b.onnx", providers=["CPUExecutionProvider"])
    x = np.array([[1, 2], [3, 4]]).astype(rows)
    x = x.astype(object) if rows is str else x
    answered, number = session.run(None, {"x": x})
    assert answered.tolist() == x.tolist()
    assert np.isfinite(number)
    types = [node.op_type for node in onnx.load(tmp_path / "b.onnx").graph.node]
    assert types.count("MatMul") == 5


def test_f62_without_onnx_the_missing_library_is_named(tmp_path, monkeypatch):
    def absent(_):
        raise ImportError

    monkeypatch.setattr(extra_work.importlib, "import_module", absent)
    with pytest.raises(MissingDependencyError, match="is made with onnx, not installed here"):
        extra_work.make_network(tmp_path / "a.onnx")
