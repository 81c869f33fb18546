from __future__ import annotations

import pytest

from pytest_inferopt.domain.comparison import Comparison, Disturbance, Gate, OperatorChange, SlowdownEstimate
from pytest_inferopt.domain.gate_words import (
    allowed_text,
    base_text,
    beside_base,
    cell_outcome_text,
    cell_text,
    cells_of,
    change_text,
    disturbance_text,
    environment_differences,
    has_baseline_figures,
    has_caveat,
    milliseconds_text,
    operator_name,
    percent_text,
    regression_of,
    score_change_text,
    signed_ms_text,
    size_change_text,
    slower_text,
    telling_cell,
    vs_base_text,
    worst_cell,
)
from pytest_inferopt.domain.record import Interval
from pytest_inferopt.domain.result import VariantResult


def estimated(estimate, low=None, high=None):
    return SlowdownEstimate(estimate=estimate, interval=Interval(low=low, high=high), replicates=12)


@pytest.mark.parametrize(
    ("slowdown", "column", "short", "sentence"),
    [
        (estimated(0.003, -0.004, 0.011), "+0.3 % [-0.4,+1.1]", "+0.3 %", "0.3 % slower [-0.4, 1.1]"),
        (estimated(-0.03, -0.039, -0.021), "-3.0 % [-3.9,-2.1]", "-3.0 %", "3.0 % faster [2.1, 3.9]"),
        (estimated(-0.003, -0.011, 0.004), "-0.3 % [-1.1,+0.4]", "-0.3 %", "0.3 % faster [-0.4, 1.1]"),
        (estimated(0.072), "+7.2 %", "+7.2 %", "7.2 % slower"),
        (estimated(0.072, low=0.061), "+7.2 %", "+7.2 %", "7.2 % slower"),
        (estimated(0.072, high=0.083), "+7.2 %", "+7.2 %", "7.2 % slower"),
        (estimated(0.0), "+0.0 %", "+0.0 %", "0.0 % slower"),
        (estimated(None), "–", "–", "of no known speed"),
    ],
)
def test_a_slow_down_stands_in_a_column_with_signs_and_in_a_sentence_with_a_word(slowdown, column, short, sentence):
    told = change_text(slowdown), change_text(slowdown, with_interval=False), slower_text(slowdown)
    assert told == (column, short, sentence)


def test_what_was_not_compared_is_a_dash():
    assert (change_text(None), percent_text(None), percent_text(-0.0001)) == ("–", "–", "+0.0 %")


def test_a_base_is_called_by_its_name_and_without_one_is_the_baseline(reports):
    gates = reports.gate("passed"), Gate(verdict="passed"), None
    assert [base_text(gate) for gate in gates] == ["merge base 81b4480", "the baseline", "the baseline"]


@pytest.mark.parametrize(
    ("allowed", "caught", "text"),
    [
        (0.02, 0.05, "allowed 2.0 % (0.4 × max_slowdown 5 %)"),
        (0.03, 0.075, "allowed 3.0 % (0.4 × max_slowdown 7.5 %)"),
        (None, 0.05, ""),
        (0.02, None, ""),
        (0.0, 0.0, ""),
    ],
)
def test_what_is_allowed_is_told_with_where_it_comes_from(allowed, caught, text):
    assert allowed_text(Gate(verdict="passed", allowed=allowed, caught=caught)) == text


def test_a_cell_is_called_by_its_variant_and_batch_size_and_only_a_tail_by_its_percentile(reports):
    cells = reports.cell("passed", 16, 0.01), reports.cell("passed", 16, 0.01, percentile=95)
    assert [cell_text("int8", cell) for cell in cells] == ["int8 at batch 16", "int8 at batch 16, p95"]
    assert milliseconds_text(reports.cell("passed", 1, 0.1, 0.5)) == "0.500 → 0.550 ms"


def test_the_worst_cell_is_the_slowest_of_its_outcome_and_a_median_comes_before_a_tail(reports):
    tails, several = reports.with_tails(), reports.regressed()
    unknown = reports.cell("regressed", 1, 0.5, slowdown=estimated(None))
    bare = reports.cell("regressed", 2, 0.5).model_copy(update={"slowdown": None})
    odd = reports.result(reports.variant(comparison=Comparison(cells=(unknown, bare))))
    found = [
        worst_cell(several, "regressed"),
        worst_cell(several, "passed"),
        worst_cell(tails, "regressed", "advisory", "passed"),
        worst_cell(tails, "regressed", "advisory"),
        worst_cell(tails, "improved"),
        worst_cell(odd, "regressed"),
    ]
    assert [None if one is None else cell_text(*one) for one in found] == [
        "int8 at batch 16", "int8 at batch 1", "onnx at batch 1", "onnx at batch 1, p95", None, None,
    ]  # fmt: skip
    assert len(list(cells_of(several))) == 4


def test_a_variant_is_spoken_for_by_its_red_regression_check_and_else_by_that_on_all_its_cells(reports):
    def chosen(**outcomes):
        checks = [
            reports.check(outcome, "onnx", "regression", subject=subject) for subject, outcome in outcomes.items()
        ]
        return regression_of(reports.variant(checks=(reports.check("failed", "onnx"), *checks)))

    whole = {"": "passed"}
    found = chosen(p95="advisory", **whole), chosen(**whole, p95="regressed"), chosen(p95="advisory"), chosen()
    assert [check and check.outcome for check in found] == ["passed", "regressed", "advisory", None]


def test_a_pass_that_is_only_advisory_is_a_caveat_and_a_tail_that_is_not_judged_is_none(reports):
    tail = reports.check("advisory", "onnx", "regression", subject="p95 at batch 1")
    judged = reports.compared("passed", reports.cell("passed", 1, 0.0))
    steady = judged.model_copy(update={"checks": (tail, *judged.checks)})
    found = reports.compared("advisory"), steady, reports.variant()
    assert [has_caveat(reports.result(variant)) for variant in found] == [True, False, False]


def test_the_telling_cell_is_that_of_the_outcome_and_else_the_median_of_the_batch_size(reports):
    def told(outcome, *cells):
        found = telling_cell(reports.compared(outcome, *cells), 1)
        return None if found is None else (found.batch_size, found.percentile, found.outcome)

    passed, slow = reports.cell("passed", 1, 0.01), reports.cell("regressed", 16, 0.07)
    slower, tail = reports.cell("regressed", 32, 0.08), reports.cell("regressed", 64, 0.3, percentile=95)
    assert [
        told("regressed", passed, slow, slower, tail),
        told("regressed", passed, tail),
        told("regressed", passed),
        told("regressed", passed, reports.cell("inconclusive", 16, 0.05)),
        told("passed", passed, reports.cell("passed", 16, 0.02)),
        told("unchanged"),
    ] == [
        (32, 50, "regressed"),
        (64, 95, "regressed"),
        (1, 50, "passed"),
        (16, 50, "inconclusive"),
        (1, 50, "passed"),
        None,
    ]
    assert telling_cell(reports.variant(comparison=Comparison(cells=(passed,))), 1) == passed


@pytest.mark.parametrize(
    ("outcome", "text"),
    [("unchanged", "same file"), ("new", "new"), ("missing", "missing"), ("not_comparable", "not comparable")],
)
def test_beside_the_base_stands_the_reason_where_there_is_no_figure(reports, outcome, text):
    assert vs_base_text(reports.compared(outcome), 1) == text


def test_beside_the_base_stands_the_median_of_the_batch_size_and_what_is_only_advisory_is_marked(reports):
    weak = reports.compared("advisory", reports.cell("advisory", 1, 0.003))
    lost = reports.compared("inconclusive", reports.cell("inconclusive", 1, 0.003, slowdown=estimated(None)))
    bare = lost.comparison.cells[0].model_copy(update={"slowdown": None})
    variants = [
        (reports.regressed().variants["int8"], 16),
        (reports.regressed().variants["int8"], 32),
        (weak, 1),
        (lost, 1),
        (lost.model_copy(update={"comparison": Comparison(cells=(bare,))}), 1),
        (reports.variant(), 1),
    ]
    assert [vs_base_text(*found) for found in variants] == [
        "+7.2 % [+6.1,+8.3]", "regressed", "+0.3 % [-0.8,+1.4]~", "inconclusive", "inconclusive", "–",
    ]  # fmt: skip
    assert vs_base_text(weak, 1, with_interval=False) == "+0.3 %~"


def test_a_result_has_figures_of_a_baseline_where_something_was_compared_or_judged_and_not_where_all_is_new(reports):
    only_compared = reports.variant(comparison=Comparison())
    found = reports.compared("missing"), only_compared, reports.compared("new"), reports.variant()
    assert [has_baseline_figures(reports.result(variant)) for variant in found] == [True, True, False, False]


def test_size_and_score_are_told_with_what_they_were(reports):
    variant = reports.variant(comparison=reports.comparison())
    same = variant.model_copy(
        update={"comparison": reports.comparison(size_change=None, score_change=None), "accuracy": None}
    )
    silent = reports.variant(comparison=Comparison())
    assert [(size_change_text(found), score_change_text(found)) for found in (variant, same, silent)] == [
        ("9.8 MB (was 9.4 MB, +4.0 %)", "0.9120 (was 0.9240, -0.0120)"),
        ("9.8 MB (was 9.4 MB)", "– (was 0.9240, not comparable)"),
        ("–", "–"),
    ]
    unscored = variant.model_copy(update={"accuracy": reports.accuracy(None)})
    assert score_change_text(unscored) == "– (was 0.9240, -0.0120)"
    bare = VariantResult(name="bare")
    assert (size_change_text(bare), score_change_text(bare)) == ("–", "–")


def test_an_operator_is_called_by_its_type_and_name_and_several_are_counted():
    one, several = (OperatorChange(name="/a", op_type="Relu", change_ms=-0.01, count=count) for count in (1, 3))
    assert [operator_name(one), operator_name(several)] == ["Relu /a", "3 × Relu"]
    assert [signed_ms_text(ms) for ms in (0.021, -0.003, 0.0)] == ["+0.0210", "-0.0030", "+0.0000"]


def test_what_the_machine_did_leaves_out_what_nobody_counted():
    everything = Disturbance(
        steal_share=0.004, worst_steal_share=0.021, involuntary_switches=1234, pressure_share=0.013,
        lowest_mhz=2595.1, highest_mhz=3100.9, repeated=1,
    )  # fmt: skip
    found = [
        everything,
        everything.model_copy(update={"worst_steal_share": None, "highest_mhz": None, "repeated": 2}),
        Disturbance(lowest_mhz=None, highest_mhz=3000.0),
    ]
    assert [disturbance_text(disturbance) for disturbance in found] == [
        (
            "steal 0.4 % (at worst 2.1 %), waiting for a processor 1.3 %, 2,595 to 3,101 MHz, "
            "1,234 involuntary switches, 1 process taken again"
        ),
        "steal 0.4 %, waiting for a processor 1.3 %, 1,234 involuntary switches, 2 processes taken again",
        "0 involuntary switches",
    ]


def test_the_machines_are_compared_where_that_of_the_baseline_is_known(reports):
    there = reports.HERE.model_copy(update={"isa_flags": (), "libraries": {"onnx": "1.0"}, "python": "3.12.1"})
    gate = reports.gate("passed", baseline=reports.baseline(environment=there))
    assert environment_differences(gate, reports.HERE) == (
        ("numpy", "–", "2.4.6"),
        ("onnxruntime", "–", "1.31.1"),
        ("instructions", "–", "avx2, avx512f, avx512_vnni"),
        ("Python", "3.12.1", "3.11.9"),
        ("onnx", "1.0", "–"),
    )
    unknown = [None, Gate(verdict="new"), reports.gate("passed", baseline=reports.baseline(environment=None))]
    assert [environment_differences(found, reports.HERE) for found in unknown] == [(), (), ()]


@pytest.mark.parametrize(
    ("verdict", "outcome", "told"),
    [
        ("regressed", "inconclusive", "not judged alone"),
        ("regressed", "regressed", "regressed"),
        ("inconclusive", "inconclusive", "inconclusive"),
        (None, "inconclusive", "inconclusive"),
    ],
)
def test_a_cell_that_a_red_gate_stopped_before_was_not_judged_alone(reports, verdict, outcome, told):
    gate = None if verdict is None else reports.gate(verdict=verdict)
    assert cell_outcome_text(reports.cell(outcome, 1, 0.2), gate) == told


def test_a_percentile_stands_beside_its_base_as_it_was_judged_or_else_as_the_quantiles_tell(reports):
    cells = (
        reports.cell("passed", 1, 0.004),
        reports.cell("regressed", 1, 0.31, 0.8, percentile=95),
        reports.cell("regressed", 16, 0.072, 2.0, slowdown=estimated(None)),
        reports.cell("passed", 32, 0.1, base_ms=0.0),
        reports.cell("passed", 64, 0.1, base_quantiles_ms=(0.5,) * 95),
    )
    found = reports.variant(comparison=reports.comparison(*cells))
    told = {(size, percentile): beside_base(found, size, percentile) for size in (1, 16) for percentile in (50, 95, 99)}
    assert {at: (it.text, it.is_regressed) for at, it in told.items()} == {
        (1, 50): ("0.502 (+0.4 % [-0.7,+1.5], was 0.500)", False),
        (1, 95): ("1.05 (+31.0 % [+29.9,+32.1], was 0.800)", True),
        (1, 99): ("0.748 (+0.4 %, was 0.745)", False),
        (16, 50): ("2.14 (+7.2 %, was 2.00)", True),
        (16, 95): ("3.11 (+7.2 %, was 2.90)", False),
        (16, 99): ("3.19 (+7.2 %, was 2.98)", False),
    }
    assert [beside_base(found, size, 95) for size in (32, 64, 128)] == [None, None, None]
    assert beside_base(reports.variant(), 1, 50) is None
