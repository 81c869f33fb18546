"""Faults G: requests for figures that the measuring cannot give are wrong before anything is measured."""

from __future__ import annotations

import pytest

from pytest_inferopt.domain.request import parse_request
from pytest_inferopt.errors import UsageError

WHERE = "pytest.mark.inferopt"
HOW = "write p95<5ms, p99@batch32<40ms or size<50MB."


def wrong(**fields):
    with pytest.raises(UsageError) as caught:
        parse_request(fields, where=WHERE)
    return str(caught.value)


# --- G97: a percentile of too few samples -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget", "iterations", "told"),
    [
        ("p95<5ms", 10, "p95 of fewer than 20 samples; set iterations to 20 or more"),
        ("p95@batch32<5ms", 19, "p95 of fewer than 20 samples; set iterations to 20 or more"),
        ("p99<5ms", 99, "p99 of fewer than 100 samples; set iterations to 100 or more"),
    ],
)
def test_g97_a_budget_on_a_percentile_of_too_few_samples_is_a_usage_error(budget, iterations, told):
    assert wrong(budget=[budget], iterations=iterations) == (
        f"{WHERE}: budget '{budget}' with iterations={iterations} is {told}, or drop the budget."
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"budget": ["p95<5ms"], "iterations": 20},
        {"budget": ["p99<5ms"], "iterations": 100},
        {"budget": ["p50<5ms", "size<5MB"], "iterations": 1},
        {"budget": ["p95<5ms", "p99<5ms"], "iterations": 10, "quick": True},
    ],
    ids=["p95 of 20", "p99 of 100", "p50 and size of one", "quick"],
)
def test_g97_a_budget_that_its_samples_carry_or_a_quick_run_only_shows_is_taken(fields):
    assert parse_request(fields, where=WHERE).budget == tuple(fields["budget"])


# --- G98: a text that is no budget ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("0", f"compares nothing; {HOW}"),
        ("5ms", f"compares nothing; {HOW}"),
        ("p95<0ms", f"has the limit 0, and nothing is below it; {HOW}"),
        ("p95<-5ms", f"has the limit -5, and nothing is below it; {HOW}"),
        ("p95<nanms", f"limits nothing; {HOW}"),
        ("p95<infms", f"limits nothing; {HOW}"),
        ("p95<5", "has no unit; p95 is in us, ms or s; did you mean 'p95<5ms'?"),
        ("p95>5ms", "has the sign >, and a budget is an upper limit; did you mean 'p95<5ms'?"),
        (
            "p97<5ms",
            "judges 'p97', and the figures are p50, p95, p99 and size; write p95<5ms, p99@batch32<40ms or size<50MB.",
        ),
        ("p95@batch0<5ms", f"has batch size '0', which is no whole number from 1 to 65,536; {HOW}"),
    ],
)
def test_g98_what_is_no_budget_is_a_usage_error_that_shows_one(text, told):
    assert wrong(budget=["size<5MB", text]) == f"{WHERE}: budget {text!r} {told}"


@pytest.mark.parametrize(
    "text", ["p95<5ms", "p95 < 5 ms", "p95<0.001ms", "p95@batch1<5ms", "p50<1s", "p99@batch32<40ms", "size<50kB"]
)
def test_g98_what_looks_like_it_and_is_one_is_kept_as_written(text):
    assert parse_request({"budget": text}, where=WHERE).budget == (text,)
    assert parse_request({"budget": [text]}, where=WHERE).budget == (text,)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("p95<5ms", "p95<5ms"),
        ("p95<5ms", "p95<6ms"),
        ("p95<5ms", "p95@batch16<5ms"),
        ("size<5MB", "size<6MB"),
    ],
)
def test_g98_two_budgets_for_one_figure_are_a_usage_error(one, two):
    assert wrong(budget=[one, two], batch_sizes=[16, 1]) == (
        f"{WHERE}: budget '{two}' and '{one}' limit the same figure; keep the one that holds."
    )


def test_g98_budgets_for_different_figures_stand_beside_each_other():
    texts = ("p95<5ms", "p95@batch16<9ms", "p99<9ms", "size<5MB")
    assert parse_request({"budget": texts, "batch_sizes": [1]}, where=WHERE).budget == texts


@pytest.mark.parametrize(("value", "told"), [([5], "budget.0=5: Input should be a valid string."), (5, "budget=5: ")])
def test_g98_what_is_no_text_is_a_usage_error(value, told):
    assert wrong(budget=value).startswith(f"{WHERE}: {told}")
