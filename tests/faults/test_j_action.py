"""Faults J: the job that may write to a repository, with reports of a job that ran anybody's code."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

HEAVY = {"numpy", "onnx", "onnxruntime", "torch", "tensorflow", "sklearn", "pandas", "joblib", "cloudpickle", "altair"}
RUN = """
import json, sys

unpickled = []
sys.addaudithook(lambda event, arguments: unpickled.append(str(arguments)) if event == "pickle.find_class" else None)
from pytest_inferopt.cli import main

codes = [main(command) for command in json.loads(sys.argv[1])]
loaded = sorted({name.partition(".")[0] for name in sys.modules})
sys.stderr.write(json.dumps({"codes": codes, "unpickled": unpickled, "loaded": loaded}) + "\\n")
"""


@pytest.fixture
def told(github, tmp_path):
    """`told(commands)`: what a fresh interpreter loaded and unpickled for these, in a job of the pull request 7."""
    event = tmp_path / "event.json"
    pull = {"number": 7, "head": {"sha": "a" * 40}}
    event.write_text(json.dumps({"repository": {"full_name": "octo/models"}, "pull_request": pull}), encoding="utf-8")

    def told(*commands):
        environ = {
            **os.environ,
            "GITHUB_API_URL": github.url,
            "GITHUB_TOKEN": github.token,
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_RUN_NUMBER": "5",
            "GITHUB_RUN_ATTEMPT": "1",
        }
        command = [sys.executable, "-c", RUN, json.dumps([[str(word) for word in words] for words in commands])]
        run = subprocess.run(
            command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=False
        )
        assert run.returncode == 0, run.stderr
        return json.loads(run.stderr.splitlines()[-1])

    return told


def test_j119_who_merges_and_comments_unpickles_nothing_and_loads_no_library_of_models(told, github, reports, tmp_path):
    for shard, python in (("a", "3.11"), ("b", "3.12")):
        here = reports.HERE.model_copy(update={"python": python})
        result = reports.regressed().model_copy(update={"environment": here})
        (tmp_path / shard).mkdir()
        (tmp_path / shard / "report.json").write_text(json.dumps(reports.report(result).to_dict()), encoding="utf-8")
        # What else lies in an artifact is not looked into.
        (tmp_path / shard / "samples.pkl").write_bytes(b"cposix\nsystem\n(S'touch evil'\ntR.")
    merged = tmp_path / "merged.json"
    found = told(
        ["merge", tmp_path / "a", tmp_path / "b", "--output", merged],
        ["comment", merged, "--summary", tmp_path / "summary.md"],
    )
    assert (found["codes"], found["unpickled"], HEAVY & set(found["loaded"])) == ([0, 1], [], set())
    assert ("httpx" in found["loaded"], len(github.comments), (tmp_path / "evil").exists()) == (True, 1, False)
    assert github.comments[0].body.startswith("<!-- pytest-inferopt:default head=aaaa")


def test_j119_the_hook_hears_of_what_is_unpickled(told):
    # Whoever makes baselines of results may: a command of another job.
    code = "import pickle; pickle.loads(pickle.dumps(print))"
    run = subprocess.run(
        [sys.executable, "-c", RUN.replace("from pytest_inferopt.cli import main", f"{code}; main = len"), '["x"]'],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "print" in json.loads(run.stderr)["unpickled"][0]
    assert "numpy" in told(["doctor", "--help"])["loaded"]
