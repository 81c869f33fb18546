"""Faults E: a process is killed, or the disk fails, in the middle of putting a baseline away.

One process that has imported everything forks a child for each call of the operating system that writes; strace
attaches to the child and kills it, or has its call fail, at the Nth. What lies in the store then is looked at by this
process, which knows nothing of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_inferopt.domain.baseline import BaselineFile, BaselineVariant, Manifest, manifest_text
from pytest_inferopt.domain.environment import Environment
from pytest_inferopt.engine.baseline.manifests import Baselines, key_of
from pytest_inferopt.engine.store.folder import Store, file_sha256

STRACE = shutil.which("strace")
COMMIT = "3f9c2e1a7b5d4c6e8f90123456789abcdef01234"
HERE = Environment(cpu_model="Intel Xeon", cpu_count=2, isa_flags=(), python="3.11.9", system="linux", libraries={})
NOON = "2030-01-02T12:00:00+00:00"
# Longer than what is copied at once, so that there is a moment at which half of it is written.
OLD, NEW = ((b"old model" * 9_000, b"old weights"), (b"new model" * 9_000, b"new weights"))
CALLS = ("openat", "write", "pwrite64", "rename", "renameat", "renameat2", "fsync", "fdatasync", "unlink", "unlinkat",
         "link", "linkat", "mkdir", "mkdirat", "ftruncate", "utimensat", "copy_file_range", "sendfile")  # fmt: skip
FORKING = """
import ctypes, json, os, shutil, socket, subprocess, sys
from pathlib import Path
from pytest_inferopt.domain.baseline import manifest_text, parse_manifest
from pytest_inferopt.engine.baseline.manifests import Baselines, entry_name, key_of
from pytest_inferopt.engine.store.folder import Store, kept_name

order = json.loads(sys.stdin.read())
manifest = parse_manifest(order["manifest"], where="order")
files = {digest: Path(path) for digest, path in order["files"].items()}

def act(root):
    baselines = Baselines(Store(root))
    if order["action"] == "accept":
        baselines.accept(manifest)
    elif order["action"] == "write in place":
        place = root / "baselines" / key_of(manifest) / entry_name(manifest)
        place.write_text(manifest_text(manifest))
        for file in (file for variant in manifest.variants.values() for file in variant.files):
            (root / "models" / kept_name(file.sha256, file.name)).write_bytes(files[file.sha256].read_bytes())
    else:
        baselines.save(manifest, files)

def hit(root, what):
    shutil.copytree(order["before"], root)
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        # Where only a parent may trace, this lets a sibling.
        ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)
        theirs.recv(1)
        try:
            act(root)
        except Exception as error:
            theirs.send(f"{type(error).__name__}: {error}".encode())
            os._exit(1)
        os._exit(0)
    tracer = [order["strace"], "-f", "-o", f"{root}.log", "-e", f"inject={what}", "-p", str(child)]
    with subprocess.Popen(tracer, stderr=subprocess.PIPE, text=True) as strace:
        told = strace.stderr.readline()
        if "attached" not in told:
            os.kill(child, 9)
            os.waitpid(child, 0)
            sys.exit(f"strace cannot attach: {told}")
        ours.send(b"x")
        _, status = os.waitpid(child, 0)
    theirs.close()
    injected = "(INJECTED)" in Path(f"{root}.log").read_text() or os.WIFSIGNALED(status)
    return {"root": str(root), "what": what, "is_hit": injected, "told": ours.recv(10_000).decode()}

warm = Path(order["folder"]) / "warm"
shutil.copytree(order["before"], warm)
act(warm)
hits = []
for call, fault in order["faults"]:
    for number in range(1, 1_000):
        root = Path(order["folder"]) / f"{call}-{number}"
        found = hit(root, f"{call}:{fault}:when={number}")
        hits.append(found)
        if not found["is_hit"]:
            break
print(json.dumps(hits))
"""


def digest_of(data):
    return hashlib.sha256(data).hexdigest()


def manifest(contents, **changes):
    names = ("model.onnx", "model.onnx.data")
    files = tuple(
        BaselineFile(name=name, sha256=digest_of(content), size_bytes=len(content))
        for name, content in zip(names, contents, strict=True)
    )
    variant = BaselineVariant(format="onnx", files=files, sha256=files[0].sha256, artifact={})
    fields = {"test_id": "test_a.py::test_a", "name": "churn", "commit": COMMIT, "saved_at": NOON, "environment": HERE}
    return Manifest(**{**fields, "variants": {"int8": variant}, **changes})


def given(folder, contents):
    """The files of a manifest, outside of any store."""
    folder.mkdir(exist_ok=True)
    for content in contents:
        (folder / digest_of(content)).write_bytes(content)
    return {digest_of(content): folder / digest_of(content) for content in contents}


@pytest.fixture
def before(tmp_path):
    """A store with an accepted baseline and a recorded one of the same commit."""
    baselines = Baselines(Store(tmp_path / "before"))
    for told in (manifest(OLD, accepted_at=NOON), manifest(OLD)):
        baselines.save(told, given(tmp_path / "given", OLD))
    return baselines.store.root


@pytest.fixture
def hits(before, tmp_path):
    """`hits("save again", faults)`: what came of each fault at each call, until there was no further one."""
    if STRACE is None:
        pytest.skip("strace is not installed")

    def hits(action, faults):
        if action == "save first":
            shutil.rmtree(before)
            before.mkdir()
        folder = tmp_path / "hits"
        folder.mkdir()
        told = manifest(OLD) if action == "accept" else manifest(NEW)
        order = {
            "action": action,
            "before": str(before),
            "folder": str(folder),
            "files": {digest: str(path) for digest, path in given(tmp_path / "given", NEW).items()},
            "manifest": manifest_text(told),
            "faults": faults,
            "strace": STRACE,
        }
        ran = subprocess.run(
            [sys.executable, "-c", FORKING], input=json.dumps(order), capture_output=True, text=True, check=False
        )
        if "cannot attach" in ran.stderr:
            pytest.skip(f"ptrace is not permitted: {ran.stderr.strip()}")
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    return hits


def state(root, folder):
    """What a store holds: each baseline's kind and the content of its files, or what is wrong with it."""
    baselines = Baselines(Store(root), is_ours=False)
    found = set()
    for entry in baselines.entries():
        if entry.manifest is None:
            found.add(str(entry.problem))
            continue
        kind = "accepted" if entry.manifest.accepted_at else "recorded"
        try:
            main = baselines.open_files(entry.manifest, "int8", folder / root.name / entry.path.name)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what is wrong
            found.add(str(error))
        else:
            found.add((kind, main.read_bytes()[:3], main.with_name("model.onnx.data").read_bytes()[:3]))
    return frozenset(found)


RECORDED = {content: ("recorded", content, content) for content in (b"old", b"new")}
ACCEPTED = ("accepted", b"old", b"old")
WHOLE = {
    "save first": {frozenset(), frozenset({RECORDED[b"new"]})},
    "save again": {frozenset({ACCEPTED, RECORDED[b"old"]}), frozenset({ACCEPTED, RECORDED[b"new"]})},
    # Accepted again, and what was recorded goes: there is no moment without either.
    "accept": {frozenset({ACCEPTED, RECORDED[b"old"]}), frozenset({ACCEPTED})},
}


def torn_models(root):
    """Models that are not what their names say."""
    return [path for path in root.glob("models/[0-9a-f]*") if file_sha256(path) != path.name.partition(".")[0]]


@pytest.mark.parametrize("action", ["save first", "save again", "accept"])
def test_e66_f87_killed_at_any_write_a_store_holds_the_old_set_or_the_new_one_whole(hits, tmp_path, action):
    killed = hits(action, [(call, "signal=SIGKILL") for call in CALLS])
    calls = {found["what"].partition(":")[0] for found in killed if found["is_hit"]}
    assert calls >= {"openat", "write", "rename", "fsync"}
    seen = set()
    for found in killed:
        root = Path(found["root"])
        now = state(root, tmp_path / "opened")
        assert (found["what"], now in WHOLE[action], torn_models(root)) == (found["what"], True, [])
        seen.add(now)
    assert seen == WHOLE[action]
    # Where it was killed between model and manifest, the models are there and the old manifest counts.
    if action == "save again":
        new = [root / "models" / f"{digest_of(NEW[0])}.onnx" for root in (Path(found["root"]) for found in killed)]
        assert any(path.exists() and RECORDED[b"old"] in state(path.parents[1], tmp_path / "between") for path in new)


def test_e66_after_a_kill_the_next_run_saves_as_if_nothing_had_been(hits, tmp_path):
    for found in hits("save again", [(call, "signal=SIGKILL") for call in ("rename", "fsync", "write")]):
        root = Path(found["root"])
        Baselines(Store(root)).save(manifest(NEW), given(tmp_path / "given", NEW))
        assert state(root, tmp_path / "opened") == frozenset({ACCEPTED, RECORDED[b"new"]})


def test_e66_a_writer_that_writes_in_place_is_caught_by_the_same_kills(hits, tmp_path):
    killed = hits("write in place", [(call, "signal=SIGKILL") for call in ("openat", "write")])
    states = [state(Path(found["root"]), tmp_path / "opened") for found in killed]
    assert [now for now in states if now not in WHOLE["save again"]]
    assert [root for root in (Path(found["root"]) for found in killed) if torn_models(root)]


@pytest.mark.parametrize(
    ("call", "fault", "reason"),
    [
        ("write", "error=ENOSPC", "No space left on device"),
        ("write", "error=EDQUOT", "Disk quota exceeded"),
        ("fsync", "error=EIO", "Input/output error"),
        ("rename", "error=ENOSPC", "No space left on device"),
    ],
    ids=["E67-write", "E67-quota", "E68-fsync", "E67-rename"],
)
def test_e67_e68_where_the_disk_fails_at_any_call_the_path_is_named_or_all_is_there(
    hits, tmp_path, call, fault, reason
):
    told = [found for found in hits("save again", [(call, fault)]) if found["is_hit"]]
    for found in told:
        root = Path(found["root"])
        now = state(root, tmp_path / "opened")
        assert (now in WHOLE["save again"], torn_models(root), list(root.rglob(".writing-*"))) == (True, [], [])
        if found["told"]:
            kind, _, message = found["told"].partition(": ")
            place, _, rest = message.partition(" cannot be written: ")
            assert (kind, Path(place).is_relative_to(root), rest) == (
                "NotMeasuredError", True, f"{reason}. Make room, or name another folder.",
            )  # fmt: skip
            assert now == frozenset({ACCEPTED, RECORDED[b"old"]})
        else:
            # What could not be synced is the folder's list of names; the files are there.
            assert (call, now) == ("fsync", frozenset({ACCEPTED, RECORDED[b"new"]}))
    assert [found for found in told if found["told"]]


FULL = """
import sys
from pathlib import Path
from pytest_inferopt.domain.baseline import parse_manifest
from pytest_inferopt.engine.baseline.manifests import Baselines
from pytest_inferopt.engine.store.folder import Store
root, text, *files = map(Path, sys.argv[1:])
baselines = Baselines(Store(root))
try:
    baselines.save(parse_manifest(text.read_bytes(), where="order"), {path.name: path for path in files})
except Exception as error:
    print(f"{type(error).__name__}: {error}")
print(sorted(path.name for path in root.rglob("*") if path.is_file()), [m.name for m in baselines.all()])
"""


@pytest.mark.parametrize("how", ["a full filesystem", "a file that may not grow"])
def test_e67_on_a_disk_that_is_full_the_path_is_named_and_nothing_is_left(tmp_path, how):
    files = given(tmp_path / "given", (bytes(1_000_000), b"weights"))
    text, root = tmp_path / "manifest.json", tmp_path / "store"
    text.write_text(manifest_text(manifest((bytes(1_000_000), b"weights"))))
    root.mkdir()
    python = [sys.executable, "-c", FULL, str(root), str(text), *map(str, files.values())]
    if how == "a full filesystem":
        script = 'mount -t tmpfs -o size=256k none "$0" && exec "$@"'
        command = ["unshare", "--mount", "--map-root-user", "sh", "-c", script, str(root), *python]
        reason = "No space left on device"
    else:
        command = ["sh", "-c", 'ulimit -f 128 && exec "$@"', "sh", *python]
        reason = "File too large"
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if "unshare" in ran.stderr or "mount" in ran.stderr:
        pytest.skip(f"mounting is not permitted: {ran.stderr.strip()}")
    place = root / "models" / f"{digest_of(bytes(1_000_000))}.onnx"
    told = f"NotMeasuredError: {place} cannot be written: {reason}. Make room, or name another folder."
    assert (ran.stdout.splitlines(), ran.stderr) == ([told, "['.gitignore', '.lock'] []"], "")


def test_f83_on_another_filesystem_a_baseline_is_saved_whole_and_opened_here(tmp_path):
    shared = Path("/dev/shm")
    if not os.access(shared, os.W_OK) or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no other filesystem")
    root = shared / f"inferopt-test-{os.getpid()}"
    try:
        baselines = Baselines(Store(root))
        baselines.save(manifest(NEW), given(tmp_path / "given", NEW))
        opened = baselines.open_files(baselines.at(key_of(manifest(NEW)), COMMIT), "int8", tmp_path / "opened")
        assert (opened.read_bytes(), opened.stat().st_nlink) == (NEW[0], 1)
        assert (torn_models(root), list(root.rglob(".writing-*"))) == ([], [])
    finally:
        shutil.rmtree(root, ignore_errors=True)
