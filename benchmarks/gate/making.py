"""Makes the files of a model, and finds how much work makes each batch size slower by what is wanted.

The extra work is found on the machine that records, by measuring candidates in the way the gate does: the slow-down
at a batch size grows about in proportion to the extra trees or hidden units there, so a few rounds of the rule of three
come near. What the recording then measures is told beside what was wanted.
"""

from __future__ import annotations

import hashlib
import math
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.gate.files import read_json, write_json, write_whole
from benchmarks.gate.networks import RECIPES, TRAINING_ROWS, Trained, digits
from benchmarks.gate.replicates import Bench, contrasts, rows_file
from benchmarks.gate.series import ARMS, BATCH_SIZES, SAME, SLOWDOWNS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from benchmarks.gate.networks import Recipe

ROUNDS = 5
REPLICATES_A_ROUND = 4
NEAR = 0.1
NEAREST = 0.003
STEP = 3.0
FIRST_STEP = 0.5

Amounts = dict[int, int]
"""By batch size, trees or hidden units of its side model."""


def files_of(model: str, arm: str, data: Path) -> tuple[Path, Path]:
    """The baseline's and the candidate's file."""
    folder = data / "models" / model
    base = "same-base" if arm == SAME else "base"
    return folder / f"{base}.onnx", folder / ("same-head.onnx" if arm == SAME else f"{arm}.onnx")


def make_files(model: str, data: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """All files of a model, made once: what is there already is left as it is.

    Returns:
        ``amounts`` by arm and batch size, the slow-downs ``found`` on the way, and the files' ``sha256``.
    """
    made = data / "models" / model / "made.json"
    if not made.exists():
        write_json(made, _made(model, data, say))
    document: dict[str, Any] = read_json(made)
    return document


def _made(model: str, data: Path, say: Callable[[str], None]) -> dict[str, Any]:
    say(f"{model}: training")
    recipe = RECIPES[model]
    trained = Trained(recipe)
    for file in files_of(model, SAME, data):
        write_whole(file, trained.plain())
    least: Amounts = dict.fromkeys(BATCH_SIZES, recipe.least)
    write_whole(files_of(model, "all+5", data)[0], trained.voting(least))
    bench = Bench(rows_file(data, digits()[0][TRAINING_ROWS:]), data / "work")
    amounts: dict[str, Amounts] = {}
    found: dict[str, list[float]] = {}
    start = {size: recipe.least + max(round(FIRST_STEP * recipe.least), 1) for size in BATCH_SIZES}
    for slowdown in SLOWDOWNS:
        arm = next(arm for arm in ARMS.values() if arm.slowdown == slowdown and arm.is_everywhere)
        seek = _Seek(trained, recipe, bench, files_of(model, arm.name, data))
        amounts[arm.name], found[arm.name] = seek.find(start, slowdown, partial(_say_of, say, f"{model} {arm.name}"))
        start = amounts[arm.name]
    for arm in (arm for arm in ARMS.values() if not arm.is_everywhere):
        amounts[arm.name] = one_only(amounts[arm.name.replace("one", "all")], recipe)
        write_whole(files_of(model, arm.name, data)[1], trained.voting(amounts[arm.name]))
    digests = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest() for arm in ARMS for file in files_of(model, arm, data)
    }
    return {"amounts": amounts, "least": recipe.least, "found": found, "sha256": digests}


def _say_of(say: Callable[[str], None], what: str, text: str) -> None:
    say(f"{what}: {text}")


def one_only(amounts: Mapping[int, int], recipe: Recipe) -> Amounts:
    """The extra work at the one batch size that the recipe names, and none at the others."""
    return {size: amounts[size] if size == recipe.slow_batch_size else recipe.least for size in BATCH_SIZES}


class _Seek:
    def __init__(self, trained: Trained, recipe: Recipe, bench: Bench, files: tuple[Path, Path]) -> None:
        self._trained = trained
        self._recipe = recipe
        self._bench = bench
        self._files = files
        self._taken = 0

    def find(self, start: Amounts, wanted: float, say: Callable[[str], None]) -> tuple[Amounts, list[float]]:
        """The amounts that come near in every cell, else those of the nearest round; and what was found with them."""
        amounts, rounds = start, []
        while True:
            found = self._measure(amounts, say)
            rounds.append((max(abs(slowdown - wanted) for slowdown in found), amounts, found))
            if all(is_near(slowdown, wanted) for slowdown in found) or len(rounds) == ROUNDS:
                break
            amounts = corrected(amounts, found, wanted, self._recipe)
        _, nearest, found = min(rounds, key=lambda one: one[0])
        write_whole(self._files[1], self._trained.voting(nearest))
        return nearest, found

    def _measure(self, amounts: Amounts, say: Callable[[str], None]) -> list[float]:
        write_whole(self._files[1], self._trained.voting(amounts))
        taken: list[list[float]] = []
        for _ in range(REPLICATES_A_ROUND):
            taken.append(contrasts(self._bench.take(self._files, seed=0, index=self._taken)))
            self._taken += 1
        found = [math.expm1(median(logs)) for logs in zip(*taken, strict=True)]
        say(", ".join(f"{100 * slowdown:+.1f} %" for slowdown in found))
        return found


def is_near(slowdown: float, wanted: float) -> bool:
    """Whether a slow-down is within a tenth of what is wanted, or within 0.3 points."""
    return abs(slowdown - wanted) <= max(NEAR * wanted, NEAREST)


def corrected(amounts: Mapping[int, int], found: Sequence[float], wanted: float, recipe: Recipe) -> Amounts:
    """The next amounts, by the rule of three on the extra work; a step changes it threefold at most.

    Args:
        amounts: the last ones.
        found: the slow-down at each batch size with them.
        wanted: what it should be.
        recipe: says how few there are in the baseline, and how many there can be.
    """
    following: Amounts = {}
    for (size, amount), slowdown in zip(amounts.items(), found, strict=True):
        factor = min(max(wanted / max(slowdown, wanted / STEP), 1 / STEP), STEP)
        extra = max(round((amount - recipe.least) * factor), 1)
        following[size] = amount if is_near(slowdown, wanted) else min(recipe.least + extra, recipe.most)
    return following
