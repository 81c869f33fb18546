from __future__ import annotations

import json
import sys
from typing import ClassVar

import pytest

from pytest_inferopt.domain.plugins import Technique
from pytest_inferopt.domain.request import OptimizationRequest, TechniqueSpec
from pytest_inferopt.engine.store import cache as cache_module
from pytest_inferopt.engine.store import code
from pytest_inferopt.engine.store.cache import StepCache
from pytest_inferopt.engine.store.folder import Store
from pytest_inferopt.registry import Registry, discover

STEP = TechniqueSpec(name="quantization", options={"precision": "int8"})
DIGESTS = {"fingerprint": "model", "code": "code", "rows": "rows", "training": "none"}
ADOPTABLE = {"signature": None, "lineage": ["quantization"], "notes": []}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def started(store):
    """`started(**changes)`: the cache of a new run on the same store."""

    def started(*, registry=None, is_read=True, request=(), **digests):
        found = StepCache(store, registry or discover(), OptimizationRequest(**dict(request)), is_read=is_read)
        found.start("original", **{**DIGESTS, **digests})
        return found

    return started


@pytest.fixture
def done(tmp_path):
    """What a worker answers to a finished step."""
    path = tmp_path / "made.onnx"
    path.write_bytes(b"a quantized model")
    return {"name": "quantization", "seconds": 1.5, "path": str(path), "format": "onnx", "artifact": ADOPTABLE}


@pytest.fixture
def kept(started, done):
    """A first run that has done the step."""
    first = started()
    assert first.find("original", "a", STEP) is None
    first.keep("a", done)
    return first


def found_again(cache, step=STEP):
    return cache.find("original", "a", step) is not None


@pytest.mark.usefixtures("kept")
def test_a_second_run_finds_what_the_first_has_done_with_its_file_in_the_store(started, done, store):
    found = started().find("original", "b", STEP)
    (path,) = (store.root / "models").iterdir()
    assert {name: found[name] for name in done} == {**done, "path": str(path)}
    assert path.read_bytes() == b"a quantized model"
    assert found["made_at"][:2] == "20"


@pytest.mark.parametrize(
    "change",
    [
        {"fingerprint": "another model"},
        {"code": "another code"},
        {"rows": "other rows"},
        {"training": "training rows"},
        {"request": {"opset": 18}},
        {"request": {"random_seed": 1}},
        {"request": {"threads": 2}},
    ],
    ids=lambda change: next(iter(change)),
)
@pytest.mark.usefixtures("kept")
def test_whatever_a_step_depends_on_makes_another_key(started, change):
    assert found_again(started())
    assert not found_again(started(**change))


def test_the_conversion_which_is_no_technique_is_found_again_too(started, done):
    conversion = TechniqueSpec(name="onnx_conversion")
    first = started()
    assert first.find("original", "a", conversion) is None
    first.keep("a", done)
    assert found_again(started(), conversion)


@pytest.mark.usefixtures("kept")
def test_another_option_is_another_step(started):
    assert not found_again(started(), TechniqueSpec(name="quantization", options={"precision": "uint8"}))


@pytest.mark.parametrize("change", [{"isa_flags": ("other",)}, {"libraries": {"onnx": "0"}}, {"python": "2.7"}])
@pytest.mark.usefixtures("kept")
def test_another_processor_or_version_makes_another_key(started, monkeypatch, change):
    here = cache_module.Environment.here().model_copy(update=change)
    monkeypatch.setattr(cache_module.Environment, "here", lambda: here)
    assert not found_again(started())


@pytest.mark.parametrize("changed", ["own.py", "helper.py"])
def test_a_technique_whose_package_changes_is_applied_again(started, done, tmp_path, monkeypatch, changed):
    class Own(Technique):
        """An own technique."""

        name: ClassVar[str] = "own"

        def gives(self, takes):
            return takes

        def apply(self, model, bench):
            raise AssertionError(model, bench)

    for name in ("__init__.py", "own.py", "helper.py"):
        (tmp_path / name).write_text("first")
    module = type("Module", (), {"__file__": str(tmp_path / "own.py")})
    monkeypatch.setitem(sys.modules, "package.own", module)
    monkeypatch.setattr(Own, "__module__", "package.own")
    registry = Registry({**discover().plugins, "techniques": {"own": Own}})
    step = TechniqueSpec(name="own")
    first = started(registry=registry)
    first.find("original", "a", step)
    first.keep("a", done)
    forget()
    assert found_again(started(registry=registry), step)
    (tmp_path / changed).write_text("second")
    forget()
    assert not found_again(started(registry=registry), step)


def forget():
    """As a new process does."""
    code._digest_of_file.cache_clear()
    code._digest_of_folder.cache_clear()


@pytest.mark.parametrize("unknown", ["fingerprint", "code", "rows", "training"])
def test_what_has_no_digest_is_never_found_and_never_kept(started, done, store, unknown):
    for _ in range(2):
        cache = started(**{unknown: None})
        assert cache.find("original", "a", STEP) is None
        cache.keep("a", done)
    assert not store.root.exists()


def test_a_step_on_the_outcome_of_another_is_found_only_on_the_same_outcome(started, kept, done):
    second = TechniqueSpec(name="quantization", options={"precision": "uint8"})
    kept.find("a", "a2", second)
    kept.keep("a2", done)
    cache = started()
    cache.find("original", "x", STEP)
    assert cache.find("x", "y", second) is not None
    assert cache.find("original", "z", second) is None


def test_what_cannot_be_adopted_is_not_kept(started, done, store):
    cache = started()
    cache.find("original", "a", STEP)
    cache.keep("a", {**done, "artifact": None})
    assert not store.root.exists()


@pytest.mark.usefixtures("kept")
def test_without_reuse_nothing_is_found_and_what_is_done_is_kept(started):
    assert not found_again(started(is_read=False))
    assert found_again(started())


@pytest.mark.parametrize("damage", ["model", "entry", "schema", "gone"])
@pytest.mark.usefixtures("kept")
def test_a_damaged_entry_is_done_again(started, store, damage):
    (model,) = (store.root / "models").iterdir()
    (entry,) = (store.root / "steps").iterdir()
    if damage == "model":
        model.write_bytes(b"torn")
    elif damage == "entry":
        entry.write_text("{")
    elif damage == "schema":
        entry.write_text(json.dumps({**json.loads(entry.read_text()), "schema_version": 99}))
    else:
        model.unlink()
    assert not found_again(started())


@pytest.mark.usefixtures("kept")
def test_f76_an_entry_with_a_flipped_bit_is_done_again_wherever_it_is(started, store):
    (entry,) = (store.root / "steps").iterdir()
    whole = entry.read_bytes()
    for place in range(len(whole)):
        entry.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert not found_again(started()), whole[max(place - 10, 0) : place + 10]
    entry.write_bytes(whole)
    assert found_again(started())
