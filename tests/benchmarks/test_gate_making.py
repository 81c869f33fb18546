"""How extra work is found, and that it is only where it is meant to be."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.neural_network import MLPClassifier

from benchmarks.gate.making import corrected, is_near, one_only
from benchmarks.gate.networks import Recipe, Trained, digits
from benchmarks.gate.series import BATCH_SIZES

FOREST = Recipe(RandomForestClassifier(3, random_state=0), RandomForestClassifier(8, random_state=1), 2, 8, 16)
NETWORK = Recipe(
    MLPClassifier((8,), max_iter=1, random_state=0), MLPClassifier((32,), max_iter=1, random_state=0), 4, 32, 16
)


def test_near_is_a_tenth_of_what_is_wanted_or_three_tenths_of_a_point():
    assert [is_near(found, 0.10) for found in (0.0899, 0.0901, 0.1099, 0.1101)] == [False, True, True, False]
    assert [is_near(found, 0.02) for found in (0.0169, 0.0171, 0.0229, 0.0231)] == [False, True, True, False]


def test_the_next_amount_follows_the_rule_of_three_on_the_extra_work_alone():
    amounts = {1: 6, 16: 6, 32: 6, 64: 6}
    recipe = Recipe(None, None, 4, 20, 16)
    # Twice too slow, near, not slower at all (threefold at most), and ten times too slow (a third, one at least).
    assert corrected(amounts, [0.10, 0.051, -0.01, 0.5], 0.05, recipe) == {1: 5, 16: 6, 32: 10, 64: 5}


def test_there_can_be_no_more_extra_work_than_the_recipe_has():
    recipe = Recipe(None, None, 4, 8, 16)
    assert corrected({1: 7}, [0.01], 0.05, recipe) == {1: 8}


def test_one_cell_alone_gets_the_extra_work():
    amounts = dict.fromkeys(BATCH_SIZES, 7)
    assert one_only(amounts, FOREST) == {1: 2, 16: 7, 32: 2, 64: 2}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("recipe", [FOREST, NETWORK], ids=["forest", "network"])
def test_extra_work_at_one_batch_size_changes_the_answers_there_and_nowhere_else(recipe):
    trained, rows = Trained(recipe), digits()[0]
    least = dict.fromkeys(BATCH_SIZES, recipe.least)
    plain, base, head = (
        onnxruntime.InferenceSession(content)
        for content in (trained.plain(), trained.voting(least), trained.voting({**least, 16: recipe.most}))
    )
    assert {len(session.get_inputs()) for session in (plain, base, head)} == {1}
    same = []
    for size in BATCH_SIZES:
        asked = {"X": rows[:size]}
        before, after = (session.run(None, asked)[0] for session in (base, head))
        assert (before.shape, after.shape) == ((size, 10), (size, 10))
        assert np.allclose(before.sum(axis=1), 1, atol=1e-5)
        same.append(bool(np.array_equal(before, after)))
    assert same == [True, False, True, True]
