"""From a network to an ONNX file: two exporters, and the proof that the file answers as the network does."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_inferopt.domain.artifact import row_count, take_rows
from pytest_inferopt.errors import InferoptError, RefusedError
from pytest_inferopt.frameworks._onnx_file import opset_of
from pytest_inferopt.frameworks._torch_calls import flat_outputs, is_exported, runnable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pytest_inferopt.domain.artifact import Rows
    from pytest_inferopt.frameworks._torch_calls import Call

__all__ = ["Exported", "export"]

BATCH = "batch"
# An axis of one row would be taken for a constant: https://github.com/pytorch/pytorch/issues/151582.
EXAMPLE_ROWS = 2
PROOF_ROWS = (1, 3, 7)
TOLERANCE = 1e-3  # of the largest number that the network answers
IR_VERSION = 10  # onnxruntime 1.20 loads it; exporters write newer ones
REASON_LENGTH = 300
INSTEAD = "Change the part that it names, or export the model yourself and hand over the ONNX file."


@dataclass(frozen=True, eq=False)
class Exported:
    """What was written.

    Attributes:
        model: the graph, an `onnx.ModelProto`.
        notes: by which exporter, with which opset, and how near its answers are.
    """

    model: Any
    notes: tuple[str, ...]


def export(model: Any, call: Call, path: Path, *, opset: int, samples: Rows) -> Exported:
    """Write the file, and prove it: valid, the batch axis free, the network's answers.

    The tracing exporter comes first, because it writes the opset that is asked for; the newer one, which follows the
    network's control flow and renders operators that the other lacks, where the first fails or proves wrong.

    Args:
        model: an `nn.Module`, a scripted one, or an `ExportedProgram`, which only the newer exporter takes.
        call: how it is called.
        path: where the file goes.
        opset: the wanted opset.
        samples: rows of any number N ≥ 1.

    Raises:
        RefusedError: neither gives a file that answers as the network does; the reasons of both.
    """
    import numpy as np
    import torch

    rows = row_count(samples)
    example = call.feed(take_rows(samples, np.resize(np.arange(rows), max(min(rows, 4), EXAMPLE_ROWS))))
    task = _Task(model, call, example, path, opset)
    exporters: dict[str, Callable[[_Task], list[str]]] = {"tracing": _trace, "torch.export": _dynamo}
    if is_exported(model):
        del exporters["tracing"]
    elif isinstance(model, torch.jit.ScriptModule):
        del exporters["torch.export"]
    failures: list[str] = []
    for name, exporter in exporters.items():
        try:
            with _quiet():
                notes = exporter(task)
            proto = _valid(task)
            notes = [f"exported by PyTorch's {name} exporter: {_versions(proto, opset)}", *notes]
            notes.append(_prove(task, samples))
            notes += [f"the {failure}" for failure in failures]
            return Exported(proto, tuple(notes))
        except InferoptError as error:
            failures.append(f"{name} exporter failed: {error.message.rstrip('.')}")
        # The exporters raise whatever their passes raise.
        except Exception as error:  # noqa: BLE001
            failures.append(f"{name} exporter failed: {type(error).__name__}: {_one_line(error)}")
    raise RefusedError(f"{_name_of(model)} cannot be exported: {'; '.join(failures)}.", INSTEAD)


@dataclass(frozen=True, eq=False)
class _Task:
    model: Any
    call: Call
    example: tuple[Any, ...]
    path: Path
    opset: int

    def answer(self, feed: tuple[Any, ...]) -> dict[str, Any]:
        """What the network answers, by name."""
        import torch

        with torch.inference_mode():
            args, named = self.call.arguments(feed)
            return flat_outputs(runnable(self.model)(*args, **named))


def _flat(task: _Task) -> Any:
    """The network with tensors in a fixed order as arguments and a tuple of tensors as answer."""
    import torch

    class Flat(torch.nn.Module):  # type: ignore[misc]  # torch is not followed
        def __init__(self) -> None:
            super().__init__()
            self.inner = task.model

        def forward(self, *feed: Any) -> Any:
            args, named = task.call.arguments(feed)
            return tuple(flat_outputs(self.inner(*args, **named)).values())

    return Flat().eval()


def _trace(task: _Task) -> list[str]:
    import torch

    names = list(task.answer(task.example))
    # A scripted module inside of a traced one is refused; the exporter flattens what it answers by itself.
    is_scripted = isinstance(task.model, torch.jit.ScriptModule)
    torch.onnx.export(
        task.model if is_scripted else _flat(task),
        task.example,
        str(task.path),
        dynamo=False,
        opset_version=task.opset,
        input_names=list(task.call.names),
        output_names=_apart(names, task.call.names),
        dynamic_axes={name: {0: BATCH} for name in (*task.call.names, *_apart(names, task.call.names))},
    )
    return []


def _dynamo(task: _Task) -> list[str]:
    import torch

    names = _apart(list(task.answer(task.example)), task.call.names)
    if is_exported(task.model):
        program = torch.onnx.export(task.model, dynamo=True, opset_version=task.opset, output_names=names)
    else:
        batch = torch.export.Dim(BATCH)
        program = torch.onnx.export(
            _flat(task),
            task.example,
            dynamo=True,
            opset_version=task.opset,
            input_names=list(task.call.names),
            output_names=names,
            dynamic_shapes=(tuple({0: batch} for _ in task.example),),
        )
    program.save(str(task.path), external_data=False)
    return _lowered(task)


def _lowered(task: _Task) -> list[str]:
    """Bring the file down to the wanted opset where the exporter stayed above it; what it did not do, as notes."""
    import onnx
    from onnx import version_converter

    model = onnx.load(task.path)
    written = opset_of(model)
    if written is None or written <= task.opset:
        return []
    try:
        lowered = version_converter.convert_version(model, task.opset)
        # It can return an invalid graph without raising.
        onnx.checker.check_model(lowered, full_check=True)
    # onnx raises RuntimeError and its own classes.
    except Exception as error:  # noqa: BLE001
        return [f"this exporter writes opset {written} at least, and it cannot be brought down: {_one_line(error)}"]
    task.path.write_bytes(lowered.SerializeToString(deterministic=True))
    return [f"this exporter wrote opset {written}; brought down by onnx.version_converter"]


def _apart(names: list[str], taken: tuple[str, ...]) -> list[str]:
    """Output names that no input has: a graph knows one tensor of a name."""
    return [f"{name}_out" if name in taken else name for name in names]


def _valid(task: _Task) -> Any:
    """The written graph, checked, in an IR version that today's runtimes load, and its bytes the same every time."""
    import onnx

    model = onnx.load(task.path)
    model.ir_version = min(model.ir_version, IR_VERSION)
    onnx.checker.check_model(model)
    task.path.write_bytes(model.SerializeToString(deterministic=True))
    return model


def _versions(model: Any, wanted: int) -> str:
    written = opset_of(model)
    return f"opset {written}{'' if written == wanted else f' instead of {wanted}'}, IR {model.ir_version}"


def _prove(task: _Task, samples: Rows) -> str:
    """Run the file on 1, 3 and 7 rows and compare every output with the network's; the outcome as a note.

    Raises:
        RefusedError: it does not run, or answers otherwise.
    """
    import numpy as np

    try:
        import onnxruntime
    except ImportError:
        return "not compared with the original: onnxruntime is not installed"
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(task.path), options, providers=["CPUExecutionProvider"])
    fed = [node.name for node in session.get_inputs()]
    fixed = session.get_inputs()[0].shape[:1] if fed else []
    counts = [int(fixed[0])] if fixed and isinstance(fixed[0], int) else list(PROOF_ROWS)
    if counts != list(PROOF_ROWS) and not is_exported(task.model):
        raise RefusedError(f"the number of rows became the constant {counts[0]}.")
    worst = 0.0
    for count in counts:
        feed = task.call.feed(take_rows(samples, np.resize(np.arange(row_count(samples)), count)))
        expected = {name: tensor.cpu().numpy() for name, tensor in task.answer(feed).items()}
        arrays = dict(zip(task.call.names, (tensor.numpy() for tensor in feed), strict=True))
        outputs = session.run(None, {name: arrays[name] for name in fed})
        for (name, before), after in zip(expected.items(), outputs, strict=True):
            worst = max(worst, _apart_by(name, before, after, count))
    unused = sorted(set(task.call.names) - set(fed))
    dropped = f"; {', '.join(unused)} is not used by the network and no input" if unused else ""
    if counts != list(PROOF_ROWS):
        return f"takes {counts[0]} rows only, as it was exported; largest relative difference {worst:.1g}{dropped}"
    return f"run with 1, 3 and 7 rows; largest relative difference {worst:.1g}{dropped}"


def _apart_by(name: str, before: Any, after: Any, count: int) -> float:
    """The largest difference of an output, relative to its largest number."""
    import numpy as np

    if before.shape != after.shape:
        raise RefusedError(
            f"output {name!r} has shape {after.shape} for {count} rows, the network's has {before.shape}."
        )
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


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporters' deprecations, advice and progress from a test suite that turns warnings into errors."""
    logs = {name: logging.getLogger(name) for name in ("torch.onnx", "onnxscript")}
    levels = {name: log.level for name, log in logs.items()}
    for log in logs.values():
        log.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logs[name].setLevel(level)


def _name_of(model: Any) -> str:
    return str(getattr(model, "original_name", type(model).__name__))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:REASON_LENGTH].rstrip(".")
