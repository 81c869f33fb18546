"""A candidate beside its baseline: the gate's verdict and the figures it rests on, as they are stored.

A slow-down is relative to the baseline: 0.05 is 5 % slower, -0.05 is 5 % faster.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pytest_inferopt.domain.environment import Environment
from pytest_inferopt.domain.record import Interval, Record

__all__ = [
    "BaselineIdentity",
    "CellComparison",
    "Comparison",
    "Disturbance",
    "Gate",
    "GateVerdict",
    "OperatorChange",
    "SlowdownEstimate",
]

GateVerdict = Literal[
    "regressed", "passed", "inconclusive", "unchanged", "new", "not_comparable", "not_measured", "advisory"
]
SHORT_COMMIT = 7


class BaselineIdentity(Record):
    """What a candidate was compared with, and how it was found.

    Attributes:
        source: how: ``merge base``, on the default branch itself ``earlier commit``, ``accepted``, ``folder``,
            ``bundle``, and for a commit that was named, ``recorded`` or ``rebuilt``.
        commit: the full hash of the commit whose model it is; None where nobody knows it.
        branch: the branch it was made on.
        saved_at: when it was put away, ISO 8601 in UTC.
        is_dirty: whether tracked files differed from the commit then.
        environment: the machine that made it; nothing is compared with its timings, only its files are used.
        notes: what a reader must know: that a bundle was edited in this very change, for example.
    """

    source: str
    commit: str | None = None
    branch: str | None = None
    saved_at: str | None = None
    is_dirty: bool = False
    environment: Environment | None = None
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """``merge base 3f9c2e1`` or ``accepted 2026-11-20 (3f9c2e1)``."""
        commit = "" if self.commit is None else self.commit[:SHORT_COMMIT] + ("+" if self.is_dirty else "")
        if self.source == "accepted" and self.saved_at:
            return f"accepted {self.saved_at[:10]}" + (f" ({commit})" if commit else "")
        return f"{self.source} {commit}".strip()


class SlowdownEstimate(Record):
    """A slow-down with its interval.

    Attributes:
        estimate: by Hodges and Lehmann, over `replicates` fresh processes.
        interval: 95 %, from Walsh averages.
        detectable: the slow-down that as many replicates would surely have shown.
    """

    estimate: float | None
    interval: Interval
    replicates: int
    detectable: float | None = None

    @property
    def text(self) -> str:
        """``+3.1 % [2.4, 3.9]``."""
        if self.estimate is None:
            return "–"
        low, high = self.interval.low, self.interval.high
        limits = "" if low is None or high is None else f" [{100 * low:z.1f}, {100 * high:z.1f}]"
        return f"{100 * self.estimate:+z.1f} %{limits}"


class CellComparison(Record):
    """One batch size of a variant, at one percentile.

    Attributes:
        batch_size: rows per call.
        percentile: in percent.
        outcome: ``regressed``, ``improved`` and ``passed`` are proven; ``inconclusive`` is undecided at the end or at
            the stop; ``advisory`` has too few calls to be judged.
        slowdown: over the replicates up to the one at which the cell was decided.
        base_ms: the percentile of the baseline's latency, the median over replicates; `head_ms` the candidate's.
        values: each replicate's slow-down, in the order they were taken.
        base_quantiles_ms: the baseline's shortest call, percentiles 1 to 99 and longest call, the median over
            replicates (101 values); `head_quantiles_ms` the candidate's.
        calls: timed calls of the arm that has fewer, over all replicates.
        reason: why it is advisory.
    """

    batch_size: int
    percentile: int = 50
    outcome: Literal["regressed", "improved", "passed", "inconclusive", "advisory"]
    slowdown: SlowdownEstimate | None = None
    base_ms: float | None = None
    head_ms: float | None = None
    values: tuple[float, ...] = ()
    base_quantiles_ms: tuple[float, ...] = ()
    head_quantiles_ms: tuple[float, ...] = ()
    calls: int | None = None
    reason: str = ""


class OperatorChange(Record):
    """An operator that accounts for a part of a slow-down.

    Attributes:
        name: of the node in the candidate; in the baseline where it is only there.
        op_type: ``MatMul``, ``Conv`` and so on.
        base_ms: its time per call in the baseline; None where it is not there. `head_ms` in the candidate.
        change_ms: the difference.
        share: of the difference of all operators together.
        count: how many nodes this line stands for, where nodes without a counterpart are summed up by their type.
    """

    name: str
    op_type: str
    base_ms: float | None = None
    head_ms: float | None = None
    change_ms: float
    share: float | None = None
    count: int = 1


class Comparison(Record):
    """A variant beside the baseline's file of the same name.

    Attributes:
        base_sha256: the digest of the baseline's file; `base_size_bytes` and `base_format` are its size and format.
        size_change: relative, 0.05 is 5 % larger.
        base_score: the accuracy that the baseline recorded, by the metric `metric`, on `base_rows` rows.
        score_change: the candidate's score minus it; None where they are not comparable; `notes` says why.
        cells: p50 at each batch size, then each further percentile of the gate.
        operators: where a regression comes from, the largest first, at one batch size.
        operators_batch_size: which one.
        notes: what a reader must know.
    """

    base_sha256: str | None = None
    base_size_bytes: int | None = None
    base_format: str | None = None
    size_change: float | None = None
    metric: str | None = None
    base_score: float | None = None
    base_rows: int | None = None
    score_change: float | None = None
    cells: tuple[CellComparison, ...] = ()
    operators: tuple[OperatorChange, ...] = ()
    operators_batch_size: int | None = None
    notes: tuple[str, ...] = ()

    def cell(self, batch_size: int, percentile: int = 50) -> CellComparison | None:
        """The cell of a batch size and percentile; None where it was not compared."""
        return next(
            (cell for cell in self.cells if (cell.batch_size, cell.percentile) == (batch_size, percentile)), None
        )


class Disturbance(Record):
    """What the machine did to the replicates of a gate.

    Attributes:
        steal_share: of the processors' time that the host took away, over the replicates that count.
        worst_steal_share: in the worst of them.
        involuntary_switches: how often the kernel took the processor away, all together.
        pressure_share: the share of time in which something waited for a processor (PSI); None where nobody counts.
        lowest_mhz: the lowest mean clock frequency of a replicate, `highest_mhz` the highest; None where not known.
        repeated: replicates that were thrown away and taken again, whatever they showed, because of steal.
    """

    steal_share: float | None = None
    worst_steal_share: float | None = None
    involuntary_switches: int = 0
    pressure_share: float | None = None
    lowest_mhz: float | None = None
    highest_mhz: float | None = None
    repeated: int = 0


class Gate(Record):
    """The verdict of one request's gate: all its variants and batch sizes together.

    Attributes:
        verdict: of all cells together; ``new`` where there is no baseline, ``unchanged`` where every file is the same.
        reason: one sentence, with the figures.
        allowed: the slow-down above which a proven one is red; `caught` the one that is surely caught.
        looks: how often the replicates were looked at; `replicates` how many there were.
        together: all cells together, over the replicates in which all were measured.
        control: the baseline beside a second copy of itself; None where none was measured.
        is_contaminated: whether the copies differ so much that nothing can be said.
        disturbance: what the machine did meanwhile.
        baseline: what was compared with; None where there was nothing.
        seconds: what it took.
    """

    verdict: GateVerdict
    reason: str = ""
    allowed: float | None = None
    caught: float | None = None
    looks: int = 0
    replicates: int = 0
    together: SlowdownEstimate | None = None
    control: SlowdownEstimate | None = None
    is_contaminated: bool = False
    disturbance: Disturbance | None = None
    baseline: BaselineIdentity | None = None
    seconds: float | None = None
    notes: tuple[str, ...] = Field(default=())

    @property
    def is_protecting(self) -> bool:
        """Whether a regression would have been seen: something was compared, or is the same file."""
        return self.verdict in {"regressed", "passed", "inconclusive", "unchanged"}
