"""A test as it was at another commit; whole sessions are in tests/plugin/test_baselines.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_inferopt.engine.baseline import rebuild as module
from pytest_inferopt.engine.baseline.rebuild import RebuildPlan, rebuild
from pytest_inferopt.engine.baseline.source import Absent
from pytest_inferopt.engine.store.folder import Store

LEAKED = (
    "the code of the working copy was imported instead of {head}'s: churn (/home/churn.py) (an editable install that "
    "cannot be redirected does that)."
)
GIT = ("git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org")


@pytest.fixture
def repository(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    for arguments in (["init", "--quiet"], ["commit", "--quiet", "--allow-empty", "--message=base"]):
        subprocess.run([*GIT, "-C", str(home), *arguments], check=True, capture_output=True)
    return home


@pytest.fixture
def rebuilt(repository, tmp_path, monkeypatch):
    """`rebuilt(child, commit)`: the outcome where the child's module is a script of this text."""

    def rebuilt(child, *, commit=None, seconds=60, **changes):
        folder = tmp_path / "child"
        folder.mkdir(exist_ok=True)
        (folder / "child.py").write_text(f"import json, os, sys, time\norder = json.load(open(sys.argv[1]))\n{child}")
        monkeypatch.setattr(module, "CHILD", "child")
        monkeypatch.setattr(module, "PACKAGE", str(folder))
        head = subprocess.run(
            [*GIT, "-C", str(repository), "rev-parse", "HEAD"], check=True, capture_output=True, encoding="utf-8"
        ).stdout.strip()
        told = []
        parts = {"rootdir": repository, "inifile": None, "options": ["--inferopt-quick"], "on_progress": told.append}
        plan = RebuildPlan(**{"home": repository, "seconds": seconds, **parts, **changes})
        found = rebuild(plan, Store(tmp_path / "store"), commit or head, "tests/test_a.py::test_a", "churn")
        return found, head, told

    return rebuilt


def outcome(**found):
    document = {"status": 0, "reason": "", "leaked": [], **found}
    return f"json.dump({document!r}, open(order['outcome'], 'w'))\n"


def reason(found):
    assert isinstance(found, Absent)
    return found.reason


def test_the_order_leads_into_the_worktree_and_carries_the_sessions_options(repository, tmp_path, rebuilt, monkeypatch):
    (repository / "src").mkdir()
    monkeypatch.setattr(sys, "path", [*sys.path, str(repository / "src")])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(repository / "lib"), "/elsewhere"]))
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    copy = tmp_path / "copy.json"
    script = f"json.dump([order, dict(os.environ), os.getcwd()], open({str(copy)!r}, 'w'))\n" + outcome(
        reason="nothing."
    )
    found, head, told = rebuilt(script, inifile=repository / "pytest.ini")
    order, environment, folder = json.loads(copy.read_text())
    worktree = order["worktree"]
    assert (folder, order["home"], order["import_roots"]) == (worktree, str(repository), [f"{worktree}/src"])
    assert order["arguments"] == [
        "tests/test_a.py::test_a", "--inferopt", "--inferopt-quick", "--inferopt-baseline=none",
        f"--inferopt-store={Path(order['outcome']).parent}/store", "--inferopt-report=terminal",
        f"--rootdir={worktree}", "-q", "-c", f"{worktree}/pytest.ini",
    ]  # fmt: skip
    moved = os.pathsep.join([f"{worktree}/lib", "/elsewhere"])
    assert (order["pythonpath"], environment["PYTHONPATH"].partition(os.pathsep)[2]) == (moved, moved)
    assert "PYTEST_XDIST_WORKER" not in environment
    assert environment["COVERAGE_FILE"] == f"{Path(order['outcome']).parent}/coverage"
    assert reason(found) == f"{head[:7]} could not be made again: nothing."
    assert told == [f"making tests/test_a.py::test_a as it was at {head[:7]}, in a worktree"]
    assert not Path(worktree).exists()


@pytest.mark.parametrize(
    ("child", "words"),
    [
        (outcome(reason="FileNotFoundError: data.csv."), "FileNotFoundError: data.csv."),
        (outcome(), "the test makes nothing that is called 'churn' there."),
        ("print('ERROR: not found')\n" + outcome(status=4), "ERROR: not found."),
        ("print('out of luck'); os._exit(3)", "its pytest died: out of luck."),
        ("time.sleep(600)", "it was not done within 1 s."),
        (
            outcome(leaked=["churn (/home/churn.py)"]),
            LEAKED,
        ),
    ],
)
def test_what_cannot_be_made_again_is_absent_with_the_reason(rebuilt, monkeypatch, child, words):
    if "sleep" in child:
        monkeypatch.setattr(module, "GRACE_SECONDS", 0)
    found, head, _ = rebuilt(child, seconds=1 if "sleep" in child else 60)
    assert reason(found) == f"{head[:7]} could not be made again: {words.format(head=head[:7])}"
    assert found.next_step == module.NEXT_STEP


def test_a_commit_that_git_has_not_is_told_in_its_own_words(rebuilt):
    found, _, _ = rebuilt("", commit="0" * 40)
    assert reason(found).startswith("0000000 could not be made again: git gave no worktree: ")
