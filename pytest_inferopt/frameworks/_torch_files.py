"""What a file of PyTorch's holds, told from its table of contents; nothing is loaded and nothing is executed."""

from __future__ import annotations

import zipfile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["TorchFile", "torch_file"]

TorchFile = Literal["script", "exported", "pickle"]


def torch_file(path: Path) -> TorchFile:
    """What wrote the file.

    ``script`` is `torch.jit.save`'s, ``exported`` `torch.export.save`'s, and ``pickle`` `torch.save`'s, whether a whole
    module or weights alone. What is no zip archive can only be the last, as PyTorch wrote it before 1.6.
    """
    if not zipfile.is_zipfile(path):
        return "pickle"
    with zipfile.ZipFile(path) as archive:
        # All entries lie in one folder that is named after the file.
        names = {str(PurePosixPath(*PurePosixPath(name).parts[1:])) for name in archive.namelist()}
        names |= set(archive.namelist())
    if names & {"archive_format", "serialized_exported_program.json"}:
        return "exported"
    return "script" if "constants.pkl" in names else "pickle"
