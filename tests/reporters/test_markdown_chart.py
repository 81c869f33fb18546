"""The chart that GitHub draws, as its source."""

from __future__ import annotations

import re

import pytest

from pytest_inferopt.reporters._markdown_chart import PALETTE, base_chart

LABEL = re.compile(r'"[\w .+…-]+"')


def axis(source):
    """The labels of a chart."""
    return re.findall(r'"[^"]*"', next(line for line in source.splitlines() if "x-axis" in line))


def test_the_base_is_bars_and_what_is_judged_is_a_line(reports):
    assert base_chart(reports.regressed()).splitlines() == [
        PALETTE,
        "xychart-beta horizontal",
        '  title "p95 in ms: bars are the base, the line is this change"',
        '  x-axis ["onnx b1", "onnx b16", "int8 b1", "int8 b16"]',
        '  y-axis "ms" 0 --> 3.9875',
        "  bar [0.7250, 3.6250, 0.7250, 2.9000]",
        "  line [0.7272, 3.6178, 0.7279, 3.1088]",
    ]


def test_a_judged_percentile_is_taken_as_it_was_judged(reports):
    lines = base_chart(reports.with_tails()).splitlines()
    assert lines[-2:] == ["  bar [0.8000, 3.1000]", "  line [1.0480, 3.4720]"]


@pytest.mark.parametrize("build", ["unchanged", "new"])
def test_without_a_base_there_is_no_chart(reports, build):
    assert base_chart(getattr(reports, build)()) == ""


@pytest.mark.parametrize(
    "name", ['"]\n  bar [9]', "a\n```\nb", "%%{init: {}}%%", "</div><script>", "[x](http://y)", "`x`"]
)
def test_i107_a_name_means_nothing_to_the_chart(reports, name):
    source = base_chart(
        reports.result(reports.variant(name, comparison=reports.comparison(reports.cell("passed", 1, 0))))
    )
    assert len(source.splitlines()) == 7
    (label,) = axis(source)
    assert LABEL.fullmatch(label)
    assert "`" not in source


def test_no_more_bars_than_find_a_place_and_no_figure_that_hides_the_others(reports):
    cells = [reports.cell("passed", size, 0.0) for size in range(1, 40)]
    huge = reports.cell("passed", 1, 0.0, 1e300)
    sizes = {"batch_sizes": list(range(1, 40))}
    many = reports.result(
        reports.variant("x" * 99, comparison=reports.comparison(*cells)),
        reports.variant("huge", comparison=reports.comparison(huge)),
        request=sizes,
    )
    assert (len(axis(base_chart(many))), axis(base_chart(many))[0]) == (16, f'"{"x" * 20}… b1"')
    only = reports.result(reports.variant("huge", comparison=reports.comparison(huge)))
    assert base_chart(only) == ""


def test_quantiles_that_are_not_there_are_no_figures(reports):
    bare = reports.cell("passed", 1, 0.0, base_quantiles_ms=(), head_quantiles_ms=())
    zero = reports.cell("passed", 32, 0.0, base_quantiles_ms=(0.0,) * 101)
    found = reports.variant(comparison=reports.comparison(bare, zero))
    assert base_chart(reports.result(found)) == ""
