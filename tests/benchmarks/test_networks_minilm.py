"""The real sentence transformer, by PyTorch, as ONNX, and as INT8."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from torch import nn

from benchmarks.networks.minilm import TOKENS, SentenceEncoder, sentences, tokenized, weights_folder
from pytest_inferopt import InferenceOptimizer

ROWS = 48


@pytest.fixture(scope="module")
def optimizer(tmp_path_factory):
    store = tmp_path_factory.mktemp("minilm")
    with InferenceOptimizer(store, quick=True, batch_sizes=[1], iterations=2, warmup_iterations=1) as optimizer:
        yield optimizer


@pytest.fixture(scope="module")
def tokens():
    return tokenized(sentences()[:ROWS])


class Plain(nn.Module):
    """The transformer by itself, which answers with a dataclass of transformers."""

    def __init__(self):
        super().__init__()
        self.transformer = SentenceEncoder().transformer

    def forward(self, input_ids, attention_mask):
        return self.transformer(input_ids=input_ids, attention_mask=attention_mask)


def test_sentences_are_real_and_the_same_every_time():
    assert sentences() == sentences()
    assert len(sentences()) > 1000
    assert (weights_folder() / "model.safetensors").stat().st_size > 90_000_000


def test_sentences_of_like_meaning_are_near(tokens):
    encode = SentenceEncoder()
    import torch

    rows = tokenized(["A file is deleted.", "Remove the file.", "The sine of an angle."])
    with torch.inference_mode():
        vectors = encode(**{name: torch.from_numpy(array) for name, array in rows.items()}).numpy()
    assert tokens["input_ids"].shape == (ROWS, TOKENS)
    near, far = vectors[0] @ vectors[1], vectors[0] @ vectors[2]
    assert near > 0.6
    assert far < 0.3


def test_it_answers_as_onnx_and_as_int8_what_it_answers(optimizer, tokens):
    result = optimizer.optimize(
        SentenceEncoder().eval(),
        tokens,
        metric="cosine",
        accuracy_threshold=0.98,
        variants={"onnx": ["onnx_conversion"], "int8": ["quantization"]},
    )

    assert result.passed, result.checks
    onnx_, int8 = result.variants["onnx"], result.variants["int8"]
    assert onnx_.conversion.max_difference < 1e-5
    assert onnx_.conversion.batch_sizes_run == (1, 3, 7)
    assert int8.size_bytes < 0.3 * onnx_.size_bytes
    written = {entry.domain: entry.version for entry in onnx.load(onnx_.path, load_external_data=False).opset_import}
    assert written[""] == onnx_.conversion.opset


def test_its_own_dataclass_comes_out_as_named_outputs(optimizer, tokens):
    few = {name: array[:16] for name, array in tokens.items()}
    result = optimizer.optimize(Plain().eval(), few, metric="cosine", optimizations=["onnx_conversion"])

    assert result.passed, result.checks
    outputs = [output["name"] for output in result.optimized.artifact["signature"]["outputs"]]
    assert outputs[:1] == ["last_hidden_state"]
    assert np.isclose(result.optimized.accuracy.score, 1.0, atol=1e-6)
