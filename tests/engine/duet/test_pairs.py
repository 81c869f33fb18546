from __future__ import annotations

import math
import time

import pytest

from pytest_inferopt.domain.request import parse_request
from pytest_inferopt.engine.duet.pairs import Pair, judge_pairs, predicted_seconds
from pytest_inferopt.engine.worker.driver import Worker
from pytest_inferopt.errors import NotMeasuredError, WorkerError

QUIET = {"ticks": 100, "stolen_ticks": 0, "involuntary_switches": 0, "pressure_share": None, "mhz": None}
BEGIN = ("begin", {"folder": "x"})


class Scripted(Worker):
    """A worker without a process: it measures what it is told, and writes down what it is asked."""

    def __init__(self, slower, diary):
        super().__init__()
        self.slower = slower
        self.diary = diary

    def call(self, command, parameters, *, stage, deadline, late_hint, on_progress):
        assert late_hint.startswith("Raise measure_seconds")
        on_progress("said in the process")
        self.diary.append((command, parameters, stage, deadline - time.monotonic()))
        return self.measured(parameters) if command == "measure_duet" else None

    def measured(self, asked):
        if isinstance(self.slower, Exception):
            raise self.slower
        index = asked["index"]
        return {
            "cells": [{**cell, **self.told(cell["variant"], index, asked["percentiles"])} for cell in asked["cells"]],
            "control": {**asked["control"], "contrast": 0.001 * (-1) ** index * (index + 1)},
            "sensors": QUIET,
            "seconds": 1.0,
        }

    def told(self, variant, index, percentiles):
        if self.slower[variant] is None:
            return {"error": {"kind": "not_measured", "message": "it is damaged.", "hint": ""}}
        log = math.log1p(self.slower[variant] / 100) + 0.0002 * (-1) ** index * (index + 1)
        asked = [str(q) for q in (50, *percentiles)]
        return {
            "contrast": log,
            "tails": dict.fromkeys(asked[1:], log),
            "calls": {"base": 5000, "head": 5000},
            "percentiles_ms": {arm: dict.fromkeys(asked, 1.0) for arm in ("base", "head")},
            "quantiles_ms": {arm: [1.0] * 101 for arm in ("base", "head")},
        }


def pair(variant="int8", p50_ms=None, **more):
    bring = {name: [("take_file", {"target": f"{name}-{variant}"})] for name in ("base", "head")}
    return Pair(variant, bring["base"], bring["head"], f"base-{variant}", f"head-{variant}", p50_ms or {}, **more)


@pytest.fixture
def ruled(diary):
    """`ruled({variant: percent slower})`: what a gate of these variants finds."""

    def ruled(slower, *pairs, said=None, making_seconds=0.0, samples=None, **fields):
        request = parse_request({"name": "churn", "batch_sizes": [1, 16], "random_seed": 7, **fields}, where="test")
        return judge_pairs(
            request,
            pairs or [pair(variant) for variant in slower],
            prepare=[BEGIN],
            open_worker=lambda: Scripted(slower, diary),
            making_seconds=making_seconds,
            samples=samples,
            on_progress=[].append if said is None else said.append,
        )

    return ruled


def test_each_process_is_brought_all_files_and_measures_the_live_cells(ruled, diary):
    ruling = ruled({"int8": 0, "fp16": 0}, pair("int8"), pair("fp16", base_python="/old/python"))
    first = diary[:6]
    targets = ["base-int8", "head-int8", "base-fp16", "head-fp16"]
    assert [(command, stage) for command, _, stage, _ in first] == [
        (command, "gate of churn, process 1") for command in ("begin", *["take_file"] * 4, "measure_duet")
    ]
    assert [parameters["target"] for _, parameters, _, _ in first[1:5]] == targets
    same = {"base_python": None, "head_python": None}
    assert first[5][1] == {
        "pairs": {
            "int8": {"base": "base-int8", "head": "head-int8", **same},
            "fp16": {"base": "base-fp16", "head": "head-fp16", **same, "base_python": "/old/python"},
        },
        "cells": [{"variant": name, "batch_size": size} for name in ("int8", "fp16") for size in (1, 16)],
        "control": {"variant": "int8", "batch_size": 1},
        "seed": 7,
        "index": 0,
        "percentiles": [],
        "samples": None,
    }
    assert len(diary) == 9 * 6
    assert (ruling.gate.verdict, list(ruling.cells), ruling.errors) == ("passed", ["int8", "fp16"], {})


def test_the_requests_own_limits_and_percentiles_are_judged(ruled, tmp_path, diary):
    ruling = ruled({"int8": 4}, max_slowdown="20%", gate_percentiles=["p95"], samples=tmp_path)
    assert ruling.gate.allowed == pytest.approx(0.08)
    assert [(cell.batch_size, cell.percentile, cell.outcome) for cell in ruling.cells["int8"]] == [
        (1, 50, "passed"),
        (16, 50, "passed"),
        (1, 95, "passed"),
        (16, 95, "passed"),
    ]
    asked = diary[3][1]
    assert (asked["percentiles"], asked["samples"]) == ([95], str(tmp_path / "replicate-00.npz"))


def test_a_slower_variant_is_red_and_one_that_cannot_run_is_an_error_of_its_own(ruled):
    ruling = ruled({"int8": 4, "fp16": None})
    assert (ruling.gate.verdict, ruling.is_together, list(ruling.cells)) == ("regressed", True, ["int8"])
    assert (type(ruling.errors["fp16"]), str(ruling.errors["fp16"])) == (NotMeasuredError, "it is damaged.")


def test_a_process_that_crashes_ends_the_gate(ruled):
    with pytest.raises(WorkerError, match="it crashed"):
        ruled(WorkerError("it crashed."), pair())


# --- what it takes ----------------------------------------------------------------------------------------------


def test_a_process_is_given_up_only_well_after_it_should_have_answered(ruled, diary):
    ruled({"int8": 0}, making_seconds=20.0)
    assert 30 + 3 * (20 + 3 * 20) < min(left for *_, left in diary) < 30 + 3 * (25 + 3 * 20)


@pytest.mark.parametrize(
    ("p50_ms", "seconds"),
    [
        ({1: 1.0, 16: 1.0}, 0.6 + 2.5 * (32 * 14e-3 + 2 * 10e-3)),
        ({1: 1.0}, 0.6 + 2.5 * (32 * 14e-3 + 2 * 10e-3)),
        ({1: 1.0, 16: 100.0}, 0.6 + 32 * 14e-3 + 20e-3 + 1.5 * (8 * 10 * 0.1 + 6 * 0.1)),
        ({}, 0.6 + 2.5 * (32 * 10e-3 + 20e-3)),
    ],
    ids=["calls of 1 ms", "the nearest batch size", "long calls", "nothing known"],
)
def test_what_a_process_takes_is_told_from_what_a_call_takes(p50_ms, seconds):
    assert predicted_seconds([pair(p50_ms=p50_ms)], [1, 16], 0.0) == pytest.approx(seconds, rel=0.01)
    assert predicted_seconds([pair(p50_ms=p50_ms)], [1, 16], 5.0) == pytest.approx(5 + seconds, rel=0.01)


def test_how_long_it_will_take_is_told_before(ruled):
    said = []
    ruled({"int8": 0}, pair(p50_ms={1: 1.0}), said=said)
    assert said == ["gate of churn: 9 to 24 processes, about 16 to 42 s"]
