from __future__ import annotations

import pytest

from pytest_inferopt.domain.artifact import OperatorTime
from pytest_inferopt.domain.comparison import OperatorChange
from pytest_inferopt.engine.comparison.explain import explain, typical


def told(changes):
    return [(change.name, change.op_type, change.count, pytest.approx(change.change_ms)) for change in changes]


def test_the_operators_that_account_for_the_difference_are_named_the_largest_first():
    base = {("first", "Gemm"): 1.0, ("second", "Gemm"): 2.0, ("act", "Relu"): 0.5}
    head = {("first", "Gemm"): 1.25, ("second", "Gemm"): 2.75, ("act", "Relu"): 0.5}
    assert explain(base, head) == (
        OperatorChange(name="second", op_type="Gemm", base_ms=2.0, head_ms=2.75, change_ms=0.75, share=0.75),
        OperatorChange(name="first", op_type="Gemm", base_ms=1.0, head_ms=1.25, change_ms=0.25, share=0.25),
    )


def test_nodes_without_a_counterpart_are_summed_up_by_their_type_and_a_single_one_keeps_its_name():
    base = {("a", "Gemm"): 1.0, ("b", "Gemm"): 1.0, ("out", "Cast"): 0.1}
    head = {("c", "Gemm"): 2.0, ("d", "Gemm"): 2.0, ("e", "Gemm"): 0.5, ("mul", "Mul"): 1.0, ("out", "Cast"): 0.1}
    assert told(explain(base, head)) == [("", "Gemm", 3, 2.5), ("mul", "Mul", 1, 1.0)]
    assert [(change.base_ms, change.head_ms) for change in explain(base, head)] == [(2.0, 4.5), (None, 1.0)]


def test_the_same_name_of_another_type_is_another_node():
    assert told(explain({("x", "Gemm"): 1.0}, {("x", "MatMul"): 3.0})) == [("x", "MatMul", 1, 3.0)]


def test_an_operator_that_is_gone_or_hardly_slower_is_left_out():
    base = {("gone", "Cast"): 1.0, ("a", "Gemm"): 1.0, ("b", "Relu"): 1.0}
    head = {("a", "Gemm"): 4.0, ("b", "Relu"): 1.02}
    assert told(explain(base, head)) == [("a", "Gemm", 1, 3.0)]


def test_at_most_five_are_named():
    nodes = [(f"n{number}", "Gemm") for number in range(9)]
    found = explain(dict.fromkeys(nodes, 1.0), {node: 2.0 + place for place, node in enumerate(nodes)})
    assert [change.name for change in found] == ["n8", "n7", "n6", "n5", "n4"]


def test_nothing_is_named_where_all_operators_together_are_not_slower():
    assert explain({("a", "Gemm"): 2.0, ("b", "Gemm"): 1.0}, {("a", "Gemm"): 1.0, ("b", "Gemm"): 1.5}) == ()


def test_a_nodes_time_is_the_median_over_rounds_and_nodes_of_one_name_are_added_up():
    rounds = [
        [OperatorTime("a", "Gemm", 1.0), OperatorTime("a", "Gemm", 2.0)],
        [OperatorTime("a", "Gemm", 9.0)],
        [OperatorTime("a", "Gemm", 4.0), OperatorTime("b", "Relu", 0.5)],
    ]
    assert typical(rounds) == {("a", "Gemm"): 4.0, ("b", "Relu"): 0.5}
