"""What is compared and what need not be: real files in a real store; the ruling and the profile are scripted."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace

import pytest

from pytest_inferopt.domain.baseline import BaselineFile, BaselineVariant, Manifest
from pytest_inferopt.domain.comparison import BaselineIdentity, CellComparison, Gate, SlowdownEstimate
from pytest_inferopt.domain.environment import Environment
from pytest_inferopt.domain.record import Interval
from pytest_inferopt.domain.request import parse_request
from pytest_inferopt.engine.baseline.manifests import Baselines
from pytest_inferopt.engine.baseline.source import Absent, Found
from pytest_inferopt.engine.comparison import comparing
from pytest_inferopt.engine.comparison.comparing import Comparing
from pytest_inferopt.engine.duet.pairs import Ruling
from pytest_inferopt.engine.store.folder import Store
from pytest_inferopt.engine.variant import Kept, Variant
from pytest_inferopt.errors import NotMeasuredError, WorkerError

HERE = Environment.here()
DOCUMENT = {
    "signature": {
        "inputs": [{"name": "x", "dtype": "float32", "shape": ["N", 4], "columns": None, "role": "other"}],
        "outputs": [],
    },
    "lineage": ["onnx_conversion"],
    "notes": [],
}
BASE = BaselineIdentity(source="merge base", commit="3f9c2e1" + 33 * "0")
PREPARE = [("begin", {}), ("load_data", {})]


def digest(content):
    return hashlib.sha256(content).hexdigest()


def cell(outcome="passed", estimate=0.0, batch_size=1, percentile=50, **changes):
    slowdown = SlowdownEstimate(
        estimate=estimate, interval=Interval(low=estimate - 0.01, high=estimate + 0.01), replicates=9
    )
    return CellComparison(batch_size=batch_size, percentile=percentile, outcome=outcome, slowdown=slowdown, **changes)


class Profiling:
    """A worker that answers a profile: what each operator takes in base and head, by round."""

    def __init__(self, answer):
        self.answer = answer
        self.asked = []

    def another_with_huge_pages(self):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def call(self, command, parameters, *, stage, deadline):
        assert deadline > 0
        self.asked.append((command, parameters, stage))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def compared(tmp_path, monkeypatch):
    """`compared(variants, base, ruling)`: the gate, and what the gate's processes were asked.

    `variants` and `base` map names to contents of files.
    """

    def compared(variants, base, *, ruling=None, environment=HERE, damage=False, profile=None, change=None, **fields):
        lineage = fields.pop("lineage", ["onnx_conversion"])
        store = Store(tmp_path / "store")
        files, kept = {}, {}
        for name, content in base.items():
            path = tmp_path / f"{digest(content)}.onnx"
            path.write_bytes(content)
            files[digest(content)] = path
            kept[name] = BaselineVariant(
                format="onnx",
                files=(BaselineFile(name="model.onnx", sha256=digest(content), size_bytes=len(content)),),
                sha256=digest(content),
                artifact={**DOCUMENT, "lineage": lineage},
            )
        request = parse_request({"name": "churn", "batch_sizes": [1], **fields}, where="test")
        manifest = Manifest(
            test_id="t", name="churn", environment=environment, variants=kept, request={"threads": 1, "provider": "cpu"}
        )
        baselines = Baselines(store)
        baselines.save(manifest, files)
        if damage:
            (store.root / "models").rename(store.root / "gone")
        made = {}
        for number, (name, content) in enumerate(variants.items()):
            made[name] = Variant(name, format="onnx", document=DOCUMENT)
            made[name].artifact = made[name].arm = f"artifact-{number}"
            made[name].kept = Kept(tmp_path / "m", digest(content), len(content))
            for field, value in (change or {}).items():
                setattr(made[name], field, value)
        asked = []

        def judge_pairs(request, pairs, **parts):
            asked.append((request, pairs, parts))
            if isinstance(ruling, Exception):
                raise ruling
            return ruling

        monkeypatch.setattr(comparing, "judge_pairs", judge_pairs)
        folder = tmp_path / "work"
        folder.mkdir()
        worker = Profiling(profile)
        tools = SimpleNamespace(folder=folder, worker=worker, on_progress=print)
        making = SimpleNamespace(remaking=lambda target: [("take_file", {"target": target})], preparing=lambda: PREPARE)
        found = Found(manifest, BASE, baselines)
        whole = Comparing(request, found, making=making, tools=tools, making_seconds=1.0)
        gate = whole.gate(list(made.values()), {"artifact-0": {1: 0.5}})
        return SimpleNamespace(gate=gate, variants=made, asked=asked, gone=whole.gone, worker=worker)

    return compared


def outcomes(found):
    return {
        name: [(check.outcome, check.reason) for check in variant.checks] for name, variant in found.variants.items()
    }


def ruled(verdict, cells, **changes):
    return Ruling(Gate(verdict=verdict, reason="the figures"), cells, changes.pop("errors", {}), **changes)


def test_the_same_file_is_unchanged_and_nothing_is_measured(compared):
    found = compared({"int8": b"same"}, {"int8": b"same"})
    reason = "the same file as merge base 3f9c2e1's."
    assert outcomes(found) == {"int8": [("unchanged", reason)]}
    assert found.asked == []
    assert (found.gate.verdict, found.gate.reason, found.gate.baseline) == ("unchanged", reason, BASE)
    assert (found.gate.allowed, found.gate.caught) == (0.02, 0.05)


def test_the_same_file_under_another_runtime_is_not_judged(compared):
    older = HERE.model_copy(update={"libraries": {**HERE.libraries, "onnxruntime": "1.0"}})
    found = compared({"int8": b"same"}, {"int8": b"same"}, environment=older)
    ((outcome, reason),) = outcomes(found)["int8"]
    assert (outcome, found.gate.verdict) == ("advisory", "advisory")
    assert reason.startswith("the same file; runtime change not judged: the baseline was made with onnxruntime 1.0,")


def test_the_same_file_with_other_threads_is_not_comparable(compared):
    found = compared({"int8": b"same"}, {"int8": b"same"}, threads=2)
    assert outcomes(found) == {"int8": [("not_comparable", "the same file, but threads 1 became 2.")]}
    assert found.gate.verdict == "not_comparable"


def test_a_variant_that_the_baseline_does_not_have_is_new(compared):
    found = compared({"int8": b"head"}, {"onnx": b"base"})
    reason = "the baseline (merge base 3f9c2e1) has no variant of this name."
    assert (outcomes(found), found.gate.verdict) == ({"int8": [("new", reason)]}, "new")


def test_a_variant_that_only_the_baseline_has_is_missing(compared):
    found = compared({"onnx": b"same"}, {"onnx": b"same", "int8": b"base"}, gate="warn")
    (gone,) = found.gone(("onnx",)).values()
    (check,) = gone.checks
    assert (gone.name, check.outcome, check.gate, check.is_red) == ("int8", "missing", "warn", False)
    assert check.reason == (
        "the baseline (merge base 3f9c2e1) has this variant, and the test does not ask for it any more."
    )


def test_a_variant_without_a_file_of_its_own_is_not_comparable(compared):
    found = compared({"pruned": b"head"}, {"pruned": b"base"}, change={"document": None})
    reason = "its steps leave no file that stands alone, so there is nothing to run beside the baseline's."
    assert outcomes(found) == {"pruned": [("not_comparable", reason)]}


def test_changed_inputs_are_not_comparable(compared):
    found = compared({"onnx": b"head"}, {"onnx": b"base"}, change={"document": {**DOCUMENT, "signature": None}})
    assert outcomes(found)["onnx"][0][0] == "not_comparable"


def test_a_quick_run_is_not_judged(compared):
    found = compared({"onnx": b"head"}, {"onnx": b"base"}, quick=True)
    assert (outcomes(found), found.asked) == ({"onnx": [("advisory", "not judged in a quick run.")]}, [])


def test_c48_int8_beside_a_baseline_of_other_instructions_has_an_accuracy_that_is_not_comparable(compared):
    other = HERE.model_copy(update={"isa_flags": ("sve",)})
    lineage = ["onnx_conversion", "quantization"]
    found = compared({"int8": b"same"}, {"int8": b"same"}, environment=other, lineage=lineage)
    assert [outcome for outcome, _ in outcomes(found)["int8"]] == ["not_comparable", "unchanged"]
    assert not any(check.is_red for check in found.variants["int8"].checks)


def test_two_files_are_judged_and_the_base_lies_in_the_working_folder(compared, tmp_path):
    found = compared({"onnx": b"head"}, {"onnx": b"base"}, ruling=ruled("passed", {"onnx": (cell(),)}))
    ((request, (pair,), parts),) = found.asked
    path = tmp_path / "work" / "baseline-0" / "model.onnx"
    assert path.read_bytes() == b"base"
    taking = {"target": "base-0", "format": "onnx", "path": str(path), "artifact": DOCUMENT}
    assert (pair.variant, pair.base) == ("onnx", [("take_file", taking)])
    assert pair.head == [("take_file", {"target": "artifact-0"})]
    assert (pair.base_target, pair.head_target, pair.p50_ms) == ("base-0", "artifact-0", {1: 0.5})
    assert (request.name, parts["prepare"], parts["making_seconds"]) == ("churn", PREPARE, 1.0)
    assert [outcome for outcome, _ in outcomes(found)["onnx"]] == ["passed"]
    assert found.variants["onnx"].comparison.cells == (cell(),)
    assert (found.gate.verdict, found.gate.reason, found.gate.baseline) == ("passed", "the figures", BASE)


def test_variants_that_are_the_same_files_are_measured_once_and_share_what_was_found(compared):
    profile = {"base": [[("a", "Gemm", 1.0)]], "head": [[("a", "Gemm", 2.0)]]}
    found = compared(
        {"first": b"head", "same": b"head"},
        {"first": b"base", "same": b"base"},
        ruling=ruled("regressed", {"first": (cell("regressed", 0.5),)}),
        profile=profile,
    )
    ((_, pairs, _),) = found.asked
    assert [pair.variant for pair in pairs] == ["first"]
    assert [outcomes(found)[name][0][0] for name in ("first", "same")] == ["regressed", "regressed"]
    first, same = (found.variants[name].comparison for name in ("first", "same"))
    assert (first.operators, first.cells) == (same.operators, same.cells)
    assert [change.name for change in first.operators] == ["a"]
    assert len([command for command, *_ in found.worker.asked if command == "profile_pair"]) == 1


def test_where_it_regressed_most_the_operators_are_profiled(compared):
    profile = {
        "base": [[("a", "Gemm", 1.0), ("b", "Relu", 1.0)]],
        "head": [[("a", "Gemm", 4.0), ("b", "Relu", 1.0)]],
    }
    cells = (cell("regressed", 0.1), cell("regressed", 0.4, batch_size=16), cell("inconclusive", 0.9, batch_size=32))
    found = compared({"onnx": b"head"}, {"onnx": b"base"}, ruling=ruled("regressed", {"onnx": cells}), profile=profile)
    comparison = found.variants["onnx"].comparison
    assert [(change.name, change.change_ms, change.share) for change in comparison.operators] == [("a", 3.0, 1.0)]
    assert comparison.operators_batch_size == 16
    asked = ("profile_pair", {"base": "base-0", "head": "artifact-0", "batch_size": 16}, "profiling 'onnx'")
    assert found.worker.asked[-1] == asked


def test_operators_that_cannot_be_profiled_are_a_note(compared):
    found = compared(
        {"onnx": b"head"},
        {"onnx": b"base"},
        ruling=ruled("regressed", {"onnx": (cell("regressed", 0.4),)}),
        profile=WorkerError("the worker crashed (SIGSEGV)."),
    )
    notes = found.variants["onnx"].comparison.notes
    assert notes == ("the operators could not be profiled: the worker crashed (SIGSEGV).",)


def test_a_tail_with_too_few_calls_is_a_check_of_its_own(compared):
    cells = (cell(), cell("advisory", 0.1, percentile=99, reason="too few samples for p99: 9 calls"))
    found = compared({"onnx": b"head"}, {"onnx": b"base"}, ruling=ruled("passed", {"onnx": cells}))
    _, tail = found.variants["onnx"].checks
    assert (tail.outcome, tail.subject) == ("advisory", "p99 at batch 1")
    assert tail.reason == "too few samples for p99: 9 calls."


def test_what_the_verdict_says_nothing_of_is_a_note_of_the_gate(compared):
    found = compared(
        {"onnx": b"head", "int8": b"other"},
        {"onnx": b"base"},
        ruling=ruled("passed", {"onnx": (cell(),)}),
        threads=2,
    )
    assert found.gate.notes == ("int8: new: the baseline (merge base 3f9c2e1) has no variant of this name",)
    told = "since the baseline, threads 1 became 2; both files ran as this request says"
    assert found.variants["onnx"].comparison.notes == (told,)


def test_a_gate_whose_processes_fail_makes_every_variant_of_it_not_measured(compared):
    error = WorkerError("gate of churn, process 1: the worker crashed (SIGSEGV).")
    found = compared({"onnx": b"head"}, {"onnx": b"base"}, ruling=error)
    assert outcomes(found) == {"onnx": [("not_measured", error.message)]}
    assert (found.gate.verdict, found.gate.reason) == ("not_measured", error.message)


def test_a_variant_that_could_not_be_measured_leaves_the_others_their_verdict(compared):
    error = NotMeasuredError("batch size 16 failed.")
    ruling = ruled("passed", {"onnx": (cell(),)}, errors={"int8": error})
    found = compared({"onnx": b"h", "int8": b"i"}, {"onnx": b"a", "int8": b"b"}, ruling=ruling)
    assert [outcomes(found)[name][0][0] for name in ("onnx", "int8")] == ["passed", "not_measured"]


def test_f88_a_baseline_whose_file_is_gone_is_not_measured(compared):
    found = compared({"onnx": b"head"}, {"onnx": b"base"}, damage=True)
    ((outcome, reason),) = outcomes(found)["onnx"]
    assert (outcome, found.gate.verdict, found.gate.reason) == ("not_measured", "not_measured", reason)
    assert "model.onnx" in reason


def test_without_a_variant_that_can_be_run_nothing_was_compared(compared):
    found = compared({}, {"onnx": b"base"})
    assert (found.gate.verdict, found.gate.reason) == ("not_measured", "no variant could be run.")


@pytest.mark.parametrize(
    ("baseline", "outcome", "reason"),
    [
        (Absent("nothing is saved.", "Save it."), "new", "nothing is saved."),
        (NotMeasuredError("the manifest is damaged."), "not_measured", "the manifest is damaged."),
    ],
)
def test_without_a_baseline_each_variant_says_why(baseline, outcome, reason):
    variant = Variant("onnx")
    request = parse_request({}, where="test")
    whole = Comparing(request, baseline, making=None, tools=None, making_seconds=0)
    gate = whole.gate([variant], {})
    assert [(check.outcome, check.reason) for check in variant.checks] == [(outcome, reason)]
    assert (gate.verdict, gate.reason, whole.gone(())) == (outcome, reason, {})
