from __future__ import annotations

import pytest

from pytest_inferopt.domain.comparison import Comparison, Gate
from pytest_inferopt.domain.gate_summary import (
    ACCEPT,
    accept_command,
    error_bound,
    gate_facts,
    gate_lines,
    gate_notes,
    gate_sentence,
    is_told_by_gate,
    regression_text,
    unprotected_text,
)

LIMIT = "allowed 2.0 % (0.4 × max_slowdown 5 %)"
SENTENCES = {
    "regressed": f"regressed: int8 at batch 16 is 7.2 % slower [6.1, 8.3] than merge base 81b4480, {LIMIT}",
    "unchanged": "unchanged: the same files as merge base 81b4480, so nothing was measured",
    "new": "new, not protected: no baseline of test_new at the merge base 81b4480.",
    "inconclusive": (
        f"inconclusive: not certain after 24 processes: batch 16: +3.1 % [0.5, 5.7], {LIMIT}; "
        "a slow-down of 7.2 % would have been caught"
    ),
    "contaminated": (
        f"inconclusive: contaminated: the baseline beside a second copy of itself: +4.4 % [3.5, 5.3]; {LIMIT}"
    ),
    "improved": f"passed: onnx at batch 16 is 0.1 % slower [-1.0, 1.2] than merge base 81b4480, {LIMIT}",
    "with_tails": "regressed: onnx at batch 1, p95 is 31.0 % slower [29.9, 32.1] than merge base 81b4480",
    "missing": (
        "unchanged: the same files as merge base 81b4480, so nothing was measured; "
        "fp16 of merge base 81b4480 is missing"
    ),
}


@pytest.mark.parametrize(("build", "sentence"), SENTENCES.items())
def test_a_gate_is_told_by_its_verdict_and_the_figure_that_it_rests_on(reports, build, sentence):
    assert gate_sentence(getattr(reports, build)()) == sentence


def test_a_gate_that_only_warns_says_so_and_where_nothing_was_asked_nothing_is_said(reports):
    assert gate_sentence(reports.regressed(mode="warn")).startswith("regressed (warned): int8 at batch 16 is 7.2 %")
    assert gate_sentence(reports.result(reports.variant())) == ""


def test_all_cells_together_are_told_where_no_single_one_is_proven(reports):
    found = reports.result(reports.compared("regressed"), gate=reports.gate("regressed", allowed=None))
    sentence = "all batch sizes together are 3.4 % slower [2.3, 4.5] than merge base 81b4480"
    assert (gate_sentence(found), regression_text(found)) == (f"regressed: {sentence}", sentence)


@pytest.mark.parametrize("verdict", ["regressed", "passed", "inconclusive"])
def test_a_gate_without_a_cell_is_told_by_its_reason(reports, verdict):
    gate = reports.gate(verdict, together=None, reason="the figures were lost.")
    assert gate_sentence(reports.result(reports.variant(), gate=gate)) == f"{verdict}: the figures were lost."


def test_an_inconclusive_gate_without_a_reason_is_told_by_its_worst_cell(reports):
    found = reports.inconclusive()
    found = found.model_copy(update={"gate": found.gate.model_copy(update={"reason": ""})})
    sentence = f"onnx at batch 16 is 3.1 % slower [0.5, 5.7] than merge base 81b4480, {LIMIT}"
    assert gate_sentence(found) == f"inconclusive: {sentence}"


@pytest.mark.parametrize(
    ("verdict", "why", "sentence"),
    [
        ("new", "no baseline", "new, not protected: no baseline"),
        ("advisory", "advisory only", "advisory, not protected: advisory only"),
        ("not_comparable", "not comparable", "not comparable, not protected: not comparable"),
        ("not_measured", "not measured", "not measured, not protected: not measured"),
        ("passed", "", "passed: "),
    ],
)
def test_what_a_gate_does_not_protect_is_told_with_why(reports, verdict, why, sentence):
    gate = Gate(verdict=verdict)
    assert (unprotected_text(gate), gate_sentence(reports.result(reports.variant(), gate=gate))) == (why, sentence)


def test_what_is_red_is_told_short_and_what_is_gone_by_name(reports):
    lost = [reports.check("missing", name, "regression") for name in ("a", "b")]
    several = reports.result(reports.variant(checks=tuple(lost)), gate=reports.gate("unchanged"))
    judged = reports.regressed(), reports.missing(), several, reports.improved(), reports.result(reports.variant())
    assert [regression_text(found) for found in judged] == [
        "int8 at batch 16 is 7.2 % slower [6.1, 8.3] than merge base 81b4480, allowed 2.0 %",
        "fp16 of merge base 81b4480 is missing",
        "a, b of merge base 81b4480 are missing",
        "",
        "",
    ]
    unnamed = reports.regressed().model_copy(update={"gate": None})
    assert regression_text(unnamed) == "int8 at batch 16 is 7.2 % slower [6.1, 8.3] than the baseline"


def test_the_facts_name_the_base_the_processes_the_control_and_the_machine(reports):
    assert gate_facts(reports.gate("passed", looks=1)) == (
        ("baseline", "merge base 81b4480 (main, saved 2030-01-01 02:03 UTC)"),
        ("processes", "12, looked at 1 time, 21 s"),
        ("all batch sizes together", "+3.4 % [2.3, 4.5]"),
        ("control", "+0.1 % [-0.3, 0.5], the baseline beside a second copy of itself"),
        (
            "machine",
            (
                "steal 0.4 % (at worst 2.1 %), waiting for a processor 1.3 %, 2,595 to 3,101 MHz, "
                "1,234 involuntary switches, 1 process taken again"
            ),
        ),
    )
    bare = reports.baseline(branch=None, saved_at=None)
    dirty = reports.baseline(branch=None, saved_at=None, is_dirty=True)
    few = [
        reports.unmeasured_gate("unchanged", baseline=bare),
        reports.unmeasured_gate("unchanged", baseline=dirty),
        reports.unmeasured_gate("new", baseline=None),
        reports.unmeasured_gate("not_measured", baseline=None, replicates=3, looks=0),
    ]
    assert [gate_facts(gate) for gate in few] == [
        (("baseline", "merge base 81b4480"),),
        (("baseline", "merge base 81b4480+ (with uncommitted changes)"),),
        (),
        (("processes", "3, looked at 0 times"),),
    ]


def test_notes_come_from_the_base_the_gate_and_each_variant_and_are_said_once(reports):
    gate = reports.gate("passed", notes=("a", "b"), baseline=reports.baseline(notes=("a",)))
    found = reports.result(reports.variant(comparison=Comparison(notes=("c", "c"))), reports.variant("int8"), gate=gate)
    assert gate_notes(found) == ("a", "b", "onnx: c")
    assert gate_notes(reports.result(reports.variant())) == ()


def test_what_to_do_is_a_note_where_the_gate_alone_tells_of_it(reports):
    def noted(outcome, mode="on"):
        checks = [
            reports.check(outcome, name, "regression", next_step="Run it again.", gate=mode) for name in ("a", "b")
        ]
        return gate_notes(reports.result(reports.variant(checks=tuple(checks)), gate=Gate(verdict="inconclusive")))

    told = [noted("inconclusive"), noted("inconclusive", "strict"), noted("new"), noted("regressed"), noted("missing")]
    assert told == [("next: Run it again.",)] * 3 + [()] * 2


def test_a_pass_with_a_caveat_is_no_plain_one(reports):
    found = reports.compared("advisory", reports.cell("passed", 1, 0.001))
    sentence = gate_sentence(reports.result(found, gate=reports.gate("passed")))
    assert sentence.startswith("passed (advisory): onnx at batch 1 is 0.1 % slower [-1.0, 1.2] than merge base 81b4480")


def test_the_lines_of_a_gate_go_from_the_verdict_over_the_cells_to_what_to_type(reports):
    assert gate_lines(reports.regressed()) == [
        f"gate: {SENTENCES['regressed']}",
        "  regressed: int8 at batch 16: +7.2 % [6.1, 8.3], 2.00 → 2.14 ms",
        "  onnx: size 9.8 MB (was 9.4 MB, +4.0 %); f1 0.9120 (was 0.9240, -0.0120)",
        (
            "  int8 at batch 16, by operator: MatMul /dense/MatMul +0.0210 ms (70 %), 3 × Relu +0.0120 ms (40 %), "
            "Softmax /out/Softmax -0.0030 ms (-10 %)"
        ),
        "  int8: size 9.8 MB (was 9.4 MB, +4.0 %); f1 0.9120 (was 0.9240, -0.0120)",
        (
            "  baseline merge base 81b4480 (main, saved 2030-01-01 02:03 UTC); processes 12, looked at 2 times, 21 s; "
            "all batch sizes together +3.4 % [2.3, 4.5]"
        ),
        (
            "  control +0.1 % [-0.3, 0.5], the baseline beside a second copy of itself; machine steal 0.4 % (at worst "
            "2.1 %), waiting for a processor 1.3 %, 2,595 to 3,101 MHz, 1,234 involuntary switches, 1 process taken "
            "again"
        ),
        "  int8: the base ran under this runtime",
        f"accept: {ACCEPT}",
    ]


def test_what_did_not_pass_stands_by_its_urgency_and_an_advisory_cell_says_why(reports):
    cells = (
        reports.cell("improved", 1, -0.09),
        reports.cell("advisory", 2, 0.12, percentile=95, reason="480 calls an arm, needs 3,000"),
        reports.cell("inconclusive", 4, 0.031).model_copy(update={"slowdown": None}),
        reports.cell("regressed", 8, 0.072),
    )
    found = reports.compared("regressed").model_copy(update={"comparison": Comparison(cells=cells)})
    assert gate_lines(reports.result(found, gate=Gate(verdict="regressed")))[1:] == [
        "  regressed: onnx at batch 8: +7.2 % [6.1, 8.3], 0.500 → 0.536 ms",
        "  not judged alone: onnx at batch 4: –, 0.500 → 0.515 ms",
        "  improved: onnx at batch 1: -9.0 % [-10.1, -7.9], 0.500 → 0.455 ms",
        ("  advisory: onnx at batch 2, p95: +12.0 % [10.9, 13.1], 0.500 → 0.560 ms; 480 calls an arm, needs 3,000"),
        f"accept: {ACCEPT}",
    ]


def test_a_gate_with_nothing_to_compare_has_one_line_and_without_a_gate_there_is_none(reports):
    gate = reports.unmeasured_gate("new", baseline=None)
    assert gate_lines(reports.result(reports.compared("new"), gate=gate)) == ["gate: new, not protected: no baseline"]
    assert gate_lines(reports.result(reports.variant())) == []


def test_size_and_score_that_did_not_change_need_no_line_and_operators_no_share(reports):
    operator = reports.OPERATORS[0].model_copy(update={"share": None})
    same = reports.comparison(size_change=0.0, score_change=0.0, metric=None, operators=(operator,))
    lower = reports.comparison(size_change=0.0, score_change=-0.1, metric=None)
    found = [reports.result(reports.variant(comparison=it), gate=Gate(verdict="passed")) for it in (same, lower)]
    assert [gate_lines(result)[1:] for result in found] == [
        ["  onnx, by operator: MatMul /dense/MatMul +0.0210 ms"],
        ["  onnx: score 0.9120 (was 0.9240, -0.1000)"],
    ]


def test_what_has_become_worse_can_be_accepted_also_under_a_gate_that_only_warns(reports):
    judged = reports.regressed(), reports.regressed(mode="warn"), reports.missing(), reports.inconclusive()
    assert [accept_command(found) for found in judged] == [ACCEPT, ACCEPT, ACCEPT, ""]


def test_a_gate_tells_what_its_figures_say_and_a_check_the_rest(reports):
    gated, without = reports.result(reports.variant(), gate=Gate(verdict="passed")), reports.result(reports.variant())
    outcomes = ("regressed", "inconclusive", "new", "missing", "not_comparable", "not_measured")
    checks = [reports.check(outcome, "onnx", "regression") for outcome in outcomes]
    assert [is_told_by_gate(check, gated) for check in checks] == [True, True, True, False, False, False]
    assert not any(is_told_by_gate(check, without) for check in checks)
    assert not is_told_by_gate(reports.check("passed", "onnx"), gated)


def test_the_chance_that_a_session_is_red_for_nothing_is_told_where_it_tests_more_than_once(reports):
    steady, tails = reports.improved(), reports.with_tails()
    sessions = [(), (steady,), (steady, reports.unchanged(), reports.new()), (steady,) * 3, (tails,), (tails, steady)]
    assert [error_bound(reports.report(*results)) for results in sessions] == [
        "",
        "",
        "",
        "3 gates, each red by chance in at most 1 %: at most 3 % for the session",
        "1 gate, red by chance in at most 1 % for each of its percentiles: at most 2 % for the session",
        "2 gates, each red by chance in at most 1 % for each of its percentiles: at most 3 % for the session",
    ]
    assert error_bound(reports.report(*[steady] * 150)).endswith("at most 100 % for the session")
