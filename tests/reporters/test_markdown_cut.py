"""A document that is too long, cut so that what is left is whole."""

from __future__ import annotations

import pytest
from markdown_it import MarkdownIt

from pytest_inferopt.reporters._markdown_cut import cut

MARKDOWN = MarkdownIt("commonmark").enable("table")
NOTE = "Cut."
TABLE = "| a | b |\n| :--- | ---: |\n| 1 | 2 |\n| 3 | 4 |\n"
FOLD = f"<details>\n<summary>fold</summary>\n\n{TABLE}\n```sh\nls\n\nls\n```\n\n</details>\n"
PAGE = f"# head\n\ntext\n\n- item\n  - Next: more\n\n{TABLE}\n{FOLD}\nend\n"


def beginnings():
    """The page cut at every length that there is."""
    return [(limit, cut(PAGE, limit, NOTE)) for limit in range(len(PAGE))]


def test_what_is_short_enough_stays_as_it_is():
    assert cut(PAGE, len(PAGE), NOTE) == PAGE


def test_what_is_cut_is_never_longer_than_its_limit_and_says_so():
    for limit, text in beginnings():
        assert text.endswith(f"{NOTE}\n")
        assert len(text) <= limit or text == f"{NOTE}\n"


def test_every_beginning_is_whole():
    for _, text in beginnings():
        tokens = MARKDOWN.parse(text)
        assert text.count("<details>") == text.count("</details>") == text.count("</summary>")
        assert text.count("```") in {0, 2}
        # The note is a paragraph of its own, and no row of a table and no line of code.
        assert [(token.type, token.level) for token in tokens[-3::2]] == [("paragraph_open", 0), ("paragraph_close", 0)]
        rows = [line for line in text.splitlines() if line.startswith("|")]
        assert all(line in TABLE.splitlines() for line in rows)


def test_a_table_is_cut_at_its_rows_and_is_no_head_alone():
    found = {text for _, text in beginnings()}
    assert f"# head\n\ntext\n\n- item\n  - Next: more\n\n{TABLE[:-10]}\n{NOTE}\n" in found
    assert not [text for text in found if text.startswith("# head") and text.count("|") in {3, 6}]


def test_a_fold_is_closed_and_is_not_empty():
    found = [text for _, text in beginnings() if "<details>" in text]
    assert found
    for text in found:
        inner = text.partition("</summary>")[2].partition("</details>")[0]
        assert "| 1 | 2 |" in inner


@pytest.mark.parametrize("text", ["é" * 100, "# é\n\n" + "- é\n" * 50])
def test_a_length_may_be_measured_in_bytes(text):
    found = cut(text, 100, NOTE, lambda part: len(part.encode()))
    assert len(found.encode()) <= 100
    assert found.endswith(NOTE + "\n")
