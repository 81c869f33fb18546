from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import ClassVar

import pytest

from pytest_inferopt import registry as registry_module
from pytest_inferopt.domain.plugins import DatasetSource, Framework, Reporter, Runtime, Technique
from pytest_inferopt.domain.request import DatasetSpec, TechniqueSpec
from pytest_inferopt.errors import MissingDependencyError, NotMeasuredError, UsageError
from pytest_inferopt.registry import Broken, Registry, discover

KINDS = ("frameworks", "techniques", "runtimes", "datasets", "reporters")


class Scaling(Technique):
    """Scales."""

    name: ClassVar[str] = "scaling"

    factor: float = 1.0

    def gives(self, takes):
        return takes

    def apply(self, model, bench):
        raise NotImplementedError


class Text(Reporter):
    """Writes."""

    name: ClassVar[str] = "text"

    def render(self, results):
        return str(results)


class Rows(DatasetSource):
    """Reads."""

    name: ClassVar[str] = "rows"

    path: str

    def load(self):
        return self.path


class Abstract(Technique):
    """Does nothing."""

    name: ClassVar[str] = "abstract"


class Base(Framework):
    """Any."""

    def save(self, model, path):
        raise NotImplementedError

    load = describe = to_onnx = open = fingerprint = save


class Trees(Base):
    """Trees."""

    name: ClassVar[str] = "trees"
    module_roots: ClassVar[tuple[str, ...]] = ("trees",)
    suffixes: ClassVar[tuple[str, ...]] = (".tree",)


class Learn(Base):
    """Everything else."""

    name: ClassVar[str] = "learn"
    module_roots: ClassVar[tuple[str, ...]] = ("learn",)
    suffixes: ClassVar[tuple[str, ...]] = (".pkl", ".joblib")


class Engine(Runtime):
    """Runs."""

    name: ClassVar[str] = "engine"
    formats: ClassVar[tuple[str, ...]] = ("onnx", "plan")

    def open(self, artifact, options):
        raise NotImplementedError

    def inspect(self, artifact):
        raise NotImplementedError


class EntryPoint:
    """What importlib.metadata gives for a line of an installed distribution."""

    def __init__(self, name, found):
        self.name, self.value, self._found = name, f"somewhere:{name}", found

    def load(self):
        if isinstance(self._found, Exception):
            raise self._found
        return self._found


def registry_of(*broken, **plugins):
    kinds = {kind: {plugin.name: plugin for plugin in plugins.get(kind, ())} for kind in KINDS}
    return Registry(kinds, broken)


@pytest.fixture
def discover_with(monkeypatch):
    """`discover_with(techniques=[…])`: the registry when these entry points are installed."""

    def discover_with(**installed):
        points = {f"pytest_inferopt.{kind}": found for kind, found in installed.items()}
        monkeypatch.setattr(registry_module, "entry_points", lambda *, group: points.get(group, ()))
        discover.cache_clear()
        return discover()

    yield discover_with
    discover.cache_clear()


def module_with(*classes, name="somewhere"):
    module = ModuleType(name)
    for cls in classes:
        setattr(module, cls.__name__, type(cls.__name__, (cls,), {"__module__": name, "__doc__": cls.__doc__}))
    return module


def class_from(module, *bases):
    return type("Model", bases or (), {"__module__": module})


# --- discovery --------------------------------------------------------------------------------------------------


def test_the_package_brings_its_own_plugins_and_none_is_broken():
    found = discover()
    assert set(found.names("frameworks")) >= {"lightgbm", "onnx", "sklearn", "xgboost"}
    assert set(found.names("techniques")) >= {"quantization"}
    assert set(found.names("runtimes")) >= {"onnxruntime"}
    assert set(found.names("datasets")) >= {"csv", "npz", "parquet"}
    assert set(found.names("reporters")) >= {"terminal"}
    assert found.broken == ()


def test_names_are_sorted_and_files_are_looked_for_once():
    assert discover() is discover()
    for kind in KINDS:
        assert list(discover().names(kind)) == sorted(discover().plugins[kind])


def test_an_installed_distribution_adds_plugins_by_class_or_by_module(discover_with):
    module = module_with(Scaling, name="brings_scaling")
    found = discover_with(techniques=[EntryPoint("scaling", module)], reporters=[EntryPoint("text", Text)])
    assert found.plugins["techniques"]["scaling"] is module.Scaling
    assert found.plugins["reporters"]["text"] is Text
    assert found.broken == ()


@pytest.mark.parametrize(
    ("point", "reason"),
    [
        (EntryPoint("bad", ImportError("no such thing")), "ImportError: no such thing"),
        (EntryPoint("bad", ZeroDivisionError("division by zero")), "ZeroDivisionError: division by zero"),
        (EntryPoint("bad", Text), "UsageError: bad (somewhere:bad) brings no technique."),
        (EntryPoint("bad", Abstract), "UsageError: bad (somewhere:bad) brings no technique."),
        (EntryPoint("bad", module_with(Text)), "UsageError: bad (somewhere:bad) brings no technique."),
        (EntryPoint("bad", 5), "TypeError: vars() argument must have __dict__ attribute"),
        (
            EntryPoint("bad", type("Quantization", (Scaling,), {"name": "quantization", "__module__": "elsewhere"})),
            (
                "UsageError: bad (somewhere:bad) brings 'quantization', which "
                "pytest_inferopt.techniques.quantization has already. Rename one."
            ),
        ),
    ],
    ids=["import", "crash", "other kind", "abstract", "module without", "no class", "name taken"],
)
def test_a_broken_plugin_is_listed_and_the_others_work(discover_with, point, reason):
    found = discover_with(techniques=[point, EntryPoint("scaling", Scaling)])
    assert found.broken == (Broken("techniques", "bad (somewhere:bad)", reason),)
    assert found.technique(TechniqueSpec(name="scaling")) == Scaling()
    assert found.plugins["techniques"]["quantization"].__module__ == "pytest_inferopt.techniques.quantization"


def test_a_class_that_two_entry_points_name_is_one_plugin(discover_with):
    found = discover_with(techniques=[EntryPoint("scaling", Scaling), EntryPoint("again", Scaling)])
    assert (found.plugins["techniques"]["scaling"], found.broken) == (Scaling, ())


def test_files_that_begin_with_an_underscore_are_no_plugins():
    sources = [source for source, _ in registry_module._in_folder("frameworks")]
    assert "pytest_inferopt.frameworks.onnx" in sources
    assert not [source for source in sources if source.rpartition(".")[2].startswith("_")]


# --- asking for one ---------------------------------------------------------------------------------------------


def test_a_technique_comes_with_its_options():
    found = registry_of(techniques=[Scaling])
    assert found.technique(TechniqueSpec(name="scaling", options={"factor": 2})) == Scaling(factor=2.0)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (
            lambda found: found.technique(TechniqueSpec(name="scalign")),
            "no technique named 'scalign'; did you mean 'scaling'?",
        ),
        (lambda found: found.technique(TechniqueSpec(name="zzz")), "no technique named 'zzz'; known: scaling"),
        (
            lambda found: found.technique(TechniqueSpec(name="scaling", options={"fcator": 1})),
            "technique 'scaling' has no option 'fcator'; did you mean 'factor'?",
        ),
        (
            lambda found: found.technique(TechniqueSpec(name="scaling", options={"factor": "much"})),
            "technique 'scaling': factor='much': Input should be a valid number, unable to parse string as a number.",
        ),
        (lambda found: found.dataset_source(DatasetSpec(source="sql")), "no dataset source named 'sql'; known: rows"),
        (
            lambda found: found.dataset_source(DatasetSpec(source="rows")),
            "dataset source 'rows' needs 'path'. Add path=….",
        ),
        (lambda found: found.framework("torch"), "no framework named 'torch'; known: trees"),
        (lambda found: found.reporter("txt"), "no report type named 'txt'; did you mean 'text'?"),
    ],
)
def test_what_is_not_there_is_a_usage_error_with_a_suggestion(ask, message):
    found = registry_of(techniques=[Scaling], datasets=[Rows], frameworks=[Trees], reporters=[Text])
    with pytest.raises(UsageError) as caught:
        ask(found)
    assert str(caught.value) == message


def test_a_broken_plugin_says_why_when_it_is_asked_for():
    lost = Broken("techniques", "fp16 (other.package:Fp16)", "ImportError: no such thing")
    found = registry_of(lost, Broken("reporters", "pytest_inferopt.reporters.scaling", "never asked"))
    with pytest.raises(NotMeasuredError) as caught:
        found.technique(TechniqueSpec(name="fp16"))
    assert str(caught.value) == "technique 'fp16' is broken: ImportError: no such thing"


@pytest.mark.parametrize("name", ["fp1", "on", "Fp16", "package", "scaling"])
def test_a_name_that_only_resembles_a_broken_plugin_is_a_typo(name):
    found = registry_of(
        Broken("techniques", "fp16 (other.package:Fp16)", "lost"),
        Broken("reporters", "pytest_inferopt.reporters.scaling", "lost"),
    )
    with pytest.raises(UsageError, match=f"no technique named '{name}'"):
        found.technique(TechniqueSpec(name=name))


def test_a_configured_source_a_framework_and_a_reporter_are_found_by_name():
    found = registry_of(datasets=[Rows], frameworks=[Trees], reporters=[Text])
    assert found.dataset_source(DatasetSpec(source="rows", options={"path": "a"})) == Rows(path="a")
    assert (found.framework("trees"), found.reporter("text")) == (Trees(), Text())


def test_a_runtime_is_found_by_the_format_it_opens():
    found = registry_of(runtimes=[Engine])
    assert [found.runtime_for(name) for name in ("onnx", "plan", "sklearn")] == [Engine(), Engine(), None]


# --- owners and loaders -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [(Trees, Learn), (Learn, Trees)])
def test_a_model_belongs_to_the_framework_that_is_nearest_in_its_hierarchy(order):
    found = registry_of(frameworks=order)
    estimator = class_from("learn.base")
    booster = class_from("trees.sklearn", estimator)
    subclass = class_from("my_tests", booster)
    owners = [found.owner(kind()).name for kind in (estimator, booster, subclass)]
    assert owners == ["learn", "trees", "trees"]


def test_a_model_of_no_framework_names_its_type_and_the_ways_out():
    with pytest.raises(UsageError) as caught:
        registry_of(frameworks=[Trees, Learn]).owner(3)
    assert str(caught.value) == (
        "a model of type builtins.int belongs to no known framework. "
        "Pass a model of learn, trees, or the path of an ONNX file made of it."
    )


def test_a_module_whose_name_only_begins_like_a_frameworks_is_not_its_own():
    assert Learn().owns(class_from("learning.base")()) is None


def test_a_file_is_loaded_by_the_framework_that_claims_its_suffix():
    found = registry_of(frameworks=[Trees, Learn])
    assert [found.loader(Path(name)).name for name in ("a.tree", "a.PKL", "b.joblib")] == ["trees", "learn", "learn"]


def test_a_suffix_of_no_framework_lists_those_that_are_known():
    with pytest.raises(UsageError) as caught:
        registry_of(frameworks=[Trees, Learn]).loader(Path("model.bin"))
    assert str(caught.value) == "model.bin: no framework loads a '.bin' file. Known: .joblib, .pkl, .tree."


# --- what must be installed -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("needs", "extra", "message"),
    [
        (
            ("numpy", "no_such.submodule", "nor_this"),
            "torch",
            'scaling needs no_such.submodule, nor_this, not installed here. pip install "pytest-inferopt[torch]".',
        ),
        (("no_such",), "", "scaling needs no_such, not installed here. pip install no_such."),
    ],
)
def test_d62_what_is_missing_is_named_with_the_extra_that_brings_it(needs, extra, message):
    wanting = type("Wanting", (Scaling,), {"needs": needs, "extra": extra, "__module__": __name__})
    with pytest.raises(MissingDependencyError) as caught:
        registry_of().require(wanting())
    assert str(caught.value) == message


def test_d62_what_is_installed_is_not_missed():
    wanting = type("Wanting", (Scaling,), {"needs": ("numpy", "email.mime"), "__module__": __name__})
    registry_of().require(wanting())
