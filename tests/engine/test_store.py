from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pytest_inferopt.engine import store as store_module
from pytest_inferopt.engine.store import Store, file_sha256
from pytest_inferopt.errors import NotMeasuredError


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
    before = kept.stat().st_mtime_ns
    assert store.keep(tmp_path / "other.onnx") == store.keep(model) == (kept, digest_of(b"a model"))
    assert (kept.stat().st_mtime_ns, len(files(store))) == (before, 2)


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
