from __future__ import annotations

from html.parser import HTMLParser
from itertools import chain

import pytest

from pytest_inferopt.domain.gate_summary import gate_lines
from pytest_inferopt.domain.text import printable

TAGS = {"div", "p", "strong", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "details", "summary"}


class Page(HTMLParser):
    """What a browser makes of a piece of HTML: its tags with their attributes, and its cells and items as text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.rows, self.lines, self.open = [], [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)
        self.tags.append((tag, tuple(name for name, _ in attributes)))
        if tag == "tr":
            self.rows.append([])
        elif tag in {"td", "th"}:
            self.rows[-1].append("")
        else:
            self.lines.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1] in {"td", "th"}:
            self.rows[-1][-1] += data
        else:
            self.lines[-1] += data


def test_a_result_is_a_table_what_is_red_below_it_and_the_rest_folded_away(reports):
    page = Page(reports.full().results[0]._repr_html_())
    assert page.rows == [
        ["variant", "verdict", "size", "f1", "batch 1 p50 / p95 / p99 ms", "batch 32 p50 ms", "speed-up", "vs base"],
        ["original sklearn", "reference", "41.2 MB", "0.9120", "4.00 / 5.80 / 5.96", "38.0", "–", "–"],
        ["original (n_jobs=-1)", "for context", "41.2 MB", "–", "4.00 / 5.80 / 5.96", "38.0", "–", "–"],
        ["onnx", "✅ passed, best", "9.8 MB", "0.9120 (1.0000 [0.990,1.010])", "0.500 / 0.725 / 0.745", "5.00",
         "8.0× [7.8,8.2]", "+0.3 % [-0.8,+1.4]"],
        ["int8", "❌ failed: accuracy", "2.5 MB", "0.9000 (0.9868 [0.975,0.999])", "0.250 / 0.362 / 0.372~", "–",
         "16.0× [15.5,16.5]", "+7.2 % [+6.1,+8.3]"],
        ["fp16", "❌ not measured", "–", "–", "–", "–", "–", "–"],
    ]  # fmt: skip
    assert [line for line in page.lines if line] == [
        "inferopt: churn – ❌ red",
        f"int8: accuracy failed: f1 ratio 0.9868 < 0.99. {reports.NEXT_STEP}",
        f"int8: regression regressed: batch 1: +7.2 % [6.1, 8.3], {reports.ALLOWED}",
        "fp16: conversion not measured: step 'fp16': the worker crashed (SIGSEGV).",
        *(printable(line, 1000) for line in gate_lines(reports.full().results[0])),
        "What was found out",
        "onnx: opset 17, 400 rows agree",
        "onnx, int8: onnx_conversion: opset 17.",
        "int8: opset 17, 391 of 400 rows agree",
        "int8: one class is rare",
        "on the Pareto front of p95 at batch 1, accuracy and size: onnx",
        "measuring ended early at batch 32",
    ]


def test_a_report_shows_its_headline_and_each_result(reports):
    html = reports.full()._repr_html_()
    assert "1 of 2 models is red: churn: int8 at batch 1 is 7.2 % slower [6.1, 8.3]" in html
    assert html.count("<table") == 2
    assert Page(reports.empty()._repr_html_()).lines == ["", "", "Nothing was measured."]


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "' onclick='alert(1)",
        "</td></table></div>",
        "&lt;b&gt; &amp;",
        "<!-- hidden",
        "$x^2$ \\(y\\)",
        "\x1b[31mred\u202e\n",
        "\ud800",
    ],
)
def test_hostile_names_are_text(reports, name):
    html, harmless = (reports.hostile(it)._repr_html_() for it in (name, "harmless"))
    page = Page(html)
    assert page.tags == Page(harmless).tags
    assert {tag for tag, _ in page.tags} <= TAGS
    assert {attribute for _, attributes in page.tags for attribute in attributes} == {"class", "style"}
    assert "".join(chain(page.lines, *page.rows)).count(printable(name)) > 30
    html.encode("utf-8")


def test_nothing_is_fetched_and_mathematics_between_dollars_is_left_alone(reports):
    html = reports.full()._repr_html_()
    assert html.startswith('<div class="tex2jax_ignore mathjax_ignore"')
    assert not {"src=", "href=", "url(", "<style", "<script"} & {part for part in html.split() if "=" in part}
    assert "http" not in html


def test_a_gate_stands_below_the_table_line_by_line_and_a_warning_is_marked(reports):
    result = reports.regressed(mode="warn")
    page = Page(result._repr_html_())
    assert [row[1] for row in page.rows] == ["verdict", "reference", "✅ passed, best", "⚠️ warned: regressed"]
    lines = [line for line in page.lines if line]
    assert lines[: 1 + len(gate_lines(result))] == ["inferopt: churn – ✅ passed", *gate_lines(result)]
