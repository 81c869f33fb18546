"""PyTorch's networks answer as ONNX what they answer as they are."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import cloudpickle
import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from torch import nn

from pytest_inferopt.domain.artifact import RunOptions
from pytest_inferopt.engine.workshop.loading import load_file
from pytest_inferopt.errors import NotMeasuredError, RefusedError, UsageError
from pytest_inferopt.frameworks.pytorch import Pytorch
from pytest_inferopt.registry import discover

FRAMEWORK = Pytorch()
RANDOM = np.random.default_rng(0)
DIGITS = RANDOM.random((40, 64), dtype=np.float32)
TOKENS = {
    "input_ids": RANDOM.integers(0, 100, (20, 6)),
    "attention_mask": RANDOM.integers(0, 2, (20, 6)),
}
PAIR = {"left": RANDOM.random((20, 5)), "right": RANDOM.random((20, 3), dtype=np.float32)}
FEATURES = {"a": RANDOM.random((20, 5), dtype=np.float32), "b": RANDOM.random(20, dtype=np.float32)}


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 10))

    def forward(self, x):
        return self.layers(x)


class Cnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()
        )
        self.head = nn.Linear(8 * 16, 10)

    def forward(self, x):
        return self.head(self.features(x.reshape(-1, 1, 8, 8)))


class Lstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(8, 16, batch_first=True)
        self.head = nn.Linear(16, 10)

    def forward(self, x):
        states, _ = self.lstm(x.reshape(-1, 8, 8))
        return self.head(states[:, -1])


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(8, 16)
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(16, 10)

    def forward(self, x):
        return self.head(self.encoder(self.embed(x.reshape(-1, 8, 8))).mean(dim=1))


@dataclass
class Answer:
    last_hidden_state: torch.Tensor
    pooled: torch.Tensor | None = None
    note: str = "no tensor"


class Tokens(nn.Module):
    """Integer inputs by name, a dataclass as answer."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(100, 12)

    def forward(self, input_ids, attention_mask, scale=None):
        hidden = self.embedding(input_ids) * attention_mask.unsqueeze(-1)
        return Answer(hidden if scale is None else hidden * scale, hidden.sum(dim=1))


class Pair(nn.Module):
    """Two tables in, a tuple out."""

    def __init__(self):
        super().__init__()
        self.left = nn.Linear(5, 4)
        self.right = nn.Linear(3, 4)

    def forward(self, left, right):
        both = self.left(left) + self.right(right)
        return both, (both.sum(dim=1), both.argmax(dim=1))


class Features(nn.Module):
    """One dictionary in, a dictionary out."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(5, 2)

    def forward(self, features):
        return {"sentence": self.linear(features["a"]) + features["b"].unsqueeze(-1), "mask": features["b"]}


class Stepping(nn.Module):
    """Uses an operator that only the newer exporter renders."""

    def forward(self, x):
        return torch.heaviside(x[:, :4] - 0.5, x.new_ones(1)) + x[:, 4:8]


class Counting(nn.Module):
    """Reads the number of rows as a number of Python's, which becomes a constant."""

    def forward(self, x):
        return x.reshape(int(x.shape[0]), 2, 32)


class Choosing(nn.Module):
    """Decides by what the rows hold: no exporter can follow it."""

    def forward(self, x):
        return x[:, :2] * 2 if x.sum() > 100 else x[:, :2].exp()


def made(network, seed=0):
    torch.manual_seed(seed)
    return network()


@pytest.mark.parametrize("network", [Mlp, Cnn, Lstm, Transformer])
def test_a_network_answers_the_same_at_the_opset_that_was_asked_for(network, convert):
    both = convert(FRAMEWORK, made(network), DIGITS)

    assert both.agrees, both.difference
    assert both.after.numbers.shape == (40, 10)
    assert onnx.load(both.artifact.path).opset_import[0].version == 17
    assert both.artifact.notes[0] == "exported by PyTorch's tracing exporter: opset 17, IR 8"
    assert both.artifact.notes[1].startswith("run with 1, 3 and 7 rows; largest relative difference ")
    assert both.artifact.signature.inputs[0].is_batch_dynamic


@pytest.mark.parametrize("network", [Mlp, Cnn, Lstm, Transformer, Stepping])
def test_a_network_that_is_converted_again_gives_the_same_bytes(network, tmp_path):
    artifact = FRAMEWORK.describe(made(network), tmp_path / "model.pt")
    files = [tmp_path / f"{number}.onnx" for number in range(2)]
    for path in files:
        FRAMEWORK.to_onnx(artifact, path, opset=17, samples=DIGITS)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_network_in_training_mode_is_timed_and_converted_in_evaluation_mode(convert):
    network = made(Mlp).train()
    both = convert(FRAMEWORK, network, DIGITS)

    assert both.agrees
    assert both.original.notes == ("it came in training mode; dropout and batch normalization are set to evaluation",)


def test_a_table_of_doubles_or_a_frame_is_fed_as_the_network_takes_it(convert):
    network = made(Mlp)
    as_floats = convert(FRAMEWORK, network, DIGITS).before.numbers
    for rows in (DIGITS.astype(np.float64), pd.DataFrame(DIGITS)):
        both = convert(FRAMEWORK, network, rows)
        assert both.agrees
        np.testing.assert_array_equal(both.before.numbers, as_floats)


def test_a_network_of_doubles_keeps_them(convert):
    both = convert(FRAMEWORK, made(Mlp).double(), DIGITS.astype(np.float64))

    assert both.difference["values"] < 1e-12
    assert both.artifact.signature.inputs[0].dtype == "float64"


def test_integer_inputs_are_fed_by_name_and_a_dataclass_answers_with_its_tensors(convert):
    both = convert(FRAMEWORK, made(Tokens), TOKENS)

    assert both.agrees
    assert [(spec.name, spec.dtype) for spec in both.artifact.signature.inputs] == [
        ("input_ids", "int64"),
        ("attention_mask", "int64"),
    ]
    assert [spec.name for spec in both.artifact.signature.outputs] == ["last_hidden_state", "pooled"]
    assert both.before.numbers.shape == (20, 6, 12)


def test_a_tuple_of_tensors_is_flattened_in_its_order(convert):
    both = convert(FRAMEWORK, made(Pair), PAIR)

    assert both.agrees
    assert [spec.name for spec in both.artifact.signature.outputs] == ["output", "output_1.0", "output_1.1"]
    assert both.before.labels.tolist() == both.after.labels.tolist()


def test_a_network_of_one_dictionary_gets_the_rows_as_that_dictionary(convert):
    both = convert(FRAMEWORK, made(Features), FEATURES)

    assert both.agrees
    assert [spec.name for spec in both.artifact.signature.inputs] == ["a", "b"]
    assert [spec.name for spec in both.artifact.signature.outputs] == ["sentence", "mask"]


def test_a_class_of_a_test_module_comes_back_from_its_file(tmp_path):
    class Local(nn.Module):
        def forward(self, x):
            return x * 2

    FRAMEWORK.save(Local(), tmp_path / "original.pkl")
    back = FRAMEWORK.load(tmp_path / "original.pkl")
    answer = FRAMEWORK.open(back, RunOptions()).predict(DIGITS[:3])
    np.testing.assert_array_equal(answer.numbers, 2 * DIGITS[:3])


def scripted(path):
    # PyTorch has announced the end of TorchScript; its files will be around for longer.
    with pytest.warns(DeprecationWarning, match="is deprecated"):
        torch.jit.save(torch.jit.script(made(Mlp)), path)


def exported(path):
    batch = torch.export.Dim("batch", min=2)
    program = torch.export.export(made(Mlp).eval(), (torch.zeros(2, 64),), dynamic_shapes={"x": {0: batch}})
    torch.export.save(program, path)


@pytest.mark.parametrize(("write", "suffix"), [(scripted, ".pt"), (exported, ".pt2")])
def test_a_program_of_pytorch_is_loaded_untrusted_and_converted(write, suffix, tmp_path, convert):
    path = tmp_path / f"network{suffix}"
    write(path)
    artifact = load_file(path, discover(), trust=False)
    both = convert(FRAMEWORK, artifact.model, DIGITS)
    assert both.agrees
    assert both.after.numbers.shape == (40, 10)


def test_a_pickled_module_is_loaded_only_where_it_is_trusted(tmp_path):
    path = tmp_path / "network.pt"
    torch.save(made(Mlp), path, pickle_module=cloudpickle)
    with pytest.raises(RefusedError) as refused:
        load_file(path, discover(), trust=False)
    assert "a pickle executes code when it is loaded" in refused.value.message
    assert load_file(path, discover(), trust=True).format == "pytorch"


@pytest.mark.parametrize("trust", [False, True])
def test_weights_alone_are_no_model_and_the_message_says_what_to_give(trust, tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(made(Mlp).state_dict(), path)
    with pytest.raises(UsageError) as wrong:
        load_file(path, discover(), trust=trust)
    assert "holds weights alone (a state_dict), not a network" in wrong.value.message
    assert "package.module:factory" in wrong.value.hint


def test_a_file_that_is_cut_off_is_not_measured(tmp_path):
    path = tmp_path / "network.pt"
    scripted(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(NotMeasuredError, match=r"cannot be read by PyTorch") as damaged:
        load_file(path, discover(), trust=True)
    assert damaged.value.hint == "Save it again."


def test_where_the_tracing_exporter_lacks_an_operator_the_newer_one_follows_and_says_so(convert):
    both = convert(FRAMEWORK, Stepping(), DIGITS)

    assert both.agrees
    assert both.artifact.notes[0].startswith("exported by PyTorch's torch.export exporter: opset 17")
    assert both.artifact.notes[-1].startswith("the tracing exporter failed: ")


@pytest.mark.parametrize("network", [Choosing, Counting])
def test_a_network_that_no_exporter_can_follow_is_refused_with_the_reasons_of_both(network, to_onnx):
    with pytest.raises(RefusedError) as refused:
        to_onnx(FRAMEWORK, network(), np.full((8, 64), 0.95, np.float32))
    assert f"{network.__name__} cannot be exported: tracing exporter failed:" in refused.value.message
    assert "torch.export exporter failed:" in refused.value.message


@pytest.mark.parametrize(
    ("network", "rows", "message"),
    [
        (Pair, DIGITS, "Pair.forward takes left, right, but the rows are one table."),
        (Pair, {"left": DIGITS}, "the rows have no 'right', which Pair.forward takes."),
        (Pair, {**PAIR, "rigth": DIGITS}, "Pair.forward has no parameter 'rigth';"),
        (Mlp, np.array([["a", "b"]]), "the rows hold <U1, which a network cannot take."),
    ],
    ids=["one table", "missing", "unknown", "text"],
)
def test_rows_that_do_not_fit_are_named(network, rows, message, to_onnx):
    with pytest.raises(UsageError) as wrong:
        to_onnx(FRAMEWORK, made(network), rows)
    assert wrong.value.message == message


def test_a_fingerprint_is_that_of_settings_and_tensors():
    one, same, other = made(Mlp), made(Mlp), made(Mlp, seed=1)
    assert FRAMEWORK.fingerprint(one) == FRAMEWORK.fingerprint(same) != FRAMEWORK.fingerprint(other)
    same.layers[2].p = 0.25
    assert FRAMEWORK.fingerprint(one) != FRAMEWORK.fingerprint(same)
    one.hook = lambda x: x
    assert FRAMEWORK.fingerprint(one) is None


def test_a_fingerprint_outlives_the_journey_to_another_process(tmp_path):
    network = made(Cnn)
    FRAMEWORK.save(network, tmp_path / "original.pkl")
    assert FRAMEWORK.fingerprint(FRAMEWORK.load(tmp_path / "original.pkl").model) == FRAMEWORK.fingerprint(
        network.eval()
    )


def test_threads_are_those_that_were_asked_for():
    before = torch.get_num_threads()
    try:
        FRAMEWORK.open(FRAMEWORK.describe(made(Mlp), None), RunOptions(threads=1))
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a device is here")
def test_a_provider_that_is_not_here_is_never_replaced_by_the_cpu():
    with pytest.raises(NotMeasuredError, match=r"provider cuda was asked for, and PyTorch .* finds no CUDA device"):
        FRAMEWORK.open(FRAMEWORK.describe(made(Mlp), None), RunOptions(provider="cuda"))


def test_pytorch_stays_unloaded_until_a_network_is_handled():
    assert "torch" in sys.modules  # here; the contract tests prove it of a fresh interpreter
    assert FRAMEWORK.owns(made(Mlp)) == 1
