"""What other tools say of the same timings.

Each has a run of the baseline and a run of the candidate, in processes of their own, as their users' CI has: the
baseline's calls of one replicate and the candidate's calls of another one. Two pairings are judged: a replicate of the
same four (a few seconds away, the friendliest case: both runs in one job), and one of the series' next four (minutes to
hours away: numbers from another job). Each pair is judged both ways round. A replicate's process calls both files in
turns, and its calls of a cell are spread over about a third of a second; these tools make them in one go.

Rules, and where they stand:
    * ``pytest-benchmark``: ``--benchmark-compare-fail=median:5%`` fails where current / compared × 100 − 100 > 5, on
      the median of the rounds. pytest-benchmark 5.3.1, ``pytest_benchmark/utils.py``, `PercentageRegressionCheck`;
      https://pytest-benchmark.readthedocs.io/en/stable/comparing.html.
    * ``github-action-benchmark``: alert where the ratio is above ``alert-threshold``, here 105 % (200 % by default); of
      pytest it takes ``stats.ops``, which is 1 / mean. ``src/write.ts`` (`findAlerts`, `getRatio`) and
      ``src/extract.ts`` (`extractPytestResult`) at commit 019cbcb of benchmark-action/github-action-benchmark.
    * ``asv continuous``: worse where the median of the samples is above ``--factor`` times the old one (1.1 by
      default) and the samples differ by a Mann-Whitney test at p < 0.002. Two rounds, each a process with at most five
      samples of 10 ms, so ten samples a side: here of two replicates each. asv 0.6.6, ``asv/commands/compare.py``
      (`_is_result_better`) and ``asv/_stats.py`` (`is_different`); asv_runner 0.3.2, ``benchmarks/time.py``.
      Its step detection (``asv publish``) needs a history and is not judged.
    * ``Welch's t-test``: two-sided p < 0.05 over all calls, and slower. As in hyperfine's ``scripts/welch_ttest.py`` at
      commit 071d5c6 of sharkdp/hyperfine; B. L. Welch, Biometrika 34 (1947).
    * ``CodSpeed``: slower by more than the regression threshold, 10 % by default;
      https://codspeed.io/docs/features/customization. Read 2026. Its simulation mode times nothing; this is the
      threshold on wall time as its ``walltime`` instrument takes it, on the median, and without its own runners.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import stats

from pytest_inferopt.engine.gate.coins import BALANCED_WITHIN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from benchmarks.gate.recorded import Recorded

    # Which cells of which pairs are worse (pairs, cells).
    Rule = Callable[["Runs", "Runs"], NDArray[np.bool_]]

BASE, HEAD = 0, 1
WELCH_LEVEL = 0.05
ASV_LEVEL = 0.002
ASV_ROUNDS = 2


class Runs(NamedTuple):
    """One side of comparisons: what the processes of a run gave (pairs, rounds, cells), in nanoseconds.

    Attributes:
        calls: how many; and their `mean`, `sd` and `median`.
        samples: asv's (pairs, rounds, cells, 5).
    """

    calls: NDArray[np.int32]
    mean: NDArray[np.float32]
    sd: NDArray[np.float32]
    median: NDArray[np.float32]
    samples: NDArray[np.float32]


def median_above(percent: float) -> Rule:
    """The candidate's median more than so many percent above the baseline's."""

    def rule(base: Runs, head: Runs) -> NDArray[np.bool_]:
        return np.asarray(head.median[:, 0] / base.median[:, 0] * 100 - 100 > percent)

    return rule


def mean_above(percent: float) -> Rule:
    """The candidate's mean more than so many percent above the baseline's."""

    def rule(base: Runs, head: Runs) -> NDArray[np.bool_]:
        return np.asarray(head.mean[:, 0] / base.mean[:, 0] > 1 + percent / 100)

    return rule


def welch(base: Runs, head: Runs) -> NDArray[np.bool_]:
    """Slower, and Welch's test rejects equal means."""
    a, b = ((one.mean[:, 0], one.sd[:, 0], one.calls[:, 0]) for one in (base, head))
    p = stats.ttest_ind_from_stats(*a, *b, equal_var=False).pvalue
    return np.asarray((p < WELCH_LEVEL) & (head.mean[:, 0] > base.mean[:, 0]))


def asv(factor: float) -> Rule:
    """The median of the samples above `factor` times the old one, and the samples differ."""

    def rule(base: Runs, head: Runs) -> NDArray[np.bool_]:
        before, after = (
            one.samples.swapaxes(1, 2).reshape(len(one.samples), -1, _samples(one)) for one in (base, head)
        )
        differ = stats.mannwhitneyu(before, after, axis=-1, method="exact").pvalue < ASV_LEVEL
        return np.asarray(differ & (np.median(before, axis=-1) < np.median(after, axis=-1) / factor))

    return rule


def _samples(runs: Runs) -> int:
    return runs.samples.shape[1] * runs.samples.shape[3]


RULES: Mapping[str, Rule] = {
    "pytest-benchmark median:5%": median_above(5),
    "pytest-benchmark median:10%": median_above(10),
    "github-action-benchmark 105%": mean_above(5),
    "asv continuous, factor 1.1": asv(1.1),
    "asv continuous, factor 1.05": asv(1.05),
    "Welch's t-test, p < 0.05": welch,
    "CodSpeed threshold 10%": median_above(10),
}
PAIRINGS = ("seconds apart", "another time")


def pairs(recorded: Recorded, pairing: str) -> tuple[Runs, Runs]:
    """The baseline's runs and the candidate's, four pairs from each four.

    A run has two rounds, the replicates (0, 1) of a four against (2, 3); where a tool starts one process, the first
    round counts, and each round comes first once.

    Args:
        recorded: a series; what follows its last whole four is left out.
        pairing: one of `PAIRINGS`: the other run is of the same four, or of the next one.
    """
    fours = len(recorded) // BALANCED_WITHIN
    early = np.arange(fours)[:, None] * BALANCED_WITHIN + np.arange(ASV_ROUNDS)
    late = early + ASV_ROUNDS
    if pairing == "another time":
        early, late = early[:-1], late[1:]
    base = np.concatenate([early, early[:, ::-1], late, late[:, ::-1]])
    head = np.concatenate([late, late[:, ::-1], early, early[:, ::-1]])
    return _runs(recorded, base, BASE), _runs(recorded, head, HEAD)


def _runs(recorded: Recorded, rows: NDArray[np.intp], arm: int) -> Runs:
    return Runs(*(getattr(recorded, name)[rows][:, :, :, arm] for name in Runs._fields))


class Alarms(NamedTuple):
    """How often a rule says worse.

    Attributes:
        pairs: of runs that were compared.
        cells: the share of cells, `runs` of pairs in which any cell is.
        by_cell: the share at each batch size.
    """

    pairs: int
    cells: float
    runs: float
    by_cell: list[float]


def alarms(recorded: Recorded, rule: Rule, pairing: str) -> Alarms | None:
    """Judge a series by a rule; None where there are no pairs."""
    base, head = pairs(recorded, pairing)
    if not len(base.mean):
        return None
    worse = rule(base, head)
    by_cell = [float(share) for share in worse.mean(axis=0)]
    return Alarms(len(worse), float(worse.mean()), float(worse.any(axis=1).mean()), by_cell)
