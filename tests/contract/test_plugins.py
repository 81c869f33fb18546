"""What every plugin keeps to. A new plugin file is found and held to it with no edit here."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import metadata

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.neural_network import MLPClassifier

from pytest_inferopt.domain.artifact import Dataset, RunOptions, Workbench
from pytest_inferopt.domain.plugins import PLUGIN_KINDS, DatasetSource
from pytest_inferopt.domain.report import parse_report
from pytest_inferopt.domain.request import TechniqueSpec
from pytest_inferopt.registry import discover

REGISTRY = discover()
PLUGINS = [plugin for kind in PLUGIN_KINDS for _, plugin in sorted(REGISTRY.plugins[kind].items())]
REPORTERS = [plugin for _, plugin in sorted(REGISTRY.plugins["reporters"].items())]
TECHNIQUES = [plugin for _, plugin in sorted(REGISTRY.plugins["techniques"].items())]
X, Y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)

# Prints which of the libraries are loaded after a module was imported.
IMPORTS = "import importlib, json, sys; importlib.import_module({module!r}); print(json.dumps(sorted(sys.modules)))"
# Applies a technique to a file and prints the digest of what came out.
APPLY = """
import hashlib, pickle, sys
with open(sys.argv[1], "rb") as stream:
    technique, artifact, folder, samples = pickle.load(stream)
from pathlib import Path
from pytest_inferopt.domain.artifact import RunOptions, Workbench
from pytest_inferopt.registry import discover
bench = Workbench(folder=Path(sys.argv[2]), opset=17, random_seed=0, samples=samples, to_onnx=None,
                  open=lambda artifact: discover().runtime_for(artifact.format).open(artifact, RunOptions()),
                  seconds_left=lambda: 60.0)
print(hashlib.sha256(technique.apply(artifact, bench).path.read_bytes()).hexdigest())
"""


def by_name(plugin):
    return f"{plugin.__module__.rpartition('.')[2]}-{plugin.name}"


def fresh(code, *arguments):
    """What a fresh interpreter prints."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


# --- all plugins ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plugin", PLUGINS, ids=by_name)
def test_a_plugin_is_made_without_options_unless_it_must_be_told_what_to_read(plugin):
    required = [name for name, field in plugin.model_fields.items() if field.is_required()]
    assert not required or issubclass(plugin, DatasetSource)
    assert plugin(**dict.fromkeys(required, "a path")).model_dump(mode="json").keys() == plugin.model_fields.keys()


@pytest.mark.parametrize("plugin", PLUGINS, ids=by_name)
def test_a_plugins_options_are_in_its_json_schema_and_no_others_are_taken(plugin):
    schema = plugin.model_json_schema()
    assert schema.get("properties", {}).keys() == plugin.model_fields.keys()
    assert schema["additionalProperties"] is False
    assert json.loads(json.dumps(schema)) == schema


@pytest.mark.parametrize("plugin", PLUGINS, ids=by_name)
def test_a_plugins_options_come_back_from_their_json(plugin):
    required = [name for name, field in plugin.model_fields.items() if field.is_required()]
    made = plugin(**dict.fromkeys(required, "a path"))
    assert plugin.model_validate_json(made.model_dump_json()) == made


@pytest.mark.parametrize("plugin", PLUGINS, ids=by_name)
def test_the_first_line_of_a_plugins_docstring_is_a_sentence(plugin):
    assert plugin.__doc__ is not None
    assert plugin.summary()[0].isupper()
    assert plugin.summary().endswith(".")


@pytest.mark.parametrize("plugin", PLUGINS, ids=by_name)
def test_every_option_of_a_plugin_is_explained(plugin):
    documented = "".join(base.__doc__ or "" for base in plugin.__mro__)
    assert [name for name in plugin.model_fields if f"{name}:" not in documented] == []


@pytest.mark.parametrize("plugin", PLUGINS, ids=by_name)
def test_a_plugin_says_what_it_is_called_what_it_needs_and_who_brings_it(plugin):
    assert plugin.name == plugin.name.strip().lower() != ""
    assert all(part.isidentifier() for module in plugin.needs for part in module.split("."))
    assert plugin.extra in {"", *metadata("pytest-inferopt").get_all("Provides-Extra")}


@pytest.mark.parametrize("module", sorted({plugin.__module__ for plugin in PLUGINS}))
def test_importing_a_plugins_file_loads_nothing_that_it_needs(module):
    needs = {need.partition(".")[0] for plugin in PLUGINS if plugin.__module__ == module for need in plugin.needs}
    heavy = {"numpy", "pandas", "onnx", "onnxruntime", "sklearn", "scipy", "torch", "tensorflow", "xgboost", "lightgbm"}
    loaded = {name.partition(".")[0] for name in json.loads(fresh(IMPORTS.format(module=module)))}
    assert loaded & (needs | heavy | {"skl2onnx", "onnxmltools", "pyarrow", "rich", "joblib"}) == set()


def test_importing_every_plugin_at_once_loads_nothing_heavy_either():
    code = (
        "import json, sys; from pytest_inferopt.registry import discover; "
        "assert not discover().broken; print(json.dumps(sorted(sys.modules)))"
    )
    loaded = {name.partition(".")[0] for name in json.loads(fresh(code))}
    assert loaded & {need.partition(".")[0] for plugin in PLUGINS for need in plugin.needs} == set()


# --- techniques -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """`converted(kind)`: the ONNX artifact of a network or of a forest, as the sklearn framework makes it."""
    folder = tmp_path_factory.mktemp("converted")
    framework = REGISTRY.framework("sklearn")
    network = MLPClassifier((32,), max_iter=20, random_state=0)
    with pytest.warns(Warning, match="converge"):
        network.fit(X, Y)
    artifacts = {}
    for kind, model in (("network", network), ("forest", RandomForestClassifier(5, random_state=0).fit(X, Y))):
        framework.save(model, folder / f"{kind}.pkl")
        original = framework.describe(model, folder / f"{kind}.pkl")
        artifacts[kind] = framework.to_onnx(original, folder / f"{kind}.onnx", opset=17, samples=X[:8])
    return artifacts.__getitem__


@pytest.fixture
def applied(converted, tmp_path):
    """`applied(technique, kind)`: the artifact before and after it."""

    def applied(technique, kind):
        bench = Workbench(
            folder=tmp_path,
            opset=17,
            random_seed=0,
            samples=X[:8],
            open=lambda artifact: REGISTRY.runtime_for(artifact.format).open(artifact, RunOptions()),
            to_onnx=lambda artifact: artifact,
            seconds_left=lambda: 60.0,
            training=Dataset(X, Y),
        )
        return converted(kind), technique().apply(converted(kind), bench)

    return applied


BOTH = pytest.mark.parametrize("kind", ["network", "forest"])
EACH = pytest.mark.parametrize(
    "technique", [technique for technique in TECHNIQUES if technique().gives("onnx")], ids=by_name
)


@pytest.mark.parametrize("technique", TECHNIQUES, ids=by_name)
def test_a_technique_takes_a_format_and_comes_from_its_own_spec(technique):
    assert any(technique().gives(takes) for takes in ("onnx", *REGISTRY.names("frameworks")))
    assert REGISTRY.technique(TechniqueSpec(name=technique.name)) == technique()


@BOTH
@EACH
def test_a_technique_leaves_its_input_as_it_is(technique, kind, applied, converted):
    folder = converted(kind).path.parent
    before = {path.name: digest(path) for path in folder.iterdir()}
    fields = dict(vars(converted(kind)))
    applied(technique, kind)
    assert {path.name: digest(path) for path in folder.iterdir()} == before
    assert dict(vars(converted(kind))) == fields


@BOTH
@EACH
def test_a_technique_gives_what_it_declared_and_its_name_is_the_last_of_the_lineage(technique, kind, applied):
    before, after = applied(technique, kind)
    assert after.format == technique().gives("onnx")
    assert after.lineage == (*before.lineage, technique.name)
    assert (after.task, after.classes) == (before.task, before.classes)
    assert after.notes
    assert all(note.endswith(".") for note in after.notes)
    assert after.size_bytes > 0


@BOTH
@EACH
def test_a_technique_keeps_the_names_of_inputs_and_outputs_and_answers_with_finite_numbers(technique, kind, applied):
    before, after = applied(technique, kind)
    runtime = REGISTRY.runtime_for(after.format)
    seen = runtime.inspect(replace(after, signature=None)).signature
    assert [spec.name for spec in seen.inputs] == [spec.name for spec in before.signature.inputs]
    assert [spec.name for spec in seen.outputs] == [spec.name for spec in before.signature.outputs]
    answer = runtime.open(after, RunOptions()).predict(X[:50])
    assert np.isfinite(answer.numbers).all()
    assert len(answer.labels) == 50


@BOTH
@EACH
def test_a_technique_gives_the_same_bytes_in_two_processes_or_says_why_not(technique, kind, applied, tmp_path):
    import cloudpickle

    before, after = applied(technique, kind)
    (tmp_path / "task.pkl").write_bytes(cloudpickle.dumps((technique(), before, tmp_path, X[:8])))
    digests = set()
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        digests.add(fresh(APPLY, tmp_path / "task.pkl", tmp_path / str(number)).strip())
    assert digests == {digest(after.path)} or any("not reproducible" in note for note in after.notes)


# --- reporters --------------------------------------------------------------------------------------------------

EVERY_REPORTER = pytest.mark.parametrize("reporter", REPORTERS, ids=by_name)
HOSTILE = "\x1b[31m<b>|`@user`\u202e\x00\n=1+1\ud800"
NO_NUMBER = re.compile(r"\b(?:nan|inf|infinity)\b", re.IGNORECASE)


@EVERY_REPORTER
@pytest.mark.parametrize("which", ["full", "empty", "unmeasured"])
def test_a_reporter_draws_any_report_the_same_twice_and_leaves_it_as_it_is(reporter, which, reports):
    report = getattr(reports, which)()
    before = report.model_dump_json()
    assert reporter().render(report) == reporter().render(report)
    assert report.model_dump_json() == before


@EVERY_REPORTER
def test_a_reporter_names_every_model_and_variant(reporter, reports):
    text = reporter().render(reports.full())
    names = {"churn", "price", "original", "onnx", "int8", "fp16", "optimized"}
    timed_only = {"fp16"} if reporter.name == "pytest-benchmark" else set()
    assert {name for name in names if name not in text} == timed_only


@EVERY_REPORTER
def test_a_reporter_makes_text_from_outside_inert_on_a_terminal_and_fit_for_a_file(reporter, reports):
    text = reporter().render(reports.hostile(HOSTILE))
    # A document keeps its text for whoever reads it next; JSON itself escapes what controls a terminal.
    direction = set() if reporter.name == "json" else {"\u202e"}
    assert ({"\x00", "\x1b", "\ud800"} | direction) & set(text) == set()
    assert text.encode("utf-8")


@EVERY_REPORTER
def test_a_reporter_shows_no_figure_that_is_no_number(reporter, reports):
    nan, inf = float("nan"), float("inf")
    lost = {
        "latency": {1: reports.latency(1, 0.5, p50_ms=nan, p95_ms=nan, p99_ms=nan, mean_ms=nan, stddev_ms=nan)},
        "speedup": {1: reports.speedup(1, nan, nan, nan)},
        "accuracy": reports.accuracy(0.0, inf),
    }
    stored = json.dumps(reports.report(reports.result(reports.variant(**lost))).to_dict())
    report = parse_report(stored, where="test")
    text, usual = (reporter().render(it) for it in (report, reports.full()))
    assert len(NO_NUMBER.findall(text)) <= len(NO_NUMBER.findall(usual))


def test_no_two_reporters_write_to_the_same_file():
    names = [reporter.file_name for reporter in REPORTERS if reporter.file_name]
    assert sorted(set(names)) == sorted(names)
