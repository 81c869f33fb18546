from __future__ import annotations

import pytest

from pytest_inferopt.domain.baseline import BaselineFile, BaselineVariant
from pytest_inferopt.domain.environment import Environment
from pytest_inferopt.domain.measured import Accuracy
from pytest_inferopt.domain.report import GitState
from pytest_inferopt.domain.request import OptimizationRequest
from pytest_inferopt.domain.result import Check, RunResult, VariantResult
from pytest_inferopt.engine.baseline.recording import manifest_of
from pytest_inferopt.engine.store.folder import Store

HERE = Environment(cpu_model="Intel Xeon", cpu_count=2, isa_flags=(), python="3.11.9", system="linux", libraries={})
GIT = GitState(commit="a" * 40, branch="main", is_dirty=True, committed_at="2030-01-02T03:04:05+00:00")
SCORE = Accuracy(metric="f1", direction="higher", rows=400, score=0.9, original=0.91, ratio=0.99)
ARTIFACT = {"signature": None, "lineage": ["onnx_conversion"], "notes": []}


def variant(name="int8", **changes):
    fields = {
        "format": "onnx",
        "path": ".inferopt/models/1.onnx",
        "sha256": "1" * 64,
        "size_bytes": 7,
        "accuracy": SCORE,
        "artifact": ARTIFACT,
    }
    return VariantResult(name=name, **{**fields, **changes})


def result(*variants):
    original = VariantResult(name="original", role="original")
    return RunResult(
        name="churn",
        test_id="somewhere else",
        request=OptimizationRequest(name="churn"),
        environment=HERE,
        original=original,
        variants={found.name: found for found in variants},
    )


def check(outcome, kind="conversion"):
    return Check(kind=kind, variant="int8", outcome=outcome)


def test_a_result_becomes_a_baseline_with_all_that_is_needed_to_run_its_variants_again():
    made = manifest_of(result(variant(checks=(check("passed"),))), GIT, "test_a.py::test_a")
    assert made.model_dump(exclude={"saved_at", "schema_version", "tool_version", "variants"}) == {
        "test_id": "test_a.py::test_a",
        "name": "churn",
        "commit": "a" * 40,
        "branch": "main",
        "committed_at": "2030-01-02T03:04:05+00:00",
        "is_dirty": True,
        "accepted_at": None,
        "request": OptimizationRequest(name="churn").model_dump(mode="json"),
        "environment": HERE.model_dump(),
    }
    assert made.variants == {
        "int8": BaselineVariant(
            format="onnx",
            files=(BaselineFile(name="model.onnx", sha256="1" * 64, size_bytes=7),),
            sha256="1" * 64,
            artifact=ARTIFACT,
            accuracy=SCORE,
        )
    }


def test_outside_of_a_repository_a_baseline_has_no_commit():
    made = manifest_of(result(variant()), None, "")
    assert (made.commit, made.branch, made.committed_at, made.is_dirty) == (None, None, None, False)


@pytest.mark.parametrize(
    "changes",
    [{name: None} for name in ("path", "sha256", "size_bytes", "format", "artifact")]
    + [{"checks": (check(outcome),)} for outcome in ("not_measured", "refused")],
)
def test_a_variant_that_nobody_can_run_again_is_left_out(changes):
    assert manifest_of(result(variant(**changes)), GIT, "") is None
    assert manifest_of(result(variant(**changes), variant("fp16")), GIT, "").variants.keys() == {"fp16"}


@pytest.mark.parametrize("told", [check("failed", "accuracy"), check("not_measured", "budget"), check("advisory")])
def test_a_variant_that_is_judged_to_be_bad_can_still_be_run_again(told):
    assert manifest_of(result(variant(checks=(told,))), GIT, "").variants.keys() == {"int8"}


def test_f88_a_variant_of_several_files_has_all_of_them_in_its_baseline(tmp_path):
    main, data = tmp_path / "m.onnx", tmp_path / "m.onnx.data"
    main.write_bytes(b"a model")
    data.write_bytes(b"its weights")
    kept = Store(tmp_path / "store").keep_set(main, [data])
    made = manifest_of(result(variant()), GIT, "", kept={"int8": kept}).variants["int8"]
    assert made.sha256 == kept.sha256
    assert [(file.name, file.sha256, file.size_bytes) for file in made.files] == [
        (file.name, file.sha256, file.size_bytes) for file in kept.files
    ]
