"""One request from start to verdict, when something goes wrong on the way."""

from __future__ import annotations

import copy
import os
import signal
import sys
import threading
import time

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from pytest_inferopt.api import Subject, run
from pytest_inferopt.domain.artifact import Dataset
from pytest_inferopt.domain.request import parse_request
from pytest_inferopt.engine.run import RunMode
from pytest_inferopt.engine.store.folder import Store
from pytest_inferopt.engine.worker.driver import Worker
from pytest_inferopt.errors import UsageError, WorkerError

ROWS = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
LABELS = (ROWS[:, 0] > 0).astype(int)
QUICK = {"iterations": 5, "warmup_iterations": 1, "batch_sizes": [1]}
TWO = {"variants": {"first": ["onnx_conversion"], "second": ["onnx_conversion", "quantization"]}}


class Delicate(LogisticRegression):
    """Does something when it is copied, which is what the conversion starts with."""

    def __deepcopy__(self, memo):
        self.when_copied()
        twin = LogisticRegression()
        twin.__dict__ = {key: copy.deepcopy(value, memo) for key, value in vars(self).items() if key != "when_copied"}
        return twin


def delicate(act):
    model = Delicate().fit(ROWS, LABELS)
    model.when_copied = act
    return model


@pytest.fixture(scope="module")
def worker():
    with Worker() as running:
        yield running


@pytest.fixture
def optimize(tmp_path, worker):
    def optimize(model, *, subject=None, using=None, reuse=True, **fields):
        request = parse_request({**QUICK, **fields}, where="test")
        given = subject or Subject(model, Dataset(ROWS, LABELS), by_value=(sys.modules[__name__],))
        return run(request, given, worker=using or worker, store=Store(tmp_path / "store"), mode=RunMode(reuse=reuse))

    return optimize


def outcomes(result):
    return {
        name: [(check.kind, check.outcome) for check in variant.checks] for name, variant in result.variants.items()
    }


BOTH_PASSED = [("conversion", "passed"), ("accuracy", "passed")]


def test_a_step_that_two_variants_share_is_done_once(optimize, tmp_path):
    note = tmp_path / "copies"
    result = optimize(delicate(lambda: note.open("a").write("x")), **TWO)
    assert note.read_text() == "x"
    assert outcomes(result) == {"first": BOTH_PASSED, "second": BOTH_PASSED}


def test_a_file_that_a_step_left_as_it_was_is_timed_once_and_the_first_of_its_variants_is_the_best(optimize):
    result = optimize(LogisticRegression().fit(ROWS, LABELS), **TWO)
    first, second = result.variants["first"], result.variants["second"]
    assert (first.sha256, first.latency, first.speedup) == (second.sha256, second.latency, second.speedup)
    assert result.best == "first"


def test_after_a_crash_in_one_variant_the_others_are_made_and_measured(optimize, tmp_path):
    note = tmp_path / "crashed"

    def crash_once():
        if not note.exists():
            note.touch()
            os.kill(os.getpid(), signal.SIGSEGV)

    result = optimize(delicate(crash_once), **TWO)
    assert outcomes(result) == {"first": [("conversion", "not_measured")], "second": BOTH_PASSED}
    reason = result.variants["first"].checks[0].reason
    assert reason == "variant 'first', step 'onnx_conversion': the worker crashed (SIGSEGV)."
    assert result.variants["second"].latency[1].iterations == 5


class HangsWhileQuantizing(Worker):
    """A worker whose quantization never ends."""

    def call(self, command, parameters, *, stage, deadline, **rest):
        if command == "run_step" and parameters["spec"] == "quantization":
            time.sleep(max(deadline - time.monotonic(), 0))
            self.stop()
            raise WorkerError(f"{stage}: no answer by the deadline.")
        return super().call(command, parameters, stage=stage, deadline=deadline, **rest)


def test_what_was_made_before_the_deadline_is_still_measured_after_it(optimize):
    # A busy machine may have made nothing by the first deadline.
    for minutes in (0.1, 0.5):
        with HangsWhileQuantizing() as hanging:
            result = optimize(LogisticRegression().fit(ROWS, LABELS), using=hanging, max_time_minutes=minutes, **TWO)
        if result.variants["first"].latency:
            break
    assert outcomes(result) == {"first": BOTH_PASSED, "second": [("conversion", "not_measured")]}
    assert result.variants["first"].latency[1].iterations == 5
    assert result.best == "first"


def test_models_may_be_made_and_proven_without_being_timed(tmp_path, worker):
    subject = Subject(LogisticRegression().fit(ROWS, LABELS), Dataset(ROWS, LABELS))
    mode = RunMode(is_measured=False)
    request = parse_request({**QUICK, **TWO}, where="test")
    result = run(request, subject, worker=worker, store=Store(tmp_path / "store"), mode=mode)
    assert outcomes(result) == {"first": BOTH_PASSED, "second": BOTH_PASSED}
    assert [variant.latency for variant in (result.original, *result.variants.values())] == [{}] * 3
    assert all(variant.path and variant.artifact for variant in result.variants.values())


def test_where_no_variant_is_left_nothing_is_timed(optimize):
    class Changed(LogisticRegression):
        def predict(self, x):
            return 1 - super().predict(x)

    result = optimize(Changed().fit(ROWS, LABELS))
    assert outcomes(result) == {"optimized": [("conversion", "refused")]}
    assert (result.original.latency, result.best, result.passed) == ({}, None, False)


def test_the_own_threads_of_the_original_are_timed_beside_it(optimize):
    from sklearn.ensemble import RandomForestClassifier

    result = optimize(RandomForestClassifier(5, n_jobs=2, random_state=0).fit(ROWS, LABELS))
    (context,) = result.context
    assert (context.name, context.role, context.latency.keys()) == ("original (n_jobs=2)", "context", {1})


@pytest.mark.parametrize(
    ("subject", "message"),
    [
        (Subject(data=Dataset(ROWS, LABELS)), "there is no model."),
        (Subject(LogisticRegression().fit(ROWS, LABELS)), "there are no validation rows."),
        (Subject(object(), Dataset(ROWS, LABELS)), "a model of type builtins.object belongs to no known framework."),
    ],
    ids=["model", "rows", "framework"],
)
def test_what_is_missing_is_a_usage_error(optimize, subject, message):
    with pytest.raises(UsageError) as caught:
        optimize(None, subject=subject)
    assert caught.value.message == message


def test_a_model_that_cannot_be_pickled_is_not_measured(optimize):
    model = LogisticRegression().fit(ROWS, LABELS)
    model.lock = threading.Lock()
    (check,) = optimize(model).checks
    assert check.outcome == "not_measured"
    assert check.reason.startswith("LogisticRegression cannot be sent to the worker: ")


def test_a_transformer_of_one_column_is_held_against_the_original_by_its_numbers(optimize):
    from sklearn.feature_selection import SelectKBest

    selector = SelectKBest(k=1).fit(ROWS, ROWS[:, 2] > 0)
    result = optimize(None, subject=Subject(selector, Dataset(ROWS)))
    assert [check.reason for check in result.checks if check.is_red] == []
    assert result.optimized.accuracy.metric == "fidelity"


def test_a_second_run_measures_again_and_takes_its_steps_from_the_store(optimize):
    model = LogisticRegression().fit(ROWS, LABELS)
    first, second = optimize(model, **TWO), optimize(model, **TWO)
    assert outcomes(second) == outcomes(first)
    for name, steps in (("first", 1), ("second", 2)):
        before, after = first.variants[name], second.variants[name]
        assert [step.cached for step in (*before.steps, *after.steps)] == [False] * steps + [True] * steps
        assert [(step.name, step.seconds) for step in after.steps] == [
            (step.name, step.seconds) for step in before.steps
        ]
        assert (after.sha256, after.accuracy, after.conversion) == (before.sha256, before.accuracy, before.conversion)
        assert after.latency[1].p50_ms is not None
        assert after.steps[0].notes[-1].startswith("taken from the store: nothing that it depends on has changed")
    assert [step.cached for step in optimize(model, reuse=False, **TWO).variants["second"].steps] == [False, False]


def test_a_model_that_was_trained_anew_is_optimized_anew(optimize):
    optimize(LogisticRegression().fit(ROWS, LABELS))
    other = optimize(LogisticRegression(C=0.5).fit(ROWS, LABELS))
    assert [step.cached for step in other.optimized.steps] == [False]


def test_steps_out_of_the_store_are_taken_over_by_the_worker_that_comes_after_a_crash(optimize):
    class CrashesWhileExamining(Worker):
        """A worker that dies once while it examines a variant."""

        has_died = False

        def call(self, command, parameters, *, stage, deadline, **rest):
            if command == "examine" and not self.has_died:
                self.has_died = True
                self.stop()
                raise WorkerError(f"{stage}: the worker crashed.")
            return super().call(command, parameters, stage=stage, deadline=deadline, **rest)

    model = LogisticRegression().fit(ROWS, LABELS)
    optimize(model, **TWO)
    with CrashesWhileExamining() as delicate_worker:
        result = optimize(model, using=delicate_worker, **TWO)
    assert outcomes(result) == {"first": [("conversion", "not_measured")], "second": BOTH_PASSED}
    assert [step.cached for step in result.variants["second"].steps] == [True, True]


# --- what the worker may answer ---------------------------------------------------------------------------------


class Meddling(Worker):
    """A worker some of whose answers go through a function of the test: ``meddle(worker, ask, parameters)``."""

    def __init__(self, **meddling):
        super().__init__()
        self.meddling = meddling

    def call(self, command, parameters, **rest):
        def ask():
            return super(Meddling, self).call(command, parameters, **rest)

        meddle = self.meddling.get(command)
        return ask() if meddle is None else meddle(self, ask, parameters)

    def die(self):
        self.stop()
        raise WorkerError("the worker crashed.")


@pytest.fixture
def meddled(optimize):
    """`meddled(fields, run_step=…)`: a run whose worker's answers to `run_step` are meddled with."""

    def meddled(fields=(), **meddling):
        with Meddling(**meddling) as worker:
            return optimize(LogisticRegression().fit(ROWS, LABELS), using=worker, **dict(fields))

    return meddled


def raising(error):
    def meddle(*_):
        raise error

    return meddle


@pytest.mark.parametrize("command", ["run_step", "examine"])
def test_a_request_that_turns_out_wrong_on_the_way_is_a_usage_error(meddled, command):
    with pytest.raises(UsageError, match="no such option"):
        meddled(**{command: raising(UsageError("no such option."))})


@pytest.mark.parametrize(("kind", "outcome"), [("not_measured", "not_measured"), ("refused", "refused")])
def test_an_accuracy_that_cannot_be_taken_leaves_the_comparison_and_times_nothing(meddled, kind, outcome):
    def without_accuracy(_, ask, __):
        answer = {key: value for key, value in ask().items() if key != "accuracy"}
        return {**answer, "accuracy_error": {"kind": kind, "message": "one class only.", "hint": "Give more rows."}}

    result = meddled(examine=without_accuracy)
    variant = result.optimized
    assert outcomes(result) == {"optimized": [("conversion", "passed"), ("accuracy", outcome)]}
    assert (variant.checks[1].reason, variant.checks[1].next_step) == ("one class only.", "Give more rows.")
    assert (variant.conversion.label_flips, variant.latency, variant.path) == (0, {}, None)


def test_an_accuracy_that_was_asked_for_wrongly_is_a_usage_error(meddled):
    def wrong(_, ask, __):
        answer = {key: value for key, value in ask().items() if key != "accuracy"}
        return {**answer, "accuracy_error": {"kind": "usage", "message": "no metric named 'f2'.", "hint": ""}}

    with pytest.raises(UsageError, match="no metric named 'f2'"):
        meddled(examine=wrong)


def test_where_measuring_fails_each_variant_says_so(meddled):
    result = meddled(TWO, measure=raising(WorkerError("measuring: the worker crashed (SIGSEGV).")))
    lost = [*BOTH_PASSED, ("budget", "not_measured")]
    assert outcomes(result) == {"first": lost, "second": lost}
    assert {variant.checks[-1].reason for variant in result.variants.values()} == {
        "measuring: the worker crashed (SIGSEGV)."
    }
    assert (result.original.latency, result.samples, result.best) == ({}, None, None)


def test_what_lived_in_a_worker_that_died_is_done_again(meddled):
    steps = []

    def alive(_, ask, parameters):
        steps.append(parameters["target"])
        return {**ask(), "artifact": None}

    def crash_once(worker, ask, _):
        return ask() if worker.generation > 1 else worker.die()

    result = meddled(TWO, run_step=alive, examine=crash_once)
    assert outcomes(result) == {"first": [("conversion", "not_measured")], "second": BOTH_PASSED}
    assert steps == ["artifact-0", "artifact-0", "artifact-1"]


def test_after_the_deadline_no_worker_is_started_again(meddled, monkeypatch):
    monotonic = time.monotonic

    def crash_an_hour_later(worker, *_):
        monkeypatch.setattr(time, "monotonic", lambda: monotonic() + 3600)
        worker.die()

    result = meddled({**TWO, "max_time_minutes": 30}, run_step=crash_an_hour_later)
    monkeypatch.undo()
    assert {name: variant.checks[0].reason for name, variant in result.variants.items()} == {
        "first": "the worker crashed.",
        "second": "the deadline of 30 minutes has passed.",
    }


def test_a_measurement_that_takes_long_is_announced(tmp_path):
    def slow(_, ask, __):
        return {**ask(), "seconds_a_round": 3.0}

    said = []
    request = parse_request({**QUICK, "name": "churn", "measure_seconds": 30}, where="test")
    subject = Subject(LogisticRegression().fit(ROWS, LABELS), Dataset(ROWS, LABELS))
    with Meddling(examine_original=slow, examine=slow) as worker:
        run(request, subject, worker=worker, store=Store(tmp_path), on_progress=said.append)
    # Six rounds of three seconds for each of the two, were it true; the time for measuring bounds it.
    # Another test may hold the machine for a while, which is told too.
    assert [text for text in said if "waiting" not in text] == ["churn: measuring for about 30 s"]


def test_a_conversion_that_nobody_asked_for_says_why_it_was_done(optimize):
    result = optimize(LogisticRegression().fit(ROWS, LABELS), optimizations=["quantization"])
    steps = [(step.name, step.notes[0]) for step in result.optimized.steps]
    assert steps[0] == ("onnx_conversion", "inserted, because the next step takes ONNX")
    assert [name for name, _ in steps] == ["onnx_conversion", "quantization"]


def test_memory_is_told_of_the_original_and_of_each_file_but_not_of_a_quick_run(optimize):
    model = LogisticRegression().fit(ROWS, LABELS)
    result = optimize(model, **TWO)
    megabytes = {one.name: one.memory.used_bytes / 1e6 for one in (result.original, *result.variants.values())}
    assert megabytes.keys() == {"original", "first", "second"}
    assert all(1 < used < 1000 for used in megabytes.values())
    assert megabytes["first"] < megabytes["original"]  # which brings scikit-learn with it
    quick = optimize(model, quick=True)
    assert (quick.original.memory, quick.optimized.memory) == (None, None)
