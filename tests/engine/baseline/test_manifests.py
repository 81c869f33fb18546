from __future__ import annotations

import hashlib
import json
import os
import re
from datetime import UTC, datetime, timedelta

import pytest

from pytest_inferopt.domain.baseline import BaselineFile, BaselineVariant, Manifest, manifest_text
from pytest_inferopt.domain.environment import Environment
from pytest_inferopt.engine.baseline import manifests as baselines_module
from pytest_inferopt.engine.baseline.manifests import Baselines, entry_name, key_of, open_folder
from pytest_inferopt.engine.store.folder import Store
from pytest_inferopt.engine.store.lock import beside_others
from pytest_inferopt.errors import NotMeasuredError, UsageError

COMMIT, OTHER = "3f9c2e1a7b5d4c6e8f90123456789abcdef01234", "b" * 40
HERE = Environment(cpu_model="Intel Xeon", cpu_count=2, isa_flags=(), python="3.11.9", system="linux", libraries={})
MAIN, DATA = b"a model", b"its weights"
NOON = "2030-01-02T12:00:00+00:00"


def digest_of(data):
    return hashlib.sha256(data).hexdigest()


def manifest(*contents, **changes):
    """A baseline whose one variant has these files."""
    names = ("model.onnx", "model.onnx.data")
    files = tuple(
        BaselineFile(name=name, sha256=digest_of(content), size_bytes=len(content))
        for name, content in zip(names, contents or (MAIN,), strict=False)
    )
    variant = BaselineVariant(format="onnx", files=files, sha256=files[0].sha256, artifact={})
    fields = {
        "test_id": "test_a.py::test_a",
        "name": "churn",
        "commit": COMMIT,
        "saved_at": NOON,
        "environment": HERE,
        "variants": {"int8": variant},
    }
    return Manifest(**{**fields, **changes})


KEY = key_of(manifest())


@pytest.fixture
def baselines(tmp_path):
    return Baselines(Store(tmp_path / "store"))


@pytest.fixture
def save(baselines, tmp_path):
    """`save(MAIN, is_dirty=True)`: save a manifest of files with this content."""

    def save(*contents, **changes):
        told = manifest(*contents, **changes)
        given = {}
        for content in contents or (MAIN,):
            path = tmp_path / f"made-{digest_of(content)[:8]}"
            path.write_bytes(content)
            given[digest_of(content)] = path
        return baselines.save(told, given)

    return save


def files(folder):
    """Every file below a folder, with its content."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# --- saving and finding -------------------------------------------------------------------------------------------


def test_a_saved_baseline_is_found_at_its_commit_with_its_models_in_the_store(baselines, save):
    saved = save(MAIN, DATA)
    assert saved == manifest(MAIN, DATA) == baselines.at(KEY, COMMIT)
    assert files(baselines.store.root) == {
        ".gitignore": b"# Written by pytest-inferopt: nothing here belongs into version control.\n*\n",
        ".lock": b"",
        f"baselines/{KEY}/{COMMIT}.json": manifest_text(saved).encode(),
        f"models/{digest_of(MAIN)}.onnx": MAIN,
        f"models/{digest_of(DATA)}.data": DATA,
    }


def test_what_is_not_there_is_none(baselines, save):
    assert (baselines.at(KEY, COMMIT), baselines.newest_accepted(KEY), baselines.newest(KEY)) == (None, None, None)
    assert (baselines.all(), baselines.entries()) == ([], [])
    save()
    assert (baselines.at(KEY, OTHER), baselines.at("other", COMMIT), baselines.newest_accepted(KEY)) == (None,) * 3


@pytest.mark.parametrize("commit", ["", "*", "../*", COMMIT[:-1], COMMIT.upper(), "HEAD"])
def test_only_a_full_commit_finds_anything(baselines, save, commit):
    save()
    assert baselines.at(KEY, commit) is None


def test_a_clean_recording_takes_the_place_of_an_earlier_one_of_its_commit(baselines, save):
    save(b"first")
    second = save(b"second")
    save(b"third", commit=OTHER)
    assert (baselines.at(KEY, COMMIT), len(baselines.all())) == (second, 2)


def test_a_dirty_recording_takes_no_clean_ones_place_and_is_found_at_no_commit(baselines, save):
    clean = save()
    save(b"changed", is_dirty=True)
    save(b"changed again", is_dirty=True)
    save(b"changed again", is_dirty=True)
    assert (len(baselines.all()), baselines.at(KEY, COMMIT)) == (3, clean)


def test_an_accepted_baseline_is_not_lost_by_a_later_recording_of_its_commit(baselines, save):
    accepted = save(b"accepted", accepted_at=NOON)
    for content, changes in ((b"recorded", {}), (b"dirty", {"is_dirty": True})):
        save(content, **changes)
    assert (len(baselines.all()), baselines.newest_accepted(KEY), baselines.at(KEY, COMMIT)) == (3, accepted, accepted)


def test_an_accepted_baseline_of_changed_files_is_no_commits(baselines, save):
    accepted = save(is_dirty=True, accepted_at=NOON)
    assert (baselines.at(KEY, COMMIT), baselines.newest_accepted(KEY)) == (None, accepted)


@pytest.mark.parametrize("commit", [None, "../../x", "HEAD", "A" * 40])
def test_f84_what_is_no_commit_names_no_file(baselines, save, commit):
    saved = save(commit=commit)
    assert baselines.newest(KEY) == saved
    assert [entry.path.name for entry in baselines.entries()] == ["no-commit.json"]


def test_the_newest_is_the_last_saved_clean_one_and_else_the_last_saved(baselines, save):
    last = save(b"dirty", is_dirty=True, saved_at="2030-01-04T00:00:00+00:00")
    assert baselines.newest(KEY) == last
    save(b"first", saved_at="2030-01-01T00:00:00+00:00")
    clean = save(b"second", commit=OTHER, saved_at="2030-01-02T00:00:00+00:00")
    assert baselines.newest(KEY) == clean
    assert [found.saved_at[8:10] for found in baselines.all()] == ["04", "02", "01"]


def test_a_file_that_is_not_given_is_taken_from_the_store(baselines, save):
    save()
    assert baselines.save(manifest(commit=OTHER)) == baselines.at(KEY, OTHER)


def test_f87_a_file_that_is_nowhere_leaves_what_was_there(baselines, save):
    save()
    before = files(baselines.store.root)
    with pytest.raises(NotMeasuredError) as caught:
        baselines.save(manifest(MAIN, DATA))
    place = baselines.store.root / "models" / f"{digest_of(DATA)}.data"
    assert str(caught.value) == (
        f"the baseline's file 'model.onnx.data' is missing: {place} is not there. Optimize the model again."
    )
    assert files(baselines.store.root) == before


def test_a_file_that_is_another_one_is_not_saved_as_the_baselines(baselines, tmp_path):
    path = tmp_path / "made.onnx"
    path.write_bytes(b"another model")
    with pytest.raises(NotMeasuredError) as caught:
        baselines.save(manifest(), {digest_of(MAIN): path})
    assert str(caught.value) == (
        f"the baseline's file 'model.onnx' is another one: {path} has SHA-256 {digest_of(b'another model')}, "
        f"not {digest_of(MAIN)}. Optimize the model again."
    )
    assert baselines.entries() == []


# --- accepting, removing and pruning ------------------------------------------------------------------------------


def test_f80_an_accepted_baseline_keeps_what_this_version_does_not_know(baselines, save):
    saved = save(weather="rain", environment=HERE.model_copy(update={"moon": "full"}))
    accepted = baselines.accept(saved, now=datetime(2030, 1, 3, tzinfo=UTC))
    assert accepted == saved.model_copy(update={"accepted_at": "2030-01-03T00:00:00+00:00"})
    (entry,) = baselines.entries()
    document = json.loads(entry.path.read_text())
    assert (document["weather"], document["environment"]["moon"]) == ("rain", "full")
    assert baselines.newest_accepted(KEY) == accepted == baselines.at(KEY, COMMIT)


def test_what_is_accepted_now_says_so_in_utc(baselines, save):
    before = datetime.now(UTC).replace(microsecond=0)
    accepted = datetime.fromisoformat(baselines.accept(save()).accepted_at)
    assert before <= accepted <= datetime.now(UTC)
    assert accepted.utcoffset() == timedelta(0)


def test_e72_what_is_accepted_last_is_the_newest_though_the_clock_was_set_back(baselines, save):
    save(b"first", accepted_at="2035-01-01T00:00:00+00:00")
    second = save(b"second", commit=OTHER, accepted_at=NOON)
    assert (second.accepted_at, baselines.newest_accepted(KEY)) == ("2035-01-01T00:00:01+00:00", second)
    first = baselines.at(KEY, COMMIT)
    again = baselines.accept(first, now=datetime(2030, 1, 1, tzinfo=UTC))
    assert (again.accepted_at, baselines.newest_accepted(KEY)) == ("2035-01-01T00:00:02+00:00", again)
    assert len(baselines.all()) == 2


def test_after_an_acceptance_at_the_end_of_time_there_can_still_be_another(save):
    save(b"first", accepted_at="9999-12-31T23:59:59+00:00")
    assert save(b"second", accepted_at=NOON).accepted_at == NOON


def test_a_removed_baseline_is_gone_and_its_models_stay_until_they_are_pruned(baselines, save):
    saved = save()
    assert (baselines.remove(saved), baselines.remove(saved)) == (True, False)
    assert (baselines.all(), baselines.store.find(digest_of(MAIN), ".onnx") is not None) == ([], True)


def test_pruning_keeps_the_models_of_what_is_left(baselines, save):
    now = datetime.now(UTC) + timedelta(days=40)
    save(b"old")
    kept = save(b"accepted", commit=OTHER, accepted_at=NOON)
    os.utime(next(entry.path for entry in baselines.entries() if entry.manifest == kept))
    with beside_others(baselines.store.root):
        assert baselines.prune(now=now) == 0
    old = baselines.store.root / "baselines" / KEY / f"{COMMIT}.json"
    os.utime(old, (0, 0))
    assert (baselines.prune(), baselines.store.prune(now=now.timestamp())) == (1, 1)
    assert (baselines.all(), baselines.open_files(kept, "int8", baselines.store.folder("work")).read_bytes()) == (
        [kept],
        b"accepted",
    )


def test_using_a_baseline_keeps_it_from_being_pruned(baselines, save):
    save(commit=OTHER)
    save()
    paths = [entry.path for entry in baselines.entries()]
    for path in paths:
        os.utime(path, (0, 0))
    assert baselines.at(KEY, COMMIT) is not None
    assert baselines.prune() == 1
    assert [path.name for path in paths if path.exists()] == [f"{COMMIT}.json"]


# --- opening files ------------------------------------------------------------------------------------------------


def test_a_variants_files_lie_under_the_names_that_they_know_each_other_by(baselines, save, tmp_path):
    saved = save(MAIN, DATA)
    opened = baselines.open_files(saved, "int8", tmp_path / "opened")
    assert opened == tmp_path / "opened" / "model.onnx"
    assert files(tmp_path / "opened") == {"model.onnx": MAIN, "model.onnx.data": DATA}


def test_a_file_below_the_model_is_laid_below_it(baselines, tmp_path):
    path = tmp_path / "made"
    path.write_bytes(MAIN)
    file = BaselineFile(name="weights/1.bin", sha256=digest_of(MAIN), size_bytes=7)
    variant = BaselineVariant(format="onnx", files=(file,), sha256=file.sha256, artifact={})
    saved = baselines.save(manifest(variants={"int8": variant}), {file.sha256: path})
    assert baselines.open_files(saved, "int8", tmp_path / "opened") == tmp_path / "opened" / "weights" / "1.bin"
    assert files(tmp_path / "opened") == {"weights/1.bin": MAIN}


def test_where_files_cannot_be_linked_they_are_copied(baselines, save, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", fail)
    opened = baselines.open_files(save(), "int8", tmp_path / "opened")
    assert (opened.read_bytes(), opened.stat().st_nlink) == (MAIN, 1)


def test_a_variant_that_the_baseline_does_not_have_is_named_with_those_that_it_has(baselines, save, tmp_path):
    with pytest.raises(NotMeasuredError) as caught:
        baselines.open_files(save(), "fp16", tmp_path)
    assert str(caught.value) == "the baseline of churn has no variant 'fp16'; it has: int8."


def test_a_folder_that_cannot_be_written_is_named_and_the_baseline_stays(baselines, save, tmp_path):
    (tmp_path / "file").touch()
    saved = save()
    with pytest.raises(NotMeasuredError) as caught:
        baselines.open_files(saved, "int8", tmp_path / "file")
    assert str(caught.value) == f"{tmp_path / 'file' / 'model.onnx'} cannot be written: File exists. Make room."
    assert baselines.all() == [saved]


def test_a_copy_that_does_not_fit_is_no_damage_to_the_baseline(baselines, save, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    saved = save()
    monkeypatch.setattr(os, "link", fail)
    monkeypatch.setattr(baselines_module.shutil, "copyfileobj", fail)
    with pytest.raises(NotMeasuredError, match=re.escape("model.onnx cannot be written: the copy of")):
        baselines.open_files(saved, "int8", tmp_path / "opened")
    assert (files(tmp_path / "opened"), baselines.all()) == ({}, [saved])


# --- damage -------------------------------------------------------------------------------------------------------


def damaged(baselines, what):
    """Where the damage is."""
    root = baselines.store.root
    path = (
        root / "models" / f"{digest_of(MAIN)}.onnx" if what == "model" else root / "baselines" / KEY / f"{COMMIT}.json"
    )
    content = path.read_bytes()
    path.write_bytes(content[:-5] + b"?" + content[-4:])
    return path


@pytest.mark.parametrize("find", ["at", "newest", "newest_accepted"])
def test_f76_a_damaged_manifest_is_told_once_and_lies_in_quarantine_then(baselines, save, find):
    save(accepted_at=NOON) if find == "newest_accepted" else save()
    (entry,) = baselines.entries()
    entry.path.write_bytes(entry.path.read_bytes()[:-20])
    torn = entry.path.read_bytes()
    ask = {"at": lambda: baselines.at(KEY, COMMIT), "newest": lambda: baselines.newest(KEY)}.get(
        find, lambda: baselines.newest_accepted(KEY)
    )
    place = baselines.store.root / "quarantine" / f"{KEY}-{entry.path.name}"
    with pytest.raises(NotMeasuredError) as caught:
        ask()
    assert str(caught.value).startswith(f"{entry.path}: not valid JSON (")
    assert str(caught.value).endswith(
        f" What is left is in {place}. Save the baseline again; until then there is none."
    )
    assert (ask(), baselines.entries(), place.read_bytes()) == (None, [], torn)


def test_f77_a_damaged_model_is_told_once_and_lies_in_quarantine_with_its_manifest(baselines, save, tmp_path):
    saved = save()
    path = damaged(baselines, "model")
    place = baselines.store.root / "quarantine"
    with pytest.raises(NotMeasuredError) as caught:
        baselines.open_files(saved, "int8", tmp_path / "opened")
    assert str(caught.value) == (
        f"{path} is damaged: its content is not what was written. What is left is in {place / f'models-{path.name}'}. "
        "Save the baseline again; until then there is none."
    )
    assert (files(tmp_path / "opened"), path.exists(), baselines.at(KEY, COMMIT)) == ({}, False, None)
    assert sorted(found.name for found in place.iterdir()) == [f"{KEY}-{COMMIT}.json", f"models-{path.name}"]


def test_f88_a_missing_companion_is_named_and_the_manifest_is_of_no_use_any_more(baselines, save, tmp_path):
    saved = save(MAIN, DATA)
    path = baselines.store.root / "models" / f"{digest_of(DATA)}.data"
    path.unlink()
    with pytest.raises(NotMeasuredError) as caught:
        baselines.open_files(saved, "int8", tmp_path / "opened")
    assert str(caught.value).startswith(
        f"the baseline of churn needs 'model.onnx.data', and {path} is not there. What is left is in "
    )
    assert baselines.at(KEY, COMMIT) is None


def test_what_was_damaged_can_be_saved_again(baselines, save, tmp_path):
    save()
    damaged(baselines, "model")
    damaged(baselines, "manifest")
    saved = save()
    assert baselines.at(KEY, COMMIT) == saved
    assert baselines.open_files(saved, "int8", tmp_path / "opened").read_bytes() == MAIN


def test_a_manifest_in_another_tests_place_is_not_that_tests_baseline(baselines, save):
    save()
    (entry,) = baselines.entries()
    moved = baselines.store.folder("baselines/other") / entry.path.name
    entry.path.rename(moved)
    with pytest.raises(
        NotMeasuredError, match=re.escape(f"{moved} is not in its place: it is a baseline of test_a.py")
    ):
        baselines.at("other", COMMIT)


def test_f78_a_manifest_of_a_newer_version_asks_for_an_upgrade_and_stays(baselines, save):
    save()
    (entry,) = baselines.entries()
    entry.path.write_text('{"schema_version": 99}')
    for _ in range(2):
        with pytest.raises(UsageError, match=re.escape(f"{entry.path} has schema version 99")):
            baselines.at(KEY, COMMIT)
    assert (entry.path.read_text(), baselines.all()) == ('{"schema_version": 99}', [])


def test_a_list_of_baselines_shows_what_is_wrong_and_moves_nothing(baselines, save, monkeypatch):
    save()
    whole = save(commit=OTHER)
    damaged(baselines, "manifest")
    before = files(baselines.store.root)
    told, other = baselines.entries()
    problem = f"{told.path} is damaged: its content is not what was written. Save the baseline again."
    assert (told.manifest, str(told.problem)) == (None, problem)
    assert (other.manifest, other.problem) == (whole, None)
    assert baselines.all() == [whole]
    assert files(baselines.store.root) == before

    def fail(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(baselines_module, "open_plain", fail)
    assert [str(entry.problem) for entry in baselines.entries()] == [
        f"{entry.path} cannot be read: Permission denied." for entry in (told, other)
    ]


def test_a_manifest_that_another_process_removes_meanwhile_is_none(baselines, save, monkeypatch):
    save()
    paths = [entry.path for entry in baselines.entries()]

    def listed_and_removed(*_):
        for path in paths:
            path.unlink(missing_ok=True)
        return paths

    monkeypatch.setattr(baselines_module, "entry_paths", listed_and_removed)
    assert baselines.newest(KEY) is None
    (entry,) = baselines.entries()
    assert (entry.manifest, str(entry.problem)) == (None, f"{paths[0]} cannot be read: No such file or directory.")


# --- a folder of the user's ---------------------------------------------------------------------------------------


def test_a_folder_of_the_users_is_read_and_nothing_in_it_is_moved(baselines, save, tmp_path):
    saved = save(MAIN, DATA)
    root = baselines.store.root
    before = {path: path.lstat().st_mtime_ns for path in root.rglob("*")}
    other = open_folder(root)
    assert other.at(KEY, COMMIT) == saved
    assert files(other.open_files(saved, "int8", tmp_path / "opened").parent) == {
        "model.onnx": MAIN,
        "model.onnx.data": DATA,
    }
    assert {path: path.lstat().st_mtime_ns for path in root.rglob("*")} == before
    path = damaged(baselines, "model")
    there = files(root)
    for _ in range(2):
        with pytest.raises(NotMeasuredError) as caught:
            other.open_files(saved, "int8", tmp_path / "again")
        assert str(caught.value) == (
            f"{path} is damaged: its content is not what was written. Export or save the baseline again."
        )
    assert files(root) == there


@pytest.mark.parametrize("kind", ["empty", "file", "missing", "link"])
def test_a_folder_without_baselines_is_no_source_of_them(baselines, save, tmp_path, kind):
    save()
    path = tmp_path / "other"
    if kind == "file":
        path.touch()
    elif kind != "missing":
        path.mkdir()
    if kind == "link":
        (path / "baselines").symlink_to(baselines.store.root / "baselines")
    with pytest.raises(UsageError) as caught:
        open_folder(path)
    assert str(caught.value) == (
        f"{path} is no folder of baselines: there is no folder 'baselines' in it. Name a store or an unpacked bundle."
    )


def test_the_name_of_an_entry_depends_on_nothing_that_a_later_version_adds():
    told = manifest(accepted_at=NOON)
    later = told.model_copy(update={"new_field": 1, "tool_version": "9", "saved_at": "", "environment": None})
    assert entry_name(told) == entry_name(later) == f"{COMMIT}-accepted-09262792.json"
