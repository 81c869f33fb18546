"""Gates put together from recorded replicates."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from benchmarks.gate.judge import judged_document
from benchmarks.gate.recorded import FIGURES, Recording, first_samples, read_recording, write_recording
from benchmarks.gate.resample import Tally, draw, judge_recorded, judged, robust_sd, slowdowns, tally
from benchmarks.gate.series import Series, all_series

CELLS = 4


# --- the draw ---------------------------------------------------------------------------------------------------


def test_a_gate_is_six_whole_fours_in_their_inner_order():
    orders = draw(11, gates=50, seed=3)
    assert orders.shape == (50, 24)
    fours = orders.reshape(50, 6, 4)
    assert set(fours[:, :, 0].ravel()) == {0, 4}
    assert (np.diff(fours, axis=2) == 1).all()
    assert np.array_equal(orders, draw(11, gates=50, seed=3))
    assert not np.array_equal(orders, draw(11, gates=50, seed=4))


def test_less_than_a_four_makes_no_gate():
    with pytest.raises(ValueError, match="3 replicates are no whole four"):
        draw(3, gates=1, seed=0)


# --- the verdicts -----------------------------------------------------------------------------------------------


def test_identical_files_pass_after_nine_processes_and_their_seconds(recorded):
    ending = judge_recorded(recorded(), np.arange(24))
    assert (ending.verdict, len(ending.replicates), ending.seconds) == ("passed", 9, 27.0)


def test_one_slow_cell_of_four_is_red_and_named(recorded):
    ending = judge_recorded(recorded(slowdowns=[0, 0, 0.10, 0]), np.arange(24))
    assert (ending.verdict, ending.reason.partition(":")[0]) == ("regressed", "batch 32")


def test_copies_of_the_baseline_that_differ_make_a_gate_contaminated(recorded):
    ending = judge_recorded(recorded(control=0.04), np.arange(24))
    assert (ending.verdict, ending.is_contaminated) == ("inconclusive", True)


def test_replicates_that_the_host_disturbed_are_asked_for_again_until_the_gate_gives_up(recorded):
    ending = judge_recorded(recorded(stolen=0.2), np.arange(24))
    assert (ending.verdict, ending.repeated, len(ending.replicates)) == ("inconclusive", 12, 0)


def test_many_gates_are_counted_by_their_verdicts(recorded):
    found = tally(list(judged(recorded(slowdowns=[0.10] * CELLS), gates=20, seed=1)))
    assert found == Tally(20, 20, 0, 0, 0, 9.0, 27.0, 27.0)


def test_estimates_are_of_all_replicates(recorded):
    found = recorded(slowdowns=[0, 0.03, 0.05, 0.10], replicates=120)
    assert slowdowns(found.contrast) == pytest.approx([0, 0.03, 0.05, 0.10], abs=0.002)
    assert robust_sd(found.contrast) == pytest.approx([0.005] * CELLS, rel=0.3)


# --- the file ---------------------------------------------------------------------------------------------------


def test_samples_are_means_over_ten_milliseconds_of_successive_calls():
    calls = np.concatenate([np.full(1000, 10_000), np.full(1000, 12_000), np.full(4000, 11_000)])
    each = math.ceil(10_000_000 / 11_000)
    parts = [calls[at * each : (at + 1) * each] for at in range(5)]
    assert first_samples(calls) == pytest.approx([part.mean() for part in parts])
    assert first_samples(np.array([20_000_000, 30_000_000, 40_000_000, 50_000_000, 60_000_000, 9])) == [
        20_000_000,
        30_000_000,
        40_000_000,
        50_000_000,
        60_000_000,
    ]


def test_a_recording_comes_back_as_it_was_written(recorded, tmp_path):
    series = {Series("mlp", "all+5", "quiet"): recorded(), Series("mlp", "same", "loaded"): recorded(replicates=7)}
    recording = Recording(series, ("Measured somewhere.",), {"mlp": {"amounts": {"all+5": {"1": 3}}}})
    write_recording(recording, tmp_path / "recorded.npz")
    again = read_recording(tmp_path / "recorded.npz")
    assert (again.provenance, again.made, list(again.series)) == (recording.provenance, recording.made, list(series))
    for one, written in series.items():
        assert all(np.array_equal(getattr(again.series[one], name), getattr(written, name)) for name in FIGURES)
    wanted = sum(4 * one.fours for one in all_series())
    assert again.missing == wanted - 24 - 7


def test_a_judged_recording_is_plain_json_and_leaves_out_what_is_no_four(recorded):
    series = {Series("mlp", "same", "quiet"): recorded(), Series("mlp", "all+5", "quiet"): recorded(replicates=3)}
    document = judged_document(Recording(series, ("Measured somewhere.",), {}), gates=10)
    assert json.loads(json.dumps(document)) == document
    assert list(document["series"]) == ["mlp.same.quiet"]
    found = document["series"]["mlp.same.quiet"]
    assert (found["replicates"], found["gates"]["passed"], found["process_seconds"]) == (24, 10, 3.0)
    assert found["p50_ms"] == pytest.approx([0.1] * CELLS)
