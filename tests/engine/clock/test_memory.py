"""What loading and running a model takes of memory."""

from __future__ import annotations

from pytest_inferopt.domain.measured import Memory
from pytest_inferopt.engine.clock.memory import MemoryArm, begin_watching, measure_memory, peak_bytes, resident_bytes
from pytest_inferopt.errors import WorkerError

MIB = 2**20
STATUS = "Name:\tpython\nVmHWM:\t  2048 kB\nVmRSS:\t  1024 kB\n"


class Scripted:
    """A worker that answers by the target, and keeps what it was asked."""

    def __init__(self, answers, asked):
        self._answers, self._asked = answers, asked

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def call(self, command, parameters, **_):
        self._asked.append((command, parameters))
        if command != "run_for_memory":
            return None
        answer = self._answers[parameters["target"]]
        if isinstance(answer, Exception):
            raise answer
        return answer


def measured(answers):
    asked = []
    arms = [MemoryArm(name, name, [("load_data", {"n": 1})], [("take_file", {"target": name})]) for name in answers]
    found = measure_memory(arms, batch_sizes=(1, 32), open_worker=lambda: Scripted(answers, asked), seconds=9)
    return found, asked


def test_the_peak_is_read_and_forgotten_where_the_kernel_tells(tmp_path):
    (tmp_path / "status").write_text(STATUS)
    assert (resident_bytes(tmp_path), peak_bytes(tmp_path)) == (MIB, 2 * MIB)
    assert begin_watching(tmp_path) == MIB
    assert (tmp_path / "clear_refs").read_text() == "5"


def test_where_the_kernel_tells_nothing_nothing_is_known(tmp_path):
    assert (resident_bytes(tmp_path / "no"), peak_bytes(tmp_path / "no"), begin_watching(tmp_path / "no")) == (
        None,
        None,
        None,
    )


def test_this_process_takes_more_while_it_holds_something():
    before = begin_watching()
    held = bytearray(64 * MIB)
    held[::4096] = b"x" * len(held[::4096])
    assert peak_bytes() - before >= 60 * MIB


def test_each_arm_has_a_process_of_its_own_and_is_watched_before_it_is_loaded():
    found, asked = measured({"a": {"peak_bytes": 5 * MIB, "before_bytes": 2 * MIB}})
    assert found == ({"a": Memory(peak_bytes=5 * MIB, before_bytes=2 * MIB)}, [])
    assert found[0]["a"].used_bytes == 3 * MIB
    assert asked == [
        ("load_data", {"n": 1}),
        ("watch_memory", {}),
        ("take_file", {"target": "a"}),
        ("run_for_memory", {"target": "a", "batch_sizes": [1, 32]}),
    ]


def test_an_arm_that_fails_is_told_and_the_others_go_on():
    (found, notes), _ = measured(
        {
            "a": WorkerError("memory of 'a': the worker crashed (SIGKILL)."),
            "b": {"peak_bytes": 2 * MIB, "before_bytes": 3 * MIB},
            "c": {"peak_bytes": None, "before_bytes": None},
        }
    )
    assert found == {"b": Memory(peak_bytes=2 * MIB, before_bytes=3 * MIB)}
    assert found["b"].used_bytes == 0
    assert notes == ["memory was not measured: memory of 'a': the worker crashed (SIGKILL)."]
