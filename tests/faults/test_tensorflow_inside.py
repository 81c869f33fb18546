"""Faults C and D again with TensorFlow inside: what a graph does when it is run, beside a sound one."""

from __future__ import annotations

import sys
import time

import numpy as np
import pytest

from pytest_inferopt.api import Subject, run
from pytest_inferopt.domain.artifact import Dataset, RunOptions
from pytest_inferopt.domain.request import parse_request
from pytest_inferopt.engine.store.folder import Store
from pytest_inferopt.engine.worker.driver import Worker
from pytest_inferopt.frameworks._tf_calls import tensorflow
from pytest_inferopt.frameworks.tensorflow import TensorFlow

TensorFlow().settle(RunOptions())
tf = tensorflow()
keras = pytest.importorskip("keras")

# Keras 3 with a NumPy that is newer than it.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

ROWS = np.random.default_rng(0).random((60, 4), dtype=np.float32)
LABELS = (ROWS[:, 0] > 0.5).astype(int)
TRIGGER = np.where(np.arange(60)[:, None] == 0, 100, ROWS).astype(np.float32)
QUICK = {"iterations": 5, "warmup_iterations": 1, "batch_sizes": [1], "quick": True}
MEMORY = 6_000_000_000


class Saboteur(keras.Model):
    """Does what it is asked to on rows that hold 100: not where it is built, but in the worker."""

    def __init__(self, act):
        super().__init__()
        self.dense = keras.layers.Dense(2)
        self.act = act

    def call(self, x, training=False):  # noqa: ARG002 - Keras' own signature
        return self.dense(x) + tf.cond(tf.reduce_max(x) >= 100, lambda: self.act(x), lambda: tf.constant(0.0))


def made(act):
    model = Saboteur(act)
    model(ROWS[:2])
    return model


def endless(_):
    return tf.while_loop(lambda i: i >= 0, lambda i: [i * 1.0], [tf.constant(1.0)])[0]


def balloon(x):
    size = tf.cast(tf.reduce_max(x) * 2e8, tf.int64)
    return tf.reduce_max(tf.random.uniform([size]))


@pytest.fixture(scope="module")
def worker():
    with Worker() as running:
        yield running


@pytest.fixture
def optimize(tmp_path, worker):
    def optimize(model, rows=TRIGGER, *, using=worker, **fields):
        request = parse_request({**QUICK, **fields}, where="test")
        subject = Subject(model, Dataset(rows, LABELS), by_value=(sys.modules[__name__],))
        return run(request, subject, worker=using, store=Store(tmp_path / "store"))

    return optimize


def verdict_of_the_original(result):
    (check,) = result.original.checks
    return check.outcome, check.reason


def test_a_sound_graph_passes(optimize):
    assert optimize(made(lambda _: tf.constant(0.0))).passed


def test_c48_int8_beside_a_baseline_of_other_instructions_has_an_accuracy_that_is_not_comparable(beside_a_baseline):
    keras.utils.set_random_seed(0)
    layers = [keras.Input((4,)), keras.layers.Dense(16, activation="relu"), keras.layers.Dense(2)]
    here, elsewhere = beside_a_baseline(keras.Sequential(layers), ROWS, LABELS)
    same, not_comparable = ["unchanged"], ["not_comparable", "unchanged"]
    assert here == {"onnx": same, "dynamic": same, "static": same}
    assert elsewhere == {"onnx": same, "dynamic": not_comparable, "static": not_comparable}


def test_d52_an_endless_loop_of_a_graph_is_ended_within_five_seconds_of_the_deadline(optimize, until_reached):
    model = made(endless)

    def hang(minutes):
        started = time.monotonic()
        result = optimize(model, max_time_minutes=minutes)
        assert time.monotonic() - started < 60 * minutes + 5
        return verdict_of_the_original(result)

    outcome, reason = until_reached(hang, lambda verdict: verdict[1].startswith("asking the original"))
    assert outcome == "not_measured"
    assert reason.startswith("asking the original: no answer by the deadline")


def test_d53_a_balloon_of_a_graph_is_not_measured_and_the_parent_lives(optimize):
    with Worker(memory_limit=MEMORY) as small:
        assert verdict_of_the_original(optimize(made(balloon), using=small))[0] == "not_measured"
        assert optimize(made(lambda _: tf.constant(0.0)), ROWS, using=small).passed
