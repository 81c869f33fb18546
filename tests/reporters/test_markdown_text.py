from __future__ import annotations

import pytest

from pytest_inferopt.reporters._markdown_text import address, code_block, figure, inline, stacked_figure


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("", ""),
        ("int8: accuracy failed: f1 ratio 0.9868 < 0.99.", "int8: accuracy failed: f1 ratio 0.9868 &lt; 0.99."),
        ("0.9120 (1.0000 [0.990,1.010])", r"0.9120 (1.0000 \[0.990,1.010\])"),
        ("3.91~ / 4.40~ is advisory (~)", r"3.91\~ / 4.40\~ is advisory (\~)"),
        ("budget p95<5ms failed", "budget `p95<5ms` failed"),
        ("a `b` *c d* e", "a `` `b` *c d* `` e"),
        ("@a #1 and #2", "`@a #1` and `#2`"),
        ("`", "`` ` ``"),
        ("a|b", "a&#124;b"),
        ("| @a |", "&#124; `@a` &#124;"),
        ("1. a", "`1.` a"),
        ("With --flag, all", "With `--flag`, all"),
        ("test[x]: slower", "`test[x]`: slower"),
        ("a - 1.", "a - 1."),
        (" a  ", "&#32;a&#32;&#32;"),
        ("  ", "&#32;&#32;"),
        ("tests/test_a.py::test_b[x-1]", "`tests/test_a.py::test_b[x-1]`"),
    ],
)
def test_what_may_mean_something_stands_in_code_and_the_rest_is_plain(text, markdown):
    assert inline(text) == markdown


def test_what_is_too_long_is_cut():
    assert inline("z" * 50, limit=10) == "zzzzzzzzz…"


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("41.2 MB", "41.2&nbsp;MB"),
        ("4.00 / 5.80", "4.00&nbsp;/&nbsp;5.80"),
        ("0.9120 (1.0000 [0.990,1.010])", r"0.9120 (1.0000&nbsp;\[0.990,1.010\])"),
        ("8.0× [7.8,8.2]", r"8.0× \[7.8,8.2\]"),
        ("a @b c", "a `@b` c"),
    ],
)
def test_a_figure_breaks_only_before_its_first_bracket(text, markdown):
    assert figure(text) == markdown


def test_a_block_of_code_has_a_fence_that_its_text_cannot_close():
    assert code_block("pytest -k '````'\nrm") == "`````sh\npytest -k '````'\\nrm\n`````"


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("than merge base 3f9c2e1, allowed", "than merge base `3f9c2e1`, allowed"),
        ("3f9c2e1; and", "`3f9c2e1`; and"),
        ("3f9c2e1,", "`3f9c2e1`,"),
        ("than merge base 3f9c2e1.", "than merge base `3f9c2e1`."),
        ("3f9c2e1. and", "`3f9c2e1.` and"),
        ("3f9c2e1,@admin", "`3f9c2e1,@admin`"),
        ("x3f9c2e1, y", "x3f9c2e1, y"),
        ("a , b ; c", "a , b ; c"),
    ],
)
def test_a_commit_stands_in_code_without_the_comma_behind_it(text, markdown):
    assert inline(text) == markdown


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("0.536 (+7.2 % [+6.1,+8.3], was 0.500)", r"0.536 (+7.2&nbsp;% \[+6.1,+8.3\], was&nbsp;0.500)"),
        ("9.8 MB", "9.8&nbsp;MB"),
        ("a @b, c (d)", "a `@b`, c (d)"),
    ],
)
def test_a_figure_of_a_narrow_column_breaks_before_brackets_and_behind_commas(text, markdown):
    assert stacked_figure(text) == markdown


@pytest.mark.parametrize(
    "text", ["https://github.com/o/r/actions/runs/1", "http://127.0.0.1:8080/a_b-c.d/", "https://x"]
)
def test_an_address_of_a_page_of_ours_may_stand_in_a_link(text):
    assert address(text) == text


@pytest.mark.parametrize(
    "text", ["", "https://", "https://x/)", "https://x y", "https://x/<b>", "ftp://x", "https://x\n"]
)
def test_what_could_end_a_link_may_not(text):
    with pytest.raises(ValueError, match="is no address of a page"):
        address(text)
