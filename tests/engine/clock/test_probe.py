from __future__ import annotations

from pytest_inferopt.engine.clock.probe import probe_ms


def test_the_probe_is_the_median_turn_after_an_untimed_one():
    readings = iter([0, 900, *(reading for turn in (5, 1, 9, 2, 4, 8, 3) for reading in (0, turn * 1_000_000))])
    assert probe_ms(clock=lambda: next(readings)) == 4.0


def test_the_probe_takes_time_on_this_machine():
    assert probe_ms() > 0
