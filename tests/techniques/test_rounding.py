"""What 8 bits lose of a row, on numbers that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from pytest_inferopt.techniques._rounding import FEEDS, rounding_errors


@pytest.fixture
def errors(model):
    """`errors(rows, low, high)`: of a tensor that is the input itself, and of the one after it that is the same."""

    def errors(*feeds, low, high, is_symmetric=False):
        source = model([helper.make_node("Identity", ["x"], ["h"]), helper.make_node("Relu", ["h"], ["y"])])
        tables = ({"x": np.repeat(np.asarray(feed, np.float32), 16, axis=1)} for feed in feeds)
        ranges = {"x": (low, high), "h": (low, high)}
        return rounding_errors(source.path, ranges, tables, is_symmetric=is_symmetric)

    return errors


def test_levels_themselves_lose_nothing(errors):
    assert errors([[0.0], [51.0], [255.0]], low=0, high=255) == {"x": 0.0, "h": 0.0}


def test_half_a_step_of_a_row_is_lost_relative_to_the_row(errors):
    assert errors([[1.4]], low=0, high=255)["h"] == pytest.approx(0.4 / 1.4, rel=1e-5)
    assert errors([[100.4]], low=0, high=255)["h"] == pytest.approx(0.4 / 100.4, rel=1e-4)


def test_what_lies_outside_of_the_range_is_cut_off(errors):
    assert errors([[510.0]], low=0, high=255)["h"] == pytest.approx(0.5)


def test_a_range_on_one_side_of_zero_is_extended_to_it(errors):
    assert errors([[255.0]], low=200, high=255)["h"] == pytest.approx(0.0, abs=1e-6)


def test_a_symmetric_range_is_that_of_the_farther_end(errors):
    assert errors([[-127.0], [127.0]], low=-127, high=5, is_symmetric=True)["h"] == pytest.approx(0.0, abs=1e-6)
    assert errors([[0.6]], low=-127, high=5, is_symmetric=True)["h"] == pytest.approx(0.4 / 0.6, rel=1e-5)


def test_the_mean_is_over_rows_and_rows_of_zeros_do_not_count(errors):
    assert errors([[1.4], [0.0], [2.0]], [[3.0]], low=0, high=255)["h"] == pytest.approx(0.4 / 1.4 / 3, rel=1e-5)


def test_a_tensor_that_is_always_zero_loses_nothing(errors):
    assert errors([[0.0]], low=0, high=0) == {"x": 0.0, "h": 0.0}


def test_only_the_first_feeds_are_run(errors):
    assert errors(*[[[1.0]]] * FEEDS, [[1.4]], low=0, high=255)["h"] == 0


def test_nothing_is_run_where_nothing_is_looked_at(tmp_path):
    assert rounding_errors(tmp_path / "none.onnx", {}, iter(()), is_symmetric=False) == {}
