from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from pytest_inferopt.domain.measured import Samples
from pytest_inferopt.domain.plugins import Reporter
from pytest_inferopt.domain.report import parse_report
from pytest_inferopt.engine import publish as publish_module
from pytest_inferopt.engine.publish import Destination, Published, parse_destinations, publish
from pytest_inferopt.engine.store.folder import Store
from pytest_inferopt.errors import UsageError
from pytest_inferopt.registry import Registry, discover

CALLS_NS = {"original/1": np.array([4, 5, 6]), "onnx/1": np.array([1, 2, 3])}


class Plain(Reporter):
    """A file of one line."""

    name: ClassVar[str] = "plain"
    file_name: ClassVar[str] = "report.txt"

    def render(self, report):
        return f"{len(report.results)} results\n"


class Aloud(Plain):
    """The same for the terminal."""

    name: ClassVar[str] = "aloud"
    file_name: ClassVar[str | None] = None


class Breaking(Plain):
    """One that has a mistake in it."""

    name: ClassVar[str] = "breaking"

    def render(self, report):
        raise RecursionError(f"{len(report.results)} are too many")


class Needy(Plain):
    """One that needs what nobody has."""

    name: ClassVar[str] = "needy"
    needs: ClassVar[tuple[str, ...]] = ("no_such_module.of_ours",)


OWN = {reporter.name: reporter for reporter in (Plain, Aloud, Breaking, Needy)}


@pytest.fixture(scope="module")
def registry():
    """The reporters that there are, and some of these tests' own."""
    plugins = discover().plugins
    return Registry({**plugins, "reporters": {**plugins["reporters"], **OWN}})


# --- what is wanted, and where ----------------------------------------------------------------------------------


@pytest.fixture
def parse(registry, tmp_path):
    def parse(*wanted):
        return parse_destinations(wanted, registry, base=tmp_path, store=tmp_path / ".inferopt")

    return parse


def test_a_report_lies_where_it_was_sent_and_by_itself_in_the_store(parse, tmp_path):
    assert parse("terminal", "json", "html:out/a.html", f"csv:{tmp_path}/b.csv", "md:c:d.md") == (
        Destination("terminal", None),
        Destination("json", tmp_path / ".inferopt" / "report.json"),
        Destination("html", tmp_path / "out" / "a.html"),
        Destination("csv", tmp_path / "b.csv"),
        Destination("md", tmp_path / "c:d.md"),
    )


def test_one_type_may_be_written_to_several_places(parse, tmp_path):
    assert parse("csv:a", "csv:b", "csv") == (
        Destination("csv", tmp_path / "a"),
        Destination("csv", tmp_path / "b"),
        Destination("csv", tmp_path / ".inferopt" / "report.csv"),
    )


def test_what_is_asked_for_twice_is_made_once(parse, tmp_path):
    assert parse("terminal", "csv:a", "terminal", "csv:a") == (
        Destination("terminal", None),
        Destination("csv", tmp_path / "a"),
    )


def test_where_nothing_is_wanted_there_is_no_report(parse):
    assert parse() == ()


def test_the_users_home_folder_may_be_named_by_a_tilde(parse, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert parse("csv:~/a.csv") == (Destination("csv", tmp_path / "home" / "a.csv"),)


def test_what_is_too_long_for_a_path_is_found_out_by_writing(parse, reports, registry):
    wanted = parse(f"plain:{'x' * 300}")
    (published,) = publish(reports.full(), wanted, registry)
    assert published == Published(
        "plain",
        wanted[0].path,
        failure=f"{wanted[0].path} cannot be written: File name too long. Make room, or name another folder.",
    )


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (["hmtl"], "no report type named 'hmtl'; did you mean 'html'?"),
        (["html", "JSON:a"], "no report type named 'JSON'; known: "),
        ([""], "no report type named ''; known: "),
        (["terminal:out.txt"], "report 'terminal:out.txt': the terminal takes no destination. Write: terminal."),
        (["terminal:"], "report 'terminal:': the terminal takes no destination. Write: terminal."),
        (["csv:"], "report 'csv:' names no destination. Write csv, or csv:out/report.csv."),
        (["csv:folder"], "report 'csv:folder': {base}/folder is a folder. Write csv:{base}/folder/report.csv."),
        (["csv:folder/"], "report 'csv:folder/': {base}/folder is a folder. Write csv:{base}/folder/report.csv."),
        (["csv:new/"], "report 'csv:new/': {base}/new is a folder. Write csv:{base}/new/report.csv."),
        (["csv:/"], "report 'csv:/': / is a folder. Write csv:/report.csv."),
        (["csv:a", "html:a"], "report 'html:a': {base}/a is to hold another report already. Name another file."),
        (["csv:a", "html:./b/../a"], "report 'html:./b/../a': {base}/b/../a is to hold another report already. "),
        (["csv:a", "html:link/a"], "report 'html:link/a': {base}/link/a is to hold another report already. "),
        (["csv", "md:.inferopt/report.csv"], "{base}/.inferopt/report.csv is to hold another report already. "),
        (["csv:fifo"], "report 'csv:fifo': {base}/fifo is a device, a pipe or a socket. Name a file."),
        (["csv:/dev/null"], "report 'csv:/dev/null': /dev/null is a device, a pipe or a socket. Name a file."),
        (["csv:/dev/stdout"], "report 'csv:/dev/stdout': /dev/stdout is a device, a pipe or a socket. Name a file."),
        (["csv:~nobody here/a"], "report 'csv:~nobody here/a': whose home folder is meant is not known. Write it in"),
        (["csv:a\0b"], "report 'csv:a\\x00b': no path holds a NUL character. Name a file."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_wish_is_a_usage_error_that_says_what_to_write(parse, tmp_path, wanted, message):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(UsageError) as caught:
        parse(*wanted)
    assert message.format(base=tmp_path) in str(caught.value)


# --- each report is whole or not there --------------------------------------------------------------------------


def files(folder):
    """Every file below a folder, with its content."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_reports_are_made_in_the_order_in_which_they_are_wanted(reports, registry, tmp_path):
    wanted = [Destination("plain", tmp_path / "new" / "a.txt"), Destination("aloud", None)]
    assert publish(reports.full(), wanted, registry) == (
        Published("plain", tmp_path / "new" / "a.txt", "2 results\n"),
        Published("aloud", None, "2 results\n"),
    )
    assert files(tmp_path) == {"new/a.txt": b"2 results\n"}


@pytest.mark.parametrize(
    ("kind", "failure"),
    [
        ("breaking", "report 'breaking' failed: RecursionError: 2 are too many"),
        ("needy", "needy needs no_such_module.of_ours, not installed here. pip install no_such_module.of_ours."),
        ("gone", "no report type named 'gone'; known: aloud, "),
    ],
)
def test_a_report_that_cannot_be_made_costs_only_itself(reports, registry, tmp_path, kind, failure):
    (tmp_path / "b").write_text("of the last run")
    wanted = [Destination("plain", tmp_path / "a"), Destination(kind, tmp_path / "b"), Destination("aloud", None)]
    first, lost, last = publish(reports.full(), wanted, registry)
    assert (first, last) == (
        Published("plain", tmp_path / "a", "2 results\n"),
        Published("aloud", None, "2 results\n"),
    )
    assert (lost.kind, lost.path, lost.text, lost.failure.startswith(failure)) == (kind, tmp_path / "b", "", True)
    assert files(tmp_path) == {"a": b"2 results\n", "b": b"of the last run"}


def test_a_report_for_the_terminal_that_cannot_be_made_says_so_too(reports, registry, monkeypatch):
    monkeypatch.setattr(Breaking, "file_name", None)
    assert publish(reports.full(), [Destination("breaking", None)], registry) == (
        Published("breaking", None, failure="report 'breaking' failed: RecursionError: 2 are too many"),
    )


def test_whoever_ends_the_session_is_not_held_up_by_a_report(reports, registry, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Plain, "render", interrupted)
    with pytest.raises(KeyboardInterrupt):
        publish(reports.full(), [Destination("plain", tmp_path / "a")], registry)
    assert files(tmp_path) == {}


def test_e67_a_full_disk_leaves_the_last_report_as_it_was(reports, registry, tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    path = tmp_path / "a"
    path.write_text("of the last run")
    monkeypatch.setattr(os, "fsync", full)
    assert publish(reports.full(), [Destination("plain", path)], registry) == (
        Published("plain", path, failure=f"{path} cannot be written: No space left on device. Make room, or name "
                                         "another folder."),
    )  # fmt: skip
    assert files(tmp_path) == {"a": b"of the last run"}


# --- the samples that go with a document ------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "repository" / ".inferopt")


@pytest.fixture
def measured(reports, store, tmp_path):
    """A report of two models, of which one has its samples in the store."""
    np.savez(tmp_path / "samples.npz", **CALLS_NS)
    path, digest = store.keep(tmp_path / "samples.npz", "samples")
    found = reports.result(reports.variant(), samples=Samples(path=str(path), sha256=digest))
    return reports.report(found, reports.result(reports.variant("optimized"), name="price"))


def calls_of(report, folder):
    """The raw calls that a report's samples hold; the file is what the report says it is."""
    samples = report.results[0].samples
    path = folder / samples.path
    assert hashlib.sha256(path.read_bytes()).hexdigest() == samples.sha256
    with np.load(path) as arrays:
        return {name: arrays[name].tolist() for name in arrays}


@pytest.mark.parametrize("place", ["out/a.json", "report.json", ".inferopt/reports/a.json"])
def test_a_document_has_its_samples_beside_it_and_can_go_anywhere_with_them(measured, registry, tmp_path, place):
    path = tmp_path / "repository" / place
    (published,) = publish(measured, [Destination("json", path)], registry)
    moved = Path(shutil.copytree(path.parent, tmp_path / "moved", ignore=shutil.ignore_patterns(".inferopt")))
    shutil.rmtree(tmp_path / "repository")
    text = (moved / path.name).read_text(encoding="utf-8")
    report = parse_report(text, where="moved")
    first, second = report.results
    assert calls_of(report, moved) == {name: calls.tolist() for name, calls in CALLS_NS.items()}
    assert (first.samples.path, second.samples) == (f"{path.stem}-samples/{first.samples.sha256}.npz", None)
    assert published == Published("json", path, text)


def test_a_document_in_the_store_uses_the_samples_that_lie_there(measured, registry, store):
    before = files(store.root)
    (published,) = publish(measured, [Destination("json", store.root / "report.json")], registry)
    assert files(store.root).keys() - before.keys() == {"report.json"}
    report = parse_report(published.text, where="store")
    assert calls_of(report, store.root)["onnx/1"] == [1, 2, 3]
    assert report.results[0].samples.path == f"samples/{report.results[0].samples.sha256}.npz"


def test_the_document_says_what_the_report_does_but_for_the_place_of_its_samples(measured, registry, tmp_path):
    (published,) = publish(measured, [Destination("json", tmp_path / "a.json")], registry)
    expected = measured.to_dict()
    digest = expected["results"][0]["samples"]["sha256"]
    expected["results"][0]["samples"]["path"] = f"a-samples/{digest}.npz"
    assert json.loads(published.text) == expected


def test_samples_that_lie_beside_the_document_already_are_not_copied_again(measured, registry, tmp_path, monkeypatch):
    wanted = [Destination("json", tmp_path / "out" / "a.json")]
    first = publish(measured, wanted, registry)
    monkeypatch.setattr(publish_module.shutil, "copyfileobj", pytest.fail)
    assert publish(measured, wanted, registry) == first


def test_the_samples_of_the_document_that_was_there_before_are_removed_and_nothing_else_is(
    measured, registry, tmp_path
):
    folder = tmp_path / "a-samples"
    folder.mkdir()
    for name in (f"{'0' * 64}.npz", "own.npz"):
        (folder / name).touch()
    (document,) = publish(measured, (Destination("json", tmp_path / "a.json"),), registry)
    assert document.failure == ""
    assert {path.name for path in folder.iterdir()} == {f"{measured.results[0].samples.sha256}.npz", "own.npz"}


def test_a_report_that_carries_no_samples_makes_no_folder_for_them(measured, registry, tmp_path):
    publish(measured, [Destination("plain", tmp_path / "out" / "a.txt")], registry)
    assert files(tmp_path / "out").keys() == {"a.txt"}


def test_where_the_samples_are_gone_there_is_no_document_and_the_reason_is_told(measured, registry, store, tmp_path):
    shutil.rmtree(store.root)
    wanted = [Destination("json", tmp_path / "out" / "a.json"), Destination("aloud", None)]
    lost, other = publish(measured, wanted, registry)
    assert lost.failure.startswith("report 'json' failed: FileNotFoundError: [Errno 2] No such file or directory: ")
    assert (other.text, (tmp_path / "out").exists()) == ("2 results\n", False)


def test_e67_where_the_disk_is_full_of_samples_no_document_names_them(measured, registry, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(publish_module.shutil, "copyfileobj", full)
    (lost,) = publish(measured, [Destination("json", tmp_path / "out" / "a.json")], registry)
    samples = tmp_path / "out" / "a-samples" / Path(measured.results[0].samples.path).name
    assert lost.failure.startswith(f"{samples} cannot be written: No space left on device.")
    assert files(tmp_path / "out") == {}
