"""Faults E: the surroundings of a run are odd, and the verdict is the same."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from pytest_inferopt.domain.report import parse_report

if TYPE_CHECKING:
    from pathlib import Path

TEST = (
    "import numpy as np\n"
    "ROWS = np.load('rows.npz')\n"
    "def test_digits(inferopt):\n"
    "    result = inferopt('model.onnx', ROWS['x'], ROWS['y'])\n"
    "    print('RATIO', result.accuracy_ratio, result.passed)\n"
)
OPTIONS = ("--inferopt", "--inferopt-quick", "--inferopt-measure-seconds=2", "-p", "no:randomly", "-p",
           "no:cacheprovider", "-s")  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, digits_files: Path) -> Path:
    """A repository of one test in a folder of its own."""
    root = tmp_path / "repo"
    shutil.copytree(digits_files, root)
    (root / "pytest.ini").write_text("[pytest]\n")
    (root / "test_model.py").write_text(TEST)
    return root


def run(folder, *, interpreter=(), environment=None, cwd=None, arguments=()):
    return subprocess.run(
        [sys.executable, *interpreter, "-m", "pytest", *OPTIONS, *arguments],
        cwd=cwd or folder,
        env=environment or dict(os.environ),
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=120,
    )


def test_e64_ctrl_c_ends_the_run_with_exit_code_2_and_leaves_no_worker(folder):
    (folder / "slow.py").write_text(
        "import time\nfrom sklearn.linear_model import RidgeClassifier\n"
        "class Slow(RidgeClassifier):\n"
        "    def predict(self, x):\n        open('started', 'w').close()\n        time.sleep(600)\n"
    )
    (folder / "test_model.py").write_text(
        "import numpy as np\nfrom slow import Slow\nROWS = np.load('rows.npz')\n"
        "def test_slow(inferopt):\n    inferopt(Slow().fit(ROWS['x'], ROWS['y']), ROWS['x'], ROWS['y'])\n"
    )
    # A shell starts what runs in the background with Ctrl-C ignored, and its children inherit that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        running = subprocess.Popen(
            [sys.executable, "-m", "pytest", *OPTIONS], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    finally:
        signal.signal(signal.SIGINT, before)
    deadline = time.monotonic() + 60
    while not (folder / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    workers = descendants(running.pid)
    running.send_signal(signal.SIGINT)
    try:
        output, _ = running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode == 2, output.decode()
    assert workers
    assert [pid for pid in workers if is_alive(pid)] == []


def test_e73_a_test_file_whose_name_is_no_text_is_judged_and_reported(folder):
    (folder / "test_model.py").rename(folder / os.fsdecode(b"test_\xff.py"))
    ran = run(folder, arguments=("--inferopt-report=json",))
    assert ran.returncode == 0, ran.stdout
    (result,) = parse_report((folder / ".inferopt" / "report.json").read_bytes(), where="report.json").results
    assert result.test_id == r"test_\udcff.py::test_digits"


@pytest.fixture
def cancelled(folder):
    """Run pytest on a test file's text, end it with SIGTERM once there is a file `started`: its output and report."""

    def cancelled(text):
        (folder / "test_model.py").write_text(text)
        running = subprocess.Popen(
            [sys.executable, "-m", "pytest", *OPTIONS, "--inferopt-report=json", "--inferopt-report=terminal"],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        deadline = time.monotonic() + 60
        while not (folder / "started").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        workers = descendants(running.pid)
        running.send_signal(signal.SIGTERM)
        output, _ = running.communicate(timeout=60)
        assert running.returncode == 2, output.decode()
        assert "inferopt: ended by SIGTERM; the reports hold what was measured until then" in output.decode()
        assert workers
        assert [pid for pid in workers if is_alive(pid)] == []
        return parse_report((folder / ".inferopt" / "report.json").read_bytes(), where="report.json")

    return cancelled


SLEEP = "    import time\n    open('started', 'w').close()\n    time.sleep(600)\n"
NEVER = "def test_never():\n    open('never', 'w').close()\n"


def test_e65_a_cancelled_job_leaves_a_report_of_what_was_measured_and_says_that_it_is_partial(cancelled):
    report = cancelled(TEST + "def test_slow(inferopt):\n" + SLEEP)
    assert (report.is_partial, report.verdict) == (True, "partial")
    assert [result.name for result in report.results] == ["digits"]


def test_e65_what_the_cancelled_test_itself_had_measured_stands_in_the_report(cancelled):
    report = cancelled(TEST + SLEEP)
    assert (report.is_partial, [result.name for result in report.results]) == (True, ["digits"])


def test_e65_a_red_result_does_not_keep_a_job_from_being_cancelled(cancelled, folder):
    data = "@pytest.fixture\ndef inferopt_data(): return ROWS['x'], ROWS['y']\n"
    marker = "@pytest.mark.inferopt(model='model.onnx', budget=['size<1kB'])\n"
    header = "import numpy as np\nimport pytest\nROWS = np.load('rows.npz')\n"
    report = cancelled(header + data + marker + "def test_red(inferopt_result):\n" + SLEEP + NEVER)
    assert (report.is_partial, report.verdict) == (True, "red")
    assert not (folder / "never").exists()


def test_e65_a_test_that_catches_every_exception_is_the_last_one_of_a_cancelled_job(cancelled, folder):
    caught = "    import contextlib, time\n    with contextlib.suppress(Exception):\n"
    wait = "        open('started', 'w').close()\n        time.sleep(600)\n"
    report = cancelled(TEST + caught + wait + NEVER)
    assert (report.is_partial, [result.name for result in report.results]) == (True, ["digits"])
    assert not (folder / "never").exists()


def descendants(ancestor: int) -> list[int]:
    from pytest_inferopt.engine.worker import reaper

    return sorted(reaper._descendants(ancestor))


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_e70_without_home_and_in_the_c_locale_the_verdict_is_the_same(folder):
    environment = {name: value for name, value in os.environ.items() if name not in {"HOME", "LANG"}}
    finished = run(folder, environment={**environment, "LC_ALL": "C"})
    assert (finished.returncode, "RATIO 1.0 True" in finished.stdout) == (0, True), finished.stdout + finished.stderr


def test_e70_a_working_folder_that_was_deleted_leaves_the_worker_running(folder):
    (folder / "test_model.py").write_text(
        TEST.replace("'model.onnx'", "FILE").replace(
            "def test_digits(inferopt):\n",
            "import os, pathlib\nFILE = pathlib.Path('model.onnx').absolute()\n"
            "def test_digits(inferopt):\n    os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')\n",
        )
    )
    finished = run(folder)
    assert (finished.returncode, "RATIO 1.0 True" in finished.stdout) == (0, True), finished.stdout + finished.stderr


@pytest.mark.parametrize("name", ["line\nend", "💡 ü", "x" * 255], ids=["newline", "emoji", "255 bytes"])
def test_e73_a_folder_of_any_name_holds_a_repository(folder, name):
    odd = folder.rename(folder.parent / name)
    finished = run(odd)
    assert (finished.returncode, "RATIO 1.0 True" in finished.stdout) == (0, True), finished.stdout + finished.stderr


@pytest.mark.parametrize("interpreter", [("-O",), ("-W", "error"), ("-OO",)], ids=" ".join)
def test_e74_the_interpreters_switches_do_not_change_the_verdict(folder, interpreter):
    finished = run(folder, interpreter=interpreter)
    assert (finished.returncode, "RATIO 1.0 True" in finished.stdout) == (0, True), finished.stdout + finished.stderr
