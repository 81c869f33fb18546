from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_inferopt.domain.artifact import Prediction
from pytest_inferopt.domain.measured import Accuracy
from pytest_inferopt.domain.record import Interval
from pytest_inferopt.domain.result import Check
from pytest_inferopt.engine.correctness.accuracy import check_accuracy, measure_accuracy, resolve_metric
from pytest_inferopt.engine.statistics.intervals import paired_proportion_ratio_interval, paired_proportion_ratio_z
from pytest_inferopt.errors import NotMeasuredError, UsageError

ROWS = 200
Y = np.arange(ROWS) % 2
Z95 = 1.959963984540054
UNTIMED = settings(deadline=None)  # cores are shared


def labels(wrong=(), y=Y, **more):
    """Labels that are right but in the rows `wrong`."""
    answer = y.copy()
    answer[list(wrong)] = 1 - answer[list(wrong)]
    return Prediction(labels=answer, **more)


def values(error, y=None):
    return Prediction(values=(np.arange(ROWS, dtype=float) if y is None else y) + error)


def measure(original, variant, *, y=Y, task="classification", metric=None, **given_):
    function, direction = given_.pop("function", None), given_.pop("direction", None)
    options = {"groups": None, "threshold": 0.99, "random_seed": 0, **given_}
    resolved = resolve_metric(metric, task=task, y=y, groups=options["groups"], function=function, direction=direction)
    return measure_accuracy(original, variant, y=y, metric=resolved, **options)


def accuracy(ratio, low=None, high=None, **more):
    interval = None if low is None and high is None else Interval(low=low, high=high)
    given_ = {"metric": "accuracy", "direction": "higher", "rows": 450, "score": 0.9, "original": 0.912, **more}
    return Accuracy(ratio=ratio, interval=interval, **given_)


# --- what is measured -------------------------------------------------------------------------------------------


def test_accuracy_is_measured_with_its_score_interval_and_disagreements():
    result = measure(labels(range(10)), labels(range(8, 14)))
    low, high = paired_proportion_ratio_interval(186, 4, 8)
    assert sum(part.rows for part in result.slices) == ROWS
    assert result.model_copy(update={"slices": ()}) == Accuracy(
        metric="accuracy",
        direction="higher",
        rows=200,
        score=0.97,
        original=0.95,
        ratio=0.97 / 0.95,
        interval=Interval(low=low, high=high, method="score interval of a ratio of paired proportions"),
        rows_to_settle=math.ceil(ROWS * (2.8 / paired_proportion_ratio_z(186, 4, 8, 0.99)) ** 2),
        disagreements=12,
    )


def test_errors_turn_the_ratio_round_so_that_less_is_worse():
    noise = np.random.default_rng(0).normal(size=ROWS)
    result = measure(values(noise), values(noise * 1.25), y=np.arange(ROWS), task="regression")
    assert (result.metric, result.direction) == ("rmse", "lower")
    assert result.ratio == pytest.approx(0.8)
    assert (result.interval.low, result.interval.high) == (pytest.approx(0.8), pytest.approx(0.8))
    assert result.interval.method == "paired percentile bootstrap over rows, 2,000 draws, seed 0"


def test_figures_by_class_are_drawn_within_their_class():
    result = measure(labels(range(10)), labels(range(30)), metric="f1")
    assert result.interval.method.endswith("2,000 draws, seed 0, stratified by class")
    assert result.notes == ("of the positive class, 1",)
    assert "stratified" not in measure(values(0.5), values(0.6), y=np.arange(ROWS), task="regression").interval.method


def test_groups_are_drawn_together_and_their_column_may_be_a_matrix():
    noise = np.repeat(np.random.default_rng(0).normal(size=20), 10)
    plain, grouped = (
        measure(values(0.5), values(0.5 + noise), y=np.arange(ROWS), task="regression", groups=groups)
        for groups in (None, np.repeat(np.arange(20), 10).reshape(-1, 1))
    )
    assert "over groups" in grouped.interval.method
    assert grouped.interval.high - grouped.interval.low > 2 * (plain.interval.high - plain.interval.low)


def test_rankings_are_drawn_by_query():
    rng = np.random.default_rng(0)
    relevance, groups = rng.integers(0, 3, ROWS), np.repeat(np.arange(20), 10)
    variant = Prediction(values=relevance + rng.normal(0, 2, ROWS))
    result = measure(Prediction(values=relevance.astype(float)), variant, y=relevance, task="ranking", groups=groups)
    assert (result.metric, result.original) == ("ndcg", 1.0)
    assert result.interval.low < result.ratio < result.interval.high < 1
    assert "over queries" in result.interval.method


def test_nine_queries_carry_no_interval_and_the_note_says_so():
    relevance, groups = Y, np.repeat(np.arange(10), 20) // 2
    result = measure(values(0.0, Y), values(0.0, 1.0 - Y), y=relevance, task="ranking", groups=groups)
    assert (result.interval.low, result.interval.high, result.rows_to_settle) == (None, None, None)
    assert result.notes[0].startswith("no interval: fewer than 10")


def test_agreement_is_a_share_that_cannot_exceed_1():
    result = measure(labels(), labels([3]), y=None)
    assert (result.metric, result.original, result.score, result.disagreements) == ("agreement", 1.0, 0.995, 1)
    assert result.interval.low < 0.995 < result.interval.high < 1
    assert result.interval.method == "Wilson's score interval of a share"


def test_without_y_transformed_rows_are_held_to_the_originals_by_cosine():
    rows = np.random.default_rng(0).normal(size=(ROWS, 8))
    result = measure(Prediction(values=rows), Prediction(values=rows * 2), y=None, task="transform")
    assert (result.metric, result.score, result.original) == ("cosine", pytest.approx(1), pytest.approx(1))


def test_without_y_values_are_held_to_the_originals_by_their_variance():
    result = measure(values(0.0), values(1.0), y=None, task="regression")
    assert (result.metric, result.original) == ("fidelity", 1.0)
    assert result.ratio == pytest.approx(1 - 1 / np.arange(ROWS).var())


def test_the_original_beside_itself_has_a_ratio_of_1_and_no_interval():
    original = labels(range(10))
    result = measure(original, original)
    assert (result.ratio, result.interval, result.rows_to_settle, result.disagreements) == (1.0, None, None, 0)


def test_the_seed_decides_the_draws():
    noise = np.random.default_rng(0).normal(size=(2, ROWS))
    one, again, other = (
        measure(values(noise[0]), values(noise[1]), y=np.arange(ROWS), task="regression", random_seed=seed).interval
        for seed in (1, 1, 2)
    )
    assert one == again
    assert (one.low, one.high) != (other.low, other.high)


def test_a_bootstrap_that_has_seen_no_difference_says_so():
    result = measure(labels(range(10)), labels(range(10)), metric="balanced_accuracy")
    assert result.notes == (
        "the models do not differ on these rows, and a bootstrap knows no difference that it has not seen",
    )


def test_a_network_without_class_names_answers_positions():
    scores = np.eye(3)[Y] * 0.9 + 0.03
    answer = Prediction(labels=scores.argmax(axis=1), scores=scores)
    assert measure(answer, Prediction(labels=answer.labels, scores=scores), metric="roc_auc").score == 1.0


def test_class_names_that_are_no_positions_must_be_told_to_metrics_of_scores():
    names = np.array(["a", "b"])[Y]
    answer = Prediction(labels=names, scores=np.eye(3)[Y])
    with pytest.raises(NotMeasuredError, match="3 columns of scores for 2 classes"):
        measure(answer, answer, y=names, metric="roc_auc")
    assert measure(answer, answer, y=names, metric="roc_auc", classes=("a", "b", "c")).score == 1.0


def test_class_names_may_be_numpys_and_are_shown_plainly():
    answer = labels([1, 2])
    result = measure(answer, labels([1]), metric="f1", classes=np.array([0, 1]))
    assert result.notes == ("of the positive class, 1",)


def test_the_classes_of_a_model_without_labels_are_those_of_y():
    answer = Prediction(scores=np.eye(2)[Y])
    assert measure(answer, answer, y=np.array(["a", "b"])[Y], metric="roc_auc").notes == ("of the positive class, 'b'",)


def test_many_rows_are_drawn_less_often_by_foreign_metrics():
    rows = 40_000
    one, other = (Prediction(values=np.arange(rows) + error) for error in (1.0, 2.0))
    result = measure(
        one, other, y=np.arange(rows), task="regression", function=lambda y, p: np.abs(y - p).mean(), direction="lower"
    )
    assert (result.ratio, result.interval.method.split(", ")[1]) == (0.5, "500 draws")


def test_a_metric_that_fails_on_some_draws_is_undefined_there():
    def fussy(y, p):
        if len(set(y.tolist())) < 118:  # 2 standard deviations below a draw's mean
            raise ValueError("too few distinct targets")
        return float(np.abs(y - p).mean())

    result = measure(values(1.0), values(2.0), y=np.arange(ROWS), task="regression", function=fussy, direction="lower")
    assert (result.ratio, result.interval.low) == (0.5, 0.5)


def test_a_variant_without_any_error_is_a_million_times_better():
    result = measure(values(1.0), values(0.0), y=np.arange(ROWS), task="regression")
    assert (result.score, result.ratio) == (0.0, 1e6)
    assert (result.interval.low, result.interval.high) == (None, None)


@pytest.mark.parametrize("count", [3, 5])
def test_rows_to_settle_are_told_only_where_the_interval_holds_the_threshold(count):
    assert measure(labels(), labels(range(count)), threshold=0.99).rows_to_settle is None  # the ratio is below
    near = measure(labels(), labels(range(count)), threshold=0.97)
    z = (1 - count / ROWS - 0.97) / math.sqrt(0.97 * 0.03 / ROWS)
    assert near.rows_to_settle == math.ceil(ROWS * (2.8 / z) ** 2)
    assert measure(labels(), labels(range(count)), threshold=0.5).rows_to_settle is None
    assert measure(labels(), labels(range(count)), threshold=0.0).rows_to_settle is None


def test_rows_to_settle_of_a_bootstrap_go_by_its_lower_half():
    noise = np.random.default_rng(0).normal(size=(2, ROWS))
    result = measure(values(noise[0]), values(noise[1]), y=np.arange(ROWS), task="regression", threshold=0.9)
    assert result.interval.low < 0.9 < result.ratio
    z = Z95 * (result.ratio - 0.9) / (result.ratio - result.interval.low)
    assert result.rows_to_settle == math.ceil(ROWS * (2.8 / z) ** 2)


def test_several_labels_a_row_are_right_only_together():
    y = np.column_stack([Y, 1 - Y])
    variant = y.copy()
    variant[:20, 1] = 5
    result = measure(Prediction(labels=y), Prediction(labels=variant), y=y)
    assert (result.score, result.disagreements, result.notes) == (0.9, 20, ())


@UNTIMED
@given(st.sets(st.integers(0, ROWS - 1), max_size=60), st.sets(st.integers(0, ROWS - 1), max_size=60))
def test_exchanging_the_models_inverts_ratio_and_interval(first, second):
    one, other = measure(labels(first), labels(second)), measure(labels(second), labels(first))
    assert one.ratio == pytest.approx(1 / other.ratio)
    assert (one.interval.low, one.interval.high) == pytest.approx((1 / other.interval.high, 1 / other.interval.low))


# --- faults of data ---------------------------------------------------------------------------------------------


def test_b25_no_rows_are_not_measured():
    empty = Prediction(labels=np.array([], dtype=int))
    with pytest.raises(NotMeasuredError, match="no validation rows, accuracy needs at least 10"):
        measure(empty, empty, y=np.array([]))


def test_b26_nine_rows_are_not_measured_and_ten_are():
    with pytest.raises(NotMeasuredError, match="9 validation rows, accuracy needs at least 10"):
        measure(labels(y=Y[:9]), labels(y=Y[:9]), y=Y[:9])
    assert measure(labels(y=Y[:10]), labels(y=Y[:10]), y=Y[:10]).ratio == 1.0


@pytest.mark.parametrize("which", ["y", "groups"])
def test_b27_another_length_is_a_usage_error(which):
    with pytest.raises(UsageError, match=f"{which} has 199 entries for 200 rows"):
        measure(labels(), labels(), **{which: Y[:-1]})


def test_a_variant_that_loses_rows_is_not_measured():
    with pytest.raises(NotMeasuredError, match="the variant answers 199 rows, the original 200"):
        measure(labels(), labels(y=Y[:-1]))


class NAType:
    """Like pandas' NA, whose comparisons have no truth value."""

    def __eq__(self, other):
        raise TypeError("boolean value of NA is ambiguous")

    __hash__ = object.__hash__


@pytest.mark.parametrize("missing", [math.nan, np.float64("nan"), None, NAType()])
def test_b29_a_missing_label_is_a_usage_error_that_names_the_row(missing):
    y = Y.astype(object)
    y[[17, 40]] = missing
    with pytest.raises(UsageError, match=r"y is missing .* in row 17 and 1 more"):
        measure(labels(), labels(), y=y)


def test_b29_nan_among_numbers_is_one_too_and_integral_floats_work():
    y = Y.astype(float)
    assert measure(labels(), labels(), y=y).score == 1.0
    y[5] = math.nan
    with pytest.raises(UsageError, match=r"in row 5\."):
        measure(labels(), labels(), y=y)


def test_b30_texts_against_numbers_are_not_measured_and_numbers_of_another_type_are():
    with pytest.raises(NotMeasuredError, match=r"'0' \(str\) against 0 \(int\), so that no row could ever be right"):
        measure(labels(), labels(), y=Y.astype(str))
    with pytest.raises(NotMeasuredError, match=r"'0' \(str\) against 0 \(int\)"):
        measure(Prediction(scores=np.eye(2)[Y]), Prediction(scores=np.eye(2)[Y]), y=Y.astype(str), classes=(0, 1),
                metric="roc_auc")  # fmt: skip
    for y in (Y.astype(bool), Y.astype(np.float32), Y.astype(object)):
        assert measure(labels(), labels(), y=y).score == 1.0


def test_b30_a_variant_that_answers_texts_is_not_measured():
    with pytest.raises(NotMeasuredError, match="no row could ever be right"):
        measure(labels(), Prediction(labels=Y.astype(str)))


def test_b31_more_classes_than_the_model_can_answer_are_not_measured_and_fewer_are_fine():
    y = np.arange(ROWS) % 3
    scores = np.eye(2)[Y]
    with pytest.raises(NotMeasuredError, match="y holds 3 classes, the model can answer 2"):
        measure(labels(scores=scores), labels(scores=scores), y=y)
    with pytest.raises(NotMeasuredError, match="y holds 3 classes, the model can answer 2"):
        measure(labels(), labels(), y=y, classes=(0, 1))
    three = Prediction(labels=Y, scores=np.eye(3)[Y])
    assert measure(three, three).score == 1.0


def test_b31_a_variant_that_scores_other_classes_is_not_measured():
    with pytest.raises(NotMeasuredError, match="the variant scores 3 classes, the original 2"):
        measure(labels(scores=np.eye(2)[Y]), labels(scores=np.eye(3)[Y]))


def test_labels_that_the_model_does_not_know_are_wrong_and_told():
    y = np.where(np.arange(ROWS) < 20, 7, 0)
    result = measure(Prediction(labels=Y * 0), Prediction(labels=Y * 0), y=y, classes=(0, 1), metric="f1")
    assert result.notes == (
        "y holds labels that the model does not know, always wrong: [7]",
        "mean over classes (macro)",
        "the models do not differ on these rows, and a bootstrap knows no difference that it has not seen",
    )
    assert result.score == pytest.approx((2 * 180 / 380 + 0) / 2)


def test_b35_one_class_only_is_measured_and_told():
    y = np.zeros(ROWS, dtype=int)
    result = measure(labels([1], y), labels([1, 2], y), y=y)
    assert result.ratio == pytest.approx(198 / 199)
    assert result.notes == ("y holds one class only, 0: nothing is said about others",)


def test_b35_one_class_has_no_auc():
    answer = Prediction(labels=Y, scores=np.column_stack([1 - Y * 0.9, Y * 0.9]))
    with pytest.raises(NotMeasuredError, match="the original's roc_auc is nan"):
        measure(answer, answer, y=Y * 0, metric="roc_auc")
    assert measure(answer, answer, metric="roc_auc").score == 1.0


def test_a_metric_of_y_without_y_is_not_measured():
    with pytest.raises(NotMeasuredError, match=r"metric 'accuracy' needs y, and there is none\. Pass y, or hold"):
        measure(labels(), labels(), y=None, metric="accuracy")


# --- faults of numbers ------------------------------------------------------------------------------------------


def test_c38_an_original_that_gets_nothing_right_is_not_measured_and_one_row_is_enough():
    with pytest.raises(NotMeasuredError, match="the original's accuracy is 0: no ratio to it is defined"):
        measure(labels(range(ROWS)), labels())
    assert measure(labels(range(1, ROWS)), labels(range(ROWS))).ratio == 0.0


def test_c38_an_original_without_any_error_is_not_measured_by_errors_but_by_r2():
    with pytest.raises(NotMeasuredError, match=r"rmse is 0, no error at all: .*metric='r2'"):
        measure(values(0.0), values(0.5), y=np.arange(ROWS), task="regression")
    assert measure(values(0.0), values(0.5), y=np.arange(ROWS), task="regression", metric="r2").original == 1.0


def test_c39_a_score_that_is_no_number_is_not_measured():
    for value in (math.nan, math.inf):
        with pytest.raises(NotMeasuredError, match=f"the original's mine is {value}"):
            measure(labels(), labels(), metric="mine", function=lambda *_, value=value: value, direction="higher")
    assert measure(labels(), labels(), metric="mine", function=lambda *_: 0.5, direction="higher").ratio == 1.0


def test_c39_scores_with_nan_are_not_measured_by_scores_but_by_labels():
    scores = np.eye(2)[Y]
    scores[3, 0] = math.nan
    with pytest.raises(
        NotMeasuredError, match="the variant's scores are NaN or infinite in 1 of 200 rows, first in row 3"
    ):
        measure(labels(scores=np.eye(2)[Y]), labels(scores=scores), metric="roc_auc")
    with pytest.raises(NotMeasuredError, match="the variant's values are NaN or infinite in 200 of 200 rows"):
        measure(values(1.0), values(math.nan), y=np.arange(ROWS), task="regression")
    assert measure(labels(scores=np.eye(2)[Y]), labels(scores=scores)).ratio == 1.0


def test_an_original_with_nan_is_not_measured_by_anything():
    scores = np.eye(2)[Y]
    scores[3, 0] = math.inf
    with pytest.raises(NotMeasuredError, match="the original's scores are NaN or infinite in 1 of 200 rows"):
        measure(labels(scores=scores), labels(scores=scores))


def test_a_negative_r2_is_not_measured_and_the_next_step_is_rmse():
    worse = values(np.linspace(200, -200, ROWS))
    with pytest.raises(NotMeasuredError, match=r"negative score means nothing.*rmse"):
        measure(worse, worse, y=np.arange(ROWS), task="regression", metric="r2")
    assert measure(worse, worse, y=np.arange(ROWS), task="regression", metric="rmse").ratio == 1.0


def test_a_negative_r2_of_the_variant_alone_is_a_bad_ratio():
    worse = values(np.linspace(200, -200, ROWS))
    assert measure(values(1.0), worse, y=np.arange(ROWS), task="regression", metric="r2").ratio < 0


@pytest.mark.parametrize(("original", "variant"), [(1.0, -1.0), (-1.0, 1.0)])
def test_a_loss_must_not_be_negative(original, variant):
    scores = iter([variant, original])
    with pytest.raises(NotMeasuredError, match="negative score means nothing"):
        measure(labels(), labels(), metric="mine", function=lambda *_: next(scores), direction="lower")


@pytest.mark.parametrize("shapes", [((ROWS, 1), (ROWS,), (ROWS,)), ((ROWS,), (ROWS, 1), (ROWS, 1))])
def test_c46_a_column_and_a_vector_are_the_same_target(shapes):
    base = np.arange(ROWS, dtype=float)
    y, one, other = (array.reshape(shape) for array, shape in zip((base, base + 1, base + 2), shapes, strict=True))
    assert measure(Prediction(values=one), Prediction(values=other), y=y, task="regression").ratio == 0.5


def test_c46_other_shapes_are_not_measured():
    with pytest.raises(NotMeasuredError, match=r"shapes \(200, 2\) and \(200,\) do not belong together"):
        measure(values(0.0), values(0.0), y=np.ones((ROWS, 2)), task="regression")
    with pytest.raises(NotMeasuredError, match=r"shapes \(200, 2\) and \(200,\) do not belong together"):
        measure(labels(), labels(), y=np.eye(2)[Y])


def test_c49_no_figure_of_an_accuracy_is_written_as_nan_or_infinity():
    for result in (
        measure(values(1.0), values(0.0), y=np.arange(ROWS), task="regression"),
        measure(labels(), labels([1])),
        measure(labels(range(ROWS - 1)), labels(range(ROWS))),
    ):
        assert not any(token in result.model_dump_json() for token in ("NaN", "Infinity"))


# --- the verdict ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [0.99, 0.9, 1.0, 0.0])
def test_c41_ratio_exactly_at_the_threshold_passes_and_one_ulp_below_fails(threshold):
    at, below = (
        check_accuracy("int8", accuracy(ratio, 0.5, 1.5), threshold=threshold, decision="point")
        for ratio in (threshold, math.nextafter(threshold, -1))
    )
    assert (at.outcome, below.outcome) == ("passed", "failed")
    assert f"is below {threshold}" in below.reason
    assert f"{threshold:.4f} is below" not in below.reason


def test_c41_a_measured_ratio_exactly_at_the_threshold_passes():
    result = measure(labels(), labels([0, 1]), threshold=0.99)
    assert (result.ratio, check_accuracy("x", result, threshold=0.99, decision="point").outcome) == (0.99, "passed")


def test_a_clear_pass_says_figure_limit_interval_and_rows():
    measured = accuracy(1.0, 0.995, 1.005, score=0.912)
    assert check_accuracy("onnx", measured, threshold=0.99, decision="point") == Check(
        kind="accuracy",
        variant="onnx",
        outcome="passed",
        observed=1.0,
        limit=0.99,
        interval=measured.interval,
        reason="accuracy ratio 1.0000 reaches 0.99: accuracy 0.9120 against the original's 0.9120 on 450 rows, "
        "95 % interval 0.9950 to 1.0050.",
    )


def test_a_pass_that_is_not_certain_says_how_many_rows_would_settle_it():
    check = check_accuracy("onnx", accuracy(0.995, 0.98, 1.01, rows_to_settle=3100), threshold=0.99, decision="point")
    assert check.outcome == "passed"
    assert check.reason.endswith("95 % interval 0.9800 to 1.0100; not certain, about 3,100 rows would settle it.")
    assert check.next_step == "Validate on about 3,100 rows."


def test_a_failure_that_is_not_certain_says_that_no_rows_would_help():
    check = check_accuracy("int8", accuracy(0.985, 0.97, 1.0, disagreements=12), threshold=0.99, decision="point")
    assert check.outcome == "failed"
    assert check.reason.endswith(
        "not certain, and no number of rows would prove a ratio that is not above the threshold."
    )
    assert check.next_step.startswith("Look at the 12 rows whose label differs; use a gentler technique")


def test_a_clear_failure_without_labels_points_at_the_worst_rows():
    check = check_accuracy("int8", accuracy(0.9, 0.88, 0.92), threshold=0.99, decision="point")
    assert check.outcome == "failed"
    assert check.reason.endswith("95 % interval 0.8800 to 0.9200.")
    assert check.next_step.startswith("Look at the worst rows")


def test_the_lower_limit_decides_where_the_request_says_so():
    measured = accuracy(0.995, 0.98, 1.01, rows_to_settle=3100)
    check = check_accuracy("onnx", measured, threshold=0.99, decision="lower_bound")
    assert (check.outcome, check.observed) == ("failed", 0.98)
    assert check.reason.startswith("lower limit of the accuracy ratio 0.9800 is below 0.99")
    assert check.next_step == "Validate on about 3,100 rows."
    proven = check_accuracy("onnx", accuracy(0.999, 0.99, 1.01), threshold=0.99, decision="lower_bound")
    assert (proven.outcome, proven.observed, proven.next_step) == ("passed", 0.99, "")


@pytest.mark.parametrize("measured", [accuracy(1.0), accuracy(1.0, None, 1.2)])
def test_without_a_lower_limit_the_lower_bound_is_not_measured_and_the_point_decides(measured):
    check = check_accuracy("onnx", measured, threshold=0.99, decision="lower_bound")
    assert (check.outcome, check.is_red) == ("not_measured", True)
    assert check.reason == "the accuracy ratio has no lower limit on 450 rows."
    assert check_accuracy("onnx", measured, threshold=0.99, decision="point").outcome == "passed"


def test_a_ratio_that_was_not_measured_is_not_passed():
    check = check_accuracy("onnx", accuracy(None), threshold=0.0, decision="point")
    assert (check.outcome, check.reason) == ("not_measured", "the accuracy ratio was not measured on 450 rows.")


def test_small_large_and_unknown_figures_stay_readable():
    measured = accuracy(1.0, 0.0, None, metric="rmse", direction="lower", score=0.0000123456, original=123456.7)
    reason = check_accuracy("onnx", measured, threshold=0.0, decision="point").reason
    assert "rmse 1.235e-05 against the original's 1.235e+05" in reason
    assert "interval 0.0000 to unknown" in reason


@UNTIMED
@given(st.floats(0, 2), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_the_verdict_is_the_comparison_and_nothing_else(ratio, threshold, below, above):
    measured = accuracy(ratio, ratio - below, ratio + above)
    point = check_accuracy("x", measured, threshold=threshold, decision="point")
    bound = check_accuracy("x", measured, threshold=threshold, decision="lower_bound")
    assert (point.outcome == "passed", bound.outcome == "passed") == (ratio >= threshold, ratio - below >= threshold)
    assert point.reason
    assert bound.reason
