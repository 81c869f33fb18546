from __future__ import annotations

import pytest

from pytest_inferopt.domain.measured import Conversion, Speedup
from pytest_inferopt.domain.record import Interval
from pytest_inferopt.domain.result import Check, Step, VariantResult
from pytest_inferopt.domain.words import (
    accuracy_text,
    check_text,
    interval_text,
    is_calm,
    is_warned,
    latency_note,
    ms_text,
    outcome_of,
    outcome_text,
    percentiles_text,
    remarks,
    sentences,
    shown_batches,
    size_text,
    speedup_text,
    variant_label,
    verdict_text,
)

BARE = VariantResult(name="bare")


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (None, "–"),
        (0, "0.0000"),
        (0.00004, "0.0000"),
        (0.01234, "0.0123"),
        (0.09994, "0.0999"),
        (0.09996, "0.100"),
        (0.1, "0.100"),
        (0.9994, "0.999"),
        (0.9996, "1.00"),
        (9.994, "9.99"),
        (9.996, "10.0"),
        (99.94, "99.9"),
        (99.96, "100"),
        (100, "100"),
        (12345.6, "12346"),
        (float("inf"), "inf"),
    ],
)
def test_milliseconds_have_three_digits_also_where_rounding_brings_one_more(milliseconds, text):
    assert ms_text(milliseconds) == text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (None, "–"),
        (0, "0.0 kB"),
        (49, "0.0 kB"),
        (1234, "1.2 kB"),
        (999_949, "999.9 kB"),
        (999_960, "1.0 MB"),
        (1_000_000, "1.0 MB"),
        (41_250_001, "41.3 MB"),
        (2_500_000_000, "2500.0 MB"),
    ],
)
def test_a_size_is_told_in_kilobytes_up_to_a_megabyte(size_bytes, text):
    assert size_text(size_bytes) == text


def test_only_the_original_is_called_by_its_format(reports):
    own = reports.original().model_copy(update={"name": "original (n_jobs=-1)", "role": "context"})
    variants = [reports.original(), reports.original(format=None), own, reports.variant("int8")]
    assert [variant_label(variant) for variant in variants] == [
        "original sklearn",
        "original",
        "original (n_jobs=-1)",
        "int8",
    ]


# --- accuracy, latency, speed-up --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("figures", "text", "short"),
    [
        ((0.912, 1.0, Interval(low=0.99, high=1.0104)), "0.9120 (1.0000 [0.990,1.010])", "0.9120 (1.0000)"),
        ((0.9, 0.98684, None), "0.9000 (0.9868)", "0.9000 (0.9868)"),
        ((0.9, 0.98684, Interval(low=None, high=1.0)), "0.9000 (0.9868)", "0.9000 (0.9868)"),
        ((0.9, 0.98684, Interval(low=0.9, high=None)), "0.9000 (0.9868)", "0.9000 (0.9868)"),
        ((0.9, None, None), "0.9000", "0.9000"),
        ((None, None, None), "–", "–"),
    ],
)
def test_a_score_is_told_with_its_ratio_and_the_interval_of_that(reports, figures, text, short):
    variant = reports.variant(accuracy=reports.accuracy(*figures))
    assert (accuracy_text(variant), accuracy_text(variant, with_interval=False)) == (text, short)


def test_the_original_has_a_score_and_no_ratio_to_itself(reports):
    assert accuracy_text(reports.original(accuracy=reports.accuracy(0.912, 1.0))) == "0.9120"
    assert accuracy_text(BARE) == "–"


def test_percentiles_stand_side_by_side_and_one_that_is_not_carried_is_marked(reports):
    cell = reports.latency(1, 4.0, p95_ms=99.96, p99_ms=None, advisory=("p99",))
    variant = reports.variant(latency={1: cell})
    result = reports.result(variant)
    assert percentiles_text(variant, 1, result) == "4.00 / 100 / –~"
    assert percentiles_text(variant, 1, result, ("p50",)) == "4.00"
    assert percentiles_text(variant, 32, result) == "–"


def test_every_percentile_of_a_quick_run_is_marked(reports):
    variant = reports.variant()
    result = reports.result(variant, request={"quick": True})
    assert percentiles_text(variant, 1, result) == "0.500~ / 0.725~ / 0.745~"


@pytest.mark.parametrize(
    ("limits", "text"),
    [((0.61, 0.64), "[0.610, 0.640]"), ((0, 99.96), "[0.0000, 100]"), ((None, 1), ""), ((1, None), "")],
)
def test_an_interval_has_both_limits_or_is_not_told(limits, text):
    assert interval_text(*limits) == text


@pytest.mark.parametrize(
    ("figures", "text", "short"),
    [
        ((8.0, 7.75, 8.25), "8.0× [7.8,8.2]", "8.0×"),
        ((1.0, 0.94, 1.06), "1.0× [0.9,1.1]", "1.0×"),
        ((0.5, 0.4, 0.6), "0.50× [0.40,0.60]", "0.50×"),
        ((2.0, None, 3.0), "2.0×", "2.0×"),
        ((2.0, 1.0, None), "2.0×", "2.0×"),
        ((None, 1.0, 3.0), "–", "–"),
    ],
)
def test_a_speed_up_is_told_with_its_interval_and_a_slow_down_with_a_digit_more(figures, text, short):
    estimate, low, high = figures
    speedup = Speedup(batch_size=1, estimate=estimate, interval=Interval(low=low, high=high), blocks=32)
    assert (speedup_text(speedup), speedup_text(speedup, with_interval=False)) == (text, short)


def test_a_speed_up_that_was_not_measured_is_a_dash():
    assert speedup_text(None) == "–"


# --- verdicts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("outcome", "text"), [("not_measured", "not measured"), ("passed", "passed")])
def test_an_outcome_is_told_in_words(outcome, text):
    assert outcome_text(outcome) == text


def test_a_verdict_is_the_first_thing_that_is_red_in_a_few_words(reports):
    budget = reports.check("failed", "int8", "budget", subject="p95<5ms")
    variants = {
        "failed: accuracy": reports.failed_variant(),
        "failed: budget p95<5ms": reports.variant("a", checks=(reports.check("passed", "a"), budget)),
        "not measured": reports.lost_variant(),
        "refused": reports.variant("b", checks=(reports.check("refused", "b"), budget)),
    }
    result = reports.result(*variants.values())
    assert [verdict_text(variant, result) for variant in variants.values()] == list(variants)


def test_what_is_not_red_is_a_reference_a_context_or_passed_and_the_best_of_several_says_so(reports):
    own = reports.original().model_copy(update={"role": "context"})
    best, other = reports.variant("a"), reports.variant("b", checks=(reports.check("advisory", "b", "budget"),))
    result = reports.result(best, other, context=(own,))
    assert [verdict_text(variant, result) for variant in (result.original, own, best, other)] == [
        "reference",
        "for context",
        "passed, best",
        "passed",
    ]
    assert verdict_text(best, reports.result(best)) == "passed"


def test_an_original_that_was_not_measured_is_red_and_its_variants_say_that_they_were_not_either(reports):
    (result,) = reports.unmeasured().results
    assert [verdict_text(variant, result) for variant in (result.original, result.optimized)] == [
        "not measured",
        "not measured: the original was not",
    ]


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (
            Check(kind="budget", variant="onnx", outcome="failed", subject="p95<5ms", reason="p95 is 6 ms."),
            "onnx: budget p95<5ms failed: p95 is 6 ms.",
        ),
        (
            Check(kind="accuracy", variant="original", outcome="not_measured", reason="no rows."),
            "original: accuracy not measured: no rows.",
        ),
    ],
)
def test_a_check_says_whose_what_and_why(check, text):
    assert check_text(check) == text


def test_under_a_gate_that_only_warns_what_would_be_red_is_told_and_green(reports):
    result = reports.regressed(mode="warn")
    slow = result.variants["int8"]
    assert (verdict_text(slow, result), slow.is_red) == ("warned: regressed", False)
    assert check_text(slow.checks[-1]).startswith("int8: regression regressed (warned): batch 1: ")
    assert [is_warned(check) for check in slow.checks] == [False, False, True]
    assert not is_warned(reports.check("improved", "int8", "regression", gate="warn"))


@pytest.mark.parametrize(
    ("outcomes", "spoken"),
    [
        (("passed", "failed", "refused"), "failed"),
        (("passed", "unchanged", "advisory"), "advisory"),
        (("passed", "improved"), "passed"),
        (("passed", "new", "not_comparable"), "passed"),
        (("inconclusive", "regressed"), "regressed"),
        ((), None),
    ],
)
def test_what_only_a_baseline_makes_of_a_variant_that_passed_does_not_speak_for_it(reports, outcomes, spoken):
    checks = tuple(reports.check(outcome, "onnx", "regression") for outcome in outcomes)
    assert outcome_of(reports.variant(checks=checks)) == spoken


def test_nothing_has_to_be_done_about_what_passed_or_did_not_change(reports):
    outcomes = ("passed", "improved", "unchanged", "new", "inconclusive", "regressed")
    calm = [is_calm(reports.check(outcome, "onnx", "regression")) for outcome in outcomes]
    assert calm == [True, True, True, False, False, False]


# --- what stands beside the figures -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "shown"),
    [([1], (1, None)), ([32], (32, None)), ([1, 16], (1, 16)), ([1, 16, 32, 64], (1, 32)), ([32, 8, 64], (32, 64))],
)
def test_beside_the_first_batch_size_stands_32_or_else_the_last(reports, sizes, shown):
    assert shown_batches(reports.result(request={"batch_sizes": sizes})) == shown


def test_what_was_found_out_about_a_variant_is_its_comparison_its_steps_and_its_accuracy(reports):
    steps = tuple(Step(name=name, seconds=1, size_before_bytes=1, size_after_bytes=1, notes=notes)
                  for name, notes in {"a": ("first.", "second."), "b": (), "c": ("third.",)}.items())  # fmt: skip
    variant = reports.variant(steps=steps, accuracy=reports.accuracy(1.0, notes=("one class is rare.",)))
    assert sentences(variant) == [
        "opset 17, 400 rows agree",
        "a: first.",
        "a: second.",
        "c: third.",
        "one class is rare.",
    ]


def test_a_comparison_without_an_opset_names_none_and_one_that_is_red_stands_with_what_is_red(reports):
    agrees = reports.check("passed", "onnx", "conversion", reason="400 rows agree")
    parts = {"steps": (), "checks": (agrees,)}
    assert sentences(reports.variant(conversion=None, **parts)) == ["400 rows agree"]
    assert sentences(reports.variant(conversion=Conversion(rows=400), **parts)) == ["400 rows agree"]
    assert sentences(reports.lost_variant()) == []


def test_remarks_say_once_what_holds_for_several_and_who_is_on_the_front(reports):
    result = reports.result(
        reports.variant("a"),
        reports.variant("b", size_bytes=9_000_000),
        notes=("measuring ended early",),
        probe_ms=12.3456,
        request={"quick": True},
    )
    assert remarks(result) == [
        "budgets: this machine took 12.3 ms for a fixed probe",
        "a, b: opset 17, 400 rows agree",
        "a, b: onnx_conversion: opset 17.",
        "on the Pareto front of p95 at batch 1, accuracy and size: b",
        "measuring ended early",
        "quick run: every latency figure is advisory (~)",
    ]


def test_of_one_variant_alone_there_is_no_front(reports):
    assert remarks(reports.result(BARE)) == []
    assert remarks(reports.result(BARE, reports.lost_variant(), original=BARE)) == []


def test_the_cold_call_and_the_feed_of_each_model_stand_apart_and_calls_that_are_missing_are_counted(reports):
    result = reports.result(reports.variant(), reports.failed_variant(), reports.lost_variant())
    assert latency_note(result) == (
        "batch 1, apart from the percentiles: original cold call 40.0 ms, feed 0.250 ms; "
        "onnx cold call 5.00 ms, feed 0.250 ms; int8 cold call 2.50 ms, feed 0.250 ms, 80 calls only"
    )


def test_where_nothing_was_timed_the_note_says_so(reports):
    assert latency_note(reports.result(BARE, original=BARE)) == "nothing was timed"
