from __future__ import annotations

import numpy as np
import pytest

from pytest_inferopt.engine.gate.tails import TAIL_LIMITS, TailDecision, decide_tail
from pytest_inferopt.engine.gate.verdict import decide

RANDOM = np.random.default_rng(5)
QUIET = RANDOM.normal(scale=0.02, size=(9, 2))


def test_a_tail_is_decided_as_the_median_is_but_against_ten_percent():
    cells = ["batch 1", "batch 16"]
    values = QUIET + np.log([1, 1.5])
    assert decide_tail(95, values, calls=[3000, 4000], cells=cells) == TailDecision(
        95, decide(values, TAIL_LIMITS, cells=cells), {}
    )
    slow = decide_tail(99, QUIET + np.log(1.3), calls=[15_000, 15_000], cells=cells).decision
    assert slow.verdict == "regressed"
    assert slow.reason == f"{slow.together.text}, allowed 10.0 % (of a tail)"


def test_a_tail_that_is_slower_by_less_is_not_red():
    found = decide_tail(95, QUIET + np.log(1.06), calls=[3000, 3000], cells=["a", "b"])
    assert found.decision.verdict == "passed"


@pytest.mark.parametrize(("percentile", "needed"), [(95, "3,000"), (99, "15,000")])
def test_a_cell_with_too_few_calls_is_advisory_and_not_tested(percentile, needed):
    few, many = int(needed.replace(",", "")) - 1, 20_000
    told = f"too few samples for p{percentile}: {few:,} calls an arm, needs {needed}"
    values = QUIET + np.log([3, 1])
    assert decide_tail(percentile, values, calls=[few, many], cells=["a", "b"]) == TailDecision(
        percentile, decide(values[:, 1:], TAIL_LIMITS, cells=["b"]), {"a": told}
    )
    assert decide_tail(percentile, values, calls=[few, few], cells=["a", "b"]) == TailDecision(
        percentile, None, {"a": told, "b": told}
    )
