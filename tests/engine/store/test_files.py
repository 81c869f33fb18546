from __future__ import annotations

import hashlib
import os
import re
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_inferopt.engine.store.files import is_plain_folder, open_plain, plain_sha256, replacing, write_text
from pytest_inferopt.errors import NotMeasuredError

OLD = b"what was there"
# A file may grow to 64 KiB; then writing fails, as it does on a full disk.
LIMITED = """
import resource, sys
from pathlib import Path
from pytest_inferopt.engine.store.files import write_text
resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, 65_536))
try:
    write_text(Path(sys.argv[1]), "x" * 1_000_000)
except Exception as error:
    print(f"{type(error).__name__}: {error}")
"""


def files(folder):
    """Every file below a folder, with its content."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def path(tmp_path):
    """A file that is there already, with one beside it."""
    (tmp_path / "other").write_bytes(b"another")
    (tmp_path / "file").write_bytes(OLD)
    return tmp_path / "file"


def left(content=OLD):
    return {"file": content, "other": b"another"}


def failing(number):
    """What stands in for a call of the operating system that fails."""

    def fail(*_):
        raise OSError(number, os.strerror(number))

    return fail


def test_the_new_content_takes_the_place_of_the_old_one_when_the_block_is_done(path):
    with replacing(path) as stream:
        stream.write(b"new")
        stream.flush()
        assert path.read_bytes() == OLD
    assert files(path.parent) == left(b"new")


def test_who_has_the_old_file_open_reads_all_of_it(path):
    with path.open("rb") as reader:
        write_text(path, "new")
        assert (reader.read(), path.read_bytes()) == (OLD, b"new")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_block_that_fails_leaves_the_old_content_and_nothing_beside_it(path, error):
    def write():
        with replacing(path) as stream:
            stream.write(b"half of the new")
            raise error

    with pytest.raises(error):
        write()
    assert files(path.parent) == left()


def test_where_there_was_no_file_there_is_none_after_a_failure(tmp_path):
    def write():
        with replacing(tmp_path / "new" / "file") as stream:
            stream.write(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    assert files(tmp_path) == {}


def test_folders_on_the_way_are_made(tmp_path):
    write_text(tmp_path / "a" / "b" / "c", "text")
    assert files(tmp_path) == {"a/b/c": b"text"}


def test_text_is_written_as_utf_8_and_what_that_cannot_hold_is_escaped(tmp_path):
    write_text(tmp_path / "file", "größe 💡\r\n\udce9\n")
    assert (tmp_path / "file").read_bytes() == "größe 💡\r\n\\udce9\n".encode()


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_file_may_be_read_by_whom_the_user_lets_read_new_files(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        write_text(tmp_path / "file", "text")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode


@pytest.mark.parametrize("number", [28, 122, 5], ids=["E67-full", "E67-quota", "E68-broken"])
@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_e67_e68_a_disk_that_fails_leaves_the_old_content_and_the_path_is_named(path, monkeypatch, number, function):
    monkeypatch.setattr(*((os, "fsync") if function == "fsync" else (type(path), "replace")), failing(number))
    with pytest.raises(NotMeasuredError) as caught:
        write_text(path, "new")
    monkeypatch.undo()
    assert files(path.parent) == left()
    assert str(caught.value) == (f"{path} cannot be written: {os.strerror(number)}. Make room, or name another folder.")


def test_e67_a_file_that_may_not_grow_further_leaves_the_old_content_and_the_path_is_named(path):
    ran = subprocess.run([sys.executable, "-c", LIMITED, path], capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == (
        f"NotMeasuredError: {path} cannot be written: File too large. Make room, or name another folder.\n",
        "",
    )
    assert files(path.parent) == left()


def test_an_error_without_a_reason_of_the_systems_is_told_in_its_own_words(path, monkeypatch):
    def fail(_):
        raise OSError("the cable is unplugged")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(NotMeasuredError, match=re.escape(f"{path} cannot be written: the cable is unplugged. Make")):
        write_text(path, "new")
    assert files(path.parent) == left()


@pytest.mark.parametrize("name", ["file/new", "file/folder/new"])
def test_below_a_file_nothing_can_be_written(path, name):
    target = path.parent / name
    with pytest.raises(NotMeasuredError) as caught:
        write_text(target, "text")
    assert str(caught.value) == f"{target} cannot be written: {target.parent} is no folder. Name another one."
    assert files(path.parent) == left()


def test_a_folder_is_not_replaced_by_a_file(path):
    (path.parent / "folder").mkdir()
    with pytest.raises(NotMeasuredError, match=r"folder cannot be written: Is a directory\. Make room"):
        write_text(path.parent / "folder", "text")
    assert files(path.parent) == left()


@pytest.mark.parametrize("number", [5, 22, 95])
def test_a_folder_that_cannot_be_synced_is_no_failure_because_the_file_is_there(path, monkeypatch, number):
    fsync = os.fsync

    def only_files(fd):
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            failing(number)()
        fsync(fd)

    monkeypatch.setattr(os, "fsync", only_files)
    write_text(path, "new")
    assert files(path.parent) == left(b"new")


def test_the_file_is_synced_before_it_takes_the_place_of_the_old_one_and_its_folder_afterwards(path, monkeypatch):
    synced = []

    def noted(fd):
        synced.append((stat.S_ISDIR(os.fstat(fd).st_mode), path.read_bytes()))

    monkeypatch.setattr(os, "fsync", noted)
    write_text(path, "new")
    assert synced == [(False, OLD), (True, b"new")]


def open_descriptors():
    return {path.name for path in Path("/proc/self/fd").iterdir() if path.exists()}


def test_no_file_descriptor_is_left_open(path, monkeypatch):
    before = open_descriptors()
    write_text(path, "new")
    monkeypatch.setattr(os, "fsync", failing(5))
    with pytest.raises(NotMeasuredError):
        write_text(path, "newer")
    assert open_descriptors() == before


# --- reading what is a plain file ---------------------------------------------------------------------------------


def test_a_plain_file_is_read(path):
    with open_plain(path) as stream:
        assert stream.read() == OLD
    assert plain_sha256(path) == hashlib.sha256(OLD).hexdigest()


def planted(kind, place):
    """Something else than a file, where one is expected."""
    if kind == "link":
        place.symlink_to(place.parent / "file")
    elif kind == "fifo":
        os.mkfifo(place)
    elif kind == "folder":
        place.mkdir()
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(place))


@pytest.mark.parametrize("kind", ["link", "fifo", "folder", "socket", "nothing"])
def test_f85_what_is_no_plain_file_is_neither_followed_nor_waited_for(path, kind, monkeypatch):
    monkeypatch.chdir(path.parent)
    place = Path("planted")
    planted(kind, place)
    before = open_descriptors()
    with pytest.raises(OSError, match=re.escape("planted")):
        open_plain(place)
    assert plain_sha256(place) is None
    assert open_descriptors() == before


def test_a_folder_is_plain_where_it_is_no_link(path):
    folder, link = path.parent / "folder", path.parent / "link"
    folder.mkdir()
    link.symlink_to(folder)
    assert [is_plain_folder(place) for place in (folder, link, path, path.parent / "none")] == [
        True,
        False,
        False,
        False,
    ]
