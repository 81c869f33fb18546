"""Both reports show how right a variant is by class, what lost most first."""

from __future__ import annotations

from pytest_inferopt.domain.measured import Slice
from pytest_inferopt.reporters.html import Html
from pytest_inferopt.reporters.markdown import Markdown

PARTS = (
    Slice(name="class 3", rows=1240, measure="share right", original=0.95, variant=0.6),
    Slice(name="class <b>|8", rows=38, measure="share right", original=0.9, variant=None),
)


def drawn(reporter, reports):
    lost = reports.accuracy(0.7, 0.77, slices=PARTS)
    return reporter().render(reports.report(reports.result(reports.variant(accuracy=lost))))


def test_the_page_shows_the_parts_in_a_table_of_their_own(reports):
    page = drawn(Html, reports)
    assert "Accuracy by class or target" in page
    assert "class 3" in page
    assert "class &lt;b&gt;|8" in page
    assert "1,240" in page


def test_markdown_shows_them_in_a_row_each(reports):
    text = drawn(Markdown, reports)
    section = text.partition("Accuracy by class or target")[2]
    row = next(line for line in section.splitlines() if "class 3" in line)
    assert [cell.strip() for cell in row.strip("|").split("|")] == [
        "onnx", "class 3", "1,240", "0.95", "0.6", "share right",
    ]  # fmt: skip
    assert "class `<b>`&#124;8" in section


def test_a_model_without_parts_has_no_such_section(reports):
    for reporter in (Html, Markdown):
        plain = reporter().render(reports.report(reports.result(reports.variant())))
        assert "Accuracy by class or target" not in plain
