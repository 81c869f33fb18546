"""How extra work is found, and that it is only where it is meant to be."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.neural_network import MLPClassifier

from benchmarks.gate.files import read_json, write_json
from benchmarks.gate.making import Prices, one_only, retune, told
from benchmarks.gate.networks import RECIPES, Recipe, Trained, digits
from benchmarks.gate.series import BATCH_SIZES

FOREST = Recipe(RandomForestClassifier(3, random_state=0), RandomForestClassifier(8, random_state=1), 2, 3, 8, 16)
NETWORK = Recipe(
    MLPClassifier((8,), max_iter=1, random_state=0), MLPClassifier((32,), max_iter=1, random_state=0), 4, 8, 32, 16
)


@pytest.fixture
def prices():
    return Prices(Recipe(None, None, least=4, first=10, most=104, slow_batch_size=16))


def test_what_was_never_measured_is_tried_with_what_the_recipe_says(prices):
    assert prices.amounts(0.10) == dict.fromkeys(BATCH_SIZES, 14)


def test_all_measurements_of_a_batch_size_together_are_the_price_of_work_there(prices):
    prices.learn({1: 14, 16: 14, 32: 14, 64: 14}, [0.05, 0.10, 0.04, 0.20])
    prices.learn({1: 24, 16: 14, 32: 24, 64: 9}, [0.10, 0.10, 0.11, 0.10])
    assert prices.amounts(0.10) == {1: 24, 16: 14, 32: 24, 64: 9}
    assert prices.amounts(0.05) == {1: 14, 16: 9, 32: 14, 64: 6}


def test_a_price_that_noise_hides_is_looked_for_with_three_times_the_work_and_no_more_than_there_is(prices):
    prices.learn(dict.fromkeys(BATCH_SIZES, 14), [-0.01, 0.0, 0.001, 10.0])
    assert prices.amounts(0.10) == {1: 34, 16: 34, 32: 34, 64: 5}
    prices.learn({1: 54, 16: 14, 32: 14, 64: 14}, [0.0, 0.10, 0.10, 10.0])
    assert prices.amounts(0.10)[1] == 104


def test_a_batch_size_without_extra_work_says_nothing_of_its_price(prices):
    prices.learn({1: 14, 16: 4, 32: 4, 64: 4}, [0.10, 0.07, -0.03, 0.02])
    assert prices.amounts(0.10) == {1: 14, 16: 14, 32: 14, 64: 14}


@pytest.mark.filterwarnings("ignore")
def test_candidates_whose_recorded_cost_is_far_from_the_wanted_one_are_made_again(tmp_path, monkeypatch):
    monkeypatch.setitem(RECIPES, "mlp", NETWORK)
    amounts = {"all+5": dict.fromkeys(BATCH_SIZES, 14), "one+10": {1: 4, 16: 14, 32: 4, 64: 4}}
    folder = tmp_path / "models" / "mlp"
    write_json(folder / "made.json", {"amounts": amounts, "sha256": {}})
    recorded = {"all+5": [0.05, 0.04, 0.05, 0.06], "one+10": [0.001, 0.04, 0.0, -0.002]}

    assert retune("mlp", tmp_path, recorded, lambda _: None) == ["one+10"]
    document = read_json(folder / "made.json")
    assert document["amounts"]["all+5"] == {"1": 14, "16": 14, "32": 14, "64": 14}
    assert document["amounts"]["one+10"] == {"1": 4, "16": 29, "32": 4, "64": 4}
    assert [path.name for path in folder.glob("*.onnx")] == ["one+10.onnx"]
    assert document["sha256"].keys() == {"one+10.onnx"}


def test_slow_downs_are_told_in_percent():
    assert told([0.048, -0.001]) == "+4.8 %, -0.1 %"


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
