"""Techniques in an order in which one of them finds nothing to work on: refused, with the order that works."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_digits

from pytest_inferopt.domain.artifact import Artifact, Dataset, RunOptions
from pytest_inferopt.domain.request import TechniqueSpec, parse_request
from pytest_inferopt.engine.pipeline import plan
from pytest_inferopt.errors import UsageError
from pytest_inferopt.registry import discover
from pytest_inferopt.runtimes.ort import OnnxRuntime

X, Y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)

STATIC = {"name": "quantization", "method": "static"}
TIDY = {"name": "graph_optimization", "passes": ["onnxslim", "onnxruntime"], "level": "basic"}
NONE = "No order of these steps works; leave it out."


def planned(*steps, native):
    (found,) = plan(parse_request({"optimizations": list(steps)}, where="test"), native, discover()).values()
    return [step.spec.name for step in found]


@pytest.mark.parametrize("native", ["pytorch", "tensorflow", "sklearn", "onnx"])
@pytest.mark.parametrize(
    ("steps", "told"),
    [
        (["fp16", "quantization"], f"quantization cannot come after fp16; {NONE}"),
        (["fp16", STATIC], f"quantization (static) cannot come after fp16; {NONE}"),
        ([STATIC, "fp16"], f"fp16 cannot come after quantization; {NONE}"),
        (["quantization", STATIC], f"quantization (static) cannot come after quantization; {NONE}"),
        (["fp16", "fp16"], f"fp16 cannot come after fp16; {NONE}"),
        (
            ["graph_optimization", STATIC],
            (
                "quantization (static) cannot come after graph_optimization; "
                'This order works: ["quantization", "graph_optimization"].'
            ),
        ),
        (
            ["graph_optimization", "onnx_conversion", "quantization"],
            (
                "quantization cannot come after graph_optimization; "
                'This order works: ["onnx_conversion", "quantization", "graph_optimization"].'
            ),
        ),
    ],
)
def test_a_misfit_is_refused_before_anything_runs_with_the_list_that_works(steps, told, native):
    with pytest.raises(UsageError) as caught:
        planned(*steps, native=native)
    assert str(caught.value) == f"variant 'optimized': {told}"


@pytest.mark.parametrize("native", ["pytorch", "tensorflow", "sklearn"])
@pytest.mark.parametrize("steps", [["quantization", "graph_optimization"], [TIDY, STATIC], [TIDY, "fp16"]])
def test_the_lists_that_work_are_planned(steps, native):
    named = [step if isinstance(step, str) else step["name"] for step in steps]
    assert planned(*steps, native=native) == ["onnx_conversion", *named]


@pytest.mark.parametrize("steps", [[TIDY, STATIC], [STATIC, "graph_optimization"]])
def test_the_lists_that_work_do_work(steps, digits, bench):
    now = Artifact("onnx", digits["network"], task="classification", lineage=("onnx_conversion",))
    told = []
    for number, step in enumerate(steps):
        (bench.folder / str(number)).mkdir()
        own = replace(bench, folder=bench.folder / str(number), training=Dataset(X[:600], Y[:600]))
        options = dict(step) if isinstance(step, dict) else {"name": step}
        technique = discover().technique(TechniqueSpec(name=options.pop("name"), options=options))
        now = technique.apply(now, own)
        told += now.notes
    assert any("3 of 3 operators quantized" in note for note in told)
    session = OnnxRuntime().open(Artifact("onnx", now.path), RunOptions())
    assert np.mean(session.run({"X": X[600:]})[0] == Y[600:]) > 0.95
