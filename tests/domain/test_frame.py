from __future__ import annotations

import sys

import pandas as pd
import pytest

from pytest_inferopt.domain.frame import COUNTS, TEXTS, TRUTHS
from pytest_inferopt.domain.rows import COLUMNS
from pytest_inferopt.errors import MissingDependencyError


def test_a_result_is_a_row_a_variant_and_batch_size(reports):
    table = reports.full().results[0].to_pandas()
    assert tuple(table.columns) == COLUMNS
    shown = table[["variant", "batch_size", "p50_ms", "speedup", "is_best"]]
    expected = pd.DataFrame(
        [
            ("original", 1, 4.0, None, False),
            ("original", 32, 38.0, None, False),
            ("original (n_jobs=-1)", 1, 4.0, None, False),
            ("original (n_jobs=-1)", 32, 38.0, None, False),
            ("onnx", 1, 0.5, 8.0, True),
            ("onnx", 32, 5.0, 7.6, True),
            ("int8", 1, 0.25, 16.0, False),
            ("fp16", None, None, None, False),
        ],
        columns=shown.columns,
    ).astype({"variant": "string", "batch_size": "Int64", "speedup": "float64"})
    pd.testing.assert_frame_equal(shown, expected)


@pytest.mark.parametrize("which", ["full", "empty", "unmeasured"])
def test_a_column_has_one_type_whatever_was_measured(reports, which):
    types = getattr(reports, which)().to_pandas().dtypes.astype(str).to_dict()
    named = dict.fromkeys(TEXTS, "string") | dict.fromkeys(COUNTS, "Int64") | dict.fromkeys(TRUTHS, "bool")
    assert types == {column: named.get(column, "float64") for column in COLUMNS}
    assert named.keys() <= set(COLUMNS)


def test_a_report_has_the_rows_of_all_its_results(reports):
    report = reports.full()
    parts = [result.to_pandas() for result in report.results]
    pd.testing.assert_frame_equal(report.to_pandas(), pd.concat(parts, ignore_index=True))


def test_without_pandas_the_error_says_what_to_install(reports, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingDependencyError) as caught:
        reports.full().to_pandas()
    assert str(caught.value) == "to_pandas needs pandas, not installed here. pip install pandas."
