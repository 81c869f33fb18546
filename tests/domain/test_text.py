from __future__ import annotations

import pytest

from pytest_inferopt.domain.text import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("features", "features"),
        ("größe 💡", "größe 💡"),
        ("<script>", "<script>"),
        ("a\x1b[31mb", r"a\x1b[31mb"),
        ("a\n::error::b", r"a\n::error::b"),
        ("a\u202eb", r"a\u202eb"),
        ("a\u2028b\u200bc", r"a\u2028b\u200bc"),
        ("\udc80", r"\udc80"),
        ("", ""),
    ],
)
def test_what_does_not_print_is_escaped_and_the_rest_is_kept(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [
        ("abcd", 4, "abcd"),
        ("abcde", 4, "abc…"),
        ("abc\n", 4, "abc…"),
        ("ab\n", 4, r"ab\n"),
        ("\x1b\x1b", 5, r"\x1b…"),
        ("\x1b", 3, "…"),
        ("ab", 1, "…"),
    ],
)
def test_a_long_text_is_cut_between_characters_and_never_inside_an_escape(text: str, limit: int, shown: str) -> None:
    assert printable(text, limit) == shown


def test_no_text_grows_past_its_limit() -> None:
    assert {len(printable("\U0001f4a1\x1b\u202e" * 4000, limit)) <= limit for limit in range(1, 200)} == {True}
