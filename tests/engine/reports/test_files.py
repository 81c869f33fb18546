"""Reports out of files, folders and archives of anybody's: what is read, and what is refused."""

from __future__ import annotations

import json
import os
import stat
import zipfile

import pytest

from pytest_inferopt.engine.reports import files as report_files
from pytest_inferopt.engine.reports.files import read_report, read_shards
from pytest_inferopt.errors import InferoptError, NotMeasuredError, RefusedError, UsageError

AGAIN = "Download the artifact again."


@pytest.fixture
def text(reports):
    """A report as JSON."""
    return json.dumps(reports.full().to_dict())


@pytest.fixture
def written(tmp_path, text):
    """`written("a/report.json")`: a report's file; `written(name, other)`: with another text."""

    def written(name, content=text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return written


@pytest.fixture
def packed(tmp_path, text):
    """`packed({"report.json": None})`: an archive with these members; None is a report."""

    def packed(members, compression=zipfile.ZIP_DEFLATED):
        path = tmp_path / "artifact.zip"
        with zipfile.ZipFile(path, "w", compression) as archive:
            for name, content in members.items() if isinstance(members, dict) else members:
                archive.writestr(name, text if content is None else content)
        return path

    return packed


def refused(read, path):
    """The kind and text of the error that a reader raises."""
    with pytest.raises(InferoptError) as caught:
        read(path)
    return type(caught.value), str(caught.value)


def names(path):
    return [result.name for shard in read_shards(path) for result in shard.report.results]


# --- what is read -------------------------------------------------------------------------------------------------


def test_a_report_is_read_as_it_was_written(written, reports):
    assert read_report(written("any.json")) == reports.full()


def test_a_result_of_a_single_test_becomes_a_report(written, reports):
    result = reports.result(reports.variant())
    report = read_report(written("result.json", json.dumps(result.to_dict())))
    assert (report.results, report.command) == ((result,), "pytest --inferopt tests/test_churn.py::test_churn")


def test_a_folder_has_the_reports_of_all_folders_in_it_and_nothing_else(written, tmp_path):
    for name in ("out/b/report.json", "out/a/deep/report.json"):
        written(name)
    written("out/a/benchmark.json", "{}")
    written("out/a/report.html", "<p>")
    assert [os.path.relpath(shard.where, tmp_path) for shard in read_shards(tmp_path / "out")] == [
        "out/a/deep/report.json",
        "out/b/report.json",
    ]


def test_an_archive_has_the_reports_of_all_folders_in_it_and_nothing_else(packed):
    path = packed(
        {"b/report.json": None, "a/": "", "a/report.json": None, "samples/1.npz": b"x", "a/my report.json": "{}"}
    )
    assert [shard.where for shard in read_shards(path)] == [f"{path}: a/report.json", f"{path}: b/report.json"]


def test_a_large_report_that_is_packed_well_is_no_bomb(packed, reports):
    many = reports.report(*[reports.full().results[0]] * 40)
    path = packed({"report.json": json.dumps(many.to_dict(), indent=4)})
    with zipfile.ZipFile(path) as archive:
        (info,) = archive.infolist()
        assert info.file_size > 1_000_000
        assert info.file_size > 9 * info.compress_size
    assert len(names(path)) == 40


def test_a_name_may_look_odd(packed):
    assert names(packed({"größe/report.json": None})) == ["churn", "price"]
    assert names(packed({"..a/b..c/.hidden/report.json": None})) == ["churn", "price"]


def test_unknown_fields_of_a_report_are_kept(written, text):
    document = {**json.loads(text), "later": {"a": [1]}}
    assert read_report(written("report.json", json.dumps(document))).to_dict()["later"] == {"a": [1]}


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["../report.json", "/report.json", "a/../../report.json", "a/../report.json", "C:\\report.json", "a\\report.json",
     "C:report.json", "./report.json", "a//report.json", "a\n/report.json", "../", "a/./"],
)  # fmt: skip
def test_j116_a_member_that_would_be_unpacked_elsewhere_is_refused(packed, name, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    path = packed({name: None, "report.json": None})
    kind, told = refused(read_shards, path)
    shown = name.replace("\n", "\\n")
    assert (kind, told) == (RefusedError, f"{path} holds '{shown}', which is no place in an artifact. {AGAIN}")
    assert sorted(tmp_path.rglob("*")) == sorted([*before, path])


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_j116_a_link_in_an_archive_is_refused(packed, kind):
    info = zipfile.ZipInfo("report.json")
    info.create_system, info.external_attr = 3, (kind | 0o777) << 16
    path = packed([(info, b"/etc/passwd")])
    assert refused(read_shards, path) == (
        RefusedError,
        f"{path} holds 'report.json' as a link or a device. {AGAIN}",
    )


def test_j116_a_bomb_is_refused_before_it_is_unpacked(packed):
    path = packed({"report.json": None, "samples.bin": bytes(60_000_000)})
    assert refused(read_shards, path) == (
        RefusedError,
        f"{path} holds 'samples.bin', which unpacks to more than 200 times its size.",
    )


def test_j116_a_bomb_that_lies_about_its_size_is_damage(packed):
    path = packed({"report.json": " " * 5_000_000})
    raw = path.read_bytes()
    path.write_bytes(raw.replace((5_000_000).to_bytes(4, "little"), (900_000).to_bytes(4, "little")))
    kind, told = refused(read_shards, path)
    assert (issubclass(kind, NotMeasuredError | RefusedError), str(path) in told) == (True, True)


@pytest.mark.parametrize(
    ("limit", "value", "told"),
    [
        ("MAX_FILES", 1, "holds 2 files; an artifact holds at most 1."),
        ("MAX_BYTES", 1000, "bytes; an artifact to at most 1,000."),
        ("MAX_REPORT_BYTES", 1000, "is larger than 1,000 bytes, which no report is."),
    ],
)
def test_j116_more_than_an_artifact_may_hold_is_refused(packed, monkeypatch, limit, value, told):
    monkeypatch.setattr(report_files, limit, value)
    kind, text = refused(read_shards, packed({"a/report.json": None, "b/report.json": None}))
    assert (kind, told in text) == (RefusedError, True)


@pytest.mark.parametrize("name", ["report.json", "other", "folder"])
def test_j116_a_link_in_a_folder_is_refused_whatever_it_leads_to(written, tmp_path, name):
    target = written("outside/report.json")
    written("out/a/report.json")
    (tmp_path / "out" / name).symlink_to(target.parent if name == "folder" else target)
    assert refused(read_shards, tmp_path / "out") == (
        RefusedError,
        f"{tmp_path}/out holds '{name}' as a link or a device. {AGAIN}",
    )


def test_j116_a_pipe_in_a_folder_is_refused(written, tmp_path):
    written("out/report.json")
    os.mkfifo(tmp_path / "out" / "pipe")
    assert refused(read_shards, tmp_path / "out")[0] is RefusedError


def test_j116_a_folder_of_very_many_files_is_refused(written, tmp_path, monkeypatch):
    monkeypatch.setattr(report_files, "MAX_FILES", 2)
    for name in "abc":
        written(f"out/{name}")
    assert refused(read_shards, tmp_path / "out") == (
        RefusedError,
        f"{tmp_path}/out holds more than 2 files. Name the folder of the artifacts.",
    )


def deep(levels):
    return '{"schema_version": 1, "results": [], "a": ' + "[" * levels + "]" * levels + "}"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        (b"\xff\xfe{}", "not valid JSON"),
        ("[]", "no result of pytest-inferopt (it names no schema_version)"),
        ("null", "no result of pytest-inferopt"),
        ("{}", "no result of pytest-inferopt"),
        ('{"schema_version": "1", "results": []}', "no result of pytest-inferopt"),
        ('{"schema_version": 1, "results": []}', "environment: Field required"),
        ('{"schema_version": 1, "results": 7}', "results: Input should be a valid tuple"),
        ('{"schema_version": 1, "schema_version": 1}', "a name stands twice"),
        ('{"schema_version": 1, "a": NaN}', "NaN is no number"),
        ('{"schema_version": 1, "a": -Infinity}', "-Infinity is no number"),
        ('{"schema_version": 1, "a": 1e999}', "1e999 is no number"),
        ('{"schema_version": 1, "a": 9223372036854775808}', "an integer has more than 64 bits"),
        ('{"schema_version": 1, "a": ' + "9" * 5000 + "}", "not valid JSON"),
        (deep(100), "more than 64 levels deep"),
        (deep(100_000), "not valid JSON"),
        (b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix", "not valid JSON"),
    ],
)  # fmt: skip
def test_j117_what_is_no_report_is_refused(written, content, told):
    path = written("report.json", content)
    for read in (read_report, read_shards):
        kind, text = refused(read, path)
        assert (kind, told in text, str(path) in text) == (RefusedError, True, True)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"results": [{}]}, "results.0.name: Field required"),
        ({"git": {"commit": 7}}, "git.commit: Input should be a valid string"),
        ({"incidents": "all"}, "incidents: Input should be a valid tuple"),
        ({"is_partial": "perhaps"}, "is_partial: "),
    ],
)
def test_j117_a_field_that_is_not_what_it_should_be_is_refused_by_name(written, text, change, told):
    kind, text = refused(read_report, written("report.json", json.dumps({**json.loads(text), **change})))
    assert (kind, told in text) == (RefusedError, True)


def test_j117_a_best_variant_that_is_none_is_refused(written, reports):
    found = reports.result(reports.variant(), best="other")
    path = written("report.json", json.dumps(reports.report(found).to_dict()))
    assert refused(read_report, path) == (
        RefusedError,
        (
            f"{path}: the best variant 'other' of churn is none of its variants. "
            "Write it again: pytest --inferopt --inferopt-report=json."
        ),
    )


def test_f78_a_report_of_a_newer_version_asks_for_an_upgrade(written, text):
    kind, told = refused(read_report, written("report.json", json.dumps({**json.loads(text), "schema_version": 2})))
    assert (kind, "Upgrade: pip install --upgrade pytest-inferopt." in told) == (UsageError, True)


def test_a_file_that_is_not_there_is_told(tmp_path):
    path = tmp_path / "report.json"
    for read in (read_report, read_shards):
        assert refused(read, path)[0] is NotMeasuredError
    assert "No such file or directory" in refused(read_report, path)[1]


@pytest.mark.parametrize("kind", ["folder", "archive"])
def test_a_shard_without_a_report_is_a_usage_error(packed, tmp_path, kind):
    path = tmp_path / "out"
    path.mkdir()
    found = path if kind == "folder" else packed({"other.json": None})
    assert refused(read_shards, found) == (
        UsageError,
        f"{found} holds no report.json. Write it again: pytest --inferopt --inferopt-report=json.",
    )


def test_a_report_in_a_folder_that_cannot_be_read_is_told(written, tmp_path, monkeypatch):
    path = written("out/report.json")

    def fail(_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(report_files, "open_plain", fail)
    assert refused(read_shards, tmp_path / "out") == (
        NotMeasuredError,
        f"{path} cannot be read: Input/output error. {AGAIN}",
    )
