"""A stable digest of a network's content: its modules' settings and its tensors; its code is told apart."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["network_digest"]

SIMPLE = (bool, int, float, complex, str, bytes, type(None))
# What `nn.Module` itself keeps, and caches that say nothing of what it answers.
OWN = frozenset({"training", "call_super_init", "dump_patches", "T_destination"})


def network_digest(model: Any) -> str | None:
    """SHA-256 over every module's class and plain attributes and every tensor; None where an attribute is not plain.

    Plain are numbers, texts, None, types of tensors, and tuples, lists and dictionaries of these; a function or an
    object of another kind may decide what is answered, and has no digest.
    """
    digest = hashlib.sha256()
    try:
        for line in _described(model):
            digest.update(line)
    except _NotPlainError:
        return None
    return digest.hexdigest()


class _NotPlainError(Exception):
    pass


def _described(model: Any) -> Iterator[bytes]:
    import torch

    if isinstance(model, torch.jit.ScriptModule):
        yield str(model.inlined_graph).encode()
    elif isinstance(model, torch.export.ExportedProgram):
        yield model.graph_module.code.encode()
        yield str(model.graph_signature).encode()
        yield from _tensors({**model.state_dict, **model.constants})
        return
    else:
        for name, module in model.named_modules():
            cls = type(module)
            yield f"{name} {cls.__module__}.{cls.__qualname__}".encode()
            for key, value in sorted(vars(module).items()):
                if not key.startswith("_") and key not in OWN:
                    yield f"{key}={_plain(value)}".encode()
    # Buffers that are not saved count too.
    yield from _tensors({**dict(model.named_parameters()), **dict(model.named_buffers())})


def _tensors(named: dict[str, Any]) -> Iterator[bytes]:
    import torch

    for name, tensor in sorted(named.items()):
        if not isinstance(tensor, torch.Tensor):
            raise _NotPlainError
        whole = tensor.detach().cpu().contiguous()
        yield f"{name} {whole.dtype} {tuple(whole.shape)}".encode()
        yield whole.reshape(-1).view(torch.uint8).numpy().tobytes() if whole.numel() else b""


def _plain(value: Any) -> str:
    import torch

    if isinstance(value, (*SIMPLE, torch.dtype, torch.Size, torch.device)):
        return repr(value)
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(_plain, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(sorted(f'{_plain(key)}: {_plain(part)}' for key, part in value.items()))}}}"
    raise _NotPlainError
