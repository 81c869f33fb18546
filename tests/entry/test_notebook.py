"""The Python door as a data scientist meets it first: in a notebook, executed by a real kernel."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from textwrap import dedent

import nbformat
import pytest

CELLS = [
    """
    import warnings
    warnings.simplefilter("error")
    import numpy as np
    from sklearn.base import BaseEstimator, TransformerMixin
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression
    from pytest_inferopt import InferenceOptimizer
    x, y = load_iris(return_X_y=True)
    """,
    """
    def recall_of_virginica(y_true, y_pred):
        return float((y_pred[y_true == 2] == 2).mean())

    class Calm(LogisticRegression):
        "An estimator that only this notebook knows."
        def __init__(self):
            super().__init__(max_iter=500)
    """,
    """
    with InferenceOptimizer(iterations=20, warmup_iterations=2, batch_sizes=[1, 16]) as optimizer:
        result = optimizer.optimize(
            LogisticRegression(max_iter=500).fit(x, y), x, y, name="iris <&> flowers",
            metric=recall_of_virginica, metric_direction="higher", variants={"onnx": ["onnx_conversion"]},
        )
        own = optimizer.optimize(Calm().fit(x, y), x, y, name="own")
    result
    """,
    "result.to_pandas()",
    "print(own.original.accuracy.score > 0.9, own.optimized.name, [check.outcome for check in own.checks])",
]
# In a process of its own: a kernel's client brings an event loop and sockets, whose warnings are not this project's.
EXECUTE = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": sys.argv[2]}}).execute()
nbformat.write(notebook, sys.argv[1])
"""


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """What each cell shows: its last output's data by type, or its text."""
    folder = tmp_path_factory.mktemp("notebook")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(dedent(cell).strip()) for cell in CELLS])
    path = folder / "door.ipynb"
    nbformat.write(notebook, path)
    command = [sys.executable, "-c", EXECUTE, str(path), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    return [cell["outputs"] for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]]


def test_a_result_is_shown_as_a_table_with_the_variants_names_as_text(outputs):
    (shown,) = outputs[2]
    html = "".join(shown["data"]["text/html"])
    assert re.findall(r"<td[^>]*>(original sklearn|onnx)</td>", html) == ["original sklearn", "onnx"]
    assert "inferopt: iris &lt;&amp;&gt; flowers" in html
    assert "recall_of_virginica" in html
    assert "".join(shown["data"]["text/plain"]).startswith("RunResult('iris <&> flowers', passed, best='onnx'")


def test_a_result_becomes_a_data_frame(outputs):
    (shown,) = outputs[3]
    assert "4 rows × 51 columns" in "".join(shown["data"]["text/html"])


def test_an_estimator_class_of_a_cell_reaches_the_worker(outputs):
    (shown,) = outputs[4]
    assert "".join(shown["text"]) == "True optimized ['passed', 'passed']\n"
