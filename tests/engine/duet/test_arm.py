from __future__ import annotations

import gc
import io
import json
import os
import signal
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from pytest_inferopt.domain.artifact import RunOptions
from pytest_inferopt.engine.duet import arm
from pytest_inferopt.engine.duet.arm import burst, quiet, serve, warm_up
from pytest_inferopt.engine.duet.remote_arm import open_remote_arm, provider_name
from pytest_inferopt.errors import NotMeasuredError, UsageError

CPU = "CPUExecutionProvider"


@pytest.fixture
def model(tmp_path):
    """x (N, 4) → y (N, 4), and a text t (N, 1) → u (N, 1)."""
    weights = numpy_helper.from_array(np.eye(4, dtype=np.float32), "w")
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"]), helper.make_node("Identity", ["t"], ["u"])]
    floats, texts = (TensorProto.FLOAT, ["N", 4]), (TensorProto.STRING, ["N", 1])
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", *floats), helper.make_tensor_value_info("t", *texts)],
        [helper.make_tensor_value_info("y", *floats), helper.make_tensor_value_info("u", *texts)],
        initializer=[weights],
    )
    path = tmp_path / "model.onnx"
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(proto.SerializeToString())
    return path


def feeds(size, count=2):
    texts = np.array([["a"], ["bc"]], dtype=object)
    return [{"x": np.ones((size, 4), np.float32), "t": np.resize(texts, (size, 1))} for _ in range(count)]


@pytest.fixture
def opened(model, tmp_path):
    """`opened(python)`: the model in a process of its own."""
    arms = []

    def opened(python=sys.executable, file=model, **options):
        by_size = {1: feeds(1), 5: feeds(5)}
        arms.append(open_remote_arm(python, file, by_size, RunOptions(**options), folder=tmp_path))
        return arms[-1]

    yield opened
    for each in arms:
        each.close()


@pytest.fixture
def bare(tmp_path):
    """An interpreter without any library."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    return str(tmp_path / "bare" / "bin" / "python")


# --- timing -----------------------------------------------------------------------------------------------------


def test_a_burst_times_all_but_its_first_two_calls(clock, scripted):
    session = scripted("a", 7, 7, 1, 2, 3)
    assert burst(session.run, "abc", 4, 3, clock) == [1_000_000, 2_000_000, 3_000_000]
    assert "".join(session.feeds) == "bc" + "bca"


def test_warm_up_takes_three_calls_at_least_and_tells_the_typical_one(clock, scripted, diary):
    assert warm_up(scripted("a", 90, 30, 20, 1).run, "ab", clock) == 30_000_000
    assert len(diary) == 3


def test_a_call_that_takes_no_time_at_all_takes_a_nanosecond():
    ticks = iter([0] * 7 + [10_000_000] * 2)
    assert warm_up(lambda _: None, "a", lambda: next(ticks)) == 1


@pytest.mark.parametrize("is_on", [True, False])
def test_garbage_is_collected_again_as_before(is_on):
    was_on = gc.isenabled()
    (gc.enable if is_on else gc.disable)()
    try:
        with quiet():
            assert not gc.isenabled()
        assert gc.isenabled() == is_on
    finally:
        (gc.enable if was_on else gc.disable)()


def test_what_the_process_took_out_of_the_collectors_sight_before_stays_out_of_it():
    gc.freeze()
    try:
        with quiet():
            pass
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


def test_what_lives_now_is_in_the_collectors_sight_again_after():
    with quiet():
        assert gc.get_freeze_count() > 0
    assert gc.get_freeze_count() == 0


# --- the script -------------------------------------------------------------------------------------------------


def served(*documents):
    """What the script answers, in this process."""
    said = io.StringIO()
    was_on = gc.isenabled()
    try:
        assert serve([json.dumps(document) + "\n" for document in documents], said) == 0
    finally:
        gc.unfreeze()
        (gc.enable if was_on else gc.disable)()
    return [json.loads(line) for line in said.getvalue().splitlines()]


@pytest.fixture
def opening(model, tmp_path):
    path = tmp_path / "feeds.npz"
    arrays = {f"{number}/{name}": array for number, feed in enumerate(feeds(5)) for name, array in feed.items()}
    np.savez(path, **{name: array.astype(str) if array.dtype == object else array for name, array in arrays.items()})
    return {"do": "open", "path": str(model), "feeds": {"5": str(path)}, "threads": 1, "provider": CPU}


def test_it_opens_warms_up_and_times_and_names_its_runtime(opening):
    found, typical, samples = served(
        opening,
        {"do": "warm_up", "batch_size": 5},
        {"do": "burst", "batch_size": 5, "first": 1, "count": 4},
    )
    assert found == {"done": {"onnxruntime": onnxruntime.__version__}}
    assert typical["done"] > 0
    assert (len(samples["done"]), min(samples["done"]) > 0) == (4, True)


def test_what_the_runtime_raises_is_an_answer_and_the_next_question_is_answered(opening, tmp_path):
    wrong, right = served({**opening, "path": str(tmp_path / "absent.onnx")}, {**opening, "threads": None})
    assert wrong["failed"] == "raised"
    assert "absent.onnx" in wrong["message"]
    assert "done" in right


def test_a_provider_that_the_runtime_does_not_take_is_an_error(opening, monkeypatch):
    monkeypatch.setattr(onnxruntime.InferenceSession, "get_providers", lambda _: ["OtherExecutionProvider"])
    (answer,) = served(opening)
    assert answer == {
        "failed": "raised",
        "message": f"{CPU} was asked for, the session runs on OtherExecutionProvider",
    }


def test_a_missing_library_is_told_as_such(opening, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    (answer,) = served(opening)
    assert answer["failed"] == "missing"
    assert "onnxruntime" in answer["message"]


def test_nothing_but_the_standard_library_is_imported_before_a_file_is_opened():
    code = f"import runpy, sys; runpy.run_path({arm.__file__!r}); print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


# --- its coordinator --------------------------------------------------------------------------------------------


def test_an_arm_in_its_own_process_is_timed_as_one_in_this_process_is(opened):
    remote = opened()
    assert remote.runtime_version == onnxruntime.__version__
    assert remote.warm_up(5) > 0
    samples = remote.burst(5, 3, 7)
    assert (len(samples), min(samples) > 0) == (7, True)


def test_it_ends_with_its_arm(opened):
    remote = opened()
    remote.close()
    assert remote._process.returncode == -signal.SIGKILL


def test_modules_of_this_package_do_not_stand_in_for_those_of_the_standard_library(opened):
    # `statistics` and `code` are modules of the engine too, and NumPy and the runtime import what they need by name.
    assert opened().warm_up(1) > 0


def test_an_interpreter_that_is_not_there_is_a_usage_error(opened, tmp_path):
    with pytest.raises(UsageError) as caught:
        opened(str(tmp_path / "python"))
    assert str(caught.value) == (
        f"the interpreter {tmp_path}/python cannot be started: No such file or directory. "
        "Name the python of an environment that has numpy and onnxruntime."
    )


def test_an_interpreter_without_the_runtime_is_not_measured_and_says_what_to_install(opened, bare):
    with pytest.raises(NotMeasuredError) as caught:
        opened(bare)
    assert str(caught.value) == (
        f"the interpreter {bare} cannot run model.onnx: No module named 'onnxruntime'. "
        "Install numpy and onnxruntime there, or compare under one interpreter."
    )


def test_a_file_that_its_runtime_cannot_load_is_not_measured(opened, tmp_path):
    (tmp_path / "cut.onnx").write_bytes(b"\x08\x08")
    with pytest.raises(NotMeasuredError, match=r"python\S* could not run cut\.onnx: .*") as caught:
        opened(file=tmp_path / "cut.onnx")
    assert caught.value.hint == ""


def test_one_that_is_no_interpreter_is_not_measured(opened):
    with pytest.raises(NotMeasuredError) as caught:
        opened("/bin/false")
    assert str(caught.value) == "the interpreter /bin/false left while it ran model.onnx (exit status 1)."


def test_a_crash_is_told_with_its_last_words(opened, tmp_path):
    liar = tmp_path / "python"
    liar.write_text("#!/bin/sh\necho all is lost >&2\nread line\nkill -SEGV $$\n")
    liar.chmod(0o755)
    with pytest.raises(NotMeasuredError) as caught:
        opened(str(liar))
    assert str(caught.value) == (
        f"the interpreter {liar} left while it ran model.onnx (exit status -11). Its last words: all is lost"
    )


def test_a_process_that_was_killed_between_two_questions_is_told_and_can_be_closed(opened):
    remote = opened()
    os.kill(remote._process.pid, signal.SIGKILL)
    remote._process.wait()
    with pytest.raises(NotMeasuredError, match=r"exit status -9"):
        remote.burst(1, 0, 3)


def test_what_a_library_prints_is_no_answer(tmp_path):
    (tmp_path / "onnxruntime.py").write_text(
        "import os\nprint('hello')\nos.write(1, b'more')\nraise ImportError('not today')\n"
    )
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    line = json.dumps({"do": "open", "path": "x", "feeds": {}, "threads": 1, "provider": CPU})
    done = subprocess.run(
        [sys.executable, arm.__file__], input=line, capture_output=True, text=True, env=env, check=True
    )
    assert json.loads(done.stdout) == {"failed": "missing", "message": "not today"}
    assert "hello" in done.stderr


@pytest.mark.parametrize(
    ("name", "full"), [("cpu", CPU), ("CUDA", "CUDAExecutionProvider"), (CPU, CPU), ("Acme", "AcmeExecutionProvider")]
)
def test_a_provider_is_called_as_the_runtime_calls_it(name, full):
    assert provider_name(name) == full
