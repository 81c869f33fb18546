from __future__ import annotations

import csv
import io

import pandas as pd

from pytest_inferopt.domain.rows import COLUMNS
from pytest_inferopt.reporters.csv import Csv

NAN = float("nan")


def parsed(report):
    """The records as a strict reader sees them: columns, then rows."""
    return list(csv.reader(io.StringIO(Csv().render(report), newline=""), strict=True))


def shown(report, *columns):
    """Some columns of every row, as text."""
    header, *rows = parsed(report)
    return [tuple(row[header.index(column)] for column in columns) for row in rows]


def test_there_is_a_row_for_each_model_variant_and_batch_size_in_the_reports_order(reports):
    assert shown(reports.full(), "model", "variant", "batch_size", "is_best", "verdict", "p50_ms", "speedup_high") == [
        ("churn", "original", "1", "false", "", "4.0", ""),
        ("churn", "original", "32", "false", "", "38.0", ""),
        ("churn", "original (n_jobs=-1)", "1", "false", "", "4.0", ""),
        ("churn", "original (n_jobs=-1)", "32", "false", "", "38.0", ""),
        ("churn", "onnx", "1", "true", "passed", "0.5", "8.25"),
        ("churn", "onnx", "32", "true", "passed", "5.0", "7.7"),
        ("churn", "int8", "1", "false", "failed", "0.25", "16.5"),
        ("churn", "fp16", "", "false", "not_measured", "", ""),
        ("price", "original", "1", "false", "", "4.0", ""),
        ("price", "original", "32", "false", "", "38.0", ""),
        ("price", "optimized", "1", "true", "passed", "0.5", "8.25"),
        ("price", "optimized", "32", "true", "passed", "5.0", "7.7"),
    ]


def test_the_file_is_what_rfc_4180_describes(reports):
    found = reports.result(reports.variant('say "a, b"\nand c'), name="comma, separated")
    text = Csv().render(reports.report(found))
    assert text.startswith(",".join(COLUMNS) + "\r\n")
    assert text.endswith("\r\n")
    assert shown(reports.report(found), "model", "variant")[-1] == ("comma, separated", 'say "a, b"\nand c')
    assert {len(row) for row in parsed(reports.report(found))} == {len(COLUMNS)}


def test_numbers_are_as_precise_as_they_were_measured(reports):
    exact = reports.latency(1, 0.1 + 0.2, p95_ms=1e-7)
    found = reports.result(reports.variant(latency={1: exact}))
    assert shown(reports.report(found), "p50_ms", "p95_ms")[-1] == ("0.30000000000000004", "1e-07")


def test_what_is_no_number_is_an_empty_cell(reports):
    found = reports.result(reports.variant(latency={1: reports.latency(1, 0.5, p95_ms=NAN, p99_ms=float("inf"))}))
    assert shown(reports.report(found), "p50_ms", "p95_ms", "p99_ms")[-1] == ("0.5", "", "")


def test_pandas_reads_numbers_as_numbers_and_truth_as_truth(reports):
    table = pd.read_csv(io.StringIO(Csv().render(reports.full())))
    kinds = {column: table[column].dtype.kind for column in ("is_best", "p50_ms", "speedup", "size_bytes", "score")}
    assert kinds == {"is_best": "b", "p50_ms": "f", "speedup": "f", "size_bytes": "f", "score": "f"}


def test_a_report_without_results_has_its_columns_alone(reports):
    assert parsed(reports.empty()) == [list(COLUMNS)]


def test_what_does_not_print_is_escaped_but_for_tabs_and_line_ends(reports):
    report = reports.report(reports.result(reports.variant("\x1b[31m\x00a\tb\r\nc\u202e\ud800")))
    assert shown(report, "variant")[-1] == ("\\x1b[31m\\x00a\tb\r\nc\\u202e\\ud800",)


def test_a_variant_beside_its_baseline_has_its_slow_down(reports):
    columns = ("variant", "batch_size", "gate", "regression", "baseline", "cell", "base_p50_ms", "slowdown")
    assert shown(reports.report(reports.regressed(), reports.new()), *columns)[2:] == [
        ("onnx", "1", "regressed", "passed", "merge base", "passed", "0.5", "0.003"),
        ("onnx", "32", "regressed", "passed", "merge base", "", "", ""),
        ("int8", "1", "regressed", "regressed", "merge base", "passed", "0.5", "0.004"),
        ("int8", "32", "regressed", "regressed", "merge base", "", "", ""),
        ("original", "1", "", "", "", "", "", ""),
        ("original", "32", "", "", "", "", "", ""),
        ("onnx", "1", "new", "new", "", "", "", ""),
        ("onnx", "32", "new", "new", "", "", "", ""),
    ]
