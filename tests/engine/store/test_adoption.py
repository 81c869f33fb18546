from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pytest_inferopt.domain.artifact import Artifact, Signature, TensorSpec
from pytest_inferopt.engine.store.adoption import adopted, content_digest, document_of

ORIGINAL = Artifact(format="sklearn", path=Path("m.pkl"), model=object(), task="classification", classes=("no", "yes"))
SIGNATURE = Signature(
    (TensorSpec("x", "float32", ("N", 4)), TensorSpec("city", "str", ("N", 1), columns=("city",))),
    (TensorSpec("label", "str", ("N",), role="label"), TensorSpec("p", "float32", (None, 2), role="probabilities")),
)


@pytest.fixture
def onnx_file(tmp_path):
    """`onnx_file(is_external=…)`: a file with one weight, in it or beside it."""

    def onnx_file(*, is_external=False):
        weights = numpy_helper.from_array(np.ones(1024, np.float32), "w")
        graph = helper.make_graph(
            [helper.make_node("Add", ["x", "w"], ["y"])],
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1024])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 1024])],
            [weights],
        )
        path = tmp_path / "made.onnx"
        onnx.save(helper.make_model(graph), path, save_as_external_data=is_external, size_threshold=0)
        return path

    return onnx_file


def made(path, **changes):
    fields = {"format": "onnx", "path": path, "model": None, "signature": SIGNATURE}
    return ORIGINAL.evolve("onnx_conversion", notes=["opset 17."], **{**fields, **changes})


def test_an_artifact_comes_back_from_its_file_and_a_json_document(onnx_file):
    before = made(onnx_file())
    document = json.loads(json.dumps(document_of(before, ORIGINAL)))
    after = adopted(ORIGINAL, format="onnx", path=before.path, document=document)
    assert vars(after) == vars(before)
    assert after.lineage == ("onnx_conversion",)


def test_a_file_without_a_signature_has_none_afterwards(onnx_file):
    document = document_of(made(onnx_file(), signature=None), ORIGINAL)
    assert adopted(ORIGINAL, format="onnx", path=Path("x"), document=document).signature is None


def test_what_the_file_alone_is_not_cannot_be_adopted(onnx_file):
    path = onnx_file()
    assert document_of(made(path, model=object(), format="sklearn"), ORIGINAL) is None
    assert document_of(made(path, classes=("yes", "no")), ORIGINAL) is None
    assert document_of(made(path, task="regression"), ORIGINAL) is None
    assert document_of(made(onnx_file(is_external=True)), ORIGINAL) is None


def test_a_format_that_is_not_onnx_stands_alone(tmp_path):
    assert document_of(made(tmp_path / "engine.trt", format="tensorrt"), ORIGINAL) is not None


def test_the_digest_of_a_value_is_that_of_its_pickle_and_none_without_one():
    assert content_digest((1, "a")) == content_digest((1, "a")) != content_digest((1, "b"))
    assert content_digest(lambda: None) is None
