"""Makes the files of a model, and finds how much work makes each batch size slower by what is wanted.

The extra work is found on the machine that records, by measuring candidates in the way the gate does. A slow-down grows
in proportion to the extra trees or hidden units, so all that was measured at a batch size is one price for a unit of
work there. What the recording then measures is told beside what was wanted.
"""

from __future__ import annotations

import hashlib
import math
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.gate.files import read_json, write_json, write_whole
from benchmarks.gate.networks import RECIPES, TRAINING_ROWS, Trained, digits
from benchmarks.gate.replicates import Bench, contrasts, rows_file
from benchmarks.gate.series import ARMS, BATCH_SIZES, SAME, SLOWDOWNS
from benchmarks.machine import provenance
from pytest_inferopt.engine.clock.lock import MachineLock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from benchmarks.gate.networks import Recipe

ROUNDS = 4
REPLICATES_A_ROUND = 8
MOST_GROWTH = 3.0
# Of the wanted slow-down: what is nearer is told as it is.
FAR = 0.3

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
    base = files_of(model, "all+5", data)[0]
    write_whole(base, trained.voting(dict.fromkeys(BATCH_SIZES, recipe.least)))
    bench = Bench(rows_file(data, digits()[0][TRAINING_ROWS:]), data / "work")
    amounts, found = _Seek(trained, bench, base, Prices(recipe)).find(lambda text: say(f"{model} {text}"))
    for arm in (arm for arm in ARMS.values() if not arm.is_everywhere):
        amounts[arm.name] = one_only(amounts[arm.name.replace("one", "all")], recipe)
        write_whole(files_of(model, arm.name, data)[1], trained.voting(amounts[arm.name]))
    files = {file for arm in ARMS for file in files_of(model, arm, data)}
    digests = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    return {
        "amounts": amounts,
        "least": recipe.least,
        "found": found,
        "sha256": digests,
        "provenance": provenance(),
    }


def retune(model: str, data: Path, recorded: Mapping[str, Sequence[float]], say: Callable[[str], None]) -> list[str]:
    """Make those candidates again whose recorded slow-down is far from the one that was wanted.

    A recording has many more replicates than the search for the amounts, so it knows the price of work better.

    Args:
        model: whose.
        data: the folder.
        recorded: by arm, the slow-down at each batch size over all its quiet replicates.
        say: told what is made again.

    Returns:
        The arms that were made again; what was recorded of them before is of no use any more.
    """
    document = make_files(model, data, say)
    recipe, prices, far = RECIPES[model], Prices(RECIPES[model]), []
    amounts: dict[str, Amounts] = {
        name: {int(size): amount for size, amount in found.items()} for name, found in document["amounts"].items()
    }
    for name, slowdowns in recorded.items():
        prices.learn(amounts[name], slowdowns)
    for name, slowdowns in recorded.items():
        arm = ARMS[name]
        slow = [one for size, one in zip(BATCH_SIZES, slowdowns, strict=True) if amounts[name][size] > recipe.least]
        if abs(sum(slow) / len(slow) / arm.slowdown - 1) > FAR:
            better = prices.amounts(arm.slowdown)
            far.append(name)
            say(f"{model} {name}: cost {told(slow)}; made again")
            amounts[name] = better if arm.is_everywhere else one_only(better, recipe)
    if far:
        trained = Trained(recipe)
        for name in far:
            file = files_of(model, name, data)[1]
            write_whole(file, trained.voting(amounts[name]))
            document["sha256"][file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
        write_json(data / "models" / model / "made.json", {**document, "amounts": amounts})
    return far


def told(slowdowns: Sequence[float]) -> str:
    """``+4.8 %, +5.1 %``."""
    return ", ".join(f"{100 * slowdown:+.1f} %" for slowdown in slowdowns)


def one_only(amounts: Mapping[int, int], recipe: Recipe) -> Amounts:
    """The extra work at the one batch size that the recipe names, and none at the others."""
    return {size: amounts[size] if size == recipe.slow_batch_size else recipe.least for size in BATCH_SIZES}


class Prices:
    """What a unit of extra work costs at each batch size, from all that was measured.

    The sums decide, so a measurement of much work, whose slow-down stands out of the noise, counts for more.

    Args:
        recipe: with how much to begin, and how much there can be.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._extra = dict.fromkeys(BATCH_SIZES, 0)
        self._slowdown = dict.fromkeys(BATCH_SIZES, 0.0)
        self._largest = dict.fromkeys(BATCH_SIZES, 0)

    def learn(self, amounts: Mapping[int, int], slowdowns: Sequence[float]) -> None:
        """Take a measurement of all batch sizes into account."""
        for (size, amount), slowdown in zip(amounts.items(), slowdowns, strict=True):
            extra = amount - self._recipe.least
            if not extra:
                continue
            self._extra[size] += extra
            self._slowdown[size] += slowdown
            self._largest[size] = max(self._largest[size], extra)

    def amounts(self, wanted: float) -> Amounts:
        """What should cost so much: at most three times the work that was measured, and one unit more at least."""
        return {size: self._recipe.least + self._wanted_extra(size, wanted) for size in BATCH_SIZES}

    def _wanted_extra(self, size: int, wanted: float) -> int:
        most = self._recipe.most - self._recipe.least
        if not self._extra[size]:
            return min(self._recipe.first, most)
        bound = min(MOST_GROWTH * self._largest[size], most)
        slowdown = self._slowdown[size]
        return round(min(max(wanted * self._extra[size] / slowdown, 1), bound)) if slowdown > 0 else round(bound)


class _Seek:
    def __init__(self, trained: Trained, bench: Bench, base: Path, prices: Prices) -> None:
        self._trained = trained
        self._bench = bench
        self._base = base
        self._prices = prices
        self._taken = 0

    def find(self, say: Callable[[str], None]) -> tuple[dict[str, Amounts], dict[str, list[float]]]:
        """Make the candidates that are slower everywhere; by arm, their amounts and what those cost here."""
        for turn in range(ROUNDS):
            found = self._measure(self._prices.amounts(max(SLOWDOWNS)), self._base.with_name("tried.onnx"))
            say(f"price of work, {turn + 1} of {ROUNDS}: {told(found)}")
        amounts: dict[str, Amounts] = {}
        slowdowns: dict[str, list[float]] = {}
        for arm in (arm for arm in ARMS.values() if arm.name != SAME and arm.is_everywhere):
            amounts[arm.name] = self._prices.amounts(arm.slowdown)
            slowdowns[arm.name] = self._measure(amounts[arm.name], self._base.with_name(f"{arm.name}.onnx"))
            say(f"{arm.name}: {told(slowdowns[arm.name])}")
        return amounts, slowdowns

    def _measure(self, amounts: Amounts, head: Path) -> list[float]:
        """Make a candidate, and learn what it costs at each batch size."""
        write_whole(head, self._trained.voting(amounts))
        taken = []
        for _ in range(REPLICATES_A_ROUND):
            with MachineLock().measuring():
                taken.append(contrasts(self._bench.take((self._base, head), seed=0, index=self._taken)))
            self._taken += 1
        found = [math.expm1(median(logs)) for logs in zip(*taken, strict=True)]
        self._prices.learn(amounts, found)
        return found
