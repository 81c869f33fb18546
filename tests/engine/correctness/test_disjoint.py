"""Rows that judge are never calibrated or trained on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from pytest_inferopt.domain.artifact import Dataset
from pytest_inferopt.engine.correctness.disjoint import without_rows_of

TABLE = np.arange(24, dtype=np.float64).reshape(8, 3) / 7
MIXED = pd.DataFrame({"n": range(8), "c": list("abcdabcd"), "f": np.linspace(0, 1, 8)})
IMAGES = TABLE.reshape(8, 3, 1)
BOTH = {"a": TABLE, "b": np.arange(8)}


@pytest.mark.parametrize(
    ("rows", "part"),
    [
        (TABLE, lambda indices: TABLE[indices]),
        (TABLE.astype(np.float32), lambda indices: TABLE[indices]),
        (IMAGES, lambda indices: IMAGES[indices]),
        (sparse.csr_matrix(TABLE), lambda indices: sparse.csr_matrix(TABLE[indices])),
        (MIXED, lambda indices: MIXED.iloc[indices]),
        (list("abcdefgh"), lambda indices: [list("abcdefgh")[at] for at in indices]),
        (BOTH, lambda indices: {name: column[indices] for name, column in BOTH.items()}),
    ],
    ids=["array", "another precision", "images", "sparse", "frame", "texts", "mapping"],
)
def test_rows_that_judge_are_left_out_and_counted(rows, part):
    targets = np.arange(8) * 10
    kept, left_out = without_rows_of(Dataset(rows, targets, targets + 1), Dataset(part([1, 6])))
    assert left_out == 2
    assert (kept.rows, kept.y.tolist(), kept.groups.tolist()) == (
        6,
        [0, 20, 30, 40, 50, 70],
        [1, 21, 31, 41, 51, 71],
    )


def test_rows_apart_stay_the_very_same_table():
    training = Dataset(TABLE[:4])
    assert without_rows_of(training, Dataset(TABLE[4:])) == (training, 0)


def test_the_two_zeros_of_floats_are_one_value_and_a_missing_key_of_a_mapping_makes_another_row():
    assert without_rows_of(Dataset(np.array([[0.0]])), Dataset(np.array([[-0.0]])))[1] == 1
    assert without_rows_of(Dataset({"a": np.array([1])}), Dataset({"a": np.array([1]), "b": np.array([2])}))[1] == 0
