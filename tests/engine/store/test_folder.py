from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from pytest_inferopt.engine.store import folder as store_module
from pytest_inferopt.engine.store.folder import Store, entry_key, file_sha256, kept_name, result_key
from pytest_inferopt.engine.store.lock import beside_others
from pytest_inferopt.errors import NotMeasuredError, RefusedError


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"a model")
    return path


def files(store):
    """Every file below a store, with its content."""
    return {
        str(path.relative_to(store.root)): path.read_bytes() for path in sorted(store.root.rglob("*")) if path.is_file()
    }


def digest_of(data):
    return hashlib.sha256(data).hexdigest()


def test_nothing_is_written_before_something_is_kept(store):
    assert not store.root.exists()


def test_a_model_is_kept_under_its_content(store, model):
    digest = digest_of(b"a model")
    path = store.root / "models" / f"{digest}.onnx"
    assert store.keep(model) == (path, digest)
    assert files(store).keys() == {".gitignore", f"models/{digest}.onnx"}
    assert path.read_bytes() == model.read_bytes() == b"a model"


def test_the_same_content_is_kept_once(store, model, tmp_path):
    (tmp_path / "other.onnx").write_bytes(b"a model")
    kept, _ = store.keep(model)
    before = kept.stat().st_ino
    assert store.keep(tmp_path / "other.onnx") == store.keep(model) == (kept, digest_of(b"a model"))
    assert (kept.stat().st_ino, len(files(store))) == (before, 2)


def test_a_model_that_changes_is_kept_beside_what_it_was(store, model):
    first, _ = store.keep(model)
    model.write_bytes(b"another model")
    second, _ = store.keep(model)
    assert (first.read_bytes(), second.read_bytes()) == (b"a model", b"another model")


@pytest.mark.parametrize("fault", ["copy", "replace"])
def test_e67_a_write_that_fails_names_the_path_and_leaves_nothing_behind(store, model, monkeypatch, fault):
    def fail(*_):
        raise OSError(28, "No space left on device")

    store.keep(model)
    before = files(store)
    model.write_bytes(b"another model")
    if fault == "copy":
        monkeypatch.setattr(store_module.shutil, "copyfileobj", fail)
    else:
        monkeypatch.setattr(Path, "replace", fail)
    target = store.root / "models" / f"{digest_of(b'another model')}.onnx"
    with pytest.raises(NotMeasuredError, match=re.escape(f"{target} cannot be written: No space left on device.")):
        store.keep(model)
    assert files(store) == before


def test_a_kept_model_that_was_damaged_is_made_whole_when_it_is_kept_again(store, model):
    kept, digest = store.keep(model)
    kept.write_bytes(b"b model")
    assert store.keep(model) == (kept, digest)
    assert kept.read_bytes() == b"a model"


def test_a_model_that_changes_while_it_is_kept_is_not_kept_under_the_digest_of_what_it_was(store, model, monkeypatch):
    monkeypatch.setattr(store_module, "file_sha256", lambda _: digest_of(b"what it was before"))
    with pytest.raises(NotMeasuredError) as caught:
        store.keep(model)
    assert str(caught.value) == f"{model} was changed while it was copied. Run again when nobody writes."
    assert list((store.root / "models").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("a.onnx", ".onnx"), ("a.b.data", ".data"), ("a", ""), ("a.two words", ""), ("a." + "x" * 99, "")],
)
def test_f84_only_a_plain_suffix_stays_on_a_kept_file(store, model, name, suffix):
    digest = digest_of(b"a model")
    assert kept_name(digest, name) == digest + suffix
    kept, _ = store.keep(model, name=name)
    assert kept.name == digest + suffix
    assert store.find(digest, Path(name).suffix) == kept


def test_many_writers_of_one_model_all_find_it_whole(store, tmp_path):
    content = os.urandom(300_000)
    paths = [tmp_path / f"{number}.onnx" for number in range(8)]
    for path in paths:
        path.write_bytes(content)
    with ThreadPoolExecutor(8) as pool:
        kept = set(pool.map(store.keep, paths))
    ((path, digest),) = kept
    assert (path.read_bytes(), digest, len(files(store))) == (content, digest_of(content), 2)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_store_is_a_folder_that_git_does_not_see(store, model, tmp_path):
    def git(*arguments):
        return subprocess.run([shutil.which("git"), *arguments], cwd=tmp_path, check=True, capture_output=True).stdout

    git("init", "-q")
    store.keep(model)
    model.unlink()
    assert git("status", "--porcelain") == b""


def test_an_own_gitignore_in_the_store_is_left_as_it_is(store, model):
    store.root.mkdir()
    (store.root / ".gitignore").write_text("models/\n")
    store.keep(model)
    assert files(store)[".gitignore"] == b"models/\n"


def test_a_working_folder_is_empty_and_gone_afterwards_with_all_that_is_in_it(store):
    with store.working_folder() as one, store.working_folder() as other:
        assert (list(one.iterdir()), one == other) == ([], False)
        (one / "sub").mkdir()
        (one / "sub" / "file").write_text("x")
    assert list((store.root / "work").iterdir()) == []


def test_a_working_folder_is_gone_after_a_failure_too(store):
    def work():
        with store.working_folder() as folder:
            (folder / "file").write_text("x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert list((store.root / "work").iterdir()) == []


def test_a_working_folder_that_somebody_has_removed_is_no_failure(store):
    with store.working_folder() as folder:
        folder.rmdir()
    assert not folder.exists()


def test_a_store_stays_where_it_was_when_the_current_folder_changes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = Store(Path("cache"))
    monkeypatch.chdir("/")
    assert store.root == tmp_path / "cache"


def test_a_link_of_the_users_is_followed_as_it_stands(tmp_path, model):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    path, _ = Store(tmp_path / "link").keep(model)
    assert path.parent == tmp_path / "link" / "models"
    assert (tmp_path / "real" / "models" / path.name).read_bytes() == b"a model"


def test_the_digest_is_of_the_content(model):
    assert file_sha256(model) == digest_of(b"a model")


# --- documents and pruning --------------------------------------------------------------------------------------

DAY = 86_400


def used(path, days_ago, now):
    os.utime(path, (now - days_ago * DAY,) * 2)


def test_a_document_comes_back_under_its_key(store):
    path = store.put("steps", "a1", {"figure": 1.5, "none": None})
    assert path == store.root / "steps" / "a1.json"
    assert store.get("steps", "a1") == {"figure": 1.5, "none": None}
    assert (store.get("steps", "a2"), store.get("results", "a1")) == (None, None)


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff"])
def test_a_document_that_cannot_be_read_is_none(store, content):
    store.put("steps", "a1", {}).write_bytes(content)
    assert store.get("steps", "a1") is None


def test_a_kept_model_is_found_by_its_digest_while_it_is_what_it_was(store, model):
    kept, digest = store.keep(model)
    assert store.find(digest, ".onnx") == kept
    assert (store.find(digest, ".pkl"), store.find("0" * 64, ".onnx")) == (None, None)
    kept.write_bytes(b"torn")
    assert store.find(digest, ".onnx") is None


def test_what_was_not_used_for_a_month_is_pruned_and_what_was_stays(store, model):
    now = 1_800_000_000.0
    old, digest = store.keep(model)
    model.write_bytes(b"another model")
    young, _ = store.keep(model)
    step = store.put("steps", "a1", {})
    for path, days in ((old, 31), (young, 29), (step, 31)):
        used(path, days, now)
    assert store.prune(now=now) == 2
    assert [path for path in (old, young, step) if path.exists()] == [young]
    assert store.find(digest, ".onnx") is None


def test_using_something_keeps_it_from_being_pruned(store, model):
    kept, digest = store.keep(model)
    step = store.put("steps", "a1", {})
    for path in (kept, step):
        used(path, 31, kept.stat().st_mtime)
    assert (store.find(digest, ".onnx"), store.get("steps", "a1")) == (kept, {})
    assert store.prune() == 0


def test_beyond_its_size_the_least_recently_used_goes_first(store, model):
    now = 1_800_000_000.0
    paths = []
    for days in (3, 2, 1):
        model.write_bytes(bytes([days]) * 100)
        path, _ = store.keep(model)
        used(path, days, now)
        paths.append(path)
    assert store.prune(max_bytes=200, now=now) == 1
    assert [path.exists() for path in paths] == [False, True, True]


def test_a_working_folder_that_a_killed_process_left_is_removed_after_a_day(store):
    now = 1_800_000_000.0
    store.keep(Path(__file__))
    left, current = (store.root / "work" / name for name in ("left", "current"))
    for folder, hours in ((left, 25), (current, 23)):
        folder.mkdir(parents=True)
        (folder / "rows.pkl").touch()
        used(folder, hours / 24, now)
    used(next((store.root / "models").iterdir()), 0, now)
    assert store.prune(now=now) == 0
    assert (left.exists(), current.exists()) == (False, True)


def test_pruning_a_store_that_was_never_used_does_nothing(store):
    assert store.prune() == 0
    assert not store.root.exists()


def test_e69_where_the_store_cannot_be_written_a_temporary_folder_serves_and_says_so(tmp_path, model):
    (tmp_path / "file").touch()
    lost = tmp_path / "file" / "store"
    store = Store(lost)
    kept, digest = store.keep(model)
    assert kept.read_bytes() == b"a model"
    assert store.find(digest, ".onnx") == kept
    assert store.warning == (
        f"the store {lost} cannot be written (Not a directory); a temporary folder is used, and nothing is kept for "
        "the next run. Name a folder that can be written: --inferopt-store PATH."
    )


def test_e69_a_store_that_belongs_to_somebody_else_is_left_alone(store, model, monkeypatch):
    store.keep(model)
    before, lost = files(store), store.root
    # The tests may run as root, whom no permission bit stops.
    monkeypatch.setattr(os, "access", lambda path, _: not path.is_relative_to(lost))
    model.write_bytes(b"another model")
    kept, digest = store.keep(model)
    assert (kept, kept.read_bytes()) == (store.root / "models" / f"{digest}.onnx", b"another model")
    assert store.warning.startswith(f"the store {lost} cannot be written (Permission denied); a temporary folder is")
    assert files(Store(lost)) == before


def test_a_store_that_can_be_written_warns_of_nothing(store, model):
    store.keep(model)
    assert store.warning == ""


@pytest.mark.parametrize("hours", [-2, 0, 5])
def test_what_was_used_within_the_last_hours_stays_because_a_manifest_may_be_about_to_name_it(store, model, hours):
    now = 1_800_000_000.0
    kept, _ = store.keep(model)
    used(kept, hours / 24, now)
    assert store.prune(max_bytes=0, max_age_days=0, now=now) == 0
    used(kept, 7 / 24, now)
    assert store.prune(max_bytes=0, max_age_days=0, now=now) == 1


def pinned(store, digest, content='{{"sha256": "{digest}"}}', name="commit-accepted-1.json"):
    folder = store.folder("baselines/key")
    path = folder / name
    path.write_text(content.format(digest=digest))
    return path


@pytest.mark.parametrize(
    "content", ['{{"sha256": "{digest}"}}', '{{"schema_version": 99, "blobs": ["sha256:{digest}"]}}', "torn {digest}"]
)
def test_f78_a_model_that_a_manifest_names_stays_whatever_version_wrote_it(store, model, content):
    now = 1_800_000_000.0
    needed, digest = store.keep(model)
    model.write_bytes(b"another model")
    other, _ = store.keep(model)
    for path in (needed, other):
        used(path, 400, now)
    pinned(store, digest, content)
    assert store.prune(now=now, max_bytes=0) == 1
    assert (needed.exists(), other.exists()) == (True, False)


def test_where_a_manifest_cannot_be_read_no_model_is_pruned_because_nobody_knows_what_it_needs(
    store, model, monkeypatch
):
    now = 1_800_000_000.0
    kept, digest = store.keep(model)
    used(kept, 400, now)
    pinned(store, digest)

    def fail(*_):
        raise PermissionError(13, "Permission denied")

    # The tests may run as root, whom no permission bit stops.
    monkeypatch.setattr("pytest_inferopt.engine.store.pruning.open_plain", fail)
    assert (store.prune(now=now), kept.exists()) == (0, True)


def test_nothing_is_pruned_while_somebody_saves(store, model):
    kept, _ = store.keep(model)
    used(kept, 400, 1_800_000_000.0)
    with beside_others(store.root):
        assert store.prune(now=1_800_000_000.0) == 0
    assert store.prune(now=1_800_000_000.0) == 1


def test_e72_after_a_clock_was_set_back_what_has_a_time_to_come_stays_and_counts_as_used_last(store, model):
    now = 1_800_000_000.0
    paths = []
    for days in (-300, 20, 10):
        model.write_bytes(bytes([days % 256]) * 100)
        path, _ = store.keep(model)
        used(path, days, now)
        paths.append(path)
    assert store.prune(now=now) == 0
    assert store.prune(max_bytes=200, now=now) == 1
    assert [path.exists() for path in paths] == [True, False, True]


# --- planted links ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["models", "work", "results"])
def test_f85_a_link_in_the_place_of_a_folder_is_neither_written_to_nor_pruned(store, tmp_path, name):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("precious")
    (outside / "folder").mkdir()
    for path in (outside / "precious", outside / "folder"):
        used(path, 400, 1_800_000_000.0)
    store.root.mkdir()
    (store.root / ".gitignore").write_text("*\n")
    (store.root / name).symlink_to(outside)
    with pytest.raises(RefusedError) as caught:
        store.folder(name)
    assert str(caught.value) == (
        f"{store.root / name} is a link, and none is followed inside of a store. Remove it; to keep the whole store "
        "elsewhere, name its place: --inferopt-store PATH."
    )
    assert store.prune(now=1_800_000_000.0, max_bytes=0) == 0
    assert files(store).keys() == {".gitignore", ".lock"}
    assert sorted(path.name for path in outside.iterdir()) == ["folder", "precious"]


def test_f85_a_link_in_the_place_of_a_file_is_replaced_and_what_it_leads_to_stays(store, model, tmp_path):
    outside = tmp_path / "outside"
    outside.write_bytes(b"a model")
    digest = digest_of(b"a model")
    for place in ("models", "steps"):
        store.folder(place)
    planted = store.root / "models" / f"{digest}.onnx"
    document = store.root / "steps" / "a.json"
    for path in (planted, document):
        path.symlink_to(outside)
    assert (store.find(digest, ".onnx"), store.get("steps", "a")) == (None, None)
    store.keep(model)
    store.put("steps", "a", {})
    assert [path.is_symlink() for path in (planted, document)] == [False, False]
    assert outside.read_bytes() == b"a model"


def test_f85_a_link_that_leads_nowhere_is_not_what_the_store_ignores_itself_through(store, model, tmp_path):
    store.root.mkdir()
    (store.root / ".gitignore").symlink_to(tmp_path / "made")
    store.keep(model)
    assert not (tmp_path / "made").exists()


def test_f85_a_pruned_link_is_gone_and_what_it_leads_to_stays(store, tmp_path):
    outside = tmp_path / "outside"
    outside.write_bytes(b"precious")
    planted = store.folder("models") / "planted"
    planted.symlink_to(outside)
    os.utime(planted, (0, 0), follow_symlinks=False)
    assert store.prune() == 1
    assert (planted.is_symlink(), outside.read_bytes()) == (False, b"precious")


# --- models of several files ------------------------------------------------------------------------------------


def test_f88_a_model_is_kept_with_the_files_beside_it(store, model):
    (model.parent / "weights").mkdir()
    data, more = model.with_name("model.onnx.data"), model.parent / "weights" / "1.bin"
    data.write_bytes(b"weights")
    more.write_bytes(b"more")
    kept = store.keep_set(model, [data, more])
    assert [(file.name, file.path.read_bytes(), file.sha256, file.size_bytes) for file in kept.files] == [
        ("model.onnx", b"a model", digest_of(b"a model"), 7),
        ("model.onnx.data", b"weights", digest_of(b"weights"), 7),
        ("weights/1.bin", b"more", digest_of(b"more"), 4),
    ]


def test_the_digest_of_a_model_is_of_all_its_files_whatever_the_main_one_is_called(store, model):
    data = model.with_name("model.onnx.data")
    data.write_bytes(b"weights")
    both, alone = store.keep_set(model, [data]), store.keep_set(model)
    assert alone.sha256 == digest_of(b"a model")
    assert store.keep_set(model.rename(model.with_name("other.onnx")), [data]).sha256 == both.sha256 != alone.sha256
    data.write_bytes(b"other weights")
    assert store.keep_set(model.with_name("other.onnx"), [data]).sha256 != both.sha256


@pytest.mark.parametrize("missing", ["main", "companion"])
def test_f88_a_missing_file_is_not_measured_and_nothing_is_kept_without_it(store, model, missing):
    data = model.with_name("model.onnx.data")
    if missing == "main":
        model.unlink()
        data.write_bytes(b"weights")
    name = model.name if missing == "main" else data.name
    with pytest.raises(NotMeasuredError) as caught:
        store.keep_set(model, [data])
    assert str(caught.value) == (
        f"{model} keeps a part of its content in '{name}', and there is no such file beside it. "
        "Copy or download it into the model's folder."
    )
    assert not store.root.exists()


@pytest.mark.parametrize("place", ["../outside.data", "/etc/passwd"])
def test_a_file_that_lies_elsewhere_is_not_kept_with_a_model(store, model, place):
    outside = model.parent / place
    with pytest.raises(RefusedError, match=re.escape(f"{outside} is no file beside {model}, or below. Put it into")):
        store.keep_set(model, [outside])
    assert not store.root.exists()


# --- keys of results --------------------------------------------------------------------------------------------


def key(name, test_id="test_a.py::test_a"):
    return result_key(SimpleNamespace(name=name, test_id=test_id))


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a\0b", "\udcff", "💡", "x" * 300, "CON", ".", ""])
def test_f84_any_name_makes_a_key_that_is_a_plain_file_name(name):
    assert re.fullmatch(r"([a-z0-9][a-z0-9-]*-)?[0-9a-f]{16}", key(name))
    assert len(key(name)) < 64


def test_f84_names_that_a_filesystem_may_take_for_one_have_keys_of_their_own():
    names = ["churn", "Churn", "caf\u00e9", "cafe\u0301", "x" * 299, "x" * 300, "a-b", "a b"]
    assert len({key(name).lower() for name in names}) == len(names)


def test_a_name_that_is_no_text_has_the_key_of_what_stands_in_its_record():
    assert entry_key("test_\udcff.py::a", "b\udcff") == entry_key("test_\\udcff.py::a", "b\\udcff")


def test_the_same_call_of_the_same_test_has_the_same_key():
    assert key("churn") == key("churn") != key("churn", "test_b.py::test_a")
    assert key("Churn model").startswith("churn-model-")
