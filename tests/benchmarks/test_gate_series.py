"""What is recorded, and in which order."""

from __future__ import annotations

from collections import Counter

from benchmarks.gate.series import ARMS, SAME, Series, all_series, next_series, next_together


def test_every_model_gets_240_identical_replicates_and_72_of_each_slow_down_half_of_them_loaded():
    wanted = Counter()
    for series in all_series():
        wanted[series.model, series.arm, series.condition] += 4 * series.fours
    assert len(wanted) == 4 * 7 * 2
    assert {wanted[model, SAME, condition] for model, arm, condition in wanted} == {120}
    assert {count for (_, arm, _), count in wanted.items() if arm != SAME} == {36}


def test_arms_are_named_after_what_they_cost_and_where():
    assert [tuple(arm) for arm in ARMS.values()] == [
        ("same", 0.0, True),
        ("all+3", 0.03, True),
        ("all+5", 0.05, True),
        ("all+10", 0.10, True),
        ("one+3", 0.03, False),
        ("one+5", 0.05, False),
        ("one+10", 0.10, False),
    ]


def test_a_recording_that_stops_anywhere_has_about_the_same_part_of_each_series():
    wanted = {Series("mlp", SAME, "quiet"): 30, Series("mlp", "all+5", "quiet"): 9, Series("mlp", "one+5", "loaded"): 9}
    done = dict.fromkeys(wanted, 0)
    taken = 0
    while (series := next_series(wanted, done)) is not None:
        done[series] += 1
        taken += 1
        shares = [done[one] / wanted[one] for one in wanted]
        assert max(shares) - min(shares) <= 1 / 9 + 1e-9
    assert (done, taken) == (wanted, 48)


def test_a_series_has_its_own_coins_the_same_ones_every_time():
    seeds = [series.seed for series in all_series()]
    assert len(set(seeds)) == len(seeds)
    assert seeds == [series.seed for series in all_series()]


def test_under_load_two_series_of_a_model_are_taken_at_the_same_time_and_quiet_ones_by_themselves():
    same, slower, other = (Series(*one, "loaded") for one in (("mlp", SAME), ("mlp", "all+5"), ("small", SAME)))
    quiet = Series("mlp", SAME, "quiet")
    wanted = {quiet: 2, same: 3, other: 1, slower: 1}
    done = dict.fromkeys(wanted, 0)
    taken = []
    while together := next_together(wanted, done):
        taken.append(together)
        for series in together:
            done[series] += 1
    assert taken == [(quiet,), (same, slower), (other,), (same,), (quiet,), (same,)]
    assert done == wanted
