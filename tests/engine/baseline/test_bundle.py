from __future__ import annotations

import hashlib
import io
import json
import re
import stat
import zipfile

import pytest

from pytest_inferopt.domain.baseline import BaselineFile, BaselineVariant, Manifest, manifest_text
from pytest_inferopt.domain.environment import Environment
from pytest_inferopt.engine.baseline import bundle as bundle_module
from pytest_inferopt.engine.baseline.bundle import export_bundle, import_bundle, open_bundle
from pytest_inferopt.engine.baseline.manifests import Baselines, key_of
from pytest_inferopt.engine.store import archive as archive_module
from pytest_inferopt.engine.store.folder import Store
from pytest_inferopt.errors import NotMeasuredError, RefusedError, UsageError

COMMIT, OTHER = "3f9c2e1a7b5d4c6e8f90123456789abcdef01234", "b" * 40
HERE = Environment(cpu_model="Intel Xeon", cpu_count=2, isa_flags=(), python="3.11.9", system="linux", libraries={})
MAIN, DATA = b"a model " * 100, b"its weights " * 100
AGAIN = "Export the bundle again."


def digest_of(data):
    return hashlib.sha256(data).hexdigest()


def manifest(**changes):
    """A baseline whose one variant has two files."""
    files = tuple(
        BaselineFile(name=name, sha256=digest_of(content), size_bytes=len(content))
        for name, content in (("model.onnx", MAIN), ("model.onnx.data", DATA))
    )
    variant = BaselineVariant(format="onnx", files=files, sha256=files[0].sha256, artifact={})
    fields = {
        "tool_version": "0.1.0",
        "test_id": "test_a.py::test_a",
        "name": "churn",
        "commit": COMMIT,
        "saved_at": "2030-01-02T12:00:00+00:00",
        "environment": HERE,
        "variants": {"int8": variant},
    }
    return Manifest(**{**fields, **changes})


KEY = key_of(manifest())
ENTRY = f"baselines/{KEY}/{COMMIT}.json"
MODEL = f"models/{digest_of(MAIN)}.onnx"
MODEL_DATA = f"models/{digest_of(DATA)}.data"


def saved(root, *manifests):
    baselines = Baselines(Store(root))
    given = {}
    for content in (MAIN, DATA):
        path = root.parent / f"made-{digest_of(content)[:8]}"
        path.write_bytes(content)
        given[digest_of(content)] = path
    for told in manifests or (manifest(),):
        baselines.save(told, given)
    return baselines


@pytest.fixture
def baselines(tmp_path):
    return saved(tmp_path / "store")


@pytest.fixture
def path(baselines, tmp_path):
    """A bundle of one baseline."""
    export_bundle(baselines.all(), baselines, tmp_path / "bundle.zip")
    return tmp_path / "bundle.zip"


@pytest.fixture
def into(tmp_path):
    return Baselines(Store(tmp_path / "other"))


def files(folder):
    """Every file below a folder, with its content."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def content(path):
    """Name and content of each member of a zip."""
    with zipfile.ZipFile(path) as bundle:
        return {name: bundle.read(name) for name in bundle.namelist()}


def packed(path, members, **how):
    """Write a zip of these members: name to content, or a `ZipInfo` to content."""
    with zipfile.ZipFile(path, "w", **how) as bundle:
        for name, data in members.items() if isinstance(members, dict) else members:
            bundle.writestr(name, data)
    return path


def refused(path, into):
    """What is said of a bundle; the store that it was to go into is as it was."""
    before = files(into.store.root) if into.store.root.exists() else {}
    with pytest.raises((RefusedError, NotMeasuredError, UsageError)) as caught:
        import_bundle(path, into)
    after = files(into.store.root)
    assert {name: data for name, data in after.items() if name != ".gitignore"} == {
        name: data for name, data in before.items() if name != ".gitignore"
    }
    return type(caught.value), str(caught.value)


# --- writing ------------------------------------------------------------------------------------------------------


def test_a_bundle_holds_manifests_models_and_an_index_and_nothing_else(path):
    assert content(path) == {
        "index.json": content(path)["index.json"],
        ENTRY: manifest_text(manifest()).encode(),
        MODEL_DATA: DATA,
        MODEL: MAIN,
    }
    index = json.loads(content(path)["index.json"])
    assert (index["schema_version"], index["files"]) == (
        1,
        {
            ENTRY: digest_of(manifest_text(manifest()).encode()),
            MODEL_DATA: digest_of(DATA),
            MODEL: digest_of(MAIN),
        },
    )


def test_the_same_baselines_make_the_same_bytes(tmp_path):
    both = manifest(), manifest(commit=OTHER)
    for name, order in (("one", both), ("two", both[::-1])):
        export_bundle(order, saved(tmp_path / name, *order), tmp_path / f"{name}.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


@pytest.mark.parametrize("damage", ["missing", "flipped", "link"])
def test_a_model_that_is_missing_or_damaged_is_not_exported_and_the_old_bundle_stays(baselines, path, damage, tmp_path):
    before = path.read_bytes()
    model = baselines.store.root / MODEL
    model.unlink()
    if damage == "flipped":
        model.write_bytes(b"b" + MAIN[1:])
    elif damage == "link":
        (tmp_path / "outside").write_bytes(MAIN)
        model.symlink_to(tmp_path / "outside")
    with pytest.raises(NotMeasuredError) as caught:
        export_bundle(baselines.all(), baselines, path)
    assert str(caught.value) == f"{model} is missing or damaged, and a baseline needs it. Save it again."
    assert path.read_bytes() == before


# --- reading ------------------------------------------------------------------------------------------------------


def test_an_imported_bundle_is_what_was_exported(baselines, path, into, tmp_path):
    assert import_bundle(path, into) == [manifest()]
    assert files(into.store.root) == files(baselines.store.root)
    opened = into.open_files(manifest(), "int8", tmp_path / "opened")
    assert (opened.read_bytes(), files(tmp_path / "opened").keys()) == (MAIN, {"model.onnx", "model.onnx.data"})


def test_an_import_leaves_what_else_is_there_and_when_things_were_accepted(path, tmp_path):
    accepted = manifest(commit=OTHER, accepted_at="2031-01-01T00:00:00+00:00")
    into = saved(tmp_path / "other", accepted)
    older = manifest(accepted_at="2030-01-01T00:00:00+00:00")
    export_bundle([older], into, path)
    import_bundle(path, into)
    assert sorted(found.accepted_at for found in into.all()) == [older.accepted_at, accepted.accepted_at]
    assert into.newest_accepted(KEY) == accepted


def test_a_bundle_is_opened_in_a_folder(path, tmp_path):
    (tmp_path / "work").mkdir()
    opened = open_bundle(path, tmp_path / "work")
    assert opened.at(KEY, COMMIT) == manifest()
    assert not list((tmp_path / "work" / "work").iterdir())


def test_an_empty_bundle_is_one(baselines, into, tmp_path):
    export_bundle([], baselines, tmp_path / "empty.zip")
    assert import_bundle(tmp_path / "empty.zip", into) == []


def test_a_bundle_that_another_program_packed_again_is_still_one(path, into):
    folders = ["baselines/", f"baselines/{KEY}/", "models/"]
    packed(path, {**dict.fromkeys(folders, b""), **content(path)}, compression=zipfile.ZIP_DEFLATED)
    assert import_bundle(path, into) == [manifest()]


def test_a_small_model_of_equal_weights_is_no_bomb_however_well_it_is_packed(into, path, monkeypatch):
    monkeypatch.setattr(archive_module, "MAX_RATIO", 1)
    packed(path, content(path), compression=zipfile.ZIP_DEFLATED)
    assert import_bundle(path, into) == [manifest()]


# --- what is no bundle --------------------------------------------------------------------------------------------


def indexed(members):
    """Members with an index that lists them."""
    others = {name: data for name, data in members.items() if name != "index.json"}
    listed = {name: digest_of(data) for name, data in others.items()}
    return {"index.json": json.dumps({"schema_version": 1, "files": listed}), **others}


@pytest.mark.parametrize(
    "name",
    ["../evil", "/etc/passwd", "models/../../evil", "baselines/key/../../evil.json", "C:\\evil", "models\\evil",
     "models/evil.onnx", "samples/1.npz", "rows.csv", ".gitignore", "models/" + "A" * 64, "baselines/../",
     "models/" + "a" * 64 + ".onnx/x", "INDEX.json"],
)  # fmt: skip
def test_f116_a_name_that_has_no_place_in_a_bundle_is_refused(path, into, name):
    packed(path, indexed({**content(path), name: b"evil"}))
    told = f"{path} holds '{name}', which is no place in a bundle. {AGAIN}"
    assert refused(path, into) == (RefusedError, told)


def test_f116_a_name_that_goes_on_behind_a_nul_is_refused(path, into):
    model = f"models/{'a' * 64}"
    packed(path, indexed({**content(path), f"{model}X.evil": b"evil"}))
    # The first place is in the index; the others are the zip's own.
    listed, *rest = path.read_bytes().split(f"{model}X.evil".encode())
    path.write_bytes(listed + f"{model}X.evil".encode() + f"{model}\0.evil".encode().join(rest))
    assert refused(path, into) == (RefusedError, f"{path} holds '{model}', which is no place in a bundle. {AGAIN}")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFDIR])
def test_f116_a_link_or_a_device_is_refused(path, into, kind):
    members = content(path)
    info = zipfile.ZipInfo(MODEL)
    info.create_system, info.external_attr = 3, (kind | 0o777) << 16
    packed(path, [(info, b"/etc/passwd"), *((name, data) for name, data in members.items() if name != MODEL)])
    assert refused(path, into) == (RefusedError, f"{path} holds '{MODEL}' as a link or a device. {AGAIN}")


def test_f116_a_name_that_is_there_twice_is_refused(path, into):
    with pytest.warns(UserWarning, match="Duplicate name"):
        packed(path, [*content(path).items(), (MODEL, b"another")])
    assert refused(path, into) == (RefusedError, f"{path} holds '{MODEL}' twice. {AGAIN}")


def test_f116_a_bomb_is_refused_before_it_is_unpacked(path, into):
    bomb = bytes(2_000_000)
    packed(path, indexed({f"models/{digest_of(bomb)}": bomb}), compression=zipfile.ZIP_DEFLATED)
    assert refused(path, into) == (
        RefusedError,
        f"{path} holds 'models/{digest_of(bomb)}', which unpacks to more than 200 times its size.",
    )


@pytest.mark.parametrize(
    ("limit", "value", "message"),
    [
        ("MAX_FILES", 3, "holds 4 files; a bundle holds at most 3."),
        ("MAX_BYTES", 2_000, r"unpacks to [\d,]+ bytes; a bundle to at most 2,000\."),
        ("MAX_MANIFEST_BYTES", 300, r"holds 'index\.json' of \d+ bytes\. Export the bundle again\."),
    ],
)
def test_f116_more_than_a_bundle_may_hold_is_refused(path, into, monkeypatch, limit, value, message):
    monkeypatch.setattr(bundle_module, limit, value)
    kind, told = refused(path, into)
    assert (kind, bool(re.fullmatch(f"{re.escape(str(path))} {message}", told))) == (RefusedError, True)


@pytest.mark.parametrize("how", ["encrypted", "encrypted index", "packed in another way"])
def test_f116_what_cannot_be_read_as_it_is_is_refused(path, into, how):
    if how.startswith("encrypted"):
        raw = bytearray(path.read_bytes())
        at = raw.rindex(b"PK\x01\x02") if how == "encrypted" else raw.index(b"PK\x01\x02")
        raw[at + 8] |= 1
        path.write_bytes(raw)
    else:
        packed(path, content(path), compression=zipfile.ZIP_BZIP2)
    kind, told = refused(path, into)
    assert (kind, told.partition("' ")[2]) == (RefusedError, f"encrypted, or packed in a way of its own. {AGAIN}")


def test_a_zip_of_something_else_is_no_bundle(path, into):
    packed(path, {})
    assert refused(path, into) == (
        RefusedError,
        f"{path} is no bundle of pytest-inferopt: there is no 'index.json' in it.",
    )


@pytest.mark.parametrize("index", ["{", "[" * 100_000])
def test_an_index_that_is_no_json_is_damage(path, into, index):
    packed(path, {"index.json": index})
    assert refused(path, into) == (NotMeasuredError, f"{path} is damaged: 'index.json' is no JSON. {AGAIN}")


@pytest.mark.parametrize("index", ["[]", "{}", '{"schema_version": 1}', '{"schema_version": "1", "files": {}}'])
def test_an_index_that_lists_nothing_is_damage(path, into, index):
    packed(path, {"index.json": index})
    assert refused(path, into) == (NotMeasuredError, f"{path} is damaged: 'index.json' lists no files. {AGAIN}")


@pytest.mark.parametrize("part", ["index", "manifest"])
def test_f78_a_bundle_of_a_newer_version_asks_for_an_upgrade(path, into, part):
    if part == "index":
        packed(path, {"index.json": '{"schema_version": 2, "objects": []}'})
    else:
        packed(path, indexed({**content(path), ENTRY: b'{"schema_version": 2}'}))
    kind, told = refused(path, into)
    assert (kind, "Upgrade: pip install --upgrade pytest-inferopt." in told) == (UsageError, True)


def test_what_the_index_does_not_list_is_refused(path, into):
    packed(path, {**content(path), f"models/{'0' * 64}": b"more"})
    assert refused(path, into) == (
        RefusedError,
        f"{path} holds 'models/{'0' * 64}', which its index does not list. {AGAIN}",
    )


def test_what_the_index_lists_and_is_not_there_is_missing(path, into):
    packed(path, {name: data for name, data in content(path).items() if name != MODEL})
    assert refused(path, into) == (NotMeasuredError, f"{path} is incomplete: '{MODEL}' is not in it. {AGAIN}")


def test_f88_a_model_that_a_manifest_names_and_nobody_brought_is_missing(path, into):
    packed(
        path, indexed({name: data for name, data in content(path).items() if name not in {MODEL_DATA, "index.json"}})
    )
    assert refused(path, into) == (
        NotMeasuredError,
        f"{path} is incomplete: 'model.onnx.data' of churn is not in it. {AGAIN}",
    )


def test_f77_a_model_that_is_not_what_its_name_says_is_damage_whatever_the_index_says(path, into):
    packed(path, indexed({**content(path), MODEL: b"another model"}))
    assert refused(path, into) == (NotMeasuredError, f"{path} is damaged: '{MODEL}' is not what was written. {AGAIN}")


def test_a_manifest_in_another_tests_place_is_refused(path, into):
    members = {name: data for name, data in content(path).items() if name != "index.json"}
    members[f"baselines/{'0' * 16}/{COMMIT}.json"] = members.pop(ENTRY)
    packed(path, indexed(members))
    assert refused(path, into) == (
        RefusedError,
        f"{path}: 'baselines/{'0' * 16}/{COMMIT}.json' is a baseline of another test or commit. {AGAIN}",
    )


def test_f76_a_byte_that_is_changed_or_missing_anywhere_is_told_or_changes_nothing(path, tmp_path):
    whole = path.read_bytes()
    told = 0
    places = range(0, len(whole), 61)
    for at in places:
        for damaged in (whole[:at], whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]):
            path.write_bytes(damaged)
            into = Baselines(Store(tmp_path / "other" / str(at) / str(len(damaged))))
            try:
                assert import_bundle(path, into) == [manifest()]
            except (NotMeasuredError, RefusedError):
                assert not into.all()
                told += 1
            else:
                assert into.open_files(manifest(), "int8", tmp_path / "opened" / str(at)).read_bytes() == MAIN
    assert told > len(places)


@pytest.mark.parametrize("kind", ["nothing", "folder", "text", "empty"])
def test_what_is_no_file_or_no_zip_is_no_bundle(tmp_path, into, kind):
    path = tmp_path / "bundle"
    if kind == "folder":
        path.mkdir()
    elif kind != "nothing":
        path.write_bytes(b"" if kind == "empty" else b"hello")
    told = (
        f"{path} is no file. Name a bundle, or the folder that one was unpacked into."
        if kind in {"nothing", "folder"}
        else f"{path} is damaged, or no bundle: File is not a zip file. {AGAIN}"
    )
    assert refused(path, into) == (NotMeasuredError, told)


def test_a_pointer_of_git_lfs_is_not_the_bundle(tmp_path, into):
    path = tmp_path / "bundle.zip"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    assert refused(path, into) == (
        NotMeasuredError,
        f"{path} is a pointer of Git LFS, not the bundle. Fetch it: git lfs pull",
    )


def test_a_bundle_that_cannot_be_read_says_why(path, into, monkeypatch):
    def fail(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(zipfile, "ZipFile", fail)
    assert refused(path, into) == (NotMeasuredError, f"{path} cannot be read: Input/output error. {AGAIN}")


def test_a_bundle_is_written_by_bytes_alone(path):
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as bundle:
        told = {(info.date_time, info.compress_type, info.external_attr >> 16) for info in bundle.infolist()}
    assert told == {((1980, 1, 1, 0, 0, 0), zipfile.ZIP_STORED, stat.S_IFREG | 0o644)}
