from __future__ import annotations

from collections import Counter
from itertools import combinations

import pytest

from pytest_inferopt.engine.gate.coins import Coins, own_seed, toss

SEEDS = range(64)


def fours(seed, count=6):
    """The coins of the first replicates, four by four: (coins of the first four), …"""
    return [[toss(seed, 4 * four + place) for place in range(4)] for four in range(count)]


@pytest.mark.parametrize("seed", SEEDS)
def test_each_coin_falls_on_each_side_twice_in_every_four_replicates(seed):
    assert {sum(sides) for four in fours(seed) for sides in zip(*four, strict=True)} == {2}


@pytest.mark.parametrize("seed", SEEDS)
def test_no_two_coins_fall_together_more_often_than_apart(seed):
    for four in fours(seed):
        for one, other in combinations(zip(*four, strict=True), 2):
            assert len(set(zip(one, other, strict=True))) == 4


def test_a_four_is_as_likely_as_the_one_with_all_sides_turned():
    counted = Counter(tuple(four) for seed in range(1500) for four in fours(seed))
    turned = Counter({tuple(Coins(*(not side for side in coins)) for coins in four): n for four, n in counted.items()})
    assert counted.keys() == turned.keys()
    assert len(counted) == 2 * 24  # either half of the factorial, in any order
    assert max(counted.values()) < 1.5 * min(counted.values())


def test_the_coins_depend_on_the_seed_and_the_number_and_on_nothing_else():
    assert [toss(3, index) for index in range(12)] == [toss(3, index) for index in reversed(range(12))][::-1]
    assert len({tuple(toss(seed, index) for index in range(8)) for seed in SEEDS}) > 60


def test_each_name_has_coins_of_its_own_that_are_the_same_every_time():
    seeds = [own_seed(seed, name) for seed in (0, 1) for name in ("int8", "fp16", "int8 ", "é")]
    assert len(set(seeds)) == 8
    assert own_seed(0, "int8") == seeds[0]
    tossed = Counter(toss(own_seed(seed, "int8"), 0) == toss(own_seed(seed, "fp16"), 0) for seed in range(800))
    assert 70 < tossed[True] < 130  # an eighth of them
