"""The fixtures: rows held out from training, and each model, trained once a session."""

from typing import NamedTuple

import model
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


class Rows(NamedTuple):
    x: NDArray
    y: NDArray


@pytest.fixture(scope="session")
def split() -> tuple[Rows, Rows]:
    """1,797 real images: half to train on, half to judge with."""
    x, y = load_digits(return_X_y=True)
    x_train, x_holdout, y_train, y_holdout = train_test_split(x, y, test_size=0.5, random_state=0, stratify=y)
    return Rows(x_train, y_train), Rows(x_holdout, y_holdout)


@pytest.fixture(scope="session")
def holdout(split) -> Rows:
    return split[1]


@pytest.fixture(scope="session")
def forest(split):
    return model.train_forest(*split[0])


@pytest.fixture(scope="session")
def network(split):
    return model.train_network(*split[0])
