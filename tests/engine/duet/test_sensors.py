from __future__ import annotations

import pytest

from pytest_inferopt.engine.duet.sensors import Sensors, steal_share


@pytest.fixture
def proc(tmp_path):
    """A folder like /proc with these files."""

    def proc(**files):
        (tmp_path / "pressure").mkdir()
        for name, content in files.items():
            (tmp_path / name.replace("_", "/")).write_text(content)
        return tmp_path

    return proc


def test_the_counters_of_a_machine_are_read_where_it_keeps_them(proc):
    now = Sensors.now(
        proc(
            stat="cpu  100 0 50 800 10 0 5 35 7 0\ncpu0 1 2 3\n",
            pressure_cpu="some avg10=1.24 avg60=0.27 avg300=0.58 total=3521\nfull avg10=0.00 total=9\n",
            cpuinfo="model name\t: A\ncpu MHz\t\t: 2000.5\n\nmodel name\t: A\ncpu MHz\t\t: 3000.5\n",
        )
    )
    assert (now.ticks, now.stolen_ticks, now.pressure_us, now.mhz) == (1000, 35, 3521, 2500.5)
    assert min(now.involuntary_switches, now.seconds) >= 0


@pytest.mark.parametrize("content", ["", "cpu  a b c\n", "cpu\n", "cpu MHz\t: fast\n"])
def test_a_machine_that_counts_nothing_has_stolen_nothing_and_tells_nothing(proc, content):
    now = Sensors.now(proc(stat=content, pressure_cpu=content, cpuinfo=content))
    assert (now.ticks, now.stolen_ticks, now.pressure_us, now.mhz) == (0, 0, None, None)


def test_a_machine_without_these_files_is_no_error(tmp_path):
    now = Sensors.now(tmp_path)
    assert (now.ticks, now.stolen_ticks, now.pressure_us, now.mhz) == (0, 0, None, None)


def test_what_happened_is_the_growth_of_each_counter():
    before = Sensors(3, 100, 1, pressure_us=500_000, mhz=2000.0, seconds=10.0)
    assert before.until(Sensors(5, 140, 9, pressure_us=1_500_000, mhz=3000.0, seconds=14.0)) == {
        "involuntary_switches": 2,
        "ticks": 40,
        "stolen_ticks": 8,
        "pressure_share": 0.25,
        "mhz": 2500.0,
    }


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Sensors(0, 0, 0, seconds=1.0), Sensors(0, 0, 0, 5, 2000.0, 2.0)),
        (Sensors(0, 0, 0, 5, 2000.0, 1.0), Sensors(0, 0, 0, seconds=2.0)),
    ],
    ids=["not before", "not after"],
)
def test_what_was_not_told_at_both_moments_is_not_known(before, after):
    happened = before.until(after)
    assert (happened["pressure_share"], happened["mhz"]) == (None, None)


def test_in_no_time_there_is_no_share():
    assert Sensors(0, 0, 0, 5, seconds=1.0).until(Sensors(0, 0, 0, 9, seconds=1.0))["pressure_share"] is None


def test_stolen_time_is_shared_by_all_ticks_together():
    one, other = {"ticks": 100, "stolen_ticks": 10}, {"ticks": 300, "stolen_ticks": 0}
    assert (steal_share(one), steal_share(one, other), steal_share()) == (0.1, 0.025, None)
    assert steal_share({"ticks": 0, "stolen_ticks": 0}) is None


def test_this_machine_has_counters():
    happened = Sensors.now().until(Sensors.now())
    assert min(happened[name] for name in ("involuntary_switches", "ticks", "stolen_ticks")) >= 0
