from __future__ import annotations

import sys

import numpy as np
import pytest
from sklearn import metrics as oracle

from pytest_inferopt.domain.artifact import Prediction
from pytest_inferopt.engine.correctness.metrics import METRICS, Context, resolve_metric
from pytest_inferopt.errors import MissingDependencyError, NotMeasuredError, UsageError

ROWS = 300


def classifier(classes, *, right=0.6, seed=0, dtype=np.float64):
    """Targets, and probabilities rounded to hundredths so that there are ties."""
    rng, count = np.random.default_rng(seed), len(classes)
    codes = rng.integers(0, count, ROWS)
    scores = rng.dirichlet(np.ones(count), ROWS)
    scores[np.arange(ROWS), codes] += right
    scores = np.round(scores, 2) + 1e-9
    scores /= scores.sum(axis=1, keepdims=True)
    labels = np.array(classes)
    answer = Prediction(
        labels=labels[scores.argmax(axis=1)], scores=scores.astype(dtype), scores_are_probabilities=True
    )
    return labels[codes], answer


def score(name, y, answer, *, classes=None, groups=None, task="classification"):
    metric = resolve_metric(name, task=task, y=y)
    return metric.score(y, answer, Context(classes, groups) if classes else None)


# --- against scikit-learn ---------------------------------------------------------------------------------------

OF_LABELS = {
    "accuracy": oracle.accuracy_score,
    "balanced_accuracy": oracle.balanced_accuracy_score,
    "f1": lambda y, p: oracle.f1_score(y, p, average="macro"),
    "precision": lambda y, p: oracle.precision_score(y, p, average="macro"),
    "recall": lambda y, p: oracle.recall_score(y, p, average="macro"),
}


@pytest.mark.parametrize("name", OF_LABELS)
@pytest.mark.parametrize("classes", [["a", "b", "c"], [2, 3, 5, 7]])
def test_metrics_of_labels_are_scikit_learns(name, classes):
    y, answer = classifier(classes)
    assert score(name, y, answer) == pytest.approx(OF_LABELS[name](y, answer.labels))


@pytest.mark.parametrize("name", ["f1", "precision", "recall"])
def test_of_two_classes_the_second_is_the_positive_one(name):
    y, answer = classifier(["no", "yes"])
    expected = getattr(oracle, f"{name}_score")(y, answer.labels, pos_label="yes")
    assert score(name, y, answer) == pytest.approx(expected)
    swapped = getattr(oracle, f"{name}_score")(y, answer.labels, pos_label="no")
    assert score(name, y, answer, classes=("yes", "no")) == pytest.approx(swapped)


def test_metrics_of_two_classes_by_score_are_scikit_learns():
    y, answer = classifier([0, 1])
    positive = answer.scores[:, 1]
    assert score("roc_auc", y, answer) == pytest.approx(oracle.roc_auc_score(y, positive))
    assert score("average_precision", y, answer) == pytest.approx(oracle.average_precision_score(y, positive))
    assert score("log_loss", y, answer) == pytest.approx(oracle.log_loss(y, answer.scores))


def test_metrics_of_three_classes_by_score_are_scikit_learns_one_against_the_rest():
    y, answer = classifier(["a", "b", "c"])
    assert score("roc_auc", y, answer) == pytest.approx(oracle.roc_auc_score(y, answer.scores, multi_class="ovr"))
    assert score("average_precision", y, answer) == pytest.approx(oracle.average_precision_score(y, answer.scores))
    assert score("log_loss", y, answer) == pytest.approx(oracle.log_loss(y, answer.scores))


@pytest.mark.parametrize("shape", [(ROWS,), (ROWS, 1)])
def test_a_single_column_of_scores_is_the_positive_class(shape):
    y, answer = classifier([0, 1])
    positive = answer.scores[:, 1].reshape(shape)
    single = Prediction(scores=positive, scores_are_probabilities=True)
    decision = Prediction(scores=positive - 0.5)
    assert score("roc_auc", y, single, classes=(0, 1)) == score("roc_auc", y, answer)
    assert score("roc_auc", y, decision, classes=(0, 1)) == score("roc_auc", y, answer)
    assert score("log_loss", y, single, classes=(0, 1)) == pytest.approx(score("log_loss", y, answer))


def test_log_loss_clips_both_precisions_alike():
    y = np.array([1] * 10)
    losses = [
        score("log_loss", y, Prediction(scores=np.eye(2, dtype=dtype)[[0] * 10], scores_are_probabilities=True),
              classes=(0, 1))
        for dtype in (np.float32, np.float64)
    ]  # fmt: skip
    assert losses == [pytest.approx(15.9424, abs=1e-4)] * 2


def test_a_class_that_does_not_occur_is_left_out_of_an_auc_over_classes():
    y, answer = classifier(["a", "b", "c"])
    some = y != "c"
    answer = Prediction(scores=answer.scores[some])
    expected = np.mean([oracle.roc_auc_score(y[some] == name, answer.scores[:, k]) for k, name in enumerate("ab")])
    assert score("roc_auc", y[some], answer, classes=("a", "b", "c")) == pytest.approx(expected)


@pytest.mark.parametrize("shape", [(ROWS,), (ROWS, 3)])
def test_metrics_of_values_are_scikit_learns(shape):
    rng = np.random.default_rng(3)
    y = rng.normal(2, 3, shape)
    answer = Prediction(values=(y + rng.normal(0, 1, shape)).astype(np.float32))
    for name, function in (
        ("rmse", oracle.root_mean_squared_error), ("mae", oracle.mean_absolute_error), ("r2", oracle.r2_score),
    ):  # fmt: skip
        assert score(name, y, answer, task="regression") == pytest.approx(function(y, answer.values), rel=1e-5)


def test_ndcg_is_scikit_learns_by_query_with_ties_shared():
    rng = np.random.default_rng(4)
    groups = np.repeat(["q2", "q1", "q3"], [7, 5, 9])
    y, scores = rng.integers(0, 4, 21), rng.integers(0, 3, 21).astype(float)
    expected = np.mean([oracle.ndcg_score([y[groups == q]], [scores[groups == q]]) for q in ("q1", "q2", "q3")])
    answer = Prediction(values=scores)
    assert score("ndcg", y, answer, classes=(0,), groups=groups, task="ranking") == pytest.approx(expected)


def test_ndcg_leaves_queries_without_a_relevant_row_out():
    y, answer = np.array([0, 0, 1, 0]), Prediction(values=np.array([1.0, 2.0, 3.0, 4.0]))
    groups = np.array([1, 1, 2, 2])
    assert score("ndcg", y, answer, classes=(0,), groups=groups, task="ranking") == pytest.approx(1 / np.log2(3))
    assert np.isnan(score("ndcg", y * 0, answer, classes=(0,), groups=groups, task="ranking"))


def test_ndcg_without_queries_is_not_measured():
    with pytest.raises(NotMeasuredError, match="query of each row"):
        METRICS["ndcg"].score(np.arange(12), Prediction(values=np.arange(12.0)))


def test_cosine_is_the_mean_over_rows_and_two_rows_of_zeros_are_alike():
    reference = np.array([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0], [0.0, 0.0]])
    answer = Prediction(values=np.array([[3.0, 0.0], [1.0, 1.0], [0.0, 0.0], [1.0, 0.0]]))
    assert METRICS["cosine"].score(reference, answer) == pytest.approx((1 + np.sqrt(0.5) + 1 + 0) / 4)


def test_cosine_of_one_number_a_row_is_not_measured_but_of_images_is():
    with pytest.raises(NotMeasuredError, match="no direction"):
        METRICS["cosine"].score(np.ones((12, 1)), Prediction(values=np.ones(12)))
    images = np.random.default_rng(0).random((12, 4, 4, 3))
    assert METRICS["cosine"].score(images, Prediction(values=images)) == pytest.approx(1)


def test_fidelity_is_r2_with_the_original_as_the_truth():
    reference = np.random.default_rng(0).normal(size=50)
    answer = Prediction(values=reference + 0.1)
    assert METRICS["fidelity"].score(reference, answer) == pytest.approx(oracle.r2_score(reference, answer.values))
    assert np.isnan(METRICS["fidelity"].score(np.ones(50), answer))


def test_subset_accuracy_of_several_labels_a_row():
    y = np.array([[1, 0], [1, 1], [0, 0]])
    assert METRICS["accuracy"].score(y, Prediction(labels=np.array([[1, 0], [1, 0], [0, 0]]))) == pytest.approx(2 / 3)


def test_f1_of_several_labels_a_row_is_not_measured():
    y = np.eye(2, dtype=int)[[0, 1] * 6]
    with pytest.raises(NotMeasuredError, match="several a row"):
        METRICS["f1"].score(y, Prediction(labels=y))
    with pytest.raises(NotMeasuredError, match="several a row"):
        METRICS["roc_auc"].score(y, Prediction(scores=y * 0.5))


def test_an_undefined_auc_is_nan_and_a_constant_target_has_no_r2():
    y, answer = classifier([0, 1])
    assert np.isnan(score("roc_auc", y * 0, answer, classes=(0, 1)))
    assert np.isnan(score("r2", np.ones(20), Prediction(values=np.arange(20.0)), task="regression"))


def test_labels_that_are_no_numbers_are_no_target_of_rmse():
    with pytest.raises(UsageError, match="must be numbers"):
        score("rmse", np.array(["a"] * 12), Prediction(values=np.ones(12)), task="regression")


def test_a_metric_of_scores_needs_scores_and_says_what_there_is():
    with pytest.raises(NotMeasuredError, match="needs probabilities, the model gives labels and scores"):
        METRICS["log_loss"].score(np.ones(12), Prediction(labels=np.ones(12), scores=np.ones(12)))
    with pytest.raises(NotMeasuredError, match="needs scores, the model gives nothing"):
        METRICS["roc_auc"].score(np.ones(12), Prediction())


def test_scores_that_are_not_a_column_a_class_are_not_measured():
    y, answer = classifier(["a", "b", "c"])
    with pytest.raises(NotMeasuredError, match="3 columns of scores for 4 classes"):
        score("roc_auc", y, answer, classes=("a", "b", "c", "d"))
    with pytest.raises(NotMeasuredError, match="label 'c' is none of the classes"):
        score("roc_auc", y, answer, classes=("a", "b"))


def test_labels_of_mixed_types_still_make_classes():
    y = np.array(["a", 1, "a", 1] * 5, dtype=object)
    assert METRICS["balanced_accuracy"].score(y, Prediction(labels=y)) == 1.0


# --- which metric -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "has_y", "has_groups", "name"),
    [
        ("classification", True, False, "accuracy"),
        ("classification", False, False, "agreement"),
        ("regression", True, False, "rmse"),
        ("regression", False, False, "fidelity"),
        ("ranking", True, True, "ndcg"),
        ("ranking", True, False, "fidelity"),
        ("ranking", False, True, "fidelity"),
        ("transform", True, False, "cosine"),
        ("transform", False, False, "cosine"),
        ("clustering", True, False, "agreement"),
        ("outlier", False, False, "agreement"),
    ],
)
def test_the_default_goes_by_task_and_by_what_there_is(task, has_y, has_groups, name):
    metric = resolve_metric(None, task=task, y=np.ones(3) if has_y else None, groups=np.ones(3) if has_groups else None)
    assert metric.name == name


def test_a_mistyped_metric_gets_a_suggestion():
    with pytest.raises(UsageError, match="no metric named 'acuracy'; did you mean 'accuracy'"):
        resolve_metric("acuracy", task="classification", y=None)


def test_c45_own_metric_without_direction_is_a_usage_error_and_with_one_works():
    def hits(y, p):
        return float((y == p).mean())

    with pytest.raises(UsageError, match="own metric 'hits' has no direction"):
        resolve_metric(None, task="classification", y=None, function=hits)
    metric = resolve_metric(None, task="classification", y=None, function=hits, direction="higher")
    y, answer = classifier([0, 1])
    assert (metric.name, metric.score(y, answer)) == ("hits", score("accuracy", y, answer))


def test_a_direction_against_what_is_known_is_a_usage_error_and_the_known_one_is_fine():
    with pytest.raises(UsageError, match="lower is better for 'rmse'"):
        resolve_metric("rmse", task="regression", y=None, direction="higher")
    assert resolve_metric("rmse", task="regression", y=None, direction="lower") is METRICS["rmse"]


def test_c46_an_own_metric_gets_columns_as_vectors_on_both_sides():
    y = np.arange(12.0)
    metric = resolve_metric(
        None, task="regression", y=y, function=lambda y, p: np.mean((y - p) ** 2), direction="lower"
    )
    assert metric.score(y.reshape(-1, 1), Prediction(values=y)) == 0
    assert metric.score(y, Prediction(values=y.reshape(-1, 1))) == 0


def raises(*_):
    raise RuntimeError("no such\nthing")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (raises, "raised RuntimeError: no such thing"),
        (lambda y, p: y == p, r"gave ndarray of shape \(300,\)"),
        (lambda *_: None, "gave NoneType"),
        (lambda *_: "0.9", "gave str"),
        (lambda *_: True, "gave bool"),
        (lambda *_: np.bool_(True), "gave bool"),
        (lambda *_: 1j, "gave complex"),
    ],
)
def test_c44_a_metric_that_raises_or_gives_no_number_is_not_measured(function, message):
    metric = resolve_metric("mine", task="classification", y=None, function=function, direction="higher")
    with pytest.raises(NotMeasuredError, match=f"metric 'mine' {message}"):
        metric.score(*classifier([0, 1]))


@pytest.mark.parametrize("value", [1, 0.5, np.float32(0.5), np.int64(3), np.array(0.25)])
def test_any_kind_of_real_number_is_a_score(value):
    metric = resolve_metric("mine", task="classification", y=None, function=lambda *_: value, direction="higher")
    assert metric.score(*classifier([0, 1])) == float(value)


# --- scikit-learn's scorers -------------------------------------------------------------------------------------


def test_scorers_of_labels_probabilities_and_decision_values_give_what_scikit_learn_gives():
    y, answer = classifier(["a", "b", "c"])
    assert score("f1_macro", y, answer) == pytest.approx(oracle.f1_score(y, answer.labels, average="macro"))
    assert score("roc_auc_ovo", y, answer) == pytest.approx(oracle.roc_auc_score(y, answer.scores, multi_class="ovo"))
    y, answer = classifier([0, 1])
    decision = Prediction(labels=answer.labels, scores=answer.scores[:, 1] - 0.5)
    assert score("neg_brier_score", y, answer) == pytest.approx(oracle.brier_score_loss(y, answer.scores[:, 1]))
    assert score("roc_auc_ovr_weighted", y, answer) == pytest.approx(score("roc_auc", y, answer))
    assert score("jaccard", y, decision) == pytest.approx(oracle.jaccard_score(y, answer.labels))


def test_scorers_of_decision_values_take_one_column_of_two_and_all_of_more():
    y, answer = classifier([0, 1])
    two = Prediction(labels=answer.labels, scores=answer.scores - 0.5)
    one = Prediction(labels=answer.labels, scores=answer.scores[:, 1] - 0.5)
    assert score("top_k_accuracy", y, two) == score("top_k_accuracy", y, one) == 1.0  # the best two of two
    y, answer = classifier([0, 1, 2])
    three = Prediction(labels=answer.labels, scores=answer.scores * 9)
    assert score("top_k_accuracy", y, three) == oracle.top_k_accuracy_score(y, three.scores, k=2)


def test_the_sign_of_a_loss_is_removed_and_lower_is_better():
    y, answer = np.arange(20.0), Prediction(values=np.arange(20.0).reshape(-1, 1) + 2)
    metric = resolve_metric("neg_mean_squared_error", task="regression", y=y)
    assert (metric.name, metric.direction) == ("mean_squared_error", "lower")
    assert metric.score(y, answer) == pytest.approx(4.0)


def test_scorers_take_several_labels_a_row():
    rng = np.random.default_rng(0)
    y, labels = rng.integers(0, 2, (2, 40, 3))
    answer = Prediction(labels=labels, scores=rng.random((40, 3)), scores_are_probabilities=True)
    assert score("f1_macro", y, answer) == pytest.approx(oracle.f1_score(y, labels, average="macro"))
    assert score("roc_auc_ovr", y, answer) == pytest.approx(oracle.roc_auc_score(y, answer.scores))


def test_scorers_of_clusters_work():
    y = np.repeat([0, 1, 2], 5)
    assert score("rand_score", y, Prediction(labels=(y + 1) % 3), task="clustering") == 1.0


def test_a_scorer_that_lacks_what_it_needs_is_not_measured():
    y, answer = classifier([0, 1])
    with pytest.raises(NotMeasuredError, match="metric 'brier_score' raised AttributeError"):
        score("neg_brier_score", y, Prediction(labels=answer.labels))


def test_without_scikit_learn_its_scorers_are_a_missing_dependency_and_ours_work(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(MissingDependencyError, match=r"scikit-learn.*not installed.*\[sklearn\]"):
        resolve_metric("f1_macro", task="classification", y=None)
    y, answer = classifier([0, 1])
    for name in ("accuracy", "f1", "roc_auc", "log_loss"):
        assert 0 < score(name, y, answer) < 1
