from __future__ import annotations

from pytest_inferopt.domain.headline import headline, worst_figure

SLOW = "int8 at batch 16 is 7.2 % slower [6.1, 8.3] than merge base 81b4480, allowed 2.0 %"
LONG_TAIL = "onnx at batch 1, p95 is 31.0 % slower [29.9, 32.1] than merge base 81b4480"


def test_a_headline_counts_the_models_and_names_what_is_red(reports):
    green, red = reports.result(reports.variant(), name="green"), reports.result(reports.failed_variant(), name="red")
    lost = {"incidents": ("gw0 died",)}
    many = {"incidents": ("gw0 died", "gw1 died"), "is_partial": True}
    found = [
        reports.report(green),
        reports.report(green, green),
        reports.report(green, red),
        reports.report(red, red),
        reports.report(),
        reports.report(**lost),
        reports.report(green, **many),
        reports.report(red, is_partial=True),
    ]
    assert [headline(report) for report in found] == [
        "1 model passed.",
        "2 models passed.",
        "1 of 2 models is red: red.",
        "2 of 2 models are red: red, red.",
        "Nothing was measured.",
        "Nothing was measured. 1 test left no result.",
        "1 model passed. 2 tests left no result. The session was ended before it was done.",
        "1 of 1 model is red: red. The session was ended before it was done.",
    ]


def test_the_worst_figure_is_told_first_and_the_others_by_name(reports):
    slow, tails, gone = reports.regressed("slow"), reports.with_tails("tails"), reports.missing("gone")
    red, green = reports.result(reports.failed_variant(), name="red"), reports.improved("green")
    together = reports.result(reports.compared("regressed"), name="all", gate=reports.gate("regressed"))
    found = [(slow, green), (red, slow), (red, gone, slow, tails), (gone, red), (together, slow), (together,)]
    assert [headline(reports.report(*results)) for results in found] == [
        f"1 of 2 models is red: slow: {SLOW}.",
        f"2 of 2 models are red: slow: {SLOW}; and red.",
        f"4 of 4 models are red: tails: {LONG_TAIL}; and slow, gone, red.",
        "2 of 2 models are red: gone: fp16 of merge base 81b4480 is missing; and red.",
        f"2 of 2 models are red: slow: {SLOW}; and all.",
        (
            "1 of 1 model is red: all: all batch sizes together are 3.4 % slower [2.3, 4.5] than merge base 81b4480, "
            "allowed 2.0 %."
        ),
    ]


def test_what_is_only_warned_of_or_undecided_is_green_and_told(reports):
    warned, unsure = reports.regressed("slow", mode="warn"), reports.inconclusive("unsure")
    strict = reports.inconclusive("strict", mode="strict")
    weak = reports.result(reports.compared("advisory"), name="weak", gate=reports.gate("passed"))
    found = [(warned,), (unsure, reports.contaminated("disturbed")), (strict, unsure), (weak,)]
    assert [headline(reports.report(*results)) for results in found] == [
        f"1 model passed; warned: slow: {SLOW}.",
        "2 models passed; inconclusive: unsure, disturbed.",
        "1 of 2 models is red: strict; inconclusive: unsure.",
        "1 model passed; passed with a caveat: weak.",
    ]


def test_what_nobody_protects_is_told_with_why_and_by_name_where_it_is_not_all(reports):
    new, other, same = reports.new("new"), reports.new("other"), reports.unchanged("same")
    changed = reports.result(
        reports.compared("not_comparable"), name="changed", gate=reports.unmeasured_gate("not_comparable")
    )
    unasked = reports.result(reports.variant(), name="unasked")
    found = [(new,), (new, other), (new, same), (new, other, same), (new, changed), (unasked, new), (unasked,)]
    assert [headline(reports.report(*results)) for results in found] == [
        "1 model passed; not protected: no baseline.",
        "2 models passed; not protected: no baseline.",
        "2 models passed; new is not protected: no baseline.",
        "3 models passed; new, other are not protected: no baseline.",
        "2 models passed; new is not protected: no baseline; changed is not protected: not comparable.",
        "2 models passed; new is not protected: no baseline.",
        "1 model passed.",
    ]


def test_what_a_headline_leaves_out_is_the_first_red_check_else_the_largest_change_else_the_lowest_ratio(reports):
    failed = reports.result(reports.failed_variant(), name="failed")
    low = reports.result(reports.variant(accuracy=reports.accuracy(0.91, 0.9978)), name="low")
    bare = reports.result(reports.variant(accuracy=None), name="bare")
    found = [
        (reports.regressed(), failed),
        (reports.missing(),),
        (failed, low),
        (reports.improved("a"), reports.unchanged("b"), reports.regressed("c", mode="warn")),
        (reports.improved("a"), reports.unchanged("b")),
        (reports.inconclusive("unsure"), reports.improved()),
        (reports.new(), low),
        (bare,),
        (),
    ]
    assert [worst_figure(reports.report(*results)) for results in found] == [
        "",
        "",
        "int8: accuracy failed: f1 ratio 0.9868 < 0.99.",
        "",
        "Largest change: a: onnx at batch 16 is 0.1 % slower [-1.0, 1.2] than merge base 81b4480.",
        "Largest change: unsure: onnx at batch 16 is 3.1 % slower [0.5, 5.7] than merge base 81b4480.",
        "Lowest accuracy ratio: low: onnx 0.9978.",
        "",
        "",
    ]
