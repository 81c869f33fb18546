"""From a network to an ONNX file: two exporters, and the proof that the file answers as the network does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_inferopt.domain.artifact import row_count, take_rows
from pytest_inferopt.domain.silence import silence
from pytest_inferopt.errors import InferoptError, RefusedError
from pytest_inferopt.frameworks._onnx_file import opset_of
from pytest_inferopt.frameworks._proving import finished, one_line, prove_outputs, versions_text
from pytest_inferopt.frameworks._torch_calls import flat_outputs, is_exported, runnable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_inferopt.domain.artifact import Rows
    from pytest_inferopt.frameworks._torch_calls import Call

__all__ = ["Exported", "export"]

BATCH = "batch"
# An axis of one row would be taken for a constant: https://github.com/pytorch/pytorch/issues/151582.
EXAMPLE_ROWS = 2
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
            with silence("torch.onnx", "onnxscript"):
                notes = exporter(task)
            proto = finished(task.path)
            notes = [f"exported by PyTorch's {name} exporter: {versions_text(proto, opset)}", *notes]
            notes.append(prove_outputs(task.path, _Asked(task, samples), is_fixed_allowed=is_exported(model)))
            notes += [f"the {failure}" for failure in failures]
            return Exported(proto, tuple(notes))
        except InferoptError as error:
            failures.append(f"{name} exporter failed: {error.message.rstrip('.')}")
        # The exporters raise whatever their passes raise.
        except Exception as error:  # noqa: BLE001
            failures.append(f"{name} exporter failed: {type(error).__name__}: {one_line(error)}")
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
        return [f"this exporter writes opset {written} at least, and it cannot be brought down: {one_line(error)}"]
    task.path.write_bytes(lowered.SerializeToString(deterministic=True))
    return [f"this exporter wrote opset {written}; brought down by onnx.version_converter"]


def _apart(names: list[str], taken: tuple[str, ...]) -> list[str]:
    """Output names that no input has: a graph knows one tensor of a name."""
    return [f"{name}_out" if name in taken else name for name in names]


@dataclass(frozen=True, eq=False)
class _Asked:
    """The network, as the proof asks it."""

    task: _Task
    samples: Rows

    def __call__(self, count: int) -> tuple[dict[str, Any], dict[str, Any]]:
        import numpy as np

        call = self.task.call
        feed = call.feed(take_rows(self.samples, np.resize(np.arange(row_count(self.samples)), count)))
        arrays = dict(zip(call.names, (tensor.numpy() for tensor in feed), strict=True))
        return arrays, {name: tensor.cpu().numpy() for name, tensor in self.task.answer(feed).items()}


def _name_of(model: Any) -> str:
    return str(getattr(model, "original_name", type(model).__name__))
