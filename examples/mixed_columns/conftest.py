"""The rows, with what was derived from them, and the model."""

import model
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split


@pytest.fixture(scope="session")
def split():
    """442 real patients. The words and the gaps are derived; the numbers are as they were measured."""
    x, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
    x["weight class"] = pd.cut(
        x.pop("bmi"), [0, 18.5, 25, 30, np.inf], labels=["under", "normal", "over", "obese"], right=False
    )
    x = x.astype({"sex": int}).astype({"sex": str, "weight class": object})
    x.loc[::7, "s6"] = np.nan
    x.loc[::11, "weight class"] = "unknown"
    return train_test_split(x, y, test_size=0.5, random_state=0)


@pytest.fixture(scope="session")
def inferopt_model(split):
    x_train, _, y_train, _ = split
    return model.train(x_train, y_train)


@pytest.fixture(scope="session")
def inferopt_data(split):
    _, x_holdout, _, y_holdout = split
    return x_holdout, y_holdout
