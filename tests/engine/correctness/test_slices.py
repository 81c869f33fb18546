"""The parts of the rows on which a variant lost most."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_inferopt.domain.artifact import Prediction
from pytest_inferopt.domain.measured import Accuracy, Slice
from pytest_inferopt.engine.correctness.slices import slices_of
from pytest_inferopt.engine.correctness.verdict import check_accuracy

Y = np.array([0, 0, 1, 1, 1, 2])


def labels(*values):
    return Prediction(labels=np.array(values))


def part(name, rows, original, variant, measure="share right"):
    return Slice(name=name, rows=rows, measure=measure, original=original, variant=variant)


def test_classes_come_in_the_order_of_what_they_lost():
    found = slices_of(labels(0, 0, 1, 1, 0, 0), labels(0, 1, 0, 0, 0, 2), Y)
    assert found == (
        part("class 1", 3, 2 / 3, 0.0),
        part("class 0", 2, 1.0, 0.5),
        part("class 2", 1, 0.0, 1.0),
    )
    assert [round(each.lost, 3) for each in found] == [0.667, 0.5, -1.0]


def test_texts_name_their_class_and_what_controls_a_terminal_is_made_visible():
    y = np.array(["a", "\x1b[31mb", "a"])
    names = [each.name for each in slices_of(Prediction(labels=y), Prediction(labels=y), y)]
    assert names == ["class \\x1b[31mb", "class a"]


def test_numbers_are_told_by_quarters_of_the_target():
    y = np.arange(8, dtype=np.float64)
    original, variant = Prediction(values=y[:, None] + 1), Prediction(values=np.where(y > 5, y + 5, y)[:, None])
    assert slices_of(original, variant, y) == (
        part("target 5.25 to 7", 2, 1.0, 5.0, "mean absolute error"),
        part("target 0 to 1.75", 2, 1.0, 0.0, "mean absolute error"),
        part("target 1.75 to 3.5", 2, 1.0, 0.0, "mean absolute error"),
        part("target 3.5 to 5.25", 2, 1.0, 0.0, "mean absolute error"),
    )


@pytest.mark.parametrize(
    ("original", "target"),
    [
        (labels(0, 1), None),
        (labels(0, 1), np.array([[0, 1], [1, 0]])),
        (Prediction(values=np.ones((2, 3))), np.array([1.0, 2.0])),
        (Prediction(values=np.ones(2)), np.array(["a", "b"])),
        (Prediction(labels=np.array([[0, 1], [1, 0]])), np.array([0, 1])),
    ],
    ids=["no target", "several labels", "embeddings", "texts", "multi-label"],
)
def test_what_nothing_divides_has_no_parts(original, target):
    assert slices_of(original, original, target) == ()


def test_at_most_ten_are_kept():
    y = np.arange(40)
    assert len(slices_of(Prediction(labels=y), Prediction(labels=y), y)) == 10


def test_a_failed_accuracy_names_the_three_that_lost_most_and_a_passed_one_none():
    parts = (part("class 3", 40, 0.95, 0.6), part("class 8", 38, 0.9, 0.7), part("class 1", 41, 1.0, 0.99),
             part("class 0", 40, 1.0, 0.995), part("class 2", 40, 0.9, 1.0))  # fmt: skip
    accuracy = Accuracy(
        metric="accuracy", direction="higher", rows=199, score=0.85, original=0.95, ratio=0.8947, slices=parts
    )
    failed = check_accuracy("int8", accuracy, threshold=0.99, decision="point")
    assert failed.reason.endswith(
        " Lost most, by share right: class 3 (0.9500 to 0.6000 on 40 rows), class 8 (0.9000 to 0.7000 on 38 rows), "
        "class 1 (1.0000 to 0.9900 on 41 rows)."
    )
    assert "Lost most" not in check_accuracy("int8", accuracy, threshold=0.8, decision="point").reason
    gained = accuracy.model_copy(update={"slices": parts[-1:]})
    assert "Lost most" not in check_accuracy("int8", gained, threshold=0.99, decision="point").reason
