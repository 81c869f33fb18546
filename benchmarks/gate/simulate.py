"""How often the gate is right, on made-up replicates.

Run ``python -m benchmarks.gate.simulate``; it writes ``benchmarks/gate/simulation.md`` in about two minutes. The coins
are the gate's own, and so are the shares; nothing is timed, so the table is the same on every machine.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.gate.many import NEVER, Gates, covered, made_up, run_gates, tail_values
from pytest_inferopt.domain.slowdown import parse_max_slowdown
from pytest_inferopt.engine.gate.coins import toss
from pytest_inferopt.engine.gate.looks import MOST_REPLICATES
from pytest_inferopt.engine.gate.tails import TAIL_CALLS, TAIL_LIMITS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

TABLE = Path(__file__).parent / "simulation.md"
GATES = 20_000
CELLS = 4
NOISE_SDS = (0.0075, 0.01, 0.02)
LIMITS = parse_max_slowdown("5%")
LEVEL_CELLS = (1, 2, 4, 8)
PSEUDO_MEDIAN = 0.8392  # of the exponential distribution
TAIL_GATES = 4000
TAIL_PART = 100
HEAD = """# What the gate catches, simulated

`max_slowdown` 5 %, so red means proven above 2 %. Each replicate's noise is normal, and 15 % of the replicates are four
times as wide; s is the robust standard deviation of the whole (1.4826 × the median absolute deviation). Cells are
independent of each other, and so are replicates unless told. {gates:,} gates a figure, so a share near 1 % is known to
±0.07 %. Made by `python -m benchmarks.gate.simulate`."""


def main() -> int:
    """Simulate everything and write the table."""
    sections = [HEAD.format(gates=GATES), _power(), _levels(), _coins(), _coverage(), _tails()]
    TABLE.write_text("\n\n".join(sections) + "\n", encoding="utf-8")
    sys.stdout.write(TABLE.read_text(encoding="utf-8"))
    return 0


def _gates(sd: float, slowdowns: float | list[float], cells: int = CELLS, seed: int = 0) -> Gates:
    values = made_up(np.random.default_rng(seed), GATES, cells, sd) + np.log1p(slowdowns)
    return run_gates(values, LIMITS)


def _power() -> str:
    rows = []
    for sd in NOISE_SDS:
        one = [_gates(sd, [slowdown, 0, 0, 0]) for slowdown in (0.05, 0.10)]
        every = [_gates(sd, slowdown) for slowdown in (0.03, 0.05)]
        same = _gates(sd, 0.0)
        shown = [
            " · ".join(
                [
                    "/".join(f"{100 * gates.red(replicates):.0f}" for gates in one),
                    "/".join(f"{100 * gates.red(replicates):.0f}" for gates in every),
                    f"{100 * same.passed(replicates):.0f}",
                ]
            )
            for replicates in (12, 16, 24)
        ]
        rows.append(f"| {100 * sd:g} % | {' | '.join(shown)} |")
    return (
        "## Verdicts, four batch sizes\n\nIn percent: red with one cell +5/+10 % · red with all four +3/+5 % · "
        "two equal files passed.\n\n| s | by 12 replicates | by 16 | by 24 |\n|---|---|---|---|\n" + "\n".join(rows)
    )


def _levels() -> str:
    rows = []
    for sd in NOISE_SDS:
        same, one = _gates(sd, 0.0), _gates(sd, [0.05, 0, 0, 0])
        missed = np.mean(one.dropped_at[:, 0] < NEVER)
        shares = f"{100 * one.passed():.2f} | {100 * missed:.2f}"
        rows.append(f"| {100 * sd:g} % | {np.sum(same.red_at < NEVER)} of {GATES:,} | {shares} |")
    names = ("replicates", *(f"{cells} cell{'s' if cells > 1 else ''}" for cells in LEVEL_CELLS))
    broken = [
        f"| {name} | {' | '.join(_red_at_the_limit(change, cells) for cells in LEVEL_CELLS)} |"
        for name, change in REPLICATES
    ]
    return (
        "## False verdicts\n\n| s | two equal files red | one of four at +5 %: gate passed, % | that cell passed, % |\n"
        "|---|---|---|---|\n"
        + "\n".join(rows)
        + "\n\nEvery cell exactly at 2 %: red in %, which does not depend on s. "
        "The test supposes symmetric, independent replicates; the lower rows show what it costs where they are not.\n\n"
        f"| {' | '.join(names)} |\n|{'---|' * len(names)}\n" + "\n".join(broken)
    )


def _as_they_are(values: NDArray[np.float64], _: np.random.Generator) -> NDArray[np.float64]:
    return values


def _skewed(values: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """Exponential, about the centre that the test tests: the median of the mean of two."""
    return random.exponential(size=values.shape) - PSEUDO_MEDIAN


def _skewed_to_fast(values: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    return -_skewed(values, random)


def _correlated(share: float) -> Callable[[NDArray[np.float64], np.random.Generator], NDArray[np.float64]]:
    def correlated(values: NDArray[np.float64], _: np.random.Generator) -> NDArray[np.float64]:
        following = values.copy()
        for index in range(1, MOST_REPLICATES):
            following[:, index] = share * following[:, index - 1] + np.sqrt(1 - share**2) * values[:, index]
        return following

    return correlated


REPLICATES = (
    ("as above", _as_they_are),
    ("skewed to slow: exponential", _skewed),
    ("skewed to fast", _skewed_to_fast),
    ("each correlated with the one before by 0.15", _correlated(0.15)),
    ("each correlated with the one before by 0.3", _correlated(0.3)),
)


def _red_at_the_limit(
    change: Callable[[NDArray[np.float64], np.random.Generator], NDArray[np.float64]], cells: int
) -> str:
    random = np.random.default_rng(1)
    values = change(made_up(random, GATES, cells, 0.01), random) + LIMITS.allowed_log
    return f"{100 * run_gates(values, LIMITS).red():.1f}"


def _coins() -> str:
    seats = np.array([toss(seed, index) for seed in range(GATES) for index in range(MOST_REPLICATES)])
    signs = np.where(seats, -1.0, 1.0).reshape(GATES, MOST_REPLICATES, 3).mean(axis=2)
    rows = []
    for bias in (0.003, 0.005, 0.01, 0.02, 0.037):
        figures = []
        for centre in (0.0, LIMITS.allowed_log):
            values = made_up(np.random.default_rng(2), GATES, CELLS, 0.01) + centre
            without, tossed = (run_gates(values + seat, LIMITS).red() for seat in (bias, bias * signs[:, :, None]))
            figures += [f"{100 * without:.1f}", f"{100 * tossed:.2f}"]
        rows.append(f"| {100 * bias:g} % | {' | '.join(figures)} |")
    return (
        "## Seats\n\nThree seats (loaded, warmed up, started first), each a third of an effect that makes the arm in "
        "the worse seats slower; four cells, s = 1 %, red in %.\n\n| all seats together | equal files, candidate "
        "always in the worse seats | with the coins | exactly at 2 %, always in the worse | with the coins |\n"
        "|---|---|---|---|---|\n" + "\n".join(rows)
    )


def _coverage() -> str:
    rows = []
    for sd in NOISE_SDS:
        shares = []
        for slowdown in (0.0, LIMITS.allowed, 0.03, LIMITS.caught):
            values = made_up(np.random.default_rng(3), GATES, CELLS, sd) + np.log1p(slowdown)
            shares.append(
                f"{100 * covered(values, float(np.log1p(slowdown)), run_gates(values, LIMITS).stopped_at):.1f}"
            )
        rows.append(f"| {100 * sd:g} % | {' | '.join(shares)} |")
    return (
        "## The 95 % interval after stopping\n\nCells whose interval holds the true slow-down, %, all four being:\n\n"
        "| s | 0 % | 2 % | 3 % | 5 % |\n|---|---|---|---|---|\n" + "\n".join(rows)
    )


def _tails() -> str:
    rows = []
    for percentile, calls in TAIL_CALLS.items():
        parts = [
            tail_values(np.random.default_rng([4, part]), percentile, TAIL_PART, calls // MOST_REPLICATES)
            for part in range(TAIL_GATES // TAIL_PART)
        ]
        values = np.concatenate(parts)
        shares = [
            f"{100 * run_gates(values + np.log1p(slowdown), TAIL_LIMITS).red():.1f}"
            for slowdown in (0.0, TAIL_LIMITS.allowed, 0.15, 0.2, 0.3, 0.5)
        ]
        rows.append(f"| p{percentile} | {calls:,} | {' | '.join(shares)} |")
    slower = ("0 %", "exactly 10 %", "15 %", "20 %", "30 %", "50 %")
    return (
        f"## Tails\n\nOne cell, {TAIL_GATES:,} gates, calls over all 24 replicates; log-normal calls (10 %), one in "
        "ten delayed by an exponential quarter, and each process shifts its tail by 2 %. Red in %, the "
        f"candidate's tail being slower by:\n\n| | calls an arm | {' | '.join(slower)} |\n|{'---|' * 8}\n"
        + "\n".join(rows)
    )


if __name__ == "__main__":
    sys.exit(main())
