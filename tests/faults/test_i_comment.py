"""Faults I: names from outside in the comment on a pull request, and reports of figures that nobody measures."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pytest_inferopt.domain.report import Report, parse_report
from pytest_inferopt.domain.text import printable
from pytest_inferopt.engine.reports.files import read_report
from pytest_inferopt.errors import RefusedError
from pytest_inferopt.registry import discover

RUN_URL = "https://github.com/octo/models/actions/runs/42"
# One of each kind; every one that there is is tried on the escaper itself, which this page shares.
HOSTILE = [
    "[click](http://evil.example)",
    "![img](http://evil.example/x.png)",
    "[1]: http://evil.example",
    "<http://evil.example>",
    "www.evil.example",
    "@torvalds",
    "fixes #12",
    "3f9c2e1a7b5d4c6e8f90123456789abcdef01234",
    "<script>alert(1)</script>",
    "</details></td></table>",
    "<!-- pytest-inferopt:default head=a run=999 attempt=1 -->",
    "--> @admin",
    "a|b||",
    "\\|`|\\",
    "\n\n# heading",
    "- [x] done",
    "[!WARNING]",
    "```",
    "`code`",
    ":smile:",
    "$x^2$",
    "&#64;admin &amp;",
    "\u202egnp.exe",
    "\ud800",
    "` `" * 60,
]
MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
INERT = {"text", "code_inline", "strong_open", "strong_close", "text_special"}
FILTERS = r"@[\w-]|#\d|\bGH-\d|(?<![\w.])[0-9a-f]{7,40}(?!\w)|:(?!\d\d:)[\w+-]+:|://|\bwww\.|\$|\[\^"


def drawn(report):
    return discover().reporter("comment", run_url=RUN_URL, head="a" * 40).render(report)


def leaves(text):
    return [leaf for token in MARKDOWN.parse(text) if token.type == "inline" for leaf in token.children]


def links(text):
    """Where a page's links lead to, and whether it shows an image or holds HTML in a line."""
    found = leaves(text)
    kinds = {leaf.type for leaf in found} - INERT - {"link_open", "link_close"}
    return {leaf.attrGet("href") for leaf in found if leaf.type == "link_open"}, kinds


def skeleton(text):
    """The blocks of a page, with the HTML that is ours."""
    return [(token.type, token.content if token.type == "html_block" else "") for token in MARKDOWN.parse(text)]


@pytest.fixture(scope="module")
def harmless(reports):
    return drawn(reports.hostile("harmless"))


@pytest.mark.parametrize("name", HOSTILE)
def test_i107_a_comment_full_of_a_hostile_name_has_the_blocks_and_links_of_a_harmless_one(reports, name, harmless):
    text = drawn(reports.hostile(name))
    assert skeleton(text) == skeleton(harmless)
    assert links(text) == links(harmless) == ({RUN_URL}, set())
    seen = "\n".join(leaf.content if leaf.type == "text" else " " for leaf in leaves(text))
    assert re.search(FILTERS, seen, re.IGNORECASE) is None
    assert "".join(leaf.content for leaf in leaves(text)).count(printable(name)[:70]) >= 20


def test_i107_the_filters_find_what_they_look_for_in_text_that_is_not_escaped():
    for raw in ("@user", "#12", "GH-1", "3f9c2e1", ":smile:", "http://a", "www.a", "$x$", "[^1]"):
        assert re.search(FILTERS, raw, re.IGNORECASE)


@pytest.mark.parametrize("name", HOSTILE)
def test_i110_no_name_can_begin_a_comment_with_a_marker(reports, name):
    assert drawn(reports.hostile(name)).startswith("### ❌ inferopt: ")


# --- figures that nobody measures, in documents that the schema takes ---------------------------------------------

ODD = st.one_of(
    st.sampled_from([0, -1, 2**63 - 1, -(2**62), 1e308, -1e308, 5e-324, 0.0, -0.0, None, True, "", "x", [], {}]),
    st.floats(allow_nan=False, allow_infinity=False),
)


def _places(value, at=()):
    """Where a document has a leaf."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [place for key, item in items for place in _places(item, (*at, key))]
    return found if isinstance(value, dict | list) and value else [at]


def _changed(document, at, value):
    changed = json.loads(json.dumps(document))
    inner = changed
    for key in at[:-1]:
        inner = inner[key]
    inner[at[-1]] = value
    return changed


@pytest.fixture(scope="module")
def document(reports):
    return reports.full().to_dict()


@given(data=st.data())
@settings(max_examples=400, deadline=None)
def test_j117_a_document_with_any_figure_in_any_place_is_refused_or_drawn(document, tmp_path_factory, data):
    where = data.draw(st.sampled_from(_places(document)))
    text = json.dumps(_changed(document, where, data.draw(ODD)))
    path = tmp_path_factory.getbasetemp() / "odd.json"
    path.write_text(text, encoding="utf-8")
    try:
        report = read_report(path)
    except RefusedError:
        return
    assert drawn(report).startswith("### ")
    assert discover().reporter("md", max_bytes=900_000).render(report).startswith("# ")
    assert parse_report(json.dumps(report.to_dict()), where="again").verdict == report.verdict


def test_the_places_are_those_of_all_figures(document):
    assert ("results", 0, "variants", "int8", "latency", "1", "p95_ms") in _places(document)
    assert Report.model_validate(_changed(document, ("incidents", 0), "y")).incidents == ("y",)
