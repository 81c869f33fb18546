"""The child process: ``python -m pytest_inferopt.engine.workshop REQUESTS_FD ANSWERS_FD``.

It receives commands, works, and answers with JSON; everything it writes stays in the request's folder.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_inferopt.engine.worker.frames import Frames, encode
from pytest_inferopt.errors import InferoptError

if TYPE_CHECKING:
    from pytest_inferopt.engine.workshop.verbs import Workshop

WORST_OOM_SCORE = "1000"


def main(arguments: list[str]) -> int:
    """Serve until the request pipe ends."""
    requests_fd, answers_fd = (int(fd) for fd in arguments)
    for fd in (requests_fd, answers_fd):
        os.set_inheritable(fd, False)
    requests = Frames(requests_fd)
    workshop: Workshop | None = None
    while True:
        while (document := requests.read()) is None:
            if not requests.fill():
                return 0
        command, parameters = document["command"], document["parameters"]
        if command == "hello":
            settle(**parameters)
            continue
        if workshop is None:
            workshop = _open_workshop(answers_fd)
        _send(answers_fd, answer(workshop, command, parameters))


def settle(*, sys_path: list[str], folder: str | None, memory_limit: int) -> None:
    """Take on the parent's import path and folder, and the limits of a worker."""
    sys.path[:] = sys_path
    # What this package needed to be found must not lead the user's own children astray.
    os.environ.pop("PYTHONPATH", None)
    if folder is not None:
        with contextlib.suppress(OSError):
            os.chdir(folder)
    warnings.simplefilter("ignore")
    _limit_memory(memory_limit)


def answer(workshop: Workshop, command: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Do one command; every failure becomes a document with its kind, message and hint."""
    try:
        result = getattr(workshop, command)(**parameters)
        encode({"result": result})
    except InferoptError as error:
        return _failure(error.kind, error.message, error.hint)
    except MemoryError:
        return _failure("not_measured", "memory ran out.", "Use a smaller model or batch, or a machine with more.")
    except (KeyboardInterrupt, SystemExit) as error:
        return _failure("not_measured", f"the model's code raised {type(error).__name__}.", "")
    # Model and library code may raise anything; all of it means that there is no evidence.
    except Exception as error:  # noqa: BLE001
        traceback.print_exc()
        return _failure("not_measured", f"{type(error).__name__}: {' '.join(str(error).split())[:600]}", "")
    return {"result": result}


def _failure(kind: str, message: str, hint: str) -> dict[str, Any]:
    return {"error": {"kind": kind, "message": message, "hint": hint}}


def _open_workshop(answers_fd: int) -> Workshop:
    from pytest_inferopt.engine.workshop.measuring import MeasuringWorkshop
    from pytest_inferopt.registry import discover

    return MeasuringWorkshop(discover(), on_progress=lambda text: _send(answers_fd, {"progress": text}))


def _send(fd: int, document: dict[str, Any]) -> None:
    remaining = memoryview(encode(document))
    while remaining:
        remaining = remaining[os.write(fd, remaining) :]


def _limit_memory(limit_bytes: int) -> None:
    """Bound private memory, and offer this process first to the kernel's out-of-memory killer."""
    import resource

    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, limit_bytes))
    # A crash is an answer here; a core file of a model is only a full disk.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(WORST_OOM_SCORE, encoding="ascii")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
