"""Four networks in PyTorch, and their training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from benchmarks.networks.digits import CLASSES, PIXELS, digits

if TYPE_CHECKING:
    from collections.abc import Callable

EPOCHS, BATCH_ROWS, LEARNING_RATE = 12, 64, 2e-3
SIDE = 8


class Mlp(nn.Sequential):
    """Two hidden layers of 512 units."""

    def __init__(self) -> None:
        super().__init__(
            nn.Linear(PIXELS, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Dropout(0.2), nn.Linear(512, CLASSES)
        )


class Cnn(nn.Module):
    """Three convolutions and a dense layer: 1.1 MB."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 64, 3, padding=1),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.Conv2d(64, 128, 3, padding=1),
            nn.BatchNorm2d(128),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(128, 128, 3, padding=1),
            nn.BatchNorm2d(128),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(128 * (SIDE // 2) ** 2, CLASSES),
        )

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Scores (N, 10) of pixels (N, 64)."""
        return self.layers(pixels.reshape(-1, 1, SIDE, SIDE))


class Lstm(nn.Module):
    """Each row of the picture is a step in time."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(SIDE, 128, batch_first=True)
        self.head = nn.Linear(128, CLASSES)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Scores (N, 10) of pixels (N, 64)."""
        states, _ = self.lstm(pixels.reshape(-1, SIDE, SIDE))
        return self.head(states[:, -1])


class Transformer(nn.Module):
    """Each row of the picture is a token; two layers of width 128."""

    def __init__(self, width: int = 128) -> None:
        super().__init__()
        self.embed = nn.Linear(SIDE, width)
        self.position = nn.Parameter(torch.zeros(SIDE, width))
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(width, CLASSES)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Scores (N, 10) of pixels (N, 64)."""
        tokens = self.embed(pixels.reshape(-1, SIDE, SIDE)) + self.position
        return self.head(self.encoder(tokens).mean(dim=1))


def trained(network: Callable[[], nn.Module]) -> nn.Module:
    """Train it on the training rows, the same way every time."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = network()
    rows = digits()
    x, y = torch.from_numpy(rows.training), torch.from_numpy(rows.training_labels)
    optimizer = torch.optim.AdamW(model.parameters(), LEARNING_RATE)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(x)).split(BATCH_ROWS):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
    return model.eval()
