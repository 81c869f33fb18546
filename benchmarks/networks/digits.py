"""The rows that networks are trained on here: the 1,797 handwritten digits that scikit-learn bundles."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

if TYPE_CHECKING:
    from numpy.typing import NDArray

PIXELS, CLASSES = 64, 10


class Digits(NamedTuple):
    """Pixels (N, 64) from 0 to 1 as float32 and labels (N,); a third judges, and takes no part in the training."""

    training: NDArray[np.float32]
    training_labels: NDArray[np.int64]
    rows: NDArray[np.float32]
    labels: NDArray[np.int64]


def digits() -> Digits:
    """The same split every time."""
    x, y = load_digits(return_X_y=True)
    split = train_test_split((x / 16).astype(np.float32), y, test_size=1 / 3, random_state=0, stratify=y)
    training, rows, training_labels, labels = split
    return Digits(training, training_labels, rows, labels)
