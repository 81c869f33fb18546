"""Driving a worker process: here its program is a script that says what a real one never should."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pytest_inferopt.engine.worker import driver
from pytest_inferopt.engine.worker.driver import Worker, memory_limit_bytes
from pytest_inferopt.errors import NotMeasuredError, RefusedError, UsageError, WorkerError

# Takes a greeting and a command, and then does as the test says; `say` answers a document, `send` plain bytes.
PROGRAM = """
import json, os, sys, time
from pytest_inferopt.engine.worker.frames import Frames, encode
requests, answers = Frames(int(sys.argv[1])), int(sys.argv[2])

def asked():
    while (document := requests.read()) is None:
        if not requests.fill():
            sys.exit(0)
    return document

def send(data):
    while data:
        data = data[os.write(answers, data):]

def say(**document):
    send(encode(document))

greeting = asked()
while command := asked():
{act}
"""


@pytest.fixture
def scripted(monkeypatch):
    """`scripted(act)`: a worker whose program does this at each command."""
    workers = []

    def scripted(act, **limits):
        program = PROGRAM.replace("{act}", "\n".join(f"    {line}" for line in act.splitlines()))

        class Scripted(subprocess.Popen):
            def __init__(self, command, **rest):
                start = command.index("-m")
                super().__init__([*command[:start], "-c", program, *command[start + 2 :]], **rest)

        monkeypatch.setattr(driver.subprocess, "Popen", Scripted)
        workers.append(Worker(**limits))
        return workers[-1]

    yield scripted
    for worker in workers:
        worker.stop()


def ask(worker, *, seconds=60.0, **rest):
    return worker.call("work", {"a": 1}, stage="working", deadline=time.monotonic() + seconds, **rest)


def failure_of(worker, **rest):
    with pytest.raises(WorkerError) as caught:
        ask(worker, **rest)
    assert not worker.is_running
    return str(caught.value)


def test_a_worker_is_greeted_once_and_then_told_the_command(scripted, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    worker = scripted("say(result=[sorted(greeting['parameters']), greeting['parameters']['folder'], command])")
    sent = [["folder", "memory_limit", "sys_path"], str(tmp_path), {"command": "work", "parameters": {"a": 1}}]
    assert (ask(worker), ask(worker), worker.generation) == (sent, sent, 1)


def test_where_the_current_folder_is_gone_the_worker_is_told_none(scripted, tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert ask(scripted("say(result=greeting['parameters']['folder'])")) is None


def test_a_worker_may_take_as_much_memory_as_it_is_given(scripted):
    worker = scripted("say(result=greeting['parameters']['memory_limit'])", memory_limit=12345)
    with worker.another() as other:
        assert (ask(worker), ask(other)) == (12345, 12345)


def test_what_a_worker_says_on_its_way_is_told_before_its_answer(scripted):
    heard = []
    worker = scripted("say(progress='one'); say(progress='two'); say(result=3)")
    assert ask(worker, on_progress=heard.append) == 3
    assert heard == ["one", "two"]


@pytest.mark.parametrize("kind", [UsageError, NotMeasuredError, RefusedError])
def test_an_error_comes_out_as_the_kind_that_it_was_and_the_worker_goes_on(scripted, kind):
    worker = scripted(f"say(error={{'kind': {kind.kind!r}, 'message': 'no.', 'hint': 'yes.'}})")
    for _ in range(2):
        with pytest.raises(kind) as caught:
            ask(worker)
        assert (type(caught.value), caught.value.message, caught.value.hint) == (kind, "no.", "yes.")
    assert (worker.is_running, worker.generation) == (True, 1)


@pytest.mark.parametrize(
    ("act", "told"),
    [
        ("send(bytes([255] * 8))", "a frame of 18446744073709551615 bytes was announced"),
        ("send((2).to_bytes(8, 'big') + b'[]')", "a frame holds a list, not an object"),
        ("send((2).to_bytes(8, 'big') + b'{]')", "Expecting property name enclosed in double quotes"),
        ("send((2).to_bytes(8, 'big') + bytes([195, 40]))", "codec can't decode"),
    ],
    ids=["length", "kind", "JSON", "UTF-8"],
)
def test_an_answer_that_is_none_ends_the_worker_and_a_new_one_takes_its_place(scripted, act, told):
    worker = scripted(act)
    for generation in (1, 2):
        failure = failure_of(worker)
        assert (failure.startswith("working: the worker's answer is damaged ("), told in failure) == (True, True)
        assert worker.generation == generation


@pytest.mark.parametrize(
    ("act", "told"),
    [
        ("sys.exit(3)", "working: the worker left without an answer (exit status 3)."),
        ("os.kill(os.getpid(), 9)", "working: the worker crashed (SIGKILL), most likely because memory ran out."),
        ("os.kill(os.getpid(), 15)", "working: the worker crashed (SIGTERM)."),
        (
            "send(bytes(3)); sys.exit(0)",
            "working: the worker left without an answer (exit status 0), in the middle of its answer.",
        ),
        (
            "print('out'); print('\\x1b[31m::error::', file=sys.stderr); sys.exit(1)",
            r"working: the worker left without an answer (exit status 1). Its last words: out\n\x1b[31m::error::",
        ),
    ],
)
def test_a_worker_that_ends_instead_of_answering_says_how(scripted, act, told):
    assert failure_of(scripted(f"sys.stdout.reconfigure(line_buffering=True)\n{act}")) == told


def test_of_all_that_a_worker_prints_only_the_end_is_kept(scripted):
    worker = scripted("for _ in range(40): os.write(1, b'x' * 60_000)\nos.write(2, b' end')\nos._exit(0)")
    assert failure_of(worker).endswith(f"(exit status 0). Its last words: {'x' * 296} end")


def test_a_worker_that_does_not_answer_by_the_deadline_is_ended(scripted):
    assert failure_of(scripted("time.sleep(600)"), seconds=0).startswith("working: no answer by the deadline; ")


def test_where_the_supervisor_was_killed_too_the_worker_is_simply_gone(scripted):
    # The supervisor is the parent of the worker, and holds the other end of the control socket.
    worker = scripted("os.kill(os.getppid(), 9); time.sleep(600)")
    assert failure_of(worker) == "working: the worker is gone."


def test_a_worker_that_died_between_two_calls_is_found_out_by_the_next(scripted):
    worker = scripted("say(result=os.getpid())")
    pid = ask(worker)
    os.kill(pid, signal.SIGKILL)
    while Path(f"/proc/{pid}").exists():
        time.sleep(0.01)
    assert failure_of(worker).startswith("working: the worker crashed (SIGKILL)")
    assert (ask(worker) != pid, worker.generation) == (True, 2)


def test_an_interrupt_ends_a_worker_that_still_owes_an_answer(scripted):
    def interrupted(_):
        raise KeyboardInterrupt

    worker = scripted("say(progress='one'); time.sleep(600)")
    with pytest.raises(KeyboardInterrupt):
        ask(worker, on_progress=interrupted)
    assert not worker.is_running


def test_ending_a_worker_that_was_never_started_or_twice_does_no_harm(scripted):
    with scripted("say(result=1)") as worker:
        worker.stop()
        ask(worker)
        worker.stop()
        assert not worker.is_running


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("", ""),
        ("  said \n", "said"),
        ("x" * 900, "x" * 300),
        (
            'before\nFatal Python error: Segmentation fault\n\nThread 1:\n  File "a.py", line 3 in b\n  File "c.py"\n',
            'before Fatal Python error: Segmentation fault in File "a.py", line 3 in b',
        ),
        ("Fatal Python error: Aborted\n", "Fatal Python error: Aborted"),
    ],
)
def test_the_last_words_of_a_worker_are_short_and_name_the_innermost_frame(output, words):
    assert driver._last_words(output) == words


@pytest.mark.parametrize(
    ("meminfo", "group", "expected"),
    [
        ("MemTotal: 9 kB\nMemAvailable:    1000 kB\n", "max\n", 921_600),
        ("MemAvailable: 1000 kB\n", "512000\n", 460_800),
        ("MemAvailable: 1000 kB\n", "99999999999\n", 921_600),
        ("MemAvailable: 1000 kB\n", None, 921_600),
        ("MemTotal: 9 kB\n", "500\n", 450),
        (None, "500\n", 450),
        ("MemAvailable: many kB\n", "500\n", 450),
    ],
)
def test_a_worker_may_take_nine_tenths_of_what_is_there(monkeypatch, meminfo, group, expected):
    files = {"/proc/meminfo": meminfo, "/sys/fs/cgroup/memory.max": group}

    def read_text(path, **_):
        if files[str(path)] is None:
            raise FileNotFoundError(path)
        return files[str(path)]

    monkeypatch.setattr(Path, "read_text", read_text)
    assert memory_limit_bytes() == expected


def test_where_the_system_tells_nothing_of_what_is_free_all_of_it_counts(monkeypatch):
    def read_text(path, **_):
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_text", read_text)
    assert memory_limit_bytes() == int(0.9 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


# --- huge pages -------------------------------------------------------------------------------------------------

PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
FILL_64_MB = """
import ctypes
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
room = libc.malloc(ctypes.c_size_t(1 << 26))
ctypes.memset(ctypes.c_void_p(room), 1, 1 << 26)
print(sum(int(line.split()[1]) for line in open("/proc/self/smaps") if line.startswith("AnonHugePages")))
"""


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, "glibc.malloc.hugetlb=1"),
        ("glibc.malloc.arena_max=1", "glibc.malloc.arena_max=1:glibc.malloc.hugetlb=1"),
        ("glibc.malloc.hugetlb=0", "glibc.malloc.hugetlb=0"),
    ],
)
def test_huge_pages_are_asked_for_beside_what_the_user_asks_for(given, expected, monkeypatch):
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    if given is not None:
        monkeypatch.setenv("GLIBC_TUNABLES", given)
    assert driver._environment(huge_pages=True)["GLIBC_TUNABLES"] == expected
    assert driver._environment(huge_pages=False).get("GLIBC_TUNABLES") == given


@pytest.mark.skipif(
    not PAGES.exists() or "[madvise]" not in PAGES.read_text(), reason="the kernel gives huge pages to all or to none"
)
def test_a_large_array_lies_in_huge_pages(monkeypatch):
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)

    def huge_kib(environment):
        done = subprocess.run([sys.executable, "-c", FILL_64_MB], env=environment, check=True, capture_output=True)
        return int(done.stdout)

    assert huge_kib(driver._environment(huge_pages=True)) > 50_000
    assert huge_kib(driver._environment(huge_pages=False)) < 5_000


def test_another_worker_has_the_same_limits_and_huge_pages_where_they_are_asked_for(scripted):
    worker = scripted("say(result=os.environ.get('GLIBC_TUNABLES', ''))", memory_limit=1 << 30)
    plain, huge = worker.another(), worker.another_with_huge_pages()
    limits = {one._memory_limit for one in (worker, plain, huge)}
    assert limits == {1 << 30}
    with plain, huge:
        deadline = time.monotonic() + 30
        told = [one.call("anything", {}, stage="asking", deadline=deadline) for one in (plain, huge)]
    assert ["hugetlb=1" in one for one in told] == [False, True]
