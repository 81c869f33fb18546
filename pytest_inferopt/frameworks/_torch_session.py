"""A network, ready to run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_inferopt.domain.artifact import TensorSpec
from pytest_inferopt.domain.predictions import by_role
from pytest_inferopt.errors import NotMeasuredError
from pytest_inferopt.frameworks._native import NativeSession
from pytest_inferopt.frameworks._onnx_file import with_roles
from pytest_inferopt.frameworks._torch_calls import call_of, flat_outputs, runnable

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_inferopt.domain.artifact import Artifact, Prediction, Rows, RunOptions
    from pytest_inferopt.frameworks._torch_calls import Arguments

__all__ = ["open_network"]

CPU, CUDA = "cpu", "cuda"
TIMED = "forward (eval, inference_mode)"


def open_network(artifact: Artifact, options: RunOptions) -> NativeSession:
    """A session of a network; it runs from tensors in the host's memory to tensors in the host's memory.

    Threads are a setting of the whole process, which has only one network at a time.

    Raises:
        NotMeasuredError: another provider than the CPU was asked for, and PyTorch finds no device.
    """
    import torch

    if options.threads is not None:
        torch.set_num_threads(options.threads)
    model = runnable(artifact.model)
    run = _on_cpu(model) if options.provider == CPU else _on_device(model, options.provider)

    def prepare(rows: Rows) -> Arguments:
        call = call_of(model, rows)
        return call.arguments(call.feed(rows))

    def predict(rows: Rows) -> Prediction:
        return _predicted(flat_outputs(run(prepare(rows))))

    return NativeSession(call=TIMED, own_threads=None, run=run, prepare=prepare, predict=predict)


def _on_cpu(model: Any) -> Callable[[Arguments], Any]:
    import torch

    def run(feed: Arguments) -> Any:
        args, named = feed
        with torch.inference_mode():
            return model(*args, **named)

    return run


def _on_device(model: Any, provider: str) -> Callable[[Arguments], Any]:
    import torch

    if not torch.cuda.is_available():
        raise NotMeasuredError(
            f"provider {provider} was asked for, and PyTorch {torch.__version__} finds no CUDA device.",
            "Install a CUDA build of PyTorch and its driver, or use provider='cpu'.",
        )
    moved = model.to(CUDA)

    def run(feed: Arguments) -> Any:
        args, named = _to_device(feed)
        with torch.inference_mode():
            return {name: tensor.cpu() for name, tensor in flat_outputs(moved(*args, **named)).items()}

    return run


def _to_device(feed: Any) -> Any:
    if isinstance(feed, dict):
        return {name: _to_device(part) for name, part in feed.items()}
    return tuple(map(_to_device, feed)) if isinstance(feed, tuple) else feed.to(CUDA)


def _predicted(outputs: dict[str, Any]) -> Prediction:
    """The answer in parts, which mean what the same names and types mean in an ONNX file."""
    arrays = {name: _array(tensor) for name, tensor in outputs.items()}
    specs = [TensorSpec(name, str(array.dtype), (None, *array.shape[1:])) for name, array in arrays.items()]
    return by_role(list(arrays.values()), with_roles(specs))


def _array(tensor: Any) -> Any:
    """As NumPy has it, which knows no bfloat16."""
    import torch

    return (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy()
