"""Other tools' rules, on runs that are known."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.gate.peers import PAIRINGS, RULES, Runs, alarms, pairs

US = 1000


def runs(median_us, *, mean_us=None, sd_us=1.0, calls=400, samples_us=None):
    """One pair with two rounds of one cell."""
    mean = median_us if mean_us is None else mean_us
    samples = np.linspace(median_us - 0.5, median_us + 0.5, 10) if samples_us is None else np.asarray(samples_us)
    table = np.ones((1, 2, 1))
    return Runs(
        calls=(calls * table).astype(np.int32),
        mean=mean * US * table,
        sd=sd_us * US * table,
        median=median_us * US * table,
        samples=US * samples.reshape(1, 2, 1, 5),
    )


def called_slower(base, head):
    return {name for name, rule in RULES.items() if rule(base, head).item()}


def test_each_rule_begins_where_its_tool_says_it_does():
    welch = "Welch's t-test, p < 0.05"
    five = {"pytest-benchmark median:5%", "github-action-benchmark 105%", "asv continuous, factor 1.05"}
    ten = {"pytest-benchmark median:10%", "asv continuous, factor 1.1", "CodSpeed threshold 10%"}
    base = runs(100)
    assert called_slower(base, base) == set()
    assert called_slower(base, runs(104.9)) == {welch}
    assert called_slower(base, runs(105.1)) == {welch, *five}
    assert called_slower(base, runs(110.1)) == {welch, *five, *ten}
    assert called_slower(base, runs(80)) == set()


def test_only_the_action_and_the_t_test_look_at_the_mean():
    outliers = runs(100, mean_us=106)
    assert called_slower(runs(100), outliers) == {"github-action-benchmark 105%", "Welch's t-test, p < 0.05"}


def test_the_t_test_needs_calls_that_agree():
    noisy = {"sd_us": 500.0, "calls": 100}
    assert not RULES["Welch's t-test, p < 0.05"](runs(100, **noisy), runs(104, **noisy)).item()


def test_asv_wants_samples_that_differ_beside_medians_that_do():
    mixed = runs(100, samples_us=[60, 61, 62, 63, 101, 102, 150, 151, 152, 153])
    wide = runs(112, samples_us=[59, 64, 65, 66, 112, 113, 154, 155, 156, 157])
    assert not RULES["asv continuous, factor 1.1"](mixed, wide).item()


def test_a_run_is_compared_with_another_process_of_its_four_or_of_the_next_four(recorded):
    found = recorded(replicates=9, shift=0.1)
    base, head = pairs(found, PAIRINGS[0])
    of = {float(value): row for row, value in enumerate(found.mean[:, 0, 0])}
    to = {float(value): row for row, value in enumerate(found.mean[:, 0, 1])}
    rows = [(of[float(a)], to[float(b)]) for a, b in zip(base.mean[:, 0, 0], head.mean[:, 0, 0], strict=True)]
    assert sorted(rows) == [(0, 2), (1, 3), (2, 0), (3, 1), (4, 6), (5, 7), (6, 4), (7, 5)]
    base, head = pairs(found, PAIRINGS[1])
    rows = [(of[float(a)], to[float(b)]) for a, b in zip(base.mean[:, 0, 0], head.mean[:, 0, 0], strict=True)]
    assert sorted(rows) == [(0, 6), (1, 7), (6, 0), (7, 1)]
    assert base.samples.shape == (4, 2, 4, 5)


def test_processes_that_differ_as_a_whole_are_false_alarms_of_every_cell_or_none(recorded):
    found = recorded(replicates=120, shift=0.1)
    said = alarms(found, RULES["pytest-benchmark median:5%"], PAIRINGS[0])
    assert said.pairs == 120
    assert said.by_cell == pytest.approx([said.cells] * 4, abs=0.1)
    assert 0.2 < said.cells <= said.runs < 0.6


def test_one_four_has_no_other_time(recorded):
    found = recorded(replicates=7)
    assert alarms(found, RULES["pytest-benchmark median:5%"], PAIRINGS[1]) is None
    assert alarms(found, RULES["pytest-benchmark median:5%"], PAIRINGS[0]).pairs == 4
