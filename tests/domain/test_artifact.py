from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from pytest_inferopt.domain.artifact import Artifact, Dataset, Prediction, TensorSpec, row_count, take_rows

ARRAY = np.arange(12.0).reshape(4, 3)
PICK = np.array([2, 0, 2])
TABLES = {
    "array": ARRAY,
    "frame": pd.DataFrame(ARRAY, columns=list("abc"), index=[9, 8, 7, 6]),
    "sparse": sparse.csr_array(ARRAY),
    "texts": ["a", "b", "c", "d"],
    "mapping": {"x": ARRAY, "texts": ["a", "b", "c", "d"]},
}


@pytest.mark.parametrize("kind", TABLES)
def test_rows_are_counted_in_every_kind_of_table(kind):
    assert row_count(TABLES[kind]) == 4
    assert Dataset(TABLES[kind]).rows == 4


def test_rows_are_taken_by_position_in_the_order_asked_for_and_the_table_keeps_its_type():
    taken = {kind: take_rows(table, PICK) for kind, table in TABLES.items()}
    expected = ARRAY[PICK]
    np.testing.assert_array_equal(taken["array"], expected)
    pd.testing.assert_frame_equal(taken["frame"], pd.DataFrame(expected, columns=list("abc"), index=[7, 9, 7]))
    assert isinstance(taken["sparse"], sparse.csr_array)
    np.testing.assert_array_equal(taken["sparse"].toarray(), expected)
    assert taken["texts"] == ["c", "a", "c"]
    np.testing.assert_array_equal(taken["mapping"]["x"], expected)
    assert taken["mapping"]["texts"] == ["c", "a", "c"]


def test_inputs_of_different_length_are_no_table():
    with pytest.raises(ValueError, match=r"different numbers of rows: \{'a': 4, 'b': 2\}"):
        row_count({"a": ARRAY, "b": ["x", "y"]})


def test_a_mapping_of_nothing_is_no_table():
    with pytest.raises(ValueError, match=r"different numbers of rows: \{\}"):
        row_count({})


@pytest.mark.parametrize(("shape", "expected"), [(("N", 4), True), ((None,), True), ((1, 4), False), ((), False)])
def test_a_batch_axis_is_dynamic_unless_it_is_a_number_or_not_there(shape, expected):
    assert TensorSpec("x", "float32", shape).is_batch_dynamic is expected


def test_a_step_makes_a_new_artifact_whose_lineage_has_grown_and_leaves_the_old_one(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"12345")
    before = Artifact("sklearn", tmp_path / "a.pkl", model=object(), task="classification", lineage=("fp16",))
    after = before.evolve("quantization", notes=["done"], format="onnx", path=tmp_path / "a.onnx", model=None)
    assert (after.format, after.path, after.model, after.task) == ("onnx", tmp_path / "a.onnx", None, "classification")
    assert (after.lineage, after.notes, after.size_bytes) == (("fp16", "quantization"), ("done",), 5)
    assert (before.format, before.lineage, before.notes) == ("sklearn", ("fp16",), ())


def test_the_notes_of_the_last_step_do_not_stand_in_for_those_of_the_next(tmp_path):
    artifact = Artifact("onnx", tmp_path / "a.onnx", notes=("of the first",))
    assert artifact.evolve("second").notes == ()


def test_the_continuous_part_of_an_answer_is_its_values_and_else_its_scores():
    values, scores = np.zeros(3), np.ones((3, 2))
    assert Prediction(values=values, scores=scores).numbers is values
    assert Prediction(scores=scores).numbers is scores
    assert Prediction(labels=np.zeros(3)).numbers is None
