from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pytest_inferopt.domain.artifact import Prediction
from pytest_inferopt.domain.measured import Disagreement
from pytest_inferopt.engine.correctness.disagreements import worst_rows

LABELS = np.array([0, 1, 1, 0])
FLIPPED = np.array([0, 0, 1, 0])


def rows_of(found):
    return [row.row for row in found]


def test_rows_with_another_label_come_first_and_then_the_largest_difference():
    found = worst_rows(Prediction(labels=LABELS), Prediction(labels=FLIPPED), np.array([0.25, 0.125, 0.0, 0.5]), LABELS)
    assert found == (
        Disagreement(row=1, expected="1", original="1", variant="0", difference=0.125),
        Disagreement(row=3, expected="0", original="0", variant="0", difference=0.5),
        Disagreement(row=0, expected="0", original="0", variant="0", difference=0.25),
    )


def test_of_several_rows_with_another_label_the_largest_difference_comes_first():
    flipped = worst_rows(Prediction(labels=LABELS), Prediction(labels=1 - LABELS), np.array([0.1, 0.3, 0.2, np.inf]))
    assert rows_of(flipped) == [3, 1, 2, 0]


def test_rows_that_differ_alike_stay_in_their_order():
    assert rows_of(worst_rows(Prediction(labels=LABELS), Prediction(labels=1 - LABELS), None)) == [0, 1, 2, 3]


def test_ten_rows_are_shown_at_the_most():
    zeros, ones = (Prediction(labels=np.full(300, label)) for label in (0, 1))
    assert rows_of(worst_rows(zeros, ones, np.arange(300.0))) == list(range(299, 289, -1))


@pytest.mark.parametrize("differences", [None, np.zeros(4)])
def test_where_all_agree_no_row_is_shown(differences):
    assert worst_rows(Prediction(labels=LABELS), Prediction(labels=LABELS.copy()), differences) == ()


def test_answers_that_have_nothing_in_common_have_no_row_that_differs():
    assert worst_rows(Prediction(labels=LABELS), Prediction(values=np.ones(4)), None) == ()


def test_a_difference_without_end_comes_first_and_is_no_number():
    values = np.array([1.0, 2.0, 3.0])
    found = worst_rows(Prediction(values=values), Prediction(values=values * np.inf), np.array([5.0, np.inf, np.nan]))
    assert [(row.row, row.difference) for row in found] == [(1, None), (2, None), (0, 5.0)]


def test_numbers_of_one_a_row_are_shown_with_six_digits():
    original, variant = Prediction(values=np.array([[0.123456789], [2e9]])), Prediction(values=np.array([0.5, 2e9]))
    assert worst_rows(original, variant, np.array([0.376543211, 0.0]), [0.1, 0.2]) == (
        Disagreement(row=0, expected="0.1", original="0.123457", variant="0.5", difference=0.376543211),
    )


def test_numbers_of_several_a_row_are_not_shown():
    values = Prediction(values=np.ones((2, 3)))
    assert worst_rows(values, values, np.array([0.5, 0.0])) == (Disagreement(row=0, difference=0.5),)


def test_of_a_model_without_labels_no_label_is_shown():
    found = worst_rows(Prediction(labels=LABELS, values=np.ones((4, 2))), Prediction(values=np.ones((4, 2))),
                       np.array([0.0, 0.0, 0.5, 0.0]))  # fmt: skip
    assert found == (Disagreement(row=2, original="1", difference=0.5),)


def test_of_several_labels_a_row_one_that_differs_is_enough():
    one, other = np.array([[0, 1, 1], [1, 1, 0]]), np.array([[0, 1, 1], [1, 0, 0]])
    found = worst_rows(Prediction(labels=one), Prediction(labels=other), None, pd.DataFrame(one))
    assert found == (Disagreement(row=1, expected="[1 1 0]", original="[1 1 0]", variant="[1 0 0]"),)


def test_a_column_of_labels_is_held_against_a_row_of_them():
    column = Prediction(labels=FLIPPED.reshape(-1, 1))
    assert worst_rows(Prediction(labels=LABELS), column, None) == (Disagreement(row=1, original="1", variant="0"),)
    assert worst_rows(Prediction(labels=FLIPPED), column, None) == ()


def test_texts_are_shown_on_one_line_and_cut():
    labels = [np.array([first, "same"]) for first in ("größe\n\x1b[31m", "x" * 300)]
    (found,) = worst_rows(*(Prediction(labels=array) for array in labels), None, ["\u202eyes", "same"])
    assert (found.expected, found.original, found.variant) == (
        r"\u202eyes",
        r"größe\n\x1b[31m",
        "x" * 39 + "…",
    )


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        (None, None),
        (np.array([9, 8, 9, 9]), "8"),
        ([9, 8.0, 9, 9], "8"),
        ((9, "8", 9, 9), "8"),
        (np.array([9, 8, 9, 9], dtype=np.float16).reshape(-1, 1), "8"),
        (pd.Series([9, 8, 9, 9], index=[4, 3, 2, 1]), "8"),
        (pd.Series(["a", "b", "a", "a"], dtype="category"), "b"),
        (pd.Series([1, None, 1, 1], dtype="Int64"), "<NA>"),
        (pd.DataFrame({"a": [0, 1, 0, 0], "b": [0, 2.5, 0, 0]}), "[1.  2.5]"),
        ([[], [1, 2], [3], []], "[1 2]"),
    ],
    ids=["none", "array", "list", "tuple", "column", "series", "category", "missing", "table", "ragged"],
)  # fmt: skip
def test_the_target_is_told_by_position_whatever_holds_the_targets(y, expected):
    (found,) = worst_rows(Prediction(labels=LABELS), Prediction(labels=FLIPPED), None, y)
    assert found == Disagreement(row=1, expected=expected, original="1", variant="0")
