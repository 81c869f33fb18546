"""Models of Keras and SavedModels answer as ONNX what they answer as they are."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from pytest_inferopt.domain.artifact import RunOptions
from pytest_inferopt.engine.workshop.loading import load_file
from pytest_inferopt.errors import NotMeasuredError, RefusedError, UsageError
from pytest_inferopt.frameworks._tf_calls import tensorflow
from pytest_inferopt.frameworks.tensorflow import TensorFlow
from pytest_inferopt.registry import discover

FRAMEWORK = TensorFlow()
FRAMEWORK.settle(RunOptions())
tf = tensorflow()
keras = pytest.importorskip("keras")
layers = keras.layers

# Keras 3 with a NumPy that is newer than it.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

RANDOM = np.random.default_rng(0)
DIGITS = RANDOM.random((40, 64), dtype=np.float32)
TOKENS = {"ids": RANDOM.integers(0, 100, (20, 6)), "mask": RANDOM.random((20, 6), dtype=np.float32)}


def sequential():
    return keras.Sequential(
        [keras.Input((64,)), layers.Dense(32, activation="relu"), layers.Dropout(0.5), layers.Dense(10)]
    )


def convolutional():
    pixels = keras.Input((64,))
    hidden = layers.Conv2D(8, 3, activation="relu")(layers.Reshape((8, 8, 1))(pixels))
    return keras.Model(pixels, layers.Dense(10)(layers.Flatten()(layers.MaxPooling2D()(hidden))))


def recurrent():
    pixels = keras.Input((64,))
    return keras.Model(pixels, layers.Dense(10)(layers.LSTM(16)(layers.Reshape((8, 8))(pixels))))


def attention():
    ids, mask = keras.Input((6,), name="ids", dtype="int32"), keras.Input((6,), name="mask")
    embedded = layers.Embedding(100, 12)(ids)
    attended = layers.MultiHeadAttention(2, 6)(embedded, embedded)
    pooled = layers.GlobalAveragePooling1D()(attended)
    return keras.Model([ids, mask], [layers.Dense(3, name="head")(pooled), layers.Dense(1, name="sum")(mask)])


def by_name():
    ids, mask = keras.Input((6,), name="ids", dtype="int32"), keras.Input((6,), name="mask")
    pooled = layers.GlobalAveragePooling1D()(layers.Embedding(100, 12)(ids))
    return keras.Model({"ids": ids, "mask": mask}, {"b": layers.Dense(3)(pooled), "a": layers.Dense(1)(mask)})


class Subclassed(keras.Model):
    """Its class is nowhere but in this test module."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(10)

    def call(self, x, training=False):
        return self.dense(x) + (1000 if training else 0)


def subclassed():
    model = Subclassed()
    model(np.zeros((2, 64), np.float32))
    return model


@pytest.mark.parametrize("build", [sequential, convolutional, recurrent, subclassed])
def test_a_model_answers_the_same_at_the_opset_that_was_asked_for(build, convert):
    keras.utils.set_random_seed(0)
    both = convert(FRAMEWORK, build(), DIGITS)

    assert both.agrees, both.difference
    assert both.after.numbers.shape == (40, 10)
    assert {entry.domain: entry.version for entry in onnx.load(both.artifact.path).opset_import}[""] == 17
    assert both.artifact.notes[0] == "converted by tf2onnx: opset 17, IR 8"
    assert both.artifact.notes[1].startswith("run with 1, 3 and 7 rows; largest relative difference ")
    assert both.artifact.signature.inputs[0].is_batch_dynamic
    assert both.native.call == "tf.function"


@pytest.mark.parametrize(("build", "outputs"), [(attention, ["head", "sum"]), (by_name, ["a", "b"])])
def test_several_inputs_are_fed_by_name_and_outputs_keep_theirs(build, outputs, convert):
    both = convert(FRAMEWORK, build(), TOKENS)

    assert both.agrees, both.difference
    assert [(spec.name, spec.dtype) for spec in both.artifact.signature.inputs] == [
        ("ids", "int32"),
        ("mask", "float32"),
    ]
    assert [spec.name for spec in both.artifact.signature.outputs] == outputs


@pytest.mark.parametrize("build", [sequential, convolutional, recurrent, attention])
def test_a_model_that_is_converted_again_gives_the_same_bytes(build, tmp_path):
    rows = TOKENS if build is attention else DIGITS
    FRAMEWORK.save(build(), tmp_path / "model.keras")
    files = []
    for number in range(2):
        artifact = FRAMEWORK.load(tmp_path / "model.keras")
        path = tmp_path / f"{number}.onnx"
        FRAMEWORK.to_onnx(artifact, path, opset=17, samples=rows)
        files.append(path.read_bytes())
    assert files[0] == files[1]


def test_a_newer_opset_than_tf2onnx_writes_is_told(to_onnx):
    artifact = to_onnx(FRAMEWORK, sequential(), DIGITS, opset=20)
    assert artifact.notes[0] == "converted by tf2onnx: opset 18 instead of 20, IR 8"


@pytest.mark.parametrize("build", [sequential, subclassed])
def test_a_model_comes_back_from_its_file_and_its_code_is_not_needed(build, tmp_path):
    model = build()
    expected = model(DIGITS[:5], training=False).numpy()
    FRAMEWORK.save(model, tmp_path / "original.pkl")
    back = FRAMEWORK.load(tmp_path / "original.pkl")
    answer = FRAMEWORK.open(back, RunOptions()).predict(DIGITS[:5])
    np.testing.assert_allclose(answer.numbers, expected, rtol=1e-5)


def test_a_saved_model_is_a_folder_that_is_loaded_and_converted(tmp_path, convert):
    model = sequential()
    model.export(tmp_path / "saved", verbose=False)
    artifact = load_file(tmp_path / "saved", discover(), trust=False)
    both = convert(FRAMEWORK, artifact.model, DIGITS)
    assert both.agrees
    np.testing.assert_allclose(both.before.numbers, model(DIGITS, training=False).numpy(), rtol=1e-5)


def test_a_keras_file_is_loaded_untrusted(tmp_path):
    sequential().save(tmp_path / "model.keras")
    assert load_file(tmp_path / "model.keras", discover(), trust=False).format == "tensorflow"


def test_a13_a_lambda_layer_is_refused_from_a_file_and_its_live_model_works(tmp_path, convert):
    model = keras.Sequential([keras.Input((64,)), layers.Lambda(lambda x: x * 2), layers.Dense(10)])
    model.save(tmp_path / "model.keras")
    with pytest.raises(RefusedError) as refused:
        load_file(tmp_path / "model.keras", discover(), trust=True)
    assert "has a Lambda layer, whose code would run when it is loaded" in refused.value.message
    FRAMEWORK.save(model, tmp_path / "original.pkl")
    assert convert(FRAMEWORK, FRAMEWORK.load(tmp_path / "original.pkl").model, DIGITS).agrees


def test_a13_a_legacy_file_is_refused(tmp_path):
    (tmp_path / "model.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(RefusedError, match="legacy HDF5 model"):
        load_file(tmp_path / "model.h5", discover(), trust=True)


def test_a_file_that_needs_a_class_which_is_not_here_is_not_measured_and_says_what_to_do(tmp_path):
    subclassed().save(tmp_path / "model.keras")
    with pytest.raises(NotMeasuredError) as missing:
        load_file(tmp_path / "model.keras", discover(), trust=True)
    assert "needs a class that is not here" in missing.value.message
    assert "model.export(folder)" in missing.value.hint


def test_a_file_that_is_cut_off_is_not_measured(tmp_path):
    sequential().save(tmp_path / "model.keras")
    whole = (tmp_path / "model.keras").read_bytes()
    (tmp_path / "model.keras").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(NotMeasuredError, match="cannot be read by TensorFlow"):
        load_file(tmp_path / "model.keras", discover(), trust=True)


@pytest.mark.parametrize(
    ("build", "rows", "message"),
    [
        (attention, DIGITS, "functional takes ids, mask, but the rows are one table."),
        (attention, {"ids": TOKENS["ids"]}, "the rows have no 'mask', which Functional takes."),
        (attention, {**TOKENS, "msk": DIGITS}, "Functional has no input 'msk';"),
        (sequential, np.array([["a", "b"]]), "the rows hold <U1, which a network cannot take."),
    ],
    ids=["one table", "missing", "unknown", "text"],
)
def test_rows_that_do_not_fit_are_named(build, rows, message, to_onnx):
    with pytest.raises((UsageError, RefusedError)) as wrong:
        to_onnx(FRAMEWORK, build(), rows)
    assert message.lower() in wrong.value.message.lower()


def test_a_model_without_weights_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="has no weights yet"):
        FRAMEWORK.save(Subclassed(), tmp_path / "original.pkl")


def test_a_fingerprint_is_that_of_configuration_and_weights(tmp_path):
    keras.utils.set_random_seed(0)
    one = sequential()
    FRAMEWORK.save(one, tmp_path / "original.pkl")
    back = FRAMEWORK.load(tmp_path / "original.pkl").model
    assert FRAMEWORK.fingerprint(one) == FRAMEWORK.fingerprint(back)
    one.layers[0].kernel.assign_add(tf.ones_like(one.layers[0].kernel))
    assert FRAMEWORK.fingerprint(one) != FRAMEWORK.fingerprint(back)


def test_a_provider_that_is_not_here_is_never_replaced_by_the_cpu():
    with pytest.raises(NotMeasuredError, match=r"provider cuda was asked for, and TensorFlow .* finds no GPU"):
        FRAMEWORK.open(FRAMEWORK.describe(sequential(), None), RunOptions(provider="cuda"))
