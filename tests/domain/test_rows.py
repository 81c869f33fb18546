from __future__ import annotations

import pytest

from pytest_inferopt.domain.record import Interval
from pytest_inferopt.domain.result import RunResult, VariantResult
from pytest_inferopt.domain.rows import COLUMNS, flat_rows

INTERVALS = {"p50": Interval(low=0.49, high=0.51), "p99": Interval(low=0.7, high=None)}
OF_THE_MODEL = {"test_id": "tests/test_churn.py::test_churn", "model": "churn"}
OF_THE_ORIGINAL = {
    "format": "sklearn",
    "size_bytes": 41_200_000,
    "sha256": "0" * 64,
    "metric": "f1",
    "score": 0.912,
    "accuracy_rows": 400,
}


def row(**figures):
    """A whole row; what is not named is None."""
    return {**dict.fromkeys(COLUMNS), **OF_THE_MODEL, "is_best": False, **figures}


def timed(batch_size, p50_ms, **figures):
    """The figures of a cell as `reports.latency` makes them."""
    return {
        "batch_size": batch_size,
        "iterations": 1000,
        "p50_ms": p50_ms,
        "p50_low_ms": 0.98 * p50_ms,
        "p50_high_ms": 1.02 * p50_ms,
        "p95_ms": p50_ms * 1.45,
        "p99_ms": p50_ms * 1.49,
        "mean_ms": p50_ms,
        "stddev_ms": 0.28 * p50_ms,
        "throughput_rows_per_second": 1000 * batch_size / p50_ms,
        "cold_call_ms": 10 * p50_ms,
        "feed_ms": 0.25,
        **figures,
    }


def test_a_variant_has_a_row_for_each_batch_size_with_all_that_was_measured(reports):
    cells = {1: reports.latency(1, 0.5, intervals=INTERVALS), 32: reports.latency(32, 5.0)}
    result = reports.result(reports.variant(latency=cells))
    of_it = {
        "variant": "onnx",
        "role": "variant",
        "is_best": True,
        "verdict": "passed",
        "format": "onnx",
        "size_bytes": 9_800_000,
        "sha256": "1" * 64,
        "label_flips": 0,
        "metric": "f1",
        "score": 0.912,
        "accuracy_ratio": 1.0,
        "accuracy_ratio_low": 0.99,
        "accuracy_ratio_high": 1.01,
        "accuracy_rows": 400,
    }
    limits = {"p50_low_ms": 0.49, "p50_high_ms": 0.51, "p99_low_ms": 0.7}
    assert list(flat_rows(result))[2:] == [
        row(**of_it, **timed(1, 0.5, **limits), speedup=8.0, speedup_low=7.75, speedup_high=8.25),
        row(**of_it, **timed(32, 5.0), speedup=7.6, speedup_low=7.5, speedup_high=7.7),
    ]


def test_the_original_and_what_is_timed_for_context_come_first_and_have_neither_ratio_nor_verdict(reports):
    own = reports.original(latency={1: reports.latency(1, 2.0)}, speedup={1: reports.speedup(1, 2.0, 1.9, 2.1)})
    own = own.model_copy(update={"name": "original (n_jobs=-1)", "role": "context"})
    original = reports.original(accuracy=reports.accuracy(0.912, 1.0))
    result = reports.result(reports.lost_variant(), original=original, context=(own,))
    assert list(flat_rows(result))[:3] == [
        row(variant="original", role="original", **OF_THE_ORIGINAL, **timed(1, 4.0)),
        row(variant="original", role="original", **OF_THE_ORIGINAL, **timed(32, 38.0)),
        row(
            variant="original (n_jobs=-1)",
            role="context",
            **OF_THE_ORIGINAL,
            **timed(1, 2.0),
            speedup=2.0,
            speedup_low=1.9,
            speedup_high=2.1,
        ),
    ]


def test_a_variant_that_was_never_timed_has_one_row_without_a_batch_size(reports):
    bare, original = VariantResult(name="bare"), VariantResult(name="original")
    result = reports.result(reports.lost_variant(), bare, original=original, best=None)
    assert list(flat_rows(result))[1:] == [
        row(variant="fp16", role="variant", verdict="not_measured"),
        row(variant="bare", role="variant"),
    ]


def test_the_verdict_is_the_outcome_that_speaks_for_a_variant(reports):
    result = reports.result(
        reports.failed_variant("a"),
        reports.variant("b", checks=(reports.check("passed", "b"), reports.check("advisory", "b"))),
    )
    assert {found["variant"]: found["verdict"] for found in flat_rows(result)} == {
        "original": None,
        "a": "failed",
        "b": "advisory",
    }


def test_a_context_that_is_called_as_the_best_variant_is_not_the_best(reports):
    own = reports.original().model_copy(update={"name": "onnx", "role": "context"})
    found = flat_rows(reports.result(reports.variant(), context=(own,)))
    assert [(one["role"], one["is_best"]) for one in found] == [
        ("original", False),
        ("original", False),
        ("context", False),
        ("context", False),
        ("variant", True),
        ("variant", True),
    ]


@pytest.mark.parametrize("name", ["full", "unmeasured"])
def test_every_row_has_every_column_in_the_same_order(reports, name):
    for result in getattr(reports, name)().results:
        assert [tuple(found) for found in flat_rows(result)] == [COLUMNS] * len(list(flat_rows(result)))


def test_a_percentile_that_a_newer_writer_has_measured_adds_no_column(reports):
    document = reports.result(reports.variant()).to_dict()
    cell = document["variants"]["onnx"]["latency"]["1"]
    cell["p99.9_ms"], cell["intervals"]["p99.9"] = 1.0, {"low": 0.9, "high": 1.1}
    assert {tuple(found) for found in flat_rows(RunResult.model_validate(document))} == {COLUMNS}


def test_a_variant_beside_its_baseline_has_its_change_in_every_row(reports):
    beside = {
        "gate": "regressed",
        "baseline": "merge base",
        "baseline_commit": "81b4480d5a6f7e8c90123456789abcdef0123456",
        "regression": "regressed",
        "base_size_bytes": 9_423_077,
        "size_change": 0.04,
        "base_score": 0.924,
        "score_change": -0.012,
    }
    result = reports.regressed()
    result = result.model_copy(update={"original": reports.original(latency={})})
    found = [row for row in flat_rows(result) if row["variant"] == "int8"]
    assert [{name: row[name] for name in COLUMNS if name in beside} for row in found] == [beside, beside]
    assert [
        {name: row[name] for name in COLUMNS[COLUMNS.index("cell") :]} | {"batch_size": row["batch_size"]}
        for row in found
    ] == [
        {
            "batch_size": 1,
            "cell": "passed",
            "base_p50_ms": 0.5,
            "slowdown": 0.004,
            "slowdown_low": pytest.approx(-0.007),
            "slowdown_high": pytest.approx(0.015),
            "slowdown_processes": 12,
        },
        # Batch 16 was compared, and 32 was timed.
        {
            "batch_size": 32,
            "cell": None,
            "base_p50_ms": None,
            "slowdown": None,
            "slowdown_low": None,
            "slowdown_high": None,
            "slowdown_processes": None,
        },
    ]
    (original,) = (row for row in flat_rows(result) if row["role"] == "original")
    assert {name: original[name] for name in beside} == dict.fromkeys(beside)


def test_without_a_baseline_a_row_says_what_the_gate_found_and_without_a_figure_only_the_outcome(reports):
    (new,) = list(flat_rows(reports.new()))[2:3]
    assert (new["gate"], new["regression"], new["baseline"], new["baseline_commit"]) == ("new", "new", None, None)
    bare = reports.cell("inconclusive", 1, 0.1).model_copy(update={"slowdown": None})
    found = reports.variant(comparison=reports.comparison(bare), latency={1: reports.latency(1, 0.5)})
    (row,) = list(flat_rows(reports.result(found)))[2:]
    assert (row["cell"], row["base_p50_ms"], row["slowdown"], row["regression"], row["gate"]) == (
        "inconclusive", 0.5, None, None, None,
    )  # fmt: skip
