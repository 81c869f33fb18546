"""Faults F: what is in a store is old, is written by many at once, or has names that were chosen to harm."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_inferopt.domain import baseline as baseline_module
from pytest_inferopt.domain import report as report_module
from pytest_inferopt.domain import result as result_module
from pytest_inferopt.domain.baseline import BaselineFile, BaselineVariant, Manifest, manifest_text, parse_manifest
from pytest_inferopt.domain.environment import Environment
from pytest_inferopt.domain.report import parse_report
from pytest_inferopt.domain.request import OptimizationRequest, TechniqueSpec
from pytest_inferopt.domain.result import RunResult
from pytest_inferopt.engine.baseline import bundle as bundle_module
from pytest_inferopt.engine.baseline.bundle import export_bundle, open_bundle
from pytest_inferopt.engine.baseline.manifests import Baselines, key_of
from pytest_inferopt.engine.store import cache as cache_module
from pytest_inferopt.engine.store.cache import StepCache
from pytest_inferopt.engine.store.folder import Store, entry_key
from pytest_inferopt.errors import NotMeasuredError, RefusedError
from pytest_inferopt.registry import discover

SCHEMAS = Path(__file__).parents[1] / "golden" / "schemas"
COMMIT = "3f9c2e1a7b5d4c6e8f90123456789abcdef01234"
HERE = Environment(cpu_model="Intel Xeon", cpu_count=2, isa_flags=(), python="3.11.9", system="linux", libraries={})
NOON = "2030-01-02T12:00:00+00:00"


def digest_of(data):
    return hashlib.sha256(data).hexdigest()


def manifest(content=b"a model", **changes):
    file = BaselineFile(name="model.onnx", sha256=digest_of(content), size_bytes=len(content))
    variant = BaselineVariant(format="onnx", files=(file,), sha256=file.sha256, artifact={})
    fields = {"test_id": "test_a.py::test_a", "name": "churn", "commit": COMMIT, "saved_at": NOON, "environment": HERE}
    return Manifest(**{**fields, "variants": {"int8": variant}, **changes})


@pytest.fixture
def baselines(tmp_path):
    return Baselines(Store(tmp_path / "store"))


@pytest.fixture
def save(baselines, tmp_path):
    """`save(b"a model", name="churn")`: save a baseline with one file of this content."""

    def save(content=b"a model", **changes):
        path = tmp_path / "made.onnx"
        path.write_bytes(content)
        return baselines.save(manifest(content, **changes), {digest_of(content): path})

    return save


def files(folder):
    """Every file below a folder, with its content; of a link, where it leads."""
    return {
        str(path.relative_to(folder)): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


# --- F79: every version so far ------------------------------------------------------------------------------------


def test_f79_the_documents_of_earlier_versions_are_as_they_were_written():
    listed = dict(line.split()[::-1] for line in (SCHEMAS / "SHA256SUMS").read_text().splitlines())
    assert listed == {path.name: digest_of(path.read_bytes()) for path in SCHEMAS.iterdir() if path.name in listed}
    assert {path.name for path in SCHEMAS.iterdir()} == {*listed, "SHA256SUMS"}


@pytest.mark.parametrize(
    ("kind", "module", "suffix"),
    [
        ("report", report_module, "json"),
        ("result", result_module, "json"),
        ("manifest", baseline_module, "json"),
        ("step", cache_module, "json"),
        ("bundle", bundle_module, "zip"),
    ],
)
def test_f79_there_is_a_document_of_every_version(kind, module, suffix):
    expected = {f"{kind}-{version}.{suffix}" for version in range(1, module.SCHEMA_VERSION + 1)}
    assert {path.name for path in SCHEMAS.glob(f"{kind}-*")} == expected


def is_kept(old, new):
    """Whether all that an old document says stands in the new one."""
    if isinstance(old, dict):
        return isinstance(new, dict) and all(key in new and is_kept(item, new[key]) for key, item in old.items())
    if isinstance(old, list):
        return isinstance(new, list) and len(old) == len(new) and all(map(is_kept, old, new))
    return old == new


@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("report-*.json")), ids=lambda path: path.stem)
def test_f79_f80_every_report_so_far_is_read_and_written_without_loss(path):
    report = parse_report(path.read_bytes(), where=path.name)
    assert is_kept(json.loads(path.read_text()), report.to_dict())


@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("result-*.json")), ids=lambda path: path.stem)
def test_f79_f80_every_result_so_far_is_read_and_written_without_loss(path):
    result = RunResult.model_validate_json(path.read_bytes())
    assert is_kept(json.loads(path.read_text()), result.to_dict())


@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("manifest-*.json")), ids=lambda path: path.stem)
def test_f79_f80_every_manifest_so_far_is_read_and_written_without_loss(path):
    old = json.loads(path.read_text())
    new = json.loads(manifest_text(parse_manifest(path.read_bytes(), where=path.name)))
    assert is_kept({key: item for key, item in old.items() if key != "digest"}, new)


@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("bundle-*.zip")), ids=lambda path: path.stem)
def test_f79_every_bundle_so_far_is_opened(path, tmp_path):
    opened = open_bundle(path, tmp_path / "store")
    (found,) = opened.all()
    main = opened.open_files(found, "int8", tmp_path / "opened")
    assert files(main.parent) == {"model.onnx": b"a model\n", "model.onnx.data": b"its weights\n"}
    assert opened.newest_accepted(entry_key("tests/test_churn.py::test_churn", "churn")) == found


@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("step-*.json")), ids=lambda path: path.stem)
def test_f79_every_step_so_far_is_found(path, tmp_path):
    store = Store(tmp_path / "store")
    (tmp_path / "made.onnx").write_bytes(b"a model\n")
    store.keep(tmp_path / "made.onnx")
    cache = StepCache(store, discover(), OptimizationRequest())
    cache.start("original", fingerprint="a", code="b", rows="c", training="d")
    step = TechniqueSpec(name="quantization")
    assert cache.find("original", "int8", step) is None
    old = json.loads(path.read_text())
    # Under the key of today, which holds all that the outcome depends on; the version is a part of it.
    store.put("steps", cache._keys["int8"], old)
    assert cache.find("original", "int8", step) == {
        **old["done"],
        "path": str(store.root / "models" / f"{digest_of(b'a model' + bytes([10]))}.onnx"),
        "made_at": old["made_at"],
    }


def test_f80_an_accepted_manifest_of_an_earlier_version_keeps_all_that_it_says(tmp_path):
    baselines = open_bundle(SCHEMAS / "bundle-1.zip", tmp_path / "store")
    (found,) = baselines.all()
    told = found.model_copy(update={"of_a_later_version": {"a": [1, None]}})
    baselines.accept(told)
    newest = baselines.newest_accepted(key_of(found))
    assert newest == told.model_copy(update={"accepted_at": newest.accepted_at})
    assert newest.of_a_later_version == {"a": [1, None]}


# --- F81: many at once --------------------------------------------------------------------------------------------

WRITER = """
import sys, time
from pathlib import Path
from pytest_inferopt.domain.baseline import parse_manifest
from pytest_inferopt.engine.baseline.manifests import Baselines, key_of
from pytest_inferopt.engine.store.folder import Store
root, order, model, scratch = map(Path, sys.argv[1:])
manifest = parse_manifest(order.read_bytes(), where="order")
(digest,) = {file.sha256 for variant in manifest.variants.values() for file in variant.files}
baselines = Baselines(Store(root))
print("ready", flush=True)
sys.stdin.readline()
for number in range(12):
    baselines.save(manifest, {digest: model})
    found = baselines.at(key_of(manifest), manifest.commit)
    baselines.open_files(found, "int8", scratch / str(number))
    own = baselines.accept(manifest)
    assert baselines.newest_accepted(key_of(manifest)) is not None
    baselines.open_files(own, "int8", scratch / f"{number}-own")
"""
PRUNER = """
import sys
from pathlib import Path
from pytest_inferopt.engine.store import folder as module
from pytest_inferopt.engine.store.folder import Store
# Only the lock and what manifests name protect a model here.
module.MIN_AGE_HOURS = -1.0
store = Store(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
import os, select
while not select.select([0], [], [], 0)[0]:
    store.prune(max_bytes=0, max_age_days=0)
"""


def start(code, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_f81_of_8_writers_at_once_each_is_heard_and_no_set_is_torn(baselines, tmp_path):
    root = baselines.store.root
    contents = [f"the model of writer {number}".encode() * 5_000 for number in range(8)]
    writers = []
    for number, content in enumerate(contents):
        order, model = tmp_path / f"{number}.json", tmp_path / f"{number}.onnx"
        order.write_text(manifest_text(manifest(content)))
        model.write_bytes(content)
        writers.append(start(WRITER, root, order, model, tmp_path / f"scratch-{number}"))
    for process in writers:
        assert process.stdout.readline() == "ready\n"
    for process in writers:
        process.stdin.write("go\n")
        process.stdin.flush()
    outcomes = [(process.communicate()[1], process.returncode) for process in writers]
    assert outcomes == [("", 0)] * 8
    entries = baselines.entries()
    assert [entry.problem for entry in entries] == [None] * len(entries)
    assert {entry.path.name.partition("-")[0].partition(".")[0] for entry in entries} == {COMMIT}
    accepted = {baselines.open_files(entry.manifest, "int8", tmp_path / entry.path.name).read_bytes()
                for entry in entries if entry.manifest.accepted_at}  # fmt: skip
    assert accepted == set(contents)


def test_f81_pruning_beside_writers_takes_no_model_that_a_manifest_names(baselines, tmp_path, save):
    save(b"before")
    pruner = start(PRUNER, baselines.store.root)
    assert pruner.stdout.readline() == "ready\n"
    pruner.stdin.write("go\n")
    pruner.stdin.flush()
    for number in range(60):
        content = f"model {number % 3}".encode() * 5_000
        saved = save(content)
        found = baselines.at(key_of(saved), COMMIT)
        assert baselines.open_files(found, "int8", tmp_path / str(number)).read_bytes() == content
    _, told = pruner.communicate("stop\n")
    assert (pruner.returncode, told) == (0, "")


# --- F84: names ---------------------------------------------------------------------------------------------------


def test_f84_hostile_and_nearly_equal_names_have_baselines_of_their_own(baselines, save):
    names = ["churn", "Churn", "../x", "/etc/passwd", "caf\u00e9", "cafe\u0301", "x" * 300, "x" * 301, "", ".", "CON",
             "a\nb", "\u202egpj.exe", "🤖", "models", "\udcff"]  # fmt: skip
    for number, name in enumerate(names):
        save(f"model {number}".encode(), name=name)
        save(f"other {number}".encode(), name=name, test_id=name)
    for number, name in enumerate(names):
        for test_id, kind in (("test_a.py::test_a", "model"), (name, "other")):
            found = baselines.at(entry_key(test_id, name), COMMIT)
            assert found.variants["int8"].sha256 == digest_of(f"{kind} {number}".encode())
    folders = {path.name for path in (baselines.store.root / "baselines").iterdir()}
    assert len({name.casefold() for name in folders}) == 2 * len(names)
    assert all(name.isascii() and set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for name in folders)
    assert {path.name for path in baselines.store.root.iterdir()} == {".gitignore", ".lock", "baselines", "models"}


# --- F85: planted links -------------------------------------------------------------------------------------------


@pytest.fixture
def precious(tmp_path):
    """A folder outside of the store that must stay as it is."""
    folder = tmp_path / "precious"
    (folder / "deeper").mkdir(parents=True)
    for path in (folder / "file", folder / "deeper" / "file"):
        path.write_text("precious")
        os.utime(path, (0, 0))
    os.utime(folder / "deeper", (0, 0))
    return folder


def plant(root, place, target):
    path = root / place
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


@pytest.mark.parametrize("verb", ["save", "import", "open", "prune", "quarantine"])
@pytest.mark.parametrize("place", ["baselines", f"baselines/{key_of(manifest())}", "models", "quarantine", "work"])
def test_f85_a_link_in_the_place_of_a_folder_is_never_followed(baselines, save, precious, tmp_path, verb, place):
    saved = save()
    export_bundle([saved], baselines, tmp_path / "b.zip")
    before = files(precious)
    plant(baselines.store.root, place, precious)
    try:
        if verb == "save":
            save(b"another model")
        elif verb == "import":
            bundle_module.import_bundle(tmp_path / "b.zip", baselines)
        elif verb == "open":
            baselines.open_files(saved, "int8", tmp_path / "opened")
        elif verb == "prune":
            assert baselines.prune() == 0
            baselines.store.prune(max_bytes=0, max_age_days=0)
        else:
            for entry in baselines.entries():
                entry.path.write_text("{")
            baselines.at(key_of(saved), COMMIT)
    except (NotMeasuredError, RefusedError):
        pass
    assert files(precious) == before
    assert (baselines.store.root / place).readlink() == precious


@pytest.mark.parametrize("leads_to", ["a file", "nowhere", "a folder"])
def test_f85_a_link_in_the_place_of_a_file_is_replaced_and_not_written_through(
    baselines, save, precious, tmp_path, leads_to
):
    target = {"a file": precious / "file", "nowhere": precious / "made", "a folder": precious / "deeper"}[leads_to]
    saved = save()
    for place in (f"baselines/{key_of(saved)}/{COMMIT}.json", f"models/{digest_of(b'a model')}.onnx", ".gitignore"):
        plant(baselines.store.root, place, target)
    before = files(precious)
    assert baselines.at(key_of(saved), COMMIT) is None
    save()
    assert files(precious) == before
    assert baselines.at(key_of(saved), COMMIT) == saved
    assert baselines.open_files(saved, "int8", tmp_path / "opened").read_bytes() == b"a model"


def test_f85_a_store_that_is_itself_behind_a_link_of_the_users_serves(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "store").symlink_to(tmp_path / "disk")
    (tmp_path / "made.onnx").write_bytes(b"a model")
    baselines = Baselines(Store(tmp_path / "store"))
    saved = baselines.save(manifest(), {digest_of(b"a model"): tmp_path / "made.onnx"})
    assert baselines.open_files(saved, "int8", tmp_path / "opened").read_bytes() == b"a model"
    assert (tmp_path / "disk" / "models").is_dir()


# --- F89: nothing for git to see ----------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_f89_whatever_is_done_with_a_store_git_sees_nothing_of_it(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    root = tmp_path / "repository"
    root.mkdir()

    def git(*arguments):
        command = [shutil.which("git"), "-C", str(root), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    git("init", "--quiet")
    baselines = Baselines(Store(root / ".inferopt"))
    for content in (b"a model", b"another model"):
        (tmp_path / "made.onnx").write_bytes(content)
        saved = baselines.save(manifest(content), {digest_of(content): tmp_path / "made.onnx"})
    baselines.accept(saved)
    export_bundle(baselines.all(), baselines, baselines.store.root / "b.zip")
    bundle_module.import_bundle(baselines.store.root / "b.zip", baselines)
    for entry in baselines.entries():
        entry.path.write_text("{")
    with pytest.raises(NotMeasuredError):
        baselines.at(key_of(saved), COMMIT)
    baselines.prune()
    baselines.store.prune()
    assert {path.name for path in baselines.store.root.iterdir()} == {
        ".gitignore", ".lock", "b.zip", "baselines", "models", "quarantine", "work",
    }  # fmt: skip
    assert git("status", "--porcelain", "--untracked-files=all") == ""
