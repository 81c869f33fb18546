"""One arm of a duet: warm-up and timed bursts; as a script, one arm in a process of its own.

``PYTHON arm.py`` needs the standard library, NumPy and ONNX Runtime, so that any interpreter which has these can run
it: that is how a file is timed under another version of the runtime. It reads one JSON document a line and answers
each with one: ``{"do": "open" | "warm_up" | "burst", …}`` gives ``{"done": …}`` or ``{"failed": kind, "message": …}``.
It keeps to what Python 3.8 knows.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
from contextlib import contextmanager
from itertools import cycle, islice
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import TextIO

__all__ = ["LEAST_WARMUP_CALLS", "SETTLING_CALLS", "WARMUP_NS", "OwnProcess", "burst", "quiet", "serve", "warm_up"]

# The first calls after a switch of arms refill the caches that the other arm evicted.
SETTLING_CALLS = 2
WARMUP_NS = 10_000_000
LEAST_WARMUP_CALLS = 3
LAST_WORDS = 300


def warm_up(run: Callable[[Any], Any], feeds: Sequence[Any], clock: Callable[[], int] = perf_counter_ns) -> int:
    """Call for 10 ms, and three times at least; what a call then takes, in nanoseconds, at least 1."""
    samples_ns: list[int] = []
    turns = cycle(feeds)
    started = after = clock()
    while len(samples_ns) < LEAST_WARMUP_CALLS or after - started < WARMUP_NS:
        feed = next(turns)
        before = clock()
        run(feed)
        after = clock()
        samples_ns.append(after - before)
    late = sorted(samples_ns[len(samples_ns) // 2 :])
    return max(late[len(late) // 2], 1)


def burst(
    run: Callable[[Any], Any],
    feeds: Sequence[Any],
    first: int,
    count: int,
    clock: Callable[[], int] = perf_counter_ns,
) -> list[int]:
    """Make two calls untimed, then time `count`, in nanoseconds; feeds take turns from that of call number `first`."""
    start = first % len(feeds)
    for feed in islice(cycle(feeds), start, start + SETTLING_CALLS):
        run(feed)
    samples_ns: list[int] = []
    record = samples_ns.append
    for feed in islice(cycle(feeds), start, start + count):
        before = clock()
        run(feed)
        record(clock() - before)
    return samples_ns


@contextmanager
def quiet() -> Iterator[None]:
    """No garbage collection inside; what lives now is taken out of its sight, unless the process did so before."""
    was_enabled, was_frozen = gc.isenabled(), gc.get_freeze_count() > 0
    gc.collect()
    if not was_frozen:
        gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        if not was_frozen:
            gc.unfreeze()
        if was_enabled:
            gc.enable()


class OwnProcess:
    """What the script does, one method a command."""

    def __init__(self) -> None:
        self._feeds: dict[int, list[dict[str, Any]]] = {}
        self._run: Callable[[Any], Any] = dict

    def open(self, path: str, feeds: dict[str, str], threads: int | None, provider: str) -> dict[str, str]:
        """Load a file as the worker's runtime does: so many intra-op threads, no spinning, and no other provider."""
        try:
            ort = importlib.import_module("onnxruntime")
            numpy = importlib.import_module("numpy")
        except ImportError as error:
            raise _Missing(str(error)) from error
        settings = ort.SessionOptions()
        settings.intra_op_num_threads = threads or 0
        settings.inter_op_num_threads = 1
        settings.log_severity_level = 4
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        settings.add_session_config_entry("session.inter_op.allow_spinning", "0")
        session = ort.InferenceSession(path, settings, providers=[provider])
        if session.get_providers()[0] != provider:
            raise ValueError(f"{provider} was asked for, the session runs on {session.get_providers()[0]}")
        outputs = [node.name for node in session.get_outputs()]
        self._run = lambda feed: session.run(outputs, feed)
        self._feeds = {int(size): _read_feeds(numpy, file) for size, file in feeds.items()}
        gc.collect()
        gc.freeze()
        gc.disable()
        return {"onnxruntime": ort.__version__}

    def warm_up(self, batch_size: int) -> int:
        """See `warm_up`."""
        return warm_up(self._run, self._feeds[batch_size])

    def burst(self, batch_size: int, first: int, count: int) -> list[int]:
        """See `burst`."""
        return burst(self._run, self._feeds[batch_size], first, count)


class _Missing(Exception):  # noqa: N818 - it crosses the pipe as "missing"
    """This interpreter lacks a library."""


def _read_feeds(numpy: Any, file: str) -> list[dict[str, Any]]:
    """The feeds of one batch size: arrays named ``<number>/<input>``; text comes as fixed-width text."""
    feeds: dict[int, dict[str, Any]] = {}
    with numpy.load(file, allow_pickle=False) as archive:
        for name in archive.files:
            number, _, tensor = name.partition("/")
            array = archive[name]
            feeds.setdefault(int(number), {})[tensor] = array.astype(object) if array.dtype.kind == "U" else array
    return [feeds[number] for number in sorted(feeds)]


def serve(requests: Iterable[str], answers: TextIO) -> int:
    """Answer until the requests end."""
    process = OwnProcess()
    for line in requests:
        document = json.loads(line)
        act = getattr(process, document.pop("do"))
        try:
            answer = {"done": act(**document)}
        except _Missing as error:
            answer = {"failed": "missing", "message": str(error)}
        # The runtime raises classes of its C++ side that share no public base.
        except Exception as error:  # noqa: BLE001
            answer = {"failed": "raised", "message": " ".join(str(error).split())[:LAST_WORDS]}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    return 0


if __name__ == "__main__":
    # Run by its path, the script's folder comes first, and modules there are named like the standard library's.
    HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - strings are what the path has
    sys.path[:] = [path for path in sys.path if os.path.abspath(path) != HERE]  # noqa: PTH100
    ANSWERS = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # What libraries print is no answer.
    os.dup2(2, 1)
    sys.exit(serve(sys.stdin, ANSWERS))
