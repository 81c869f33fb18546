from __future__ import annotations

from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from pytest_inferopt.reporters.markdown import Markdown

GOLDEN = Path(__file__).parents[1] / "golden" / "report.md"


def drawn(report):
    return Markdown().render(report)


def section(text, title):
    """The lines below a heading, up to the next one."""
    _, _, below = text.partition(f"## {title}\n")
    return below.partition("\n## ")[0].strip().splitlines()


def tables(text):
    """Each table as its rows of cells, as a reader of Markdown sees them."""
    found = []
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type == "inline" and token.map and found and found[-1] and token.level >= 4:
            found[-1][-1].append("".join(child.content for child in token.children))
    return found


def test_a_report_reads_like_this(reports):
    assert drawn(reports.full()) == GOLDEN.read_text(encoding="utf-8")


def test_every_table_has_a_cell_for_each_of_its_columns(reports):
    found = tables(drawn(reports.full()))
    assert [len(rows) for rows in found] == [6, 3, 4, 4, 6, 3, 8, 8, 2, 3, 3, 3, 3, 2, 5, 4, 2, 3, 2, 8]
    assert all(len({len(row) for row in rows}) == 1 for rows in found)


def test_a_session_without_results_says_so(reports):
    assert drawn(reports.empty()).partition("\n## ")[0] == (
        "# ⚠️ inferopt: Nothing was measured.\n\n2×Intel Xeon (avx512_vnni) · 2030-01-02 03:04 UTC\n"
    )


def test_an_original_that_was_not_measured_is_red_with_its_reason_and_what_to_do(reports):
    text = drawn(reports.unmeasured())
    assert text.startswith("# ❌ inferopt: 1 of 1 model is red: churn.\n")
    assert section(text, "What is red") == [
        "**churn**",
        "",
        f"- original: conversion not measured: {reports.REJECTED}",
        "  - Next: Pass rows that it accepts.",
    ]
    assert tables(text)[0][1:] == [
        ["original sklearn", "❌ not measured", "1.0\xa0kB", "–", "–", "–", "–"],
        ["optimized", "not measured: the original was not", "–", "–", "–", "–", "–"],
    ]


def test_what_is_red_stands_before_all_figures_and_what_is_only_uncertain_below_them(reports):
    unsure = reports.check("inconclusive", "onnx", "regression", reason="too noisy.", next_step="Measure longer.")
    found = reports.result(reports.variant(checks=(unsure,)), name="unsure")
    text = drawn(reports.report(found, *reports.full().results))
    assert text.index("## What is red") < text.index("## unsure") < text.index("onnx: regression inconclusive")
    assert "  - Next: Measure longer.\n" in text
    assert "unsure" not in "\n".join(section(text, "What is red"))


def test_a_budget_that_is_kept_is_told_with_its_figures(reports):
    checks = [
        reports.check("passed", "onnx", "budget", subject="p95<5ms", reason="p95 0.725 ms at batch 1."),
        reports.check("advisory", "onnx", "budget", subject="p99<5ms", reason="80 calls carry no p99."),
    ]
    text = drawn(reports.report(reports.result(reports.variant(checks=checks))))
    assert section(text, "churn")[5:8] == [
        "- onnx: budget `p99<5ms` advisory: 80 calls carry no p99.",
        "- onnx: budget `p95<5ms` passed: p95 0.725 ms at batch 1.",
        "- onnx: onnx_conversion: opset 17.",
    ]


def test_a_green_report_has_no_section_of_what_is_red(reports):
    text = drawn(reports.report(reports.result(reports.variant())))
    assert text.startswith("# ✅ inferopt: 1 model passed.\n")
    assert "## What is red" not in text


def test_an_ended_session_is_no_passed_one(reports):
    text = drawn(reports.report(reports.result(reports.variant()), is_partial=True))
    assert text.startswith("# ⚠️ inferopt: 1 model passed. The session was ended before it was done.\n")


def test_a_quick_run_marks_every_latency(reports):
    text = drawn(reports.report(reports.result(reports.variant(), request={"quick": True})))
    assert tables(text)[0][2][4:] == ["0.500~\xa0/\xa00.725~\xa0/\xa00.745~", "5.00~", "8.0× [7.8,8.2]~"]
    assert "- quick run: every latency figure is advisory (\\~)\n" in text


def test_one_batch_size_has_one_column(reports):
    titles = tables(drawn(reports.report(reports.result(reports.variant(), request={"batch_sizes": [1]}))))[0][0]
    assert titles == ["variant", "verdict", "size", "f1", "batch 1 p50 / p95 / p99 ms", "speed-up"]


def test_how_to_see_it_again_names_the_commit_and_the_command(reports):
    assert section(drawn(reports.full()), "Where and how")[:6] == [
        "At commit `3f9c2e1a7b5d4c6e8f90123456789abcdef01234` (main, with uncommitted changes):",
        "",
        "```sh",
        "pytest --inferopt tests/test_churn.py",
        "```",
        "",
    ]


def test_a_clean_detached_commit_stands_alone(reports):
    git = reports.GIT.model_copy(update={"branch": None, "is_dirty": False})
    assert section(drawn(reports.report(git=git)), "Where and how")[0] == (
        "At commit `3f9c2e1a7b5d4c6e8f90123456789abcdef01234`:"
    )


def test_a_command_with_a_fence_in_it_stays_within_its_block(reports):
    text = drawn(reports.report(command="pytest -k '``` x'"))
    assert [token.content for token in MarkdownIt("commonmark").parse(text) if token.type == "fence"] == [
        "pytest -k '``` x'\n"
    ]


def test_a_time_that_is_none_is_shown_as_it_is(reports):
    assert " · yesterday\n" in drawn(reports.report(created_at="yesterday"))


def test_a_step_out_of_the_cache_says_so(reports):
    step = reports.variant().steps[0].model_copy(update={"cached": True})
    text = drawn(reports.report(reports.result(reports.variant(steps=(step,)))))
    assert tables(text)[3][1] == ["onnx", "onnx_conversion (out of the cache)", "1.50", "0.0\xa0kB", "0.0\xa0kB"]


def test_what_was_not_measured_is_a_dash(reports):
    bare = reports.latency(
        1, 0.5, p95_ms=None, p99_ms=None, intervals={}, mean_ms=None, stddev_ms=None, throughput_rows_per_second=None
    )
    text = drawn(reports.report(reports.result(reports.variant(latency={1: bare}, speedup={}))))
    assert tables(text)[1][2] == ["onnx", "1", "1,000", "0.500", "–", "–", "–", "–", "–", "5.00", "0.250", "–"]


@pytest.mark.parametrize("label", ["All batch sizes", "All checks", "Steps"])
def test_a_table_without_rows_is_left_out(reports, label):
    full, bare = drawn(reports.full()), drawn(reports.report(reports.result(reports.VariantResult(name="x"))))
    assert full.count(f"<summary>{label}</summary>") == 2
    assert bare.count(f"<summary>{label}</summary>") == (1 if label == "All batch sizes" else 0)


# --- beside a baseline ------------------------------------------------------------------------------------------

LIMIT = "allowed 2.0 % (0.4 × max_slowdown 5 %)"


def test_what_is_slower_stands_first_and_in_the_cell_that_decided(reports):
    text = drawn(reports.report(reports.regressed()))
    assert section(text, "What is red")[2:] == [
        f"- int8: regression regressed: batch 1: +0.4 % \\[-0.7, 1.5\\]; batch 16: +7.2 % \\[6.1, 8.3\\], {LIMIT}"
    ]
    assert tables(text)[1] == [
        ["variant", "against the base", "at", "base ms", "here ms", "change", "size", "f1"],
        ["int8", "❌ regressed", "batch 16 p50", "2.00", "2.14", "+7.2\xa0% [+6.1,+8.3]",
         "9.8\xa0MB (was\xa09.4\xa0MB,\xa0+4.0\xa0%)", "0.9120 (was\xa00.9240,\xa0-0.0120)"],
        ["onnx", "✅ passed", "batch 1 p50", "0.500", "0.501", "+0.3\xa0% [-0.8,+1.4]",
         "9.8\xa0MB (was\xa09.4\xa0MB,\xa0+4.0\xa0%)", "0.9120 (was\xa00.9240,\xa0-0.0120)"],
    ]  # fmt: skip
    assert "To accept this as the new baseline:\n\n```sh\npytest --inferopt --inferopt-update-baseline\n```\n" in text


def test_a_regression_stands_before_whatever_else_is_red(reports):
    text = drawn(reports.full())
    assert [line.partition(":")[2].split()[0] for line in section(text, "What is red") if line.startswith("- ")] == [
        "regression", "accuracy", "conversion",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("build", "row"),
    [
        ("unchanged", ["onnx", "✅ unchanged", "–", "–", "–", "same\xa0file", "–", "–"]),
        ("new", ["onnx", "⚠️ new", "–", "–", "–", "new", "–", "–"]),
        ("missing", ["fp16", "❌ missing", "–", "–", "–", "missing", "–", "–"]),
    ],
)
def test_a_variant_without_a_figure_of_its_base_says_why(reports, build, row):
    text = drawn(reports.report(getattr(reports, build)()))
    assert tables(text)[1][1] == row
    assert "All that was compared with the base" not in text


def test_all_cells_are_folded_away_and_an_advisory_one_says_why(reports):
    rows = tables(drawn(reports.report(reports.with_tails())))[2]
    weak = reports.cell("inconclusive", 1, 0.1, calls=None).model_copy(update={"slowdown": None})
    bare = reports.result(reports.variant(comparison=reports.comparison(weak)), gate=reports.gate("inconclusive"))
    assert rows[3:] == [
        ["onnx", "1", "p95", "regressed", "0.800", "1.05", "+31.0\xa0% [+29.9,+32.1]", "4.2\xa0%", "12", "4,800"],
        ["onnx", "16", "p95", "advisory: 480 calls an arm, needs 3,000", "3.10", "3.47", "+12.0\xa0% [+10.9,+13.1]",
         "4.2\xa0%", "12", "480"],
    ]  # fmt: skip
    assert tables(drawn(reports.report(bare)))[1][1] == [
        "onnx", "1", "p50", "inconclusive", "0.500", "0.550", "–", "–", "–", "–",
    ]  # fmt: skip


def test_operators_without_a_batch_size_or_a_share_have_dashes(reports):
    operator = reports.OPERATORS[0].model_copy(update={"share": None})
    found = reports.variant(comparison=reports.comparison(operators=(operator,)))
    text = drawn(reports.report(reports.result(found, gate=reports.gate("regressed"))))
    assert tables(text)[1][1] == ["onnx", "–", "MatMul /dense/MatMul", "0.120", "0.141", "+0.0210", "–"]


def test_a_gate_that_only_warns_has_no_section_of_what_is_red(reports):
    text = drawn(reports.report(reports.regressed(mode="warn")))
    assert text.startswith("# ✅ inferopt: 1 model passed; warned: churn: int8 at batch 16 is 7.2 % slower")
    assert "## What is red" not in text
    assert tables(text)[0][3][1] == "⚠️ warned: regressed"
    assert tables(text)[1][1][1] == "⚠️ regressed (warned)"


def test_the_chance_of_a_red_session_and_what_is_not_protected_stand_at_the_top(reports):
    text = drawn(reports.report(reports.improved(), reports.improved("b"), reports.new()))
    assert text.splitlines()[0] == "# ✅ inferopt: 3 models passed; new is not protected: no baseline."
    assert text.splitlines()[4] == "2 gates, each red by chance in at most 1 %: at most 2 % for the session"


def test_what_cannot_be_compared_is_told_with_its_next_step_and_what_the_gate_tells_is_not_told_twice(reports):
    unlike = reports.check("not_comparable", "onnx", "regression", reason="its inputs changed.", next_step="Accept it.")
    gate = reports.unmeasured_gate("not_comparable", reason="the inputs of onnx changed.")
    text = drawn(reports.report(reports.result(reports.variant(checks=(unlike,)), gate=gate)))
    assert "- onnx: regression not comparable: its inputs changed.\n  - Next: Accept it.\n" in text
    assert "regression inconclusive" not in drawn(reports.report(reports.inconclusive()))


# --- what a job's summary has beside it ---------------------------------------------------------------------------


def test_what_was_not_done_or_not_decided_stands_with_its_reason(reports):
    cells = {1: reports.latency(1, 0.5)}
    lost = reports.check("refused", "x", "conversion", reason="no converter.", next_step="Write one.")
    found = reports.result(
        reports.variant("onnx", latency=cells),
        reports.variant("x", latency={}, checks=(lost,)),
        request={"batch_sizes": [1, 32]},
    )
    rows = tables(drawn(reports.report(found, reports.with_tails(), reports.new())))
    undone = [row for table in rows if table[0][-1] == "why, and what to do next" for row in table[1:]]
    assert undone == [
        ["x", "conversion", "refused", "no converter. Write one."],
        ["onnx", "batch 32", "not timed", "measuring ended before it"],
        ["onnx", "batch 16 p95", "advisory", "480 calls an arm, needs 3,000"],
        ["original", "batch 16", "not timed", "measuring ended before it"],
        ["onnx", "batch 16", "not timed", "measuring ended before it"],
        ["onnx", "regression", "new", "no baseline of test_new at the merge base 81b4480."],
        ["original", "batch 16", "not timed", "measuring ended before it"],
        ["onnx", "batch 16", "not timed", "measuring ended before it"],
    ]  # fmt: skip


def test_where_the_time_went_is_told(reports):
    text = drawn(reports.report(reports.result(reports.variant())))
    assert ["stage", "seconds"] in [table[0] for table in tables(text)]
    assert [["optimize", "2.50"], ["measure", "30.00"]] in [table[1:] for table in tables(text)]


def test_a_chart_stands_in_a_block_of_its_own_that_github_draws(reports):
    text = drawn(reports.report(reports.regressed()))
    (chart,) = [token for token in MarkdownIt("commonmark").parse(text) if token.info == "mermaid"]
    assert chart.content.splitlines()[1] == "xychart-beta horizontal"


def test_several_machines_have_a_column_each(reports):
    other = reports.HERE.model_copy(update={"python": "3.12.4", "libraries": {"numpy": "2.4.6", "torch": "2.13"}})
    found = [
        reports.result(reports.variant(), name=name, environment=it) for name, it in (("a", reports.HERE), ("b", other))
    ]
    text = drawn(reports.report(*found))
    assert "\n2×Intel Xeon (avx512_vnni) · commit" in text
    assert tables(text)[-1] == [
        ["what", "machine 1", "machine 2"],
        ["models", "a", "b"],
        ["processor", "2× Intel Xeon", "2× Intel Xeon"],
        ["instructions", "avx2, avx512f, avx512_vnni", "avx2, avx512f, avx512_vnni"],
        ["system", "linux x86_64", "linux x86_64"],
        ["Python", "3.11.9", "3.12.4"],
        ["numpy", "2.4.6", "2.4.6"],
        ["onnxruntime", "1.31.1", "–"],
        ["torch", "–", "2.13"],
        ["pytest-inferopt", "0.1.0", "0.1.0"],
    ]


def test_i109_a_page_may_have_a_limit_at_which_it_is_cut(reports):
    whole = drawn(reports.full())
    for limit in range(1000, len(whole.encode()), 997):
        text = Markdown(max_bytes=limit).render(reports.full())
        assert limit - 1000 < len(text.encode()) <= limit
        assert text.endswith("\n\nCut here, where the page was full. Everything stands in the JSON report.\n")
        assert text.count("<details>") == text.count("</details>")
        assert all(len({len(row) for row in rows}) == 1 for rows in tables(text))
    assert Markdown(max_bytes=10**6).render(reports.full()) == whole
