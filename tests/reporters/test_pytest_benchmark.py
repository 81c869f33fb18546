from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys

import pytest
from pytest_benchmark.stats import Stats

from pytest_inferopt.reporters.pytest_benchmark import PytestBenchmark

NAN = float("nan")


@pytest.fixture
def command(tmp_path):
    """`command(*arguments)`: what the command `pytest-benchmark` prints, without the styling of a terminal."""

    def command(*arguments):
        code = "from pytest_benchmark.cli import main; main()"
        line = [sys.executable, "-c", code, "--storage", str(tmp_path / "storage"), *map(str, arguments)]
        done = subprocess.run(line, capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    return command


@pytest.fixture
def written(tmp_path):
    """`written(report, name)`: the file of a report, by its name in the folder that the command runs in."""

    def written(report, name):
        (tmp_path / name).write_text(PytestBenchmark().render(report), encoding="utf-8")
        return name

    return written


def document(report):
    return json.loads(PytestBenchmark().render(report))


def tables(output):
    """The rows of each table that was printed, by its title: the name and the figures, without how they compare."""
    found, title = {}, None
    for line in output.splitlines():
        if "benchmark '" in line:
            title = line.strip("- ").split("'")[1]
            found[title] = []
        elif title and line.startswith("churn"):
            name, *figures = line.split()
            found[title].append([name, *(figure for figure in figures if not figure.startswith("("))])
    return found


def test_the_real_command_shows_the_variants_of_a_model_in_one_table_a_batch_size(reports, written, command):
    path = written(reports.report(reports.result(reports.variant())), "benchmark.json")
    output = command("compare", path, "--columns=min,max,mean,stddev,median,iqr,rounds,iterations", "--time-unit=ms")
    assert tables(output) == {
        "churn batch 1": [
            ["churn[onnx-batch1]", "0.2500", "0.7500", "0.5000", "0.1400", "0.5000", "0.2500", "1000", "1"],
            ["churn[original-batch1]", "2.0000", "6.0000", "4.0000", "1.1200", "4.0000", "2.0000", "1000", "1"],
        ],
        "churn batch 32": [
            ["churn[onnx-batch32]", "2.5000", "7.5000", "5.0000", "1.4000", "5.0000", "2.5000", "1000", "1"],
            ["churn[original-batch32]", "19.0000", "57.0000", "38.0000", "10.6400", "38.0000", "19.0000", "1000", "1"],
        ],
    }


def test_the_real_command_compares_two_files(reports, written, command):
    def at(p50):
        timed = reports.variant(latency={1: reports.latency(1, p50)})
        return reports.report(reports.result(timed, original=reports.original(latency={1: reports.latency(1, 4.0)})))

    files = written(at(0.5), "base.json"), written(at(0.25), "head.json")
    shown = [line.split()[1:] for line in command("compare", *files, "--columns=median", "--time-unit=ms").splitlines()]
    assert [words[:2] for words in shown if words[:1] in (["(base)"], ["(head)"])] == [
        ["(head)", "0.2500"],
        ["(base)", "0.5000"],
        ["(base)", "4.0000"],
        ["(head)", "4.0000"],
    ]
    side_by_side = command("compare", *files, "--between=median").splitlines()
    assert [line.split() for line in side_by_side if line.startswith("churn")] == [
        ["churn[onnx-batch1]", "500.0000", "250.0000", "-50.0%"],
        ["churn[original-batch1]", "4,000.0000", "4,000.0000", "+0.0%"],
    ]


@pytest.mark.parametrize("group_by", ["group", "name", "func", "fullname", "fullfunc", "param", "param:variant"])
def test_the_real_command_groups_by_all_that_it_knows(reports, written, command, group_by):
    output = command("compare", written(reports.full(), "full.json"), f"--group-by={group_by}")
    assert any(
        line.startswith("churn[onnx-batch1] ") or "::churn[onnx-batch1] " in line for line in output.splitlines()
    )


@pytest.mark.parametrize("which", ["empty", "unmeasured"])
def test_the_real_command_reads_a_file_without_benchmarks(reports, written, command, which):
    report = getattr(reports, which)()
    assert document(report)["benchmarks"] == []
    assert "Traceback" not in command("compare", written(report, "empty.json"))


def test_hostile_names_neither_colour_the_commands_output_nor_break_its_lines(reports, written, command):
    output = command("compare", written(reports.hostile("\x1b[31mred\nnext\u202e"), "hostile.json"), "--name=long")
    assert r"\x1b[31mred\nnext\u202e" in output
    assert not set("\x1b\u202e") & set(output)


def test_a_benchmark_has_the_fields_and_the_figures_of_pytest_benchmark(reports):
    first = document(reports.report(reports.result(reports.variant())))["benchmarks"][2]
    assert {key: value for key, value in first.items() if key != "stats"} == {
        "group": "churn batch 1",
        "name": "churn[onnx-batch1]",
        "fullname": "tests/test_churn.py::test_churn::churn[onnx-batch1]",
        "params": {"model": "churn", "variant": "onnx", "batch_size": 1},
        "param": "onnx-batch1",
        "extra_info": {
            "p95_ms": 0.725,
            "p99_ms": 0.745,
            "throughput_rows_per_second": 2000.0,
            "speedup": 8.0,
            "accuracy_ratio": 1.0,
            "size_bytes": 9_800_000,
            "is_red": False,
        },
        "options": {"warmup": 100},
    }
    assert set(first["stats"]) == {*Stats.fields, "iterations"}


def test_the_figures_are_those_that_pytest_benchmark_computes_from_the_calls_themselves(reports):
    # 1001 calls, so that each of the 101 quantiles is a call: a log-normal body and a tail of outliers.
    normal = statistics.NormalDist()
    calls = sorted(0.5 * math.exp(0.3 * normal.inv_cdf((at + 0.5) / 1001)) for at in range(1001))
    theirs = Stats()
    for call in calls:
        theirs.update(call / 1000)
    timed = reports.latency(
        1,
        calls[500],
        iterations=1001,
        mean_ms=statistics.mean(calls),
        stddev_ms=statistics.stdev(calls),
        quantiles_ms=tuple(calls[::10]),
    )
    ours = document(reports.report(reports.result(reports.variant(latency={1: timed}))))["benchmarks"][-1]["stats"]
    exact = ["min", "max", "mean", "stddev", "rounds", "median", "ops", "total"]
    assert {name: ours[name] for name in exact} == pytest.approx({name: getattr(theirs, name) for name in exact})
    # The quartiles differ by definition, the fences' data by less than a percentile.
    near = ["q1", "q3", "iqr", "ld15iqr", "hd15iqr"]
    assert {name: ours[name] for name in near} == pytest.approx(
        {name: getattr(theirs, name) for name in near}, rel=0.05
    )
    assert ours["stddev_outliers"] == pytest.approx(theirs.stddev_outliers, abs=10)
    assert ours["iqr_outliers"] == pytest.approx(theirs.iqr_outliers, abs=10)
    assert ours["outliers"] == f"{ours['stddev_outliers']};{ours['iqr_outliers']}"
    assert theirs.iqr_outliers > 10


def test_calls_that_all_take_the_same_time_have_no_outliers(reports):
    same = reports.latency(1, 0.5, mean_ms=0.5, stddev_ms=0.0, quantiles_ms=(0.5,) * 101)
    stats = document(reports.report(reports.result(reports.variant(latency={1: same}))))["benchmarks"][-1]["stats"]
    assert (stats["iqr"], stats["outliers"], stats["ld15iqr"], stats["hd15iqr"]) == (0.0, "0;0", 0.0005, 0.0005)


@pytest.mark.parametrize(
    "changes",
    [{"mean_ms": None}, {"mean_ms": NAN}, {"quantiles_ms": ()}, {"quantiles_ms": (NAN,) * 101}],
    ids=["no mean", "NaN", "no quantiles", "quantiles of NaN"],
)
def test_what_was_not_timed_is_left_out(reports, changes):
    found = reports.result(reports.variant(latency={1: reports.latency(1, 0.5, **changes)}))
    names = [benchmark["name"] for benchmark in document(reports.report(found))["benchmarks"]]
    assert names == ["churn[original-batch1]", "churn[original-batch32]"]


def test_a_figure_that_is_no_number_is_null_and_a_deviation_of_one_call_is_zero(reports):
    timed = reports.latency(1, 0.5, p95_ms=NAN, stddev_ms=None)
    found = reports.result(reports.variant(latency={1: timed}))
    last = document(reports.report(found))["benchmarks"][-1]
    assert (last["extra_info"]["p95_ms"], last["stats"]["stddev"]) == (None, 0.0)


def test_machine_commit_and_time_stand_in_the_places_of_pytest_benchmark(reports):
    found = document(reports.full())
    del found["benchmarks"]
    assert found == {
        "machine_info": {
            "machine": "x86_64",
            "system": "linux",
            "python_version": "3.11.9",
            "cpu": {"brand_raw": "Intel Xeon", "count": 2, "flags": ["avx2", "avx512f", "avx512_vnni"]},
            "libraries": {"numpy": "2.4.6", "onnxruntime": "1.31.1"},
        },
        "commit_info": {
            "id": "3f9c2e1a7b5d4c6e8f90123456789abcdef01234",
            "time": "2030-01-02T03:00:00+00:00",
            "author_time": None,
            "dirty": True,
            "project": None,
            "branch": "main",
        },
        "datetime": "2030-01-02T03:04:05+00:00",
        "version": "5.3.1",
        "written_by": "pytest-inferopt 0.1.0",
    }
    assert document(reports.empty())["commit_info"]["id"] == "unversioned"


def test_a_variant_beside_its_baseline_carries_its_slow_down_and_the_commit(reports):
    beside = ("regression", "baseline_commit", "base_p50_ms", "slowdown", "slowdown_low", "slowdown_high")

    def extra(result):
        found = document(reports.report(result))["benchmarks"]
        return [[one["extra_info"][name] for name in beside] for one in found if "slowdown" in one["extra_info"]]

    commit = "81b4480d5a6f7e8c90123456789abcdef0123456"
    bare = reports.cell("inconclusive", 1, 0.1).model_copy(update={"slowdown": None, "base_ms": NAN})
    lost = reports.result(reports.variant(comparison=reports.comparison(bare)), gate=reports.gate("inconclusive"))
    assert extra(reports.regressed()) == [
        ["passed", commit, 0.5, 0.003, pytest.approx(-0.008), pytest.approx(0.014)],
        ["passed", commit, None, None, None, None],
        ["regressed", commit, 0.5, 0.004, pytest.approx(-0.007), pytest.approx(0.015)],
        ["regressed", commit, None, None, None, None],
    ]
    assert extra(lost) == [[None, commit, None, None, None, None]] * 2
    assert extra(reports.new()) == [["new", None, None, None, None, None]] * 2
    assert extra(reports.result(reports.variant())) == []
