"""Networks and forests of digits, graphs made by hand, and a bench to work at."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.neural_network import MLPClassifier

from pytest_inferopt.domain.artifact import Artifact, RunOptions, Workbench
from pytest_inferopt.runtimes.ort import OnnxRuntime

X, Y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """Files of a network and of a forest, both fitted to the digits."""
    folder = tmp_path_factory.mktemp("digits")
    network = MLPClassifier((256, 128), max_iter=15, random_state=0)
    forest = RandomForestClassifier(10, random_state=0)
    paths = {}
    with pytest.warns(Warning, match="converge"):
        network.fit(X, Y)
    for name, model in (("network", network), ("forest", forest.fit(X, Y))):
        converted = to_onnx(model, X[:1], target_opset={"": 17, "ai.onnx.ml": 3}, options={"zipmap": False})
        paths[name] = folder / f"{name}.onnx"
        paths[name].write_bytes(converted.SerializeToString())
    return paths


@pytest.fixture
def bench(tmp_path):
    folder = tmp_path / "bench"
    folder.mkdir()
    return Workbench(
        folder=folder,
        opset=17,
        random_seed=0,
        samples=X[:4],
        open=lambda artifact: OnnxRuntime().open(artifact, RunOptions()),
        to_onnx=lambda artifact: artifact,
        seconds_left=lambda: 60.0,
    )


@pytest.fixture
def model(tmp_path):
    """`model(nodes, weights)`: the artifact of a file that maps x (N, 16) to y."""

    def model(nodes, weights=(), inputs=()):
        graph = helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 16]), *inputs],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            initializer=list(weights),
        )
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        path = tmp_path / "model.onnx"
        path.write_bytes(proto.SerializeToString())
        return Artifact("onnx", path)

    return model
