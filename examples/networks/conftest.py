"""What the tests of this repository share."""

import model
import pytest


@pytest.fixture(scope="session")
def holdout():
    _, x, _, y = model.digits()
    return x, y


@pytest.fixture(scope="session")
def inferopt_training_data():
    x, _, y, _ = model.digits()
    return x, y
