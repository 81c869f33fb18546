"""Two model files beside each other, without a request's original, variants or baseline."""

from __future__ import annotations

import time
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_inferopt.domain.comparison import Gate
from pytest_inferopt.domain.text import printable
from pytest_inferopt.engine.comparison.regression import not_comparable_reason
from pytest_inferopt.engine.duet.pairs import Pair, Ruling, judge_pairs
from pytest_inferopt.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from pytest_inferopt.domain.request import OptimizationRequest
    from pytest_inferopt.engine.worker.driver import Worker
    from pytest_inferopt.engine.worker.replicate import Command

__all__ = ["Interpreters", "compare_files", "made_up_rows"]

LOADING_SECONDS = 300
MADE_UP_ROWS = 256
FREE_AXIS = 16
OPSET = 17
KNOWN_TYPES = {
    "str",
    "bool",
    "float16",
    "float32",
    "float64",
    *(f"{u}int{b}" for u in ("", "u") for b in (8, 16, 32, 64)),
}

Interpreters = tuple[str | None, str | None]
"""What runs the baseline's file and what runs the candidate's; None for the interpreter that this one is."""


def compare_files(
    files: tuple[Path, Path],
    *,
    request: OptimizationRequest,
    feeds: Path | None,
    worker: Worker,
    folder: Path,
    pythons: Interpreters = (None, None),
    on_progress: Callable[[str], None] = lambda _: None,
) -> Ruling:
    """Hold a candidate's file against a baseline's; its one variant is called as the request is.

    Whoever asks holds the machine's lock for measuring.

    Args:
        files: the baseline's and the candidate's.
        request: how: batch sizes, percentiles, what is allowed, threads, provider and seed.
        feeds: an .npz with an array (N, …) for each input, by its name; a single input's may be called ``x``. None
            makes rows up: see `made_up_rows`.
        worker: describes the files; its likes measure them.
        folder: an empty one for what is written.
        pythons: the interpreters, for files that are to run under different versions of the runtime.
        on_progress: told how long it will take, and how far it is.

    Returns:
        The ruling; ``not_comparable`` and without cells where the files take different inputs.

    Raises:
        UsageError: there is no such file, array or interpreter.
        InferoptError: a file is damaged, refused, or cannot run; a process crashed or hung.
    """
    started = time.monotonic()
    options = {"threads": request.threads, "provider": request.provider}
    beginning = {"folder": str(folder), "options": options, "opset": OPSET, "random_seed": request.random_seed}
    begin: Command = ("begin", {**beginning, "seconds_left": float(LOADING_SECONDS)})

    def call(command: str, parameters: Mapping[str, Any], stage: str) -> Any:
        return worker.call(command, parameters, stage=stage, deadline=started + LOADING_SECONDS)

    call(*begin, "start")
    was, now = (call("describe_file", {"path": str(file.absolute())}, f"loading {file.name}") for file in files)
    for file, document in zip(files, (was, now), strict=True):
        if document["artifact"] is None:
            raise UsageError(
                f"{file}: a {document['format']} file does not run by itself.", "Convert it to ONNX first."
            )
    reason = not_comparable_reason(
        was["artifact"], now["artifact"], base_format=was["format"], head_format=now["format"]
    )
    if reason:
        return Ruling(Gate(verdict="not_comparable", reason=reason), {}, {})
    inputs = now["artifact"]["signature"]["inputs"]
    rows = _rows(inputs, feeds, folder / "rows.npz", request.random_seed)
    pair = Pair(
        variant=request.name,
        base=[("take_file", {"target": "base", **was})],
        head=[("take_file", {"target": "head", **now})],
        base_target="base",
        head_target="head",
        p50_ms={},
        base_python=pythons[0],
        head_python=pythons[1],
    )
    return judge_pairs(
        request,
        [pair],
        prepare=[begin, ("load_data", {"spec": rows})],
        open_worker=worker.another_with_huge_pages,
        making_seconds=time.monotonic() - started,
        on_progress=on_progress,
    )


def _rows(inputs: Sequence[Mapping[str, Any]], feeds: Path | None, made_up: Path, seed: int) -> dict[str, Any]:
    """The rows as a dataset's specification."""
    names = [found["name"] for found in inputs]
    if feeds is None:
        with made_up.open("wb") as stream:
            np.savez(stream, **made_up_rows(inputs, seed=seed))  # type: ignore[arg-type]  # as in `timing.keep_samples`
        return {"source": "npz", "path": str(made_up), "x": names}
    asked = names[0] if len(names) == 1 and names[0] in _array_names(feeds) else "x"
    return {"source": "npz", "path": str(feeds.absolute()), "x": asked if len(names) == 1 else names}


def _array_names(feeds: Path) -> set[str]:
    try:
        with zipfile.ZipFile(feeds) as archive:
            return {name.removesuffix(".npy") for name in archive.namelist()}
    # The source of datasets says what is wrong with it.
    except (OSError, zipfile.BadZipFile):
        return set()


def made_up_rows(inputs: Sequence[Mapping[str, Any]], *, seed: int) -> dict[str, NDArray[Any]]:
    """256 rows for each input (256, …), by its name.

    Floating-point numbers are standard normal, whole numbers and truth values 0 or 1 (an index that is in range for any
    table of two), texts one letter. Axes without a fixed length are 16 long. A model whose time depends on its rows,
    such as a forest, is better compared on rows of its own.

    Args:
        inputs: each a `name`, a `dtype` as NumPy calls it or ``str``, and a `shape` whose first axis is the batch.
        seed: of the numbers.

    Raises:
        UsageError: an input's type is none of NumPy's.
    """
    random = np.random.default_rng(seed)
    unknown = next((found for found in inputs if found["dtype"] not in KNOWN_TYPES), None)
    if unknown is not None:
        told = f"input '{printable(unknown['name'])}' takes {unknown['dtype']}, for which no rows are made up."
        raise UsageError(told, "Give rows: an .npz with an array for each input.")
    return {found["name"]: _made_up(found["dtype"], found["shape"][1:], random) for found in inputs}


def _made_up(dtype: str, axes: Sequence[int | str | None], random: np.random.Generator) -> NDArray[Any]:
    shape = (MADE_UP_ROWS, *(axis if isinstance(axis, int) else FREE_AXIS for axis in axes))
    if dtype == "str":
        return random.choice(list("abcdefgh"), size=shape)
    numbers = random.standard_normal(shape) if "float" in dtype else random.integers(0, 2, size=shape)
    return numbers.astype(dtype)
