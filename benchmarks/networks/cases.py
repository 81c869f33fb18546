"""What is measured: each network with its rows, and the way of judging it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

VALIDATION_SENTENCES = 256
CALIBRATION_SENTENCES = 128


@dataclass(frozen=True)
class Data:
    """Rows to judge on, their targets (None: the original's own answers), and rows to calibrate on."""

    rows: Any
    targets: Any
    training: Any


@dataclass(frozen=True)
class Case:
    """A network.

    Attributes:
        name: in tables, and as a folder.
        about: in a few words.
        metric: what its accuracy is.
        build: trains or loads it.
        data: makes its rows.
        is_transformer: whether tools have something of their own for it.
        measure_seconds: for all arms together.
    """

    name: str
    about: str
    metric: str
    build: Callable[[], Any]
    data: Callable[[], Data]
    is_transformer: bool = False
    measure_seconds: float = 24.0


def _digits() -> Data:
    from benchmarks.networks.digits import digits

    rows = digits()
    return Data(rows.rows, rows.labels, rows.training)


def _sentences() -> Data:
    from benchmarks.networks.minilm import sentences, tokenized

    lines = sentences()
    parts = lines[:VALIDATION_SENTENCES], lines[VALIDATION_SENTENCES:][:CALIBRATION_SENTENCES]
    return Data(tokenized(parts[0]), None, tokenized(parts[1]))


def _torch(name: str) -> Callable[[], Any]:
    def build() -> Any:
        from benchmarks.networks import torch_networks

        return torch_networks.trained(getattr(torch_networks, name))

    return build


def _keras(name: str) -> Callable[[], Any]:
    def build() -> Any:
        from benchmarks.networks import keras_networks

        return keras_networks.trained(getattr(keras_networks, name))

    return build


def _minilm() -> Any:
    from benchmarks.networks.minilm import SentenceEncoder

    return SentenceEncoder().eval()


CASES = (
    Case("torch-mlp", "PyTorch, two hidden layers of 512", "accuracy", _torch("Mlp"), _digits),
    Case("torch-cnn", "PyTorch, three convolutions", "accuracy", _torch("Cnn"), _digits),
    Case("torch-lstm", "PyTorch, one layer of 128, 8 steps", "accuracy", _torch("Lstm"), _digits),
    Case("torch-transformer", "PyTorch, two layers of 128, 8 tokens", "accuracy", _torch("Transformer"), _digits, True),
    Case("keras-cnn", "Keras Sequential, three convolutions", "accuracy", _keras("cnn"), _digits),
    Case("keras-lstm", "Keras functional, one layer of 128, 8 steps", "accuracy", _keras("lstm"), _digits),
    Case(
        "keras-attention",
        "Keras functional, two layers of 64, 8 tokens",
        "accuracy",
        _keras("attention"),
        _digits,
        True,
    ),
    Case(
        "minilm",
        "all-MiniLM-L6-v2 through transformers, 32 tokens",
        "cosine",
        _minilm,
        _sentences,
        is_transformer=True,
        measure_seconds=150.0,
    ),
)
