"""PyTorch."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_inferopt.domain.artifact import Artifact
from pytest_inferopt.domain.model_file import inspect_model_file, shown_path
from pytest_inferopt.domain.plugins import Framework
from pytest_inferopt.domain.request import CONVERSION
from pytest_inferopt.domain.silence import silence
from pytest_inferopt.domain.text import printable
from pytest_inferopt.errors import NotMeasuredError, UsageError
from pytest_inferopt.frameworks._onnx_file import read_signature
from pytest_inferopt.frameworks._skl2onnx import need
from pytest_inferopt.frameworks._torch_calls import call_of, runnable
from pytest_inferopt.frameworks._torch_digest import network_digest
from pytest_inferopt.frameworks._torch_export import export
from pytest_inferopt.frameworks._torch_files import torch_file
from pytest_inferopt.frameworks._torch_session import open_network

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_inferopt.domain.artifact import Rows, RunOptions, Session

__all__ = ["Pytorch"]

REASON_LENGTH = 300


class Pytorch(Framework):
    """Networks of PyTorch: modules, TorchScript, exported programs.

    They run in evaluation and inference mode. Of files, TorchScript (``torch.jit.save``) and exported programs
    (``torch.export.save``) are programs of PyTorch's own; a pickled module runs any code when it is loaded; weights
    alone are no model.
    """

    name: ClassVar[str] = "pytorch"
    needs: ClassVar[tuple[str, ...]] = ("torch",)
    extra: ClassVar[str] = "torch"
    module_roots: ClassVar[tuple[str, ...]] = ("torch",)
    suffixes: ClassVar[tuple[str, ...]] = (".pt", ".pth", ".pt2")

    def save(self, model: Any, path: Path) -> None:
        """Write it in PyTorch's archive of its kind; classes of a plain module travel as its pickle has them."""
        import cloudpickle
        import torch

        # TorchScript is deprecated, and its user has been told so by whoever made it.
        with silence():
            if isinstance(model, torch.jit.ScriptModule):
                torch.jit.save(model, path)
            elif isinstance(model, torch.export.ExportedProgram):
                with path.open("wb") as stream:
                    torch.export.save(model, stream)
            elif isinstance(model, torch.nn.Module):
                torch.save(model, path, pickle_module=cloudpickle)
            else:
                kind = type(model).__name__
                raise UsageError(
                    f"a {kind} is no network.", "Pass an nn.Module, a scripted one, or an ExportedProgram."
                )

    def runs_code(self, path: Path) -> bool:
        """Whether it is a pickle that PyTorch's ``weights_only`` reader refuses; nothing weaker is tried."""
        return torch_file(path) == "pickle" and not _are_weights(path)

    def load(self, path: Path) -> Artifact:
        """Read an archive, whichever of the three it is.

        Raises:
            NotMeasuredError: it is damaged, or a module or class that it needs is not here.
            UsageError: it holds weights alone.
        """
        if self.claims(path):
            inspect_model_file(path)
        with _explained(path):
            model = _read(path)
        if not hasattr(model, "forward") and not hasattr(model, "graph_signature"):
            raise UsageError(
                f"{shown_path(path)} holds {_what(model)}, not a network.",
                "Give package.module:factory that builds the network and loads them, or save it by torch.export.save.",
            )
        return self.describe(model, path)

    def describe(self, model: Any, path: Path) -> Artifact:
        """The network in evaluation mode; what it answers is learnt from its outputs."""
        notes = []
        if getattr(model, "training", False):
            model.eval()
            notes.append("it came in training mode; dropout and batch normalization are set to evaluation")
        return Artifact(format=self.name, path=path, model=model, notes=tuple(notes))

    def check_rows(self, artifact: Artifact, rows: Rows) -> None:
        """Hold a mapping's keys against the parameters of ``forward``."""
        call_of(runnable(artifact.model), rows)

    def to_onnx(self, artifact: Artifact, path: Path, *, opset: int, samples: Rows) -> Artifact:
        """Export it, by the tracing exporter or, where that fails, by the one on torch.export."""
        need("cpu", "onnx")
        call = call_of(runnable(artifact.model), samples)
        exported = export(artifact.model, call, path, opset=opset, samples=samples)
        signature = read_signature(exported.model)
        return artifact.evolve(
            CONVERSION, notes=exported.notes, format="onnx", path=path, model=None, signature=signature
        )

    def open(self, artifact: Artifact, options: RunOptions) -> Session:
        """Run ``forward`` in inference mode, with so many threads in the whole process.

        Raises:
            NotMeasuredError: CUDA was asked for, and PyTorch finds no device.
        """
        return open_network(artifact, options)

    def fingerprint(self, model: object) -> str | None:
        """SHA-256 of its modules' plain attributes and of its tensors; None where an attribute is not plain."""
        return network_digest(model)


def _read(path: Path) -> Any:
    import torch

    kind = torch_file(path)
    if kind == "script":
        return torch.jit.load(path, map_location="cpu")
    if kind == "exported":
        with path.open("rb") as stream:
            return torch.export.load(stream)
    return torch.load(path, map_location="cpu", weights_only=False)


def _are_weights(path: Path) -> bool:
    import torch

    try:
        torch.load(path, map_location="cpu", weights_only=True)
    # What is no pickle is told apart when it is loaded, by the same reader.
    except Exception:  # noqa: BLE001
        return False
    return True


def _what(value: Any) -> str:
    return "weights alone (a state_dict)" if isinstance(value, dict) else f"a {type(value).__name__}"


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    with silence():
        try:
            yield
        except ModuleNotFoundError as error:
            name = error.name or ""
            raise NotMeasuredError(
                f"{shown_path(path)} needs the module {name!r}, which is not installed.",
                f"Install what brings {name.partition('.')[0]!r}.",
            ) from error
        except AttributeError as error:
            raise NotMeasuredError(
                f"{shown_path(path)} needs a class that is not here: {printable(str(error), REASON_LENGTH)}.",
                "Install the version that it was saved with.",
            ) from error
        # Reading runs PyTorch's own parsers and, of a pickle, the constructors of any class.
        except Exception as error:
            text = printable(" ".join(str(error).split()), REASON_LENGTH)
            raise NotMeasuredError(
                f"{shown_path(path)} cannot be read by PyTorch: {type(error).__name__}: {text}.", "Save it again."
            ) from error
