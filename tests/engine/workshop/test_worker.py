from __future__ import annotations

import os
import resource
import sys
import threading
import warnings
from pathlib import Path

import pytest

from pytest_inferopt.engine.worker.frames import Frames, encode
from pytest_inferopt.engine.workshop import __main__ as worker
from pytest_inferopt.engine.workshop.__main__ import answer, main, settle
from pytest_inferopt.errors import MissingDependencyError, NotMeasuredError, RefusedError, UsageError


class Bench:
    """A workshop whose one command does as it is told."""

    def __init__(self, act):
        self.act = act

    def work(self, **parameters):
        return self.act(**parameters)


def fail(error):
    raise error


def failure(kind, message, hint=""):
    return {"error": {"kind": kind, "message": message, "hint": hint}}


# --- one answer -------------------------------------------------------------------------------------------------


def test_a_result_is_the_answer():
    assert answer(Bench(lambda a: {"twice": 2 * a}), "work", {"a": 3}) == {"result": {"twice": 6}}


def test_a_command_without_a_result_answers_nothing():
    assert answer(Bench(lambda: None), "work", {}) == {"result": None}


@pytest.mark.parametrize(
    ("error", "document"),
    [
        (UsageError("wrong.", "right."), failure("usage", "wrong.", "right.")),
        (NotMeasuredError("no evidence."), failure("not_measured", "no evidence.")),
        (MissingDependencyError("lib is missing.", "add it."), failure("not_measured", "lib is missing.", "add it.")),
        (RefusedError("unsafe."), failure("refused", "unsafe.")),
        (
            MemoryError("of the model"),
            failure("not_measured", "memory ran out.", "Use a smaller model or batch, or a machine with more."),
        ),
        (KeyboardInterrupt(), failure("not_measured", "the model's code raised KeyboardInterrupt.")),
        (SystemExit(0), failure("not_measured", "the model's code raised SystemExit.")),
        (ZeroDivisionError("division\n  by zero"), failure("not_measured", "ZeroDivisionError: division by zero")),
        (OSError("x" * 5000), failure("not_measured", f"OSError: {'x' * 600}")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_failure_becomes_its_kind_its_message_and_its_hint(error, document, capsys):
    assert answer(Bench(lambda: fail(error)), "work", {}) == document
    is_surprise = isinstance(error, ZeroDivisionError | OSError)
    assert ("Traceback" in capsys.readouterr().err) is is_surprise


@pytest.mark.parametrize(
    ("result", "said"),
    [(float("nan"), "ValueError: Out of range float values"), (object(), "TypeError: Object of type object")],
)
def test_a_result_that_is_no_json_is_not_measured(result, said, capsys):
    error = answer(Bench(lambda: result), "work", {})["error"]
    assert error["kind"] == "not_measured"
    assert error["message"].startswith(said)
    assert "Traceback" in capsys.readouterr().err


def test_a_command_that_does_not_exist_is_not_measured(capsys):
    assert answer(Bench(None), "dance", {}) == failure(
        "not_measured", "AttributeError: 'Bench' object has no attribute 'dance'"
    )
    assert "Traceback" in capsys.readouterr().err


# --- settling in ------------------------------------------------------------------------------------------------


@pytest.fixture
def limits(monkeypatch, tmp_path):
    """The limits that are set, and the text of oom_score_adj; nothing of this process is changed for good."""
    found = {}

    def setrlimit(which, pair):
        found[which] = pair

    monkeypatch.setattr(resource, "setrlimit", setrlimit)
    monkeypatch.setattr(worker, "Path", lambda name: tmp_path / name.replace("/", "_"))
    monkeypatch.setattr(sys, "path", ["before"])
    monkeypatch.setenv("PYTHONPATH", "/where/the/package/is")
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        yield found


def test_a_worker_takes_on_the_parents_import_path_and_folder_and_its_own_limits(limits, tmp_path):
    (tmp_path / "there").mkdir()
    path = sys.path
    settle(sys_path=["a", "b"], folder=str(tmp_path / "there"), memory_limit=1000)
    assert sys.path is path
    assert sys.path == ["a", "b"]
    assert Path.cwd() == tmp_path / "there"
    assert "PYTHONPATH" not in os.environ
    assert limits == {resource.RLIMIT_DATA: (1000, 1000), resource.RLIMIT_CORE: (0, 0)}
    assert (tmp_path / "_proc_self_oom_score_adj").read_text() == "1000"


def test_warnings_of_libraries_are_not_shown_and_not_raised_in_a_worker(limits, recwarn):
    warnings.simplefilter("error")
    settle(sys_path=[], folder=None, memory_limit=1)
    warnings.warn("of a library", UserWarning, stacklevel=1)
    assert (len(recwarn), len(limits)) == (0, 2)


def test_a_folder_that_is_gone_leaves_the_worker_where_it_is(limits, tmp_path):
    settle(sys_path=[], folder=str(tmp_path / "gone"), memory_limit=1)
    assert (Path.cwd(), len(limits)) == (tmp_path, 2)


@pytest.mark.parametrize("error", [ValueError("above the hard limit"), OSError("not permitted")])
def test_limits_that_cannot_be_set_do_not_stop_a_worker(monkeypatch, limits, tmp_path, error):
    monkeypatch.setattr(resource, "setrlimit", lambda *_: fail(error))
    monkeypatch.setattr(worker, "Path", lambda _: tmp_path / "no such folder" / "oom_score_adj")
    settle(sys_path=["kept"], folder=None, memory_limit=1)
    assert (sys.path, limits) == (["kept"], {})


# --- the whole process ------------------------------------------------------------------------------------------


@pytest.fixture
def served(monkeypatch):
    """`served(*documents)`: what a worker answers to them, and its exit status, over real pipes."""

    def served(*documents, tail=b""):
        requests_read, requests_write = os.pipe()
        answers_read, answers_write = os.pipe()
        status = []

        def serve():
            status.append(main([str(requests_read), str(answers_write)]))
            os.close(answers_write)

        thread = threading.Thread(target=serve)
        thread.start()
        os.write(requests_write, b"".join(map(encode, documents)) + tail)
        os.close(requests_write)
        answers, found = Frames(answers_read), []
        while answers.fill():
            while (document := answers.read()) is not None:
                found.append(document)
        thread.join()
        os.close(requests_read)
        os.close(answers_read)
        assert not answers.is_half
        return found, *status

    monkeypatch.setattr(worker, "_open_workshop", Shop)
    return served


class Shop:
    """A workshop that counts its commands and says what it does."""

    def __init__(self, answers_fd):
        self.fd = answers_fd
        self.count = 0

    def work(self, size=1):
        self.count += 1
        worker._send(self.fd, {"progress": f"command {self.count}"})
        return "x" * size


def command(name, **parameters):
    return {"command": name, "parameters": parameters}


def test_a_worker_serves_one_command_after_the_other_with_the_same_workshop(served):
    assert served(command("work"), command("work", size=2), command("gone")) == (
        [
            {"progress": "command 1"},
            {"result": "x"},
            {"progress": "command 2"},
            {"result": "xx"},
            failure("not_measured", "AttributeError: 'Shop' object has no attribute 'gone'"),
        ],
        0,
    )


def test_an_answer_larger_than_a_pipe_holds_arrives_whole(served):
    size = 1_000_000
    assert served(command("work", size=size)) == ([{"progress": "command 1"}, {"result": "x" * size}], 0)


def test_a_greeting_is_taken_without_an_answer(served, limits):
    assert served(command("hello", sys_path=["a"], folder=None, memory_limit=5)) == ([], 0)
    assert limits[resource.RLIMIT_DATA] == (5, 5)


@pytest.mark.parametrize("tail", [b"", b"\x00\x00"])
def test_a_worker_ends_when_nobody_asks_any_more(served, tail):
    assert served(tail=tail) == ([], 0)


def test_the_real_workshop_knows_the_plugins_and_tells_its_progress(monkeypatch):
    told = []
    monkeypatch.setattr(worker, "_send", lambda fd, document: told.append((fd, document)))
    workshop = worker._open_workshop(7)
    workshop._progress("batch 1")
    assert "onnx" in workshop._registry.names("frameworks")
    assert told == [(7, {"progress": "batch 1"})]
