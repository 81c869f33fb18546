"""The comment on a pull request: what a reviewer sees first, and what has no place in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from pytest_inferopt.registry import discover

GOLDEN = Path(__file__).parents[1] / "golden" / "comment.md"
RUN_URL = "https://github.com/octo/models/actions/runs/42"
MARKDOWN = MarkdownIt("commonmark").enable("table")


def drawn(report, **options):
    return discover().reporter("comment", **options).render(report)


def tables(text):
    """Each table as its rows of cells, as a reader sees them."""
    found = []
    for token in MARKDOWN.parse(text):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type == "inline" and token.level >= 4 and found and found[-1]:
            found[-1][-1].append("".join(child.content for child in token.children).replace("\xa0", " "))
    return found


def headings(text):
    return [line for line in text.splitlines() if line.startswith("#")]


def row_count(text):
    return sum(len(rows) - 1 for rows in tables(text))


def test_a_comment_reads_like_this(reports):
    assert drawn(reports.full(), run_url=RUN_URL, head="a" * 40) == GOLDEN.read_text(encoding="utf-8")


def test_every_table_has_a_cell_for_each_of_its_columns(reports):
    found = tables(drawn(reports.full()))
    assert [len(rows) for rows in found] == [5, 3, 3, 3]
    assert all(len({len(row) for row in rows}) == 1 for rows in found)


def test_what_is_slower_stands_first_then_what_else_is_red_then_what_only_warns(reports):
    failed = reports.result(reports.failed_variant(), name="failed")
    found = (
        reports.improved("calm"),
        reports.inconclusive("unsure"),
        reports.regressed("warned", mode="warn"),
        failed,
        reports.regressed("slow"),
        reports.with_tails("slower"),
    )
    assert headings(drawn(reports.report(*found)))[1:] == [
        "#### ❌ slower",
        "#### ❌ slow",
        "#### ❌ failed",
        "#### ⚠️ warned",
        "#### ⚠️ unsure",
        "#### ✅ calm",
    ]


def test_of_many_models_those_that_passed_are_folded_away_and_of_a_few_none_is(reports):
    found = [reports.improved("a"), reports.regressed("slow"), reports.improved("b"), reports.inconclusive("unsure")]
    sight, _, folded = drawn(reports.report(*found)).partition("<details>\n<summary>What passed</summary>")
    assert headings(sight)[1:] == ["#### ❌ slow", "#### ⚠️ unsure"]
    assert headings(folded.partition("</details>")[0]) == ["#### ✅ a", "#### ✅ b"]
    assert "What passed" not in drawn(reports.report(*found[:3]))


def test_other_batch_sizes_are_in_sight_where_something_is_slower_at_one_of_them(reports):
    opened = "<details open>\n<summary>Other batch sizes</summary>"
    assert opened in drawn(reports.report(reports.regressed()))
    assert opened not in drawn(reports.report(reports.improved(), reports.with_tails()))


def test_within_a_model_what_is_red_stands_first(reports):
    rows = tables(drawn(reports.report(reports.regressed())))[0]
    assert [row[:2] for row in rows[1:]] == [
        ["original sklearn", "reference"],
        ["int8", "❌ regressed"],
        ["onnx", "✅ passed, best"],
    ]


def test_a_latency_stands_beside_its_base_with_the_change_and_the_judged_one_with_its_interval(reports):
    first, others = tables(drawn(reports.report(reports.regressed())))
    assert first[0] == [
        "variant", "verdict", "size", "f1 (ratio)", "batch 1 p50 ms", "p95 ms", "p99 ms", "speed-up",
    ]  # fmt: skip
    assert first[2][2:] == [
        "9.8 MB (+4.0 %, was 9.4 MB)",
        "0.9120 (1.0000 [0.990,1.010])",
        "0.502 (+0.4 % [-0.7,+1.5], was 0.500)",
        "0.728 (+0.4 %, was 0.725)",
        "0.748 (+0.4 %, was 0.745)",
        "8.0× [7.8,8.2]",
    ]
    assert others[:2] == [["variant", "batch 16 p50 ms"], ["int8", "❌ 2.14 (+7.2 % [+6.1,+8.3], was 2.00)"]]


def test_a_percentile_that_was_judged_has_its_interval_too(reports):
    row = tables(drawn(reports.report(reports.with_tails())))[0][2]
    assert row[4:6] == ["0.501 (+0.3 % [-0.8,+1.4], was 0.500)", "❌ 1.05 (+31.0 % [+29.9,+32.1], was 0.800)"]


def test_without_a_base_the_figures_stand_alone(reports):
    assert tables(drawn(reports.report(reports.new())))[0][2][2:] == [
        "9.8 MB", "0.9120 (1.0000 [0.990,1.010])", "0.500", "0.725", "0.745", "8.0× [7.8,8.2]",
    ]  # fmt: skip


def test_what_was_found_of_several_variants_alike_is_told_once(reports):
    reason = "all batch sizes together: +3.4 % [2.3, 4.5]"
    checks = {name: (reports.check("regressed", name, "regression", reason=reason),) for name in ("onnx", "int8")}
    found = reports.result(
        *(reports.variant(name, checks=check) for name, check in checks.items()), gate=reports.gate("regressed")
    )
    text = drawn(reports.report(found))
    assert "- onnx, int8: regressed: all batch sizes together: +3.4 % \\[2.3, 4.5\\]\n" in text
    assert text.count("regressed: all") == 1


@pytest.mark.parametrize(
    ("build", "line"),
    [
        (
            "improved",
            "Largest change: quicker: onnx at batch 16 is 0.1 % slower \\[-1.0, 1.2\\] than merge base `81b4480`.",
        ),
        ("unchanged", "Lowest accuracy ratio: same: onnx 1.0000."),
        ("unmeasured", "original: conversion not measured: "),
    ],
)
def test_a_headline_without_a_figure_is_followed_by_one(reports, build, line):
    found = getattr(reports, build)()
    report = found if hasattr(found, "results") else reports.report(found)
    assert drawn(report).splitlines()[2].startswith(line)


def test_a_headline_with_a_figure_is_followed_by_none(reports):
    assert drawn(reports.report(reports.regressed())).splitlines()[2].startswith("2×Intel Xeon")
    assert drawn(reports.empty()).splitlines()[2].startswith("2×Intel Xeon")


def test_how_to_accept_is_told_where_something_became_worse(reports):
    accept = "```sh\npytest --inferopt --inferopt-update-baseline\n```\n\n</details>"
    assert accept in drawn(reports.report(reports.regressed()))
    assert accept not in drawn(reports.report(reports.improved()))


def test_a_quick_run_says_that_its_latencies_are_advisory(reports):
    text = drawn(reports.report(reports.result(reports.variant(), request={"quick": True})))
    assert "\nA quick run's latencies are advisory (\\~).\n" in text
    assert tables(text)[0][2][-1] == "8.0× [7.8,8.2]~"


def test_i108_at_most_thirty_rows_stand_in_a_comment_and_the_rest_is_counted_with_its_place(reports):
    many = reports.report(*(reports.regressed(f"model{number}") for number in range(12)))
    text = drawn(many, run_url=RUN_URL)
    assert row_count(text) == 30
    assert (
        f"\nLeft out here: 2 of 12 models: model10, model11; 20 rows of the models above. "
        f"Everything stands in [the summary of the run]({RUN_URL}).\n"
    ) in text
    few = drawn(reports.report(*(reports.regressed(f"model{number}") for number in range(6))))
    assert (row_count(few), "Left out" in few) == (30, False)


def test_i108_a_model_of_very_many_variants_is_cut_at_a_row(reports):
    found = reports.result(*(reports.variant(f"v{number}") for number in range(40)))
    text = drawn(reports.report(found, reports.result(reports.variant(), name="other")))
    assert (row_count(text), tables(text)[0][-1][0]) == (30, "v28")
    assert "Left out here: 1 of 2 models: other; 52 rows of the models above. Everything stands in the JSON" in text


def test_i108_names_of_very_many_models_are_counted(reports):
    text = drawn(reports.report(*(reports.result(reports.variant(), name=f"m{number}") for number in range(100))))
    assert "Left out here: 85 of 100 models: m15, m16, m17, m18, m19 and 80 more; 30 rows of the models above." in text


@pytest.mark.parametrize("limit", [1000, 2000, 3000, 5000])
def test_i108_a_comment_that_is_too_long_is_cut_and_says_where_the_rest_is(reports, limit):
    text = drawn(reports.full(), max_characters=limit, run_url=RUN_URL)
    assert len(text) <= limit
    note = f"Cut here, where the comment was full. Everything stands in [the summary of the run]({RUN_URL}).\n"
    assert text.endswith(note) is (len(drawn(reports.full(), run_url=RUN_URL)) > limit)
    assert text.count("<details>") == text.count("</details>")


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "https://x/)[y](http://z", "http://x y", "//evil.example", "https://a/?b"]
)
def test_an_address_that_could_end_its_link_is_refused(reports, url):
    with pytest.raises(ValueError, match="is no address of a page"):
        drawn(reports.full(), run_url=url)


def test_a_merged_report_names_every_machine(reports):
    other = reports.HERE.model_copy(update={"python": "3.12.4"})
    found = [
        reports.result(reports.variant(), name=name, environment=it) for name, it in (("a", reports.HERE), ("b", other))
    ]
    text = drawn(reports.report(*found))
    assert "- models: a · b\n- processor: 2× Intel Xeon\n" in text
    assert "- Python: 3.11.9 · 3.12.4\n" in text
