from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_inferopt.domain.budget import LatencyBudget, SizeBudget, parse_budget

HOW = "write p95<5ms, p99@batch32<40ms or size<50MB"


@pytest.mark.parametrize(
    ("text", "percentile", "batch_size", "limit_ms"),
    [
        ("p95<5ms", 95, None, 5),
        ("p99@batch32<40ms", 99, 32, 40),
        (" p50 @ batch 1 < 0.5 s ", 50, 1, 500),
        ("p50<250us", 50, None, 0.25),
        ("p50<250µs", 50, None, 0.25),
        ("p50<250μs", 50, None, 0.25),
        ("p95<1e-4ms", 95, None, 0.0001),
        ("p95<.5ms", 95, None, 0.5),
        ("p95<+5.ms", 95, None, 5),
    ],
)
def test_a_latency_budget_is_a_percentile_a_batch_size_and_a_limit(text, percentile, batch_size, limit_ms):
    assert parse_budget(text) == LatencyBudget(text.strip(), percentile, batch_size, pytest.approx(limit_ms))


@pytest.mark.parametrize(
    ("text", "limit_bytes"), [("size<50MB", 50e6), ("size < 1.5 GB", 1.5e9), ("size<.5kB", 500), ("size<1e3kB", 1e6)]
)
def test_a_size_budget_is_a_limit_in_powers_of_ten(text, limit_bytes):
    assert parse_budget(text) == SizeBudget(text, limit_bytes)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "'' compares nothing"),
        ("0", "'0' compares nothing"),
        ("5ms", "'5ms' compares nothing"),
        ("p95<5ms\n", r"'p95<5ms\\n' compares nothing"),
        ("<5ms", "'<5ms' does not say of which figure"),
        ("ü<5ms", "'ü<5ms' does not say of which figure"),
        ("p97<5ms", "'p97<5ms' judges 'p97', and the figures are p50, p95, p99 and size"),
        ("latency<5ms", "'latency<5ms' judges 'latency', and the figures are p50, p95, p99 and size"),
        ("throughput>5", "'throughput>5' has the sign >, and a budget is an upper limit"),
        ("p95<0ms", "'p95<0ms' has the limit 0, and nothing is below it"),
        ("p95<-5ms", "'p95<-5ms' has the limit -5, and nothing is below it"),
        ("size<-0MB", "'size<-0MB' has the limit -0, and nothing is below it"),
        ("p95<nan", "'p95<nan' limits nothing"),
        ("p95<infms", "'p95<infms' limits nothing"),
        ("p95<1e999ms", "'p95<1e999ms' limits nothing"),
        ("p95<1e308s", "'p95<1e308s' limits nothing"),
        ("p95<ms", "'p95<ms' has the limit 'ms', which is no number with a unit"),
        ("p95<1.2.3ms", "'p95<1.2.3ms' has the limit '1.2.3ms', which is no number with a unit"),
        ("p95<5ms<6ms", "'p95<5ms<6ms' has the limit '5ms<6ms', which is no number with a unit"),
        ("p95<5 000ms", "'p95<5 000ms' has the limit '5 000ms', which is no number with a unit"),
        ("p95<1,5ms", "'p95<1,5ms' has the limit '1,5ms', which is no number with a unit"),
        ("p95<5MB", "'p95<5MB' has the unit 'MB'; p95 is in us, ms or s"),
        ("size<5ms", "'size<5ms' has the unit 'ms'; size is in kB, MB or GB (MB = 10⁶ bytes)"),
        ("size<5MiB", "'size<5MiB' has the unit 'MiB'; size is in kB, MB or GB (MB = 10⁶ bytes)"),
        ("p95@batch0<5ms", "'p95@batch0<5ms' has batch size '0', which is no whole number from 1 to 65,536"),
        (
            "p95@batch99999<5ms",
            "'p95@batch99999<5ms' has batch size '99999', which is no whole number from 1 to 65,536",
        ),
        ("p95@batch1.5<5ms", "'p95@batch1.5<5ms' has batch size '1.5', which is no whole number from 1 to 65,536"),
        ("p95@batch<5ms", "'p95@batch<5ms' has batch size 'none', which is no whole number from 1 to 65,536"),
        ("p95@batch٣<5ms", "'p95@batch٣<5ms' has batch size '٣', which is no whole number from 1 to 65,536"),
    ],
)
def test_what_is_no_budget_is_told_how_one_looks(text, what):
    assert wrong(text) == f"budget {what}; {HOW}"


@pytest.mark.parametrize(
    ("text", "better"),
    [
        ("p95>5ms", "p95<5ms"),
        ("p95<=5ms", "p95<5ms"),
        ("p95 ≤ 5ms", "p95<5ms"),
        ("p95==5ms", "p95<5ms"),
        ("p95<5", "p95<5ms"),
        ("p99@batch32<40", "p99@batch32<40ms"),
        ("size<50", "size<50MB"),
        ("size<50mb", "size<50MB"),
        ("p95<5MS", "p95<5ms"),
        ("P95<5ms", "p95<5ms"),
        ("95<5ms", "p95<5ms"),
        ("p95@32<5ms", "p95@batch32<5ms"),
        ("p95@rows<5ms", "p95@batch1<5ms"),
        ("size@batch1<5MB", "size<5MB"),
    ],
)
def test_what_is_nearly_a_budget_is_told_the_right_one(text, better):
    assert wrong(text).endswith(f"; did you mean '{better}'?")
    assert parse_budget(better).text == better


@given(st.text(max_size=20) | st.text("p95<5ms@batch size.MB-+", max_size=20))
def test_any_text_is_a_budget_or_a_sentence_on_one_line(text):
    try:
        assert parse_budget(text).text == text.strip(" ")
    except ValueError as error:
        assert str(error).isprintable()  # noqa: PT017 - either way is right


def wrong(text):
    with pytest.raises(ValueError, match="budget ") as caught:
        parse_budget(text)
    return str(caught.value)
