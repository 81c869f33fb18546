"""What a training job leaves behind: a CSV file of held-out rows, and a model file."""

import joblib
import model
import pytest


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory):
    return tmp_path_factory.mktemp("artifacts")


@pytest.fixture(scope="session")
def holdout(artifacts):
    path = artifacts / "holdout.csv"
    model.patients()[1].to_csv(path, index=False)
    return {"source": "csv", "path": str(path), "target": model.TARGET}


@pytest.fixture(scope="session")
def model_file(artifacts):
    path = artifacts / "model.joblib"
    joblib.dump(model.sklearn(), path)
    return path
