"""A repository on a forge that act plays; folders are its cache and its artifacts, filled by stubs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml

from pytest_inferopt.engine.calibration.extra_work import make_network

ROOT = Path(__file__).resolve().parents[3]
ACTION = ROOT / "github_action"
STUBS = Path(__file__).parents[1] / "stubs"
PARTS = ("github_action", "pytest_inferopt", "templates", "pyproject.toml")
GIT = ("git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "init.defaultBranch=main")
REPOSITORY = "ada/shop"
TOKEN = "ghs_secret"
WIDTH = 128  # of the first model
TEST = """
import numpy as np
import pytest

with np.load('rows.npz') as rows:
    x = rows['x']


@pytest.mark.inferopt
def test_network(inferopt):
    inferopt('model.onnx', x)
"""
INPUTS = {
    "pytest-args": "tests/models --inferopt-iterations=20 --inferopt-warmup-iterations=2 -p no:randomly",
    "batch-sizes": "1",
}
# What a runner gives its steps; nothing of a workflow in which these tests themselves run.
OF_A_RUNNER = re.compile(r"(GITHUB|RUNNER|ACTIONS|INPUT|ACT|INFEROPT)_|CI$|PYTEST_ADDOPTS$|COVERAGE_|COV_")
LINE = re.compile(r"^\[[^\]]*\] +\| ?(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Ran:
    """What a run of a workflow came to: its exit code, what its steps printed, and the whole log."""

    code: int
    printed: str
    log: str


@dataclass
class Forge:
    """A repository and what a forge does with it.

    Attributes:
        repo: the working copy.
        played: where the stubs of actions/cache and its like put things, and what they were asked.
        action: a copy of the Action, as its own repository.
        environ: of the runner, beside its usual one.
    """

    repo: Path
    played: Path
    action: Path
    runner: Path
    environ: dict[str, str] = field(default_factory=dict)

    def git(self, *arguments: str) -> str:
        ran = subprocess.run([*GIT, *arguments], cwd=self.repo, check=True, capture_output=True, encoding="utf-8")
        return ran.stdout.strip()

    def commit(self, message: str) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", f"--message={message}")
        return self.git("rev-parse", "HEAD")

    def model(self, width: int) -> None:
        make_network(self.repo / "model.onnx", inputs=64, width=width)

    def workflow(self, text: str, name: str = "inferopt.yml") -> None:
        place = self.repo / ".github" / "workflows" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")

    def push(self, **changes: object) -> Ran:
        """What happens when main is pushed."""
        event = {"ref": "refs/heads/main", "repository": {"full_name": REPOSITORY, "default_branch": "main"}}
        return self.act("push", event, **changes)

    def pull_request(self, branch: str, *, head: str = REPOSITORY, number: int = 7) -> Ran:
        """What happens for a pull request of a branch, which is checked out merged, as a forge does."""
        tip = self.git("rev-parse", branch)
        self.git("switch", "--quiet", "--detach", "main")
        self.git("merge", "--quiet", "--no-ff", f"--message=Merge {tip} into main", tip)
        repositories = {"head": {"full_name": head}, "base": {"full_name": REPOSITORY}}
        event = {
            "number": number,
            "pull_request": {
                "number": number,
                "head": {"ref": branch, "sha": tip, "repo": repositories["head"]},
                "base": {"ref": "main", "sha": self.git("rev-parse", "main"), "repo": repositories["base"]},
            },
            "repository": {"full_name": REPOSITORY, "default_branch": "main"},
        }
        return self.act("pull_request", event)

    def act(self, name: str, event: dict[str, object], workflow: str = "inferopt.yml") -> Ran:
        path = self.played / "event.json"
        path.write_text(json.dumps(event), encoding="utf-8")
        ours = f"OWNER/pytest-inferopt@v1={self.action}"
        command = [
            str(Path(sys.executable).with_name("act")), name, f"--eventpath={path}", f"--directory={self.repo}",
            f"--workflows=.github/workflows/{workflow}", "--platform=ubuntu-latest=-self-hosted", "--no-cache-server",
            "--pull=false", f"--action-cache-path={self.runner}", f"--secret=GITHUB_TOKEN={TOKEN}",
            f"--local-repository={ours}", *(f"--local-repository={one}" for one in _stubs()),
            *(f"--env={key}={value}" for key, value in self.environ.items()),
        ]  # fmt: skip
        ran = subprocess.run(
            command, env=self._environ(), capture_output=True, encoding="utf-8", timeout=150, check=False
        )
        log = ran.stdout + ran.stderr
        return Ran(ran.returncode, "\n".join(LINE.findall(log)), log)

    def asked(self) -> list[str]:
        """What the stubs were asked since the last time, one line each."""
        log = self.played / "log"
        lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
        log.unlink(missing_ok=True)
        return lines

    def report(self, name: str = "inferopt-report") -> dict[str, object]:
        """The report in an artifact, which is taken away."""
        folder = self.played / "artifacts" / name
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        shutil.rmtree(folder)
        return report

    def _environ(self) -> dict[str, str]:
        environ = outside()
        tools = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
        # This checkout is installed already, and a Python is there.
        ready = {"PATH": tools, "PYTHONPATH": str(ROOT), "VIRTUAL_ENV": sys.prefix, "PLAYED": str(self.played)}
        places = dict.fromkeys(("XDG_CACHE_HOME", "XDG_CONFIG_HOME"), str(self.runner))
        return {**environ, **ready, **places, "DOCKER_HOST": ""}


def outside() -> dict[str, str]:
    """The environment of these tests without what a runner would set."""
    return {name: value for name, value in os.environ.items() if not OF_A_RUNNER.match(name)}


def _stubs() -> list[str]:
    """Each action of somebody else's that `action.yml` names, with the stub that stands in for it."""
    text = (ACTION / "action.yml").read_text(encoding="utf-8")
    named = sorted(set(re.findall(r"uses: (actions/[a-z-]+)(?:/[a-z]+)?@([0-9a-f]{40})", text)))
    return [f"{name}@{commit}={STUBS / name.removeprefix('actions/')}" for name, commit in named]


def use(inputs: dict[str, str], on: str = "push:\n  pull_request:") -> str:
    """A workflow that uses the Action."""
    steps = [
        {"uses": "actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8", "with": {"fetch-depth": 0}},
        {"id": "gate", "uses": "OWNER/pytest-inferopt/github_action@v1", "with": inputs},
        {"if": "always()", "run": 'echo "outputs $ALL"', "env": {"ALL": "${{ toJSON(steps.gate.outputs) }}"}},
    ]
    job = {"runs-on": "ubuntu-latest", "steps": steps}
    return f"on:\n  {on}\n" + yaml.safe_dump({"jobs": {"inferopt": job}}, sort_keys=False)


def copied_action(folder: Path) -> Path:
    """Put the Action's repository into a folder, without what tests and benchmarks leave in it."""
    for name in PARTS:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder)
    return folder


def new_forge(folder: Path, action_copy: Path) -> Forge:
    """A repository whose first commit holds a small network, a test for it and a workflow."""
    for name in ("repo", "played", "runner"):
        (folder / name).mkdir()
    made = Forge(folder / "repo", folder / "played", action_copy, folder / "runner")
    tests = made.repo / "tests" / "models"
    tests.mkdir(parents=True)
    (tests / "test_shop.py").write_text(TEST, encoding="utf-8")
    np.savez(made.repo / "rows.npz", x=np.random.default_rng(0).normal(size=(200, 64)).astype(np.float32))
    made.model(WIDTH)
    made.workflow(use(INPUTS))
    (made.repo / ".gitignore").write_text("__pycache__/\n.pytest_cache/\n", encoding="utf-8")
    made.git("init", "--quiet")
    made.git("remote", "add", "origin", f"https://github.com/{REPOSITORY}.git")
    made.commit("first")
    return made
