"""The page and its picture, from recordings that are made up."""

from __future__ import annotations

import copy

import pytest

from benchmarks.gate.chart import write_chart
from benchmarks.gate.goals import goals
from benchmarks.gate.judge import judged_document
from benchmarks.gate.recorded import Recording
from benchmarks.gate.series import CONDITIONS, MODELS, SAME, Series
from benchmarks.gate.shares import OURS, run_shares
from benchmarks.gate.table import table

# For each of two models, so that each condition has the 300 that its goal asks for.
GATES = 150


@pytest.fixture(scope="module")
def judged(recorded):
    """Two models, both conditions: identical files, 10 % everywhere, and 10 % in one cell which is a slow one."""

    def series(model, condition):
        return {
            Series(model, SAME, condition): recorded(shift=0.1),
            Series(model, "all+10", condition): recorded(slowdowns=[0.10] * 4),
            Series(model, "one+10", condition): recorded(slowdowns=[0, 0, 0.03, 0], noise=0.04),
        }

    found = {}
    for model in ("small", "mlp"):
        for condition in CONDITIONS:
            found |= series(model, condition)
    return judged_document(Recording(found, ("Measured somewhere.",), {}), gates=GATES)


def live_gate(arm, verdict, seconds=20.0):
    return {"series": f"mlp.{arm}.quiet", "verdict": verdict, "seconds": seconds, "reason": ""}


def whole(judged):
    """The same, as if all models and replicates were there."""
    series = {}
    for key, found in copy.deepcopy(judged["series"]).items():
        one = Series(*key.split("."))
        for model in (one.model, {"small": "forest", "mlp": "large"}[one.model]):
            series[one._replace(model=model).key] = {**copy.deepcopy(found), "replicates": 4 * one.fours}
    return {**judged, "series": series, "missing": 0}


def test_goals_are_met_missed_or_not_known(judged):
    judged = whole(judged)
    others = [live_gate(SAME, "inconclusive", 50.0), live_gate("all+5", "regressed")]
    live = {"gates": [live_gate(SAME, "passed")] * 39 + others}
    found = {goal.figure: (goal.found, goal.is_met) for goal in goals(judged, live)}
    assert found["identical files, loaded: red gates (resampled)"] == ("0 of 600", True)
    assert found["all cells +5 %, quiet: red gates (resampled)"] == ("not recorded", None)
    assert found["all cells +10 %, quiet: red gates (resampled)"] == ("100.0 % (worst: small, 100.0 %)", True)
    assert found["one cell +10 %, quiet: red gates (resampled)"][1] is False
    assert found["identical files, quiet: passed rather than inconclusive (resampled)"][1] is True
    assert found["identical files: red gates (live)"] == ("0 of 40", True)
    assert found["identical files: passed (live)"] == ("39 of 40", True)
    assert found["real extra work: red gates (live)"] == ("1 of 1", None)
    assert found["identical files, models under 1 ms: median seconds to the verdict"] == ("20 (live)", True)


def test_a_red_gate_of_identical_files_misses_the_goal_however_many_there_are(judged):
    red = whole(judged)
    red["series"]["mlp.same.quiet"]["gates"]["regressed"] = 2
    found = {goal.figure: (goal.found, goal.is_met) for goal in goals(red, {})}
    assert found["identical files, quiet: red gates (resampled)"] == ("2 of 600", False)
    assert found["identical files: red gates (live)"] == ("not recorded", None)
    assert found["identical files, models under 1 ms: median seconds to the verdict"] == ("27 (resampled)", True)


def test_a_figure_of_few_replicates_is_neither_met_nor_missed(judged):
    live = {"gates": [live_gate(SAME, "passed")] * 39}
    known = [goal.figure for goal in goals(judged, live) if goal.is_met is not None]
    assert known == ["identical files, models under 1 ms: median seconds to the verdict"]


def test_the_page_says_what_is_missing_and_that_nothing_of_it_is_a_claim(judged):
    page = table(judged, {}, {})
    assert "**Preliminary**: 288 of 2,688 replicates are recorded, all live gates are missing." in page
    assert "Measured somewhere." in page
    assert "- `mlp.one+10.quiet`: " in page
    assert page.count("None was run.") == 2


def test_a_page_of_everything_is_not_preliminary(judged):
    versions = {"older": "1.0", "newer": "2.0", "skipped": "onnxruntime 1.0 could not be installed: no network"}
    page = table({**judged, "missing": 0}, {"gates": [live_gate(SAME, "passed")], "missing": 0}, versions)
    assert "Preliminary" not in page
    assert "| same | quiet | mlp | 1 | 0 | 1 | 0 | 20 (20 to 20) |" in page
    assert "Not measured: onnxruntime 1.0 could not be installed: no network." in page


def test_two_versions_of_the_runtime_are_told_with_what_was_found(judged):
    gate = {"arm": "1.0 to 2.0", "model": "mlp", "verdict": "passed", "seconds": 31.0, "reason": "batch 1: +0.1 %"}
    page = table(judged, {}, {"older": "1.0", "newer": "2.0", "gates": [gate]})
    assert "| 1.0 to 2.0 | mlp | passed | 31 | batch 1: +0.1 % |" in page


def test_the_chart_has_a_row_a_rule_ours_first(judged, tmp_path):
    shares = run_shares(judged)
    assert shares[0][:3] == (OURS, "quiet", "identical file")
    assert {share.condition for share in shares} == set(CONDITIONS)
    assert all(0 <= share.share <= 1 for share in shares)
    write_chart(shares, tmp_path / "chart.svg")
    drawn = (tmp_path / "chart.svg").read_text(encoding="utf-8")
    assert all(text in drawn for text in (OURS, "asv continuous, factor 1.1", "one cell +10 %", "loaded"))


def test_models_are_told_in_the_order_in_which_they_are_recorded(judged):
    page = table(judged, {}, {})
    assert [model for model in MODELS if f"| {model} | quiet | 24 |" in page] == ["small", "mlp"]
    assert page.index("| small | quiet |") < page.index("| mlp | quiet |")
