"""What an exporter wrote, finished and proven: valid, the batch axis free, every output the network's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_inferopt.errors import RefusedError
from pytest_inferopt.frameworks._onnx_file import opset_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["finished", "one_line", "prove_outputs", "versions_text"]

PROOF_ROWS = (1, 3, 7)
TOLERANCE = 1e-3  # of the largest number that the network answers
IR_VERSION = 10  # onnxruntime 1.20 loads it; exporters write newer ones
REASON_LENGTH = 300


def finished(path: Path) -> Any:
    """The written graph, checked, in an IR version that today's runtimes load, and its bytes the same every time."""
    import onnx

    model = onnx.load(path)
    model.ir_version = min(model.ir_version, IR_VERSION)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))
    return model


def versions_text(model: Any, wanted: int) -> str:
    """``opset 17, IR 8``; where another opset was written than wanted, both."""
    written = opset_of(model)
    return f"opset {written}{'' if written == wanted else f' instead of {wanted}'}, IR {model.ir_version}"


def prove_outputs(
    path: Path, ask: Callable[[int], tuple[dict[str, Any], dict[str, Any]]], *, is_fixed_allowed: bool = False
) -> str:
    """Run the file on 1, 3 and 7 rows and compare every output with the network's; the outcome as a note.

    Args:
        path: the file.
        ask: for so many rows, the arrays of the inputs by name, and what the network answers, in the file's order.
        is_fixed_allowed: whether the network itself takes one number of rows only.

    Raises:
        RefusedError: it does not run, or answers otherwise.
    """
    try:
        import onnxruntime
    except ImportError:
        return "not compared with the original: onnxruntime is not installed"
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    fed = [node.name for node in session.get_inputs()]
    axis = session.get_inputs()[0].shape[0] if fed else None
    fixed = axis if isinstance(axis, int) else None
    if fixed is not None and not is_fixed_allowed:
        raise RefusedError(f"the number of rows became the constant {fixed}.")
    worst = 0.0
    unused: set[str] = set()
    for count in PROOF_ROWS if fixed is None else (fixed,):
        arrays, expected = ask(count)
        outputs = session.run(None, {name: arrays[name] for name in fed})
        unused = set(arrays) - set(fed)
        for (name, before), after in zip(expected.items(), outputs, strict=True):
            worst = max(worst, _difference(name, before, after, count))
    how = "run with 1, 3 and 7 rows" if fixed is None else f"takes {fixed} rows only, as it was exported"
    dropped = f"; {', '.join(sorted(unused))} is not used by the network and no input" if unused else ""
    return f"{how}; largest relative difference {worst:.1g}{dropped}"


def _difference(name: str, before: Any, after: Any, count: int) -> float:
    """The largest difference of an output, relative to its largest number."""
    import numpy as np

    if before.shape != after.shape:
        shapes = f"{after.shape}, the network's {before.shape}"
        raise RefusedError(f"output {name!r} has shape {shapes} for {count} rows.")
    if not before.size:
        return 0.0
    one, other = before.astype(np.float64), after.astype(np.float64)
    if not np.array_equal(np.isfinite(one), np.isfinite(other)):
        raise RefusedError(f"output {name!r} is NaN or infinite in other places than the network's, for {count} rows.")
    finite = np.isfinite(one)
    largest = float(np.abs(one[finite]).max(initial=np.finfo(np.float32).tiny))
    difference = float(np.abs(one[finite] - other[finite]).max(initial=0.0)) / largest
    if difference > TOLERANCE:
        raise RefusedError(f"output {name!r} differs by {difference:.1g} of its largest number, for {count} rows.")
    return difference


def one_line(error: Exception) -> str:
    """What a library said, on one line, cut where it is long."""
    return " ".join(str(error).split())[:REASON_LENGTH].rstrip(".")
