"""Why a file became slower: the operators that take longer than in the baseline, by name and type.

A runtime tells what each node of a graph took. Nodes of both files that agree in name and type are held against each
other; those without a counterpart are summed up by their type, because exporters number nodes anew.
"""

from __future__ import annotations

from collections import defaultdict
from statistics import median
from typing import TYPE_CHECKING

from pytest_inferopt.domain.comparison import OperatorChange

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_inferopt.domain.artifact import OperatorTime

__all__ = ["explain", "typical"]

Node = tuple[str, str]

MOST = 5
LEAST_SHARE = 0.03


def typical(rounds: Iterable[Sequence[OperatorTime]]) -> dict[Node, float]:
    """The median over rounds of what each node, by name and type, took per call, in milliseconds.

    Nodes of the same name and type are added up within a round.
    """
    seen: dict[Node, list[float]] = defaultdict(list)
    for times in rounds:
        sums: dict[Node, float] = defaultdict(float)
        for time in times:
            sums[time.name, time.op_type] += time.ms
        for node, ms in sums.items():
            seen[node].append(ms)
    return {node: median(found) for node, found in seen.items()}


def explain(base: Mapping[Node, float], head: Mapping[Node, float]) -> tuple[OperatorChange, ...]:
    """The operators that account for the difference, the largest first: at most five, each at least 3 % of it.

    Args:
        base: milliseconds per call of the baseline's nodes, by name and type.
        head: likewise of the candidate's.

    Returns:
        Nothing where all operators together are not slower: the time is lost between them then.
    """
    difference_ms = sum(head.values()) - sum(base.values())
    if difference_ms <= 0:
        return ()
    changes = [_change(name, op_type, base[name, op_type], head[name, op_type]) for name, op_type in base.keys() & head]
    changes += _by_type(_without(base, head), _without(head, base))
    slower = sorted(changes, key=lambda change: (-change.change_ms, change.op_type, change.name))
    shares = [(change, change.change_ms / difference_ms) for change in slower]
    return tuple(change.model_copy(update={"share": share}) for change, share in shares if share >= LEAST_SHARE)[:MOST]


def _change(name: str, op_type: str, base_ms: float | None, head_ms: float | None, count: int = 1) -> OperatorChange:
    change_ms = (head_ms or 0.0) - (base_ms or 0.0)
    return OperatorChange(
        name=name, op_type=op_type, base_ms=base_ms, head_ms=head_ms, change_ms=change_ms, count=count
    )


def _without(nodes: Mapping[Node, float], others: Mapping[Node, float]) -> dict[Node, float]:
    return {node: ms for node, ms in nodes.items() if node not in others}


def _by_type(base: Mapping[Node, float], head: Mapping[Node, float]) -> list[OperatorChange]:
    """A line for each type of the nodes without a counterpart; a single node keeps its name."""
    changes = []
    for op_type in sorted({op_type for _, op_type in (*base, *head)}):
        before, after = ({name: ms for (name, kind), ms in nodes.items() if kind == op_type} for nodes in (base, head))
        names = list(after or before)
        count = max(len(before), len(after))
        name = names[0] if count == 1 else ""
        sums = [sum(found.values()) if found else None for found in (before, after)]
        changes.append(_change(name, op_type, sums[0], sums[1], count))
    return changes
