from __future__ import annotations

import pytest

from pytest_inferopt.engine.sensors import Sensors


def test_the_counters_of_a_machine_are_read_where_it_keeps_them(tmp_path):
    stat = tmp_path / "stat"
    stat.write_text("cpu  100 0 50 800 10 0 5 35 7 0\ncpu0 1 2 3\n")
    now = Sensors.now(stat)
    assert (now.ticks, now.stolen_ticks) == (1000, 35)
    assert now.involuntary_switches >= 0


@pytest.mark.parametrize("content", [None, "", "cpu  a b c\n", "cpu\n"])
def test_a_machine_that_counts_nothing_has_stolen_nothing(tmp_path, content):
    stat = tmp_path / "stat"
    if content is not None:
        stat.write_text(content)
    now = Sensors.now(stat)
    assert (now.ticks, now.stolen_ticks) == (0, 0)


def test_what_happened_is_the_growth_of_each_counter():
    assert Sensors(3, 100, 1).until(Sensors(5, 140, 9)) == {
        "involuntary_switches": 2,
        "ticks": 40,
        "stolen_ticks": 8,
    }


def test_this_machine_has_counters():
    assert min(Sensors.now().until(Sensors.now()).values()) >= 0
