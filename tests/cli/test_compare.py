from __future__ import annotations

import json
import sys
import zipfile

import numpy as np
import pytest

from pytest_inferopt.domain.comparison import CellComparison, Gate, SlowdownEstimate
from pytest_inferopt.domain.record import Interval
from pytest_inferopt.engine.comparison import models as module
from pytest_inferopt.engine.duet.pairs import Ruling
from pytest_inferopt.errors import NotMeasuredError, UsageError

ONE = ("--batch-sizes", "4")
# A real gate on a real machine: one in a hundred may end otherwise, by chance or by what else runs there.
a_live_gate = pytest.mark.flaky(reruns=2)


def cell(outcome, estimate=0.0, **changes):
    interval = Interval(low=estimate - 0.01, high=estimate + 0.01, method="Walsh averages")
    slowdown = SlowdownEstimate(estimate=estimate, interval=interval, replicates=9)
    return CellComparison(
        **{"batch_size": 4, "outcome": outcome, "slowdown": slowdown, "base_ms": 1.0, "head_ms": 1.1} | changes
    )


@pytest.fixture
def ruled(monkeypatch):
    """`ruled(gate, cells)`: what the processes of a gate would find, for verdicts that no machine gives on demand."""
    asked = []

    def ruled(verdict, *cells, errors=None):
        def compare_files(files, *, request, **rest):
            asked.append({"files": files, "request": request, **rest})
            return Ruling(
                Gate(verdict=verdict, reason="as told"), {request.name: cells}, errors(request) if errors else {}
            )

        monkeypatch.setattr(module, "compare_files", compare_files)
        return asked

    return ruled


# --- real files in real processes -------------------------------------------------------------------------------


def test_the_same_file_is_unchanged_at_once(command, network):
    ran = command("compare", network("a.onnx"), network("b.onnx"), "--json")
    (result,) = json.loads(ran.out)["results"]
    assert (ran.code, result["gate"]["verdict"], result["gate"]["replicates"]) == (0, "unchanged", 0)
    assert [check["outcome"] for check in result["variants"][result_variant(result)]["checks"]] == ["unchanged"]


def result_variant(result):
    return next(iter(result["variants"]))


@a_live_gate
def test_g95_a_file_with_many_times_the_work_is_red_and_the_operator_is_named(command, network, tmp_path):
    base, head = network("a.onnx"), network("b.onnx", 1024)
    reports = ("--markdown", tmp_path / "out.md", "--html", tmp_path / "out.html")
    ran = command("compare", base, head, *ONE, *reports)
    assert (ran.code, ran.err) == (1, "")
    table, *lines = ran.out.split("gate: ")
    heads, row = table.strip().splitlines()
    assert heads.split() == ["model", "batch", "at", "base", "ms", "head", "ms", "slow-down", "verdict"]
    assert (row.split()[1:3], row.split()[-1]) == (["4", "p50"], "regressed")
    assert f"{head} at batch 4, by operator: " in lines[0]
    assert "MatMul layer2 +" in lines[0]
    assert "the baseline beside a second copy of itself" in lines[0]
    assert "the rows are made up from the signature (seed 0)" in lines[0]
    assert "regressed" in (tmp_path / "out.md").read_text(encoding="utf-8")
    assert (tmp_path / "out.html").stat().st_size > 10_000


def test_files_with_other_inputs_are_told_to_be_not_comparable(command, network):
    ran = command("compare", network("a.onnx"), network("b.onnx", inputs=33), *ONE)
    assert (ran.code, ran.out.splitlines()[0]) == (
        0,
        "gate: not comparable, not protected: its inputs have changed: 'x' float32[?, 32] became 'x' float32[?, 33].",
    )


# --- what is compared, and how ----------------------------------------------------------------------------------


def test_the_command_line_goes_before_the_projects_table(command, network, ruled, project):
    table = '[tool.inferopt]\nmax_slowdown = "50%"\nthreads = 2\nbatch_sizes = [1, 2]\n'
    (project / "pyproject.toml").write_text(table, encoding="utf-8")
    asked = ruled("passed", cell("passed"))
    options = ("--threads", "1", "--gate-percentiles", "p50,p95", "--seed", "3", "--gate", "strict")
    assert command("compare", network("a.onnx"), network("b.onnx", 65), *options).code == 0
    (call,) = asked
    request = call["request"]
    assert (request.max_slowdown, request.threads, request.batch_sizes) == ("50%", 1, (1, 2))
    assert (request.judged_percentiles, request.random_seed, request.gate) == ((50, 95), 3, "strict")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--batch-sizes", "1,x"), "--batch-sizes 1,x: not a whole number. Write: 1,16,64."),
        (("--max-slowdown", "5"), "max_slowdown='5'"),
        (("--gate", "strickt"), "gate='strickt'"),
        (("--gate-percentiles", "p90"), "p90"),
        (("--data", "rows.txt"), "--data rows.txt: rows are read from .npz and .csv files."),
        (("--markdown", "."), "is a folder"),
    ],
)
def test_a_wrong_option_is_a_usage_error(command, network, options, told, project):
    (project / "rows.txt").write_text("", encoding="utf-8")
    ran = command("compare", network("a.onnx"), network("b.onnx", 65), *options)
    assert (ran.code, ran.out, told in ran.err) == (2, "", True)


@pytest.mark.parametrize(
    ("verdict", "outcome", "mode", "code"),
    [
        ("passed", "passed", "on", 0),
        ("passed", "improved", "on", 0),
        ("regressed", "regressed", "warn", 0),
        ("inconclusive", "inconclusive", "on", 0),
        ("inconclusive", "inconclusive", "strict", 4),
    ],
)
def test_the_exit_code_is_that_of_the_verdict(command, network, ruled, verdict, outcome, mode, code):
    ruled(verdict, cell(outcome))
    ran = command("compare", network("a.onnx"), network("b.onnx", 65), "--gate", mode, *ONE)
    assert (ran.code, outcome in ran.out) == (code, True)


def test_what_could_not_be_measured_is_red_with_its_reason(command, network, ruled):
    ruled("not_measured", errors=lambda request: {request.name: NotMeasuredError("it crashed.", "Look at it.")})
    ran = command("compare", network("a.onnx"), network("b.onnx", 65), *ONE)
    assert (ran.code, "not measured: it crashed.\n  next: Look at it.\n" in ran.out) == (1, True)


def test_a_percentile_with_too_few_calls_is_advisory(command, network, ruled):
    ruled("passed", cell("passed"), cell("advisory", percentile=99, slowdown=None, reason="too few calls"))
    ran = command("compare", network("a.onnx"), network("b.onnx", 65), "--json")
    (result,) = json.loads(ran.out)["results"]
    (_, check) = result["variants"][result_variant(result)]["checks"]
    assert (ran.code, check["subject"], check["outcome"], check["reason"]) == (
        0,
        "p99 at batch 4",
        "advisory",
        "too few calls.",
    )


def test_operators_that_nobody_can_tell_are_a_note(command, network, ruled, monkeypatch):
    def fail(*_, **__):
        raise NotMeasuredError("no profiler")

    ruled("regressed", cell("regressed", 0.5))
    monkeypatch.setattr(module.ModelDoor, "preparing", fail)
    ran = command("compare", network("a.onnx"), network("b.onnx", 65), *ONE)
    assert (ran.code, "the operators could not be profiled: no profiler" in ran.out) == (1, True)


def test_a_report_that_cannot_be_written_is_told(command, network, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    path = network("a.onnx")
    ran = command("compare", path, path, "--markdown", tmp_path / "file" / "out.md")
    assert (ran.code, "no md report: " in ran.err) == (1, True)


@pytest.mark.parametrize("name", ["rows.npz", "rows.csv"])
def test_rows_of_the_users_are_taken(command, network, ruled, tmp_path, name):
    rows = np.random.default_rng(0).normal(size=(8, 32)).astype(np.float32)
    np.savez(tmp_path / "rows.npz", x=rows)
    head = ",".join(f"column {place}" for place in range(32))
    np.savetxt(tmp_path / "rows.csv", rows, delimiter=",", header=head, comments="")
    asked = ruled("regressed", cell("regressed", 0.5))
    ran = command("compare", network("a.onnx"), network("b.onnx", 1024), "--data", tmp_path / name, *ONE)
    assert (ran.code, "made up" in ran.out, "MatMul layer2 +" in ran.out) == (1, False, True)
    assert asked[0]["feeds"].name in {"rows.npz", "rows-given.npz"}


def test_a_table_of_texts_becomes_an_array_a_column(tmp_path):
    import pandas as pd

    frame = pd.DataFrame({"city": ["a", "bc"], "age": [1, 2]})
    with np.load(module.rows_from_csv(frame, tmp_path / "rows.npz")) as arrays:
        assert {name: array.tolist() for name, array in arrays.items()} == {
            "city": [["a"], ["bc"]],
            "age": [[1], [2]],
        }
    spec = module.rows_spec([{"name": "city"}, {"name": "age"}], tmp_path / "rows.npz")
    assert spec["x"] == ["city", "age"]
    assert module.rows_spec([{"name": "other"}], tmp_path / "rows.npz")["x"] == "x"


# --- interpreters -----------------------------------------------------------------------------------------------


def test_the_same_file_under_other_versions_of_the_runtime_is_measured(command, network, ruled, tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 1.0.0\n", encoding="utf-8")
    python.chmod(0o755)
    asked = ruled("passed", cell("passed"))
    path = network("a.onnx")
    ran = command("compare", path, path, "--python-base", python, *ONE)
    assert (ran.code, asked[0]["pythons"]) == (0, (str(python), None))
    assert "the baseline ran on onnxruntime 1.0.0" in ran.out


def test_the_same_file_under_the_same_version_is_unchanged(command, network):
    path = network("a.onnx")
    ran = command("compare", path, path, "--python-head", sys.executable)
    assert (ran.code, ran.out.splitlines()[0].startswith("gate: unchanged: ")) == (0, True)


def test_an_interpreter_that_is_not_there_or_has_no_runtime_is_told(network, command, tmp_path, monkeypatch):
    path = network("a.onnx")
    ran = command("compare", path, path, "--python-base", tmp_path / "absent")
    assert (ran.code, "cannot be started: No such file or directory" in ran.err) == (2, True)
    bare = tmp_path / "bare"
    bare.write_text("#!/bin/sh\necho 'No module named onnxruntime' >&2; exit 1\n", encoding="utf-8")
    bare.chmod(0o755)
    ran = command("compare", path, path, "--python-base", bare)
    assert (ran.code, "cannot import onnxruntime: No module named onnxruntime" in ran.err) == (1, True)
    bare.write_text("#!/bin/sh\nexec sleep 30\n", encoding="utf-8")
    monkeypatch.setattr(module, "VERSION_SECONDS", 0.2)
    ran = command("compare", path, path, "--python-base", bare)
    assert (ran.code, "did not say what runtime it has" in ran.err) == (1, True)


# --- files that are none ----------------------------------------------------------------------------------------


def test_f76_a_damaged_file_is_not_unchanged(command, network):
    path = network("a.onnx")
    path.write_bytes(path.read_bytes()[:200])
    ran = command("compare", path, path)
    assert (ran.code, ran.out, "a.onnx" in ran.err) == (1, "", True)


def test_a_native_file_does_not_run_by_itself(tmp_path):
    class Native:
        def call(self, verb, *_, **__):
            return {"format": "xgboost", "path": "x", "artifact": None} if verb == "describe_file" else None

    request = module.RunResult.model_fields["request"].annotation(name="m")
    with pytest.raises(UsageError, match="a xgboost file does not run by itself"):
        module.ModelDoor(request, Native(), tmp_path).inputs(tmp_path / "m.ubj")


def test_a_bundle_and_a_file_are_not_compared(command, network, tmp_path):
    with zipfile.ZipFile(tmp_path / "bundle.zip", "w") as bundle:
        bundle.writestr("index.json", "{}")
    ran = command("compare", tmp_path / "bundle.zip", network("a.onnx"))
    assert (ran.code, "are not of one kind" in ran.err) == (2, True)


# --- bundles ----------------------------------------------------------------------------------------------------


@pytest.fixture
def bundle(command, kept, tmp_path, project):
    """`bundle("base.zip", {"churn": 64})`: a bundle of accepted models by name and width, from a store of its own."""

    def bundle(name, models):
        for model, width in models.items():
            kept(name=model, width=width, test_id=f"test_a.py::test_{model}")
            command("baseline", "accept", model)
        command("baseline", "export", tmp_path / name)
        for folder in ("baselines", "results"):
            for path in (project / ".inferopt" / folder).rglob("*.json"):
                path.unlink()
        return tmp_path / name

    return bundle


def test_the_models_that_two_bundles_share_are_compared_and_the_others_are_told(command, bundle):
    base = bundle("base.zip", {"churn": 64, "gone": 65})
    head = bundle("head.zip", {"churn": 64, "added": 66})
    ran = command("compare", base, head, "--json")
    results = {found["name"]: found for found in json.loads(ran.out)["results"]}
    outcomes = {
        name: [(check["outcome"], check["gate"]) for check in found["variants"]["int8"]["checks"]]
        for name, found in results.items()
    }
    assert ran.code == 0
    assert outcomes == {"churn": [("unchanged", "on")], "gone": [("missing", "warn")], "added": [("new", "on")]}
    assert results["churn"]["request"]["batch_sizes"] == [4]
    assert "int8: missing: the baseline's bundle has this model" in command("compare", base, head).out


def test_bundles_without_a_test_in_common_are_a_usage_error(command, bundle):
    ran = command("compare", bundle("base.zip", {"churn": 64}), bundle("head.zip", {"other": 64}))
    assert (ran.code, "The baseline's has test_a.py::test_churn; the candidate's has" in ran.err) == (2, True)


def test_a_variant_that_is_gone_from_its_test_is_red_and_a_new_one_is_told(command, kept, store, tmp_path):
    for name, variant_name in (("base.zip", "int8"), ("head.zip", "fp16")):
        document = json.loads(kept().read_text(encoding="utf-8"))
        path = next((store.root / "results").iterdir())
        found = document["variants"].pop("int8")
        document["variants"][variant_name] = {**found, "name": variant_name}
        document["request"]["variants"] = {variant_name: ["onnx_conversion"]}
        path.write_text(json.dumps(document), encoding="utf-8")
        command("baseline", "accept")
        command("baseline", "export", tmp_path / name)
    ran = command("compare", tmp_path / "base.zip", tmp_path / "head.zip", "--json")
    outcomes = [
        check["outcome"]
        for found in json.loads(ran.out)["results"]
        for variant in found["variants"].values()
        for check in variant["checks"]
    ]
    assert (ran.code, outcomes) == (1, ["missing", "new"])


def test_j116_a_bundle_with_a_name_that_leads_elsewhere_is_refused(command, tmp_path):
    path = tmp_path / "bundle.zip"
    with zipfile.ZipFile(path, "w") as bundle:
        bundle.writestr("index.json", json.dumps({"schema_version": 1, "files": {"../x.json": "0" * 64}}))
        bundle.writestr("../x.json", "{}")
    ran = command("compare", path, path)
    assert (ran.code, ran.out, "which is no place in a bundle" in ran.err) == (5, "", True)
