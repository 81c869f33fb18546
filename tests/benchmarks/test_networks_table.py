"""Who is ahead, and the page that tells it, from figures that are made up."""

from __future__ import annotations

import pytest

from benchmarks.networks.chart import write_chart
from benchmarks.networks.table import page
from benchmarks.networks.verdicts import verdicts


def arm(*, score, p50_ms, refused=(), notes=()):
    """An arm of ours, timed at three batch sizes."""
    latency = {str(size): [p50_ms * size, p50_ms * size * 0.99, None] for size in (1, 16, 64)}
    return {
        "call": "",
        "size_mb": 1.25,
        "score": score,
        "ratio": 1.0,
        "opset": 17,
        "flips": 0,
        "latency": latency,
        "speedup": {size: [2.0, 1.9, None] for size in latency},
        "memory_mb": 31.4,
        "notes": list(notes),
        "refused": list(refused),
    }


def side(score, speed):
    """A tool's file, so many times as fast as ours."""
    return {
        "score": score,
        "size_mb": 0.5,
        "sha256": "",
        "speed": {size: [speed, 0.98 * speed, 1.02 * speed] for size in ("1", "16", "64")},
    }


@pytest.fixture
def found():
    """`found(ours=0.97, NNCF=(0.98, 1.1))`: one network, of whose static files these are the scores and speeds."""

    def found(*, ours=0.97, metric="accuracy", **tools):
        arms = {
            "original": arm(score=0.97, p50_ms=0.2),
            "static": arm(score=ours, p50_ms=0.1, refused=["it was refused"], notes=["slower at batch 1", "quiet"]),
        }
        sides = {"float": side(0.97, 0.5), "ours": {**side(ours, 1.0), "speed": {}}}
        sides |= {name: side(*of) if isinstance(of, tuple) else {"failure": of} for name, of in tools.items()}
        told = {"metric": metric, "arms": arms, "about": "", "provenance": "Measured somewhere."}
        return {"net": {"ours": told, "duel": {"static": sides}}}

    return found


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        ((0.97, 1.02), ("same", "same", False, False)),
        ((0.98, 0.5), ("worse", "better", False, True)),
        ((0.96, 1.5), ("better", "worse", False, True)),
        ((0.9715, 0.9), ("same", "better", False, False)),
        ((0.40, 3.0), ("better", "worse", True, False)),
    ],
)
def test_ours_is_ahead_behind_or_even(theirs, expected, found):
    (verdict,) = verdicts(found(NNCF=theirs))
    assert (verdict.accuracy, verdict.speed, verdict.is_broken, verdict.is_lost) == expected
    assert verdict.ratio == pytest.approx(1 / theirs[1])


def test_a_cosine_is_compared_more_finely(found):
    (verdict,) = verdicts(found(ours=0.9683, metric="cosine", NNCF=(0.97, 1.0)))
    assert verdict.accuracy == "worse"


def test_a_tool_that_made_no_file_is_told_and_not_judged(found):
    document = found(NNCF="ValueError: no | such operator", Olive=(0.97, 1.0))
    assert [verdict.tool for verdict in verdicts(document)] == ["Olive"]
    assert "| net | static | NNCF | – | ValueError: no / such operator | – | – | – |" in page(document)


def test_the_page_has_all_figures_with_their_intervals(found):
    told = page(found(NNCF=(0.98, 1.1)))
    for line in (
        "Measured somewhere.",
        "| net | original | 1.25 | 0.9700 | 0.200 [0.198, –] | 3.20 [3.17, –] | 12.8 [12.7, –] | 31 |",
        "- net, static: it was refused",
        "- net, static: slower at batch 1",
        "| net | static | float | 0.5 | 0.9700 | ×0.50 [0.49, 0.51] | ×0.50 [0.49, 0.51] | ×0.50 [0.49, 0.51] |",
        "| net | static | ours | 0.5 | 0.9700 | 1 | 1 | 1 |",
        "| net | static | NNCF | 0.9700 : 0.9800 | 0.91 | worse in accuracy, worse in speed |",
        "- **NNCF**: 1 files, 0 of them broken; of the others ours is as right and as fast or better in 0 of 1.",
        "- **net, static, NNCF** (accuracy 0.9700 : 0.9800, ×0.91): not looked into.",
    ):
        assert line in told.splitlines()
    assert "quiet" not in told


def test_the_chart_names_networks_techniques_and_batch_sizes(found, tmp_path):
    write_chart(found(), tmp_path / "chart.svg")
    drawn = (tmp_path / "chart.svg").read_text(encoding="utf-8")
    assert all(text in drawn for text in ("net", "static", "batch 64", "times as fast"))
