from __future__ import annotations

import numpy as np
import pytest

from pytest_inferopt.domain.artifact import Prediction
from pytest_inferopt.domain.measured import Conversion, Disagreement
from pytest_inferopt.domain.result import Check
from pytest_inferopt.engine.correctness.conversion import check_conversion, check_deterministic, compare_outputs
from pytest_inferopt.errors import NotMeasuredError

LABELS = np.array([0, 1, 1, 0, 1, 0, 1, 1, 0, 0])
SHARES = np.column_stack([np.linspace(0.1, 0.9, 10), np.linspace(0.9, 0.1, 10)])


def shares(change=0.0, labels=LABELS):
    return Prediction(labels=labels, scores=SHARES + change, scores_are_probabilities=True)


def test_a_file_that_answers_the_same_differs_in_nothing():
    expected = Conversion(rows=10, label_flips=0, max_difference=0.0, compared="probabilities", non_finite=0)
    assert compare_outputs(shares(), shares()) == expected


def test_c47_flips_of_labels_are_counted_and_shown_and_pass():
    flipped = np.where(np.arange(10) < 3, 1 - LABELS, LABELS)
    conversion = compare_outputs(shares(), shares(3e-7, flipped))
    assert check_conversion("onnx", conversion) == Check(
        kind="conversion",
        variant="onnx",
        outcome="passed",
        observed=conversion.max_difference,
        reason="3 of 10 labels differ, largest difference of probabilities 3e-07.",
    )


def test_c40_nan_and_infinite_rows_fail_and_are_counted():
    scores = SHARES.copy()
    scores[2, 0], scores[7, :] = np.nan, np.inf
    conversion = compare_outputs(shares(), Prediction(labels=LABELS, scores=scores, scores_are_probabilities=True))
    check = check_conversion("fp16", conversion)
    assert (conversion.non_finite, conversion.max_difference) == (2, 0.0)
    assert (check.outcome, check.observed, check.limit) == ("failed", 2, 0)
    assert check.reason == "2 of 10 rows are NaN or infinite where the original's are finite."
    assert check.next_step


def test_c40_nan_that_the_original_answers_too_passes():
    values = np.where(np.arange(10) < 2, np.nan, 1.0)
    conversion = compare_outputs(Prediction(values=values), Prediction(values=values))
    assert (conversion.non_finite, check_conversion("onnx", conversion).outcome) == (0, "passed")


def test_nan_in_a_part_that_the_original_does_not_answer_counts_too():
    values = np.where(np.arange(10) < 2, np.nan, 1.0)
    assert compare_outputs(Prediction(labels=LABELS), Prediction(labels=LABELS, values=values)).non_finite == 2


def test_where_nothing_is_finite_there_is_no_difference():
    values = np.full(10, np.nan)
    assert compare_outputs(Prediction(values=values), Prediction(values=values)).max_difference is None


@pytest.mark.parametrize("shape", [(10,), (10, 1)])
def test_c46_values_of_one_column_are_compared_row_by_row(shape):
    one = Prediction(values=np.arange(10.0).reshape(shape))
    other = Prediction(values=np.arange(10.0) + 0.5)
    conversion = compare_outputs(one, other)
    assert (conversion.compared, conversion.max_difference, conversion.label_flips) == ("values", 0.5, None)
    with pytest.raises(NotMeasuredError, match=r"shapes \(10,.*\) and \(10, 2\)"):
        compare_outputs(one, Prediction(values=np.ones((10, 2))))


def test_one_decision_value_a_row_is_that_of_the_second_of_two_classes():
    margin = np.linspace(-2, 2, 10)
    conversion = compare_outputs(
        Prediction(labels=LABELS, scores=margin), Prediction(labels=LABELS, scores=np.column_stack([-margin, margin]))
    )
    assert (conversion.compared, conversion.max_difference) == ("decision values", 0.0)


def test_decision_values_are_not_compared_with_probabilities():
    conversion = compare_outputs(shares(), Prediction(labels=LABELS, scores=SHARES * 7))
    assert (conversion.compared, conversion.max_difference, conversion.label_flips) == ("", None, 0)
    assert check_conversion("onnx", conversion).reason == "0 of 10 labels differ."


def test_a_file_that_answers_something_else_says_so():
    conversion = compare_outputs(Prediction(labels=LABELS), Prediction(values=np.ones(10)))
    assert check_conversion("onnx", conversion).reason == "10 rows answered, in nothing that the original answers too."


def test_b31_other_columns_of_scores_are_not_measured():
    three = Prediction(labels=LABELS, scores=np.full((10, 3), 1 / 3), scores_are_probabilities=True)
    with pytest.raises(NotMeasuredError, match="the variant scores 3 classes, the original 2"):
        compare_outputs(shares(), three)


def test_other_numbers_of_rows_are_not_measured():
    with pytest.raises(NotMeasuredError, match="the variant answers 8 rows, the original 10"):
        compare_outputs(shares(), Prediction(labels=LABELS[:8]))


def test_b30_labels_of_another_type_are_not_counted_as_flips():
    with pytest.raises(NotMeasuredError, match=r"0 \(int\) against '0' \(str\)"):
        compare_outputs(shares(), shares(labels=LABELS.astype(str)))
    assert compare_outputs(shares(), shares(labels=LABELS.astype(np.float32))).label_flips == 0
    texts = Prediction(labels=LABELS.astype(str))
    assert compare_outputs(texts, Prediction(labels=LABELS.astype(str).astype(object))).label_flips == 0


# --- the rows that differ most ----------------------------------------------------------------------------------


def test_the_rows_that_differ_most_are_told_with_their_targets_and_difference():
    flipped = np.where(np.arange(10) == 4, 1 - LABELS, LABELS)
    scores = np.where(np.arange(10).reshape(-1, 1) == 7, 0.0, SHARES)
    variant = Prediction(labels=flipped, scores=scores, scores_are_probabilities=True)
    assert compare_outputs(shares(), variant, list("abcdefghij")).worst_rows == (
        Disagreement(row=4, expected="e", original="1", variant="0", difference=0.0),
        Disagreement(row=7, expected="h", original="1", variant="1", difference=SHARES[7].max()),
    )


def test_a_number_that_one_of_the_two_lacks_differs_more_than_any_other_and_one_that_both_lack_not_at_all():
    before, after = ([np.inf, np.nan, np.nan, 4.0, 5.0], [1.0, 2.0, np.nan, 8.0, 5.0])
    conversion = compare_outputs(Prediction(values=np.array(before)), Prediction(values=np.array(after)))
    assert conversion.worst_rows == (
        Disagreement(row=0, original="inf", variant="1"),
        Disagreement(row=1, original="nan", variant="2"),
        Disagreement(row=3, original="4", variant="8", difference=4.0),
    )


def test_a_column_of_labels_is_the_same_as_a_row_of_them():
    conversion = compare_outputs(Prediction(labels=LABELS), Prediction(labels=LABELS.reshape(-1, 1)))
    assert (conversion.label_flips, conversion.worst_rows) == (0, ())


def test_decision_values_that_are_not_compared_still_show_the_rows_with_another_label():
    conversion = compare_outputs(shares(), Prediction(labels=1 - LABELS, scores=SHARES * 7))
    assert (len(conversion.worst_rows), conversion.worst_rows[0]) == (
        10,
        Disagreement(row=0, original="0", variant="1"),
    )


# --- asked twice ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("second", "seen"),
    [
        (shares(labels=1 - LABELS), "10 labels differ"),
        (shares(1e-5), "scores differ by 1e-05 of the largest"),
        (shares(np.nan), "scores differ by inf"),
        (Prediction(labels=LABELS), "scores differ by inf"),
        (Prediction(labels=LABELS, scores=SHARES, values=np.ones(10)), "values differ by inf"),
        (Prediction(labels=LABELS, scores=np.where(SHARES > 0.85, np.inf, SHARES)), "scores differ by inf"),
    ],
)
def test_c43_a_model_that_answers_differently_twice_is_not_measured(second, seen):
    for pair in ((shares(), second), (second, shares())):
        with pytest.raises(NotMeasuredError, match=f"the original answers differently .*: {seen}"):
            check_deterministic(*pair, "the original")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (shares(), shares(1e-7)),  # the order of summation
        (Prediction(values=np.zeros(10)), Prediction(values=np.zeros(10))),
        (Prediction(values=np.full(10, np.nan)), Prediction(values=np.full(10, np.nan))),
        (Prediction(values=np.array([np.inf, 1.0])), Prediction(values=np.array([np.inf, 1.0]))),
        (Prediction(labels=np.array(["a", "b"])), Prediction(labels=np.array(["a", "b"]))),
    ],
)
def test_c43_a_model_that_repeats_itself_up_to_rounding_passes(first, second):
    check_deterministic(first, second, "the original")
