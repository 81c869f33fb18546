"""Two networks that read a digit of 8 × 8 pixels, and how they are trained."""

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn


def digits():
    """Rows (N, 64) from 0 to 1 and their labels: two thirds to train on, and the rest to judge."""
    x, y = load_digits(return_X_y=True)
    return train_test_split((x / 16).astype(np.float32), y, test_size=1 / 3, random_state=0, stratify=y)


class Convolutional(nn.Module):
    """Two convolutions and a dense layer."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(64 * 16, 10),
        )

    def forward(self, pixels):
        return self.layers(pixels.reshape(-1, 1, 8, 8))


class Transformer(nn.Module):
    """Each row of pixels is a token."""

    def __init__(self, width=64):
        super().__init__()
        self.embed = nn.Linear(8, width)
        self.position = nn.Parameter(torch.zeros(8, width))
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(width, 10)

    def forward(self, pixels):
        tokens = self.embed(pixels.reshape(-1, 8, 8)) + self.position
        return self.head(self.encoder(tokens).mean(dim=1))


def trained(network, epochs=8):
    """Train it on the training rows, the same way every time."""
    # Networks as small as these gain nothing from several threads.
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = network()
    x, _, y, _ = digits()
    rows, labels = torch.from_numpy(x), torch.from_numpy(y)
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(rows)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(rows[batch]), labels[batch]).backward()
            optimizer.step()
    return model.eval()
