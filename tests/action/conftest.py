"""A repository on a forge that is played here: act runs its workflows, folders are its cache and its artifacts."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml

from pytest_inferopt.engine.calibration.extra_work import make_network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
ACTION = ROOT / "github_action"
STUBS = Path(__file__).with_name("stubs")
PARTS = ("github_action", "pytest_inferopt", "templates", "pyproject.toml")
GIT = ("git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "init.defaultBranch=main")
REPOSITORY = "ada/shop"
TOKEN = "ghs_secret"
NARROW, WIDE = 128, 1024
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

sys.path.insert(0, str(ACTION))


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
        environ = _outside()
        tools = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
        # This checkout is installed already, and a Python is there.
        ready = {"PATH": tools, "PYTHONPATH": str(ROOT), "VIRTUAL_ENV": sys.prefix, "PLAYED": str(self.played)}
        places = dict.fromkeys(("XDG_CACHE_HOME", "XDG_CONFIG_HOME"), str(self.runner))
        return {**environ, **ready, **places, "DOCKER_HOST": ""}


@dataclass
class Job:
    """A job whose steps are run one by one, with the environment that a runner documents and no runner.

    Attributes:
        folder: of the runner.
        environ: of every step.
        outputs: of the steps so far.
    """

    folder: Path
    environ: dict[str, str]
    outputs: dict[str, str] = field(default_factory=dict)

    def start(self, name: str) -> subprocess.Popen[str]:
        environ = {**_outside(), **self.environ, "GITHUB_OUTPUT": str(self.folder / f"{name}.output")}
        if "plan" in self.outputs:
            environ["INFEROPT_PLAN"] = self.outputs["plan"]
        command = [sys.executable, str(ACTION / "step.py"), name]
        where = self.environ["GITHUB_WORKSPACE"]
        return subprocess.Popen(
            command, env=environ, cwd=where, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8"
        )

    def end(self, name: str, process: subprocess.Popen[str]) -> Ran:
        printed, _ = process.communicate(timeout=120)
        path = self.folder / f"{name}.output"
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        self.outputs |= dict(re.findall(r"^([a-z0-9-]+)<<(?:end-\S+)\n(.*?)\nend-\S+$", text, re.MULTILINE | re.DOTALL))
        path.unlink(missing_ok=True)
        return Ran(process.returncode, printed, printed)

    def step(self, name: str) -> Ran:
        """Run a step to its end."""
        return self.end(name, self.start(name))

    def report(self) -> dict[str, Any]:
        return json.loads(Path(self.outputs["json-path"]).read_text(encoding="utf-8"))


def _outside() -> dict[str, str]:
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
        {"uses": "actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683", "with": {"fetch-depth": 0}},
        {"id": "gate", "uses": "OWNER/pytest-inferopt/github_action@v1", "with": inputs},
        {"if": "always()", "run": 'echo "outputs $ALL"', "env": {"ALL": "${{ toJSON(steps.gate.outputs) }}"}},
    ]
    job = {"runs-on": "ubuntu-latest", "steps": steps}
    return f"on:\n  {on}\n" + yaml.safe_dump({"jobs": {"inferopt": job}}, sort_keys=False)


class Storage(ThreadingHTTPServer):
    """Where a forge keeps artifacts, at an address of its own; `tokens` are those that somebody brought along."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Stored)
        self.content: dict[str, bytes] = {}
        self.tokens: list[str | None] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class _Stored(BaseHTTPRequestHandler):
    server: Storage

    def do_GET(self) -> None:
        self.server.tokens.append(self.headers.get("Authorization"))
        content = self.server.content.get(self.path)
        self.send_response(404 if content is None else 200)
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def storage() -> Iterator[Storage]:
    """A `Storage`."""
    with Storage() as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield found
        found.shutdown()


@pytest.fixture(scope="module")
def api(storage: Storage) -> Iterator[Any]:
    """GitHub's API on this machine, with artifacts: `leave(run, name, archive)` puts one there."""
    github = _loaded(ROOT / "tests" / "github" / "server.py")

    class Server(github.GitHubServer):
        def leave(self, run: int, name: str, archive: bytes, *, size: int | None = None, expired: bool = False) -> None:
            number = len(storage.content) + 1
            storage.content[f"/{number}"] = archive
            self.artifacts.append((run, {
                "id": number, "name": name, "expired": expired, "created_at": f"2030-01-01T00:00:{number:02}Z",
                "size_in_bytes": len(archive) if size is None else size,
                "archive_download_url": f"{self.url}/repos/{self.repository}/actions/artifacts/{number}/zip",
            }))  # fmt: skip

        def _done(self, request: Any) -> tuple[int, dict[str, str], Any]:
            path = re.fullmatch(rf"/repos/{self.repository}/actions/(.*)", request.path)
            if path is None:
                return super()._done(request)
            if found := re.fullmatch(r"runs/(\d+)/artifacts", path[1]):
                asked = (int(found[1]), request.query["name"])
                ours = [one for run, one in self.artifacts if (run, one["name"]) == asked]
                return 200, {}, {"total_count": len(ours), "artifacts": ours}
            number = re.fullmatch(r"artifacts/(\d+)/zip", path[1])[1]
            return 302, {"Location": f"{storage.url}/{number}"}, None

    server = Server(token=TOKEN, repository=REPOSITORY)
    server.artifacts = []
    with server:
        server.pull_request = github.PullRequest
        yield server


def _loaded(path: Path) -> Any:
    """A module by its path; test folders are not packages."""
    spec = importlib.util.spec_from_file_location(f"inferopt_tests_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def job(forge: Forge, tmp_path: Path) -> Callable[..., Job]:
    """`job("push", ref="refs/heads/main", pytest_args="-k a")`: a job of this event with these inputs."""

    def job(name: str, ref: str, event: dict[str, Any] | None = None, **inputs: str) -> Job:
        folder = tmp_path / "runner" / str(len(list((tmp_path / "runner").iterdir())))
        folder.mkdir()
        payload = {"repository": {"full_name": REPOSITORY, "default_branch": "main"}, **(event or {})}
        (folder / "event.json").write_text(json.dumps(payload), encoding="utf-8")
        given = {key.replace("-", "_"): value for key, value in {**INPUTS, "comment": "off", **inputs}.items()}
        return Job(folder, {
            "PYTHONPATH": str(ROOT), "GITHUB_WORKSPACE": str(forge.repo), "RUNNER_TEMP": str(folder / "temp"),
            "GITHUB_EVENT_NAME": name, "GITHUB_EVENT_PATH": str(folder / "event.json"), "GITHUB_REF": ref,
            "GITHUB_SHA": forge.git("rev-parse", "HEAD"), "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
            **{f"INPUT_{key.upper()}": value for key, value in given.items()},
        })  # fmt: skip

    return job


@pytest.fixture(scope="session")
def action_copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Action's repository, without what tests and benchmarks leave in it."""
    folder = tmp_path_factory.mktemp("action")
    for name in PARTS:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder)
    return folder


@pytest.fixture
def forge(tmp_path: Path, action_copy: Path) -> Forge:
    """A repository whose first commit holds a small network, a test for it and a workflow."""
    return _new_forge(tmp_path, action_copy)


@pytest.fixture(scope="module")
def module_forge(tmp_path_factory: pytest.TempPathFactory, action_copy: Path) -> Forge:
    """A `forge` for all tests of a file."""
    return _new_forge(tmp_path_factory.mktemp("forge"), action_copy)


def _new_forge(tmp_path: Path, action_copy: Path) -> Forge:
    for name in ("repo", "played", "runner"):
        (tmp_path / name).mkdir()
    made = Forge(tmp_path / "repo", tmp_path / "played", action_copy, tmp_path / "runner")
    tests = made.repo / "tests" / "models"
    tests.mkdir(parents=True)
    (tests / "test_shop.py").write_text(TEST, encoding="utf-8")
    np.savez(made.repo / "rows.npz", x=np.random.default_rng(0).normal(size=(200, 64)).astype(np.float32))
    made.model(NARROW)
    made.workflow(use(INPUTS))
    (made.repo / ".gitignore").write_text("__pycache__/\n.pytest_cache/\n", encoding="utf-8")
    made.git("init", "--quiet")
    made.git("remote", "add", "origin", f"https://github.com/{REPOSITORY}.git")
    made.commit("first")
    return made


@pytest.fixture(scope="session")
def root() -> Path:
    """This repository."""
    return ROOT


@pytest.fixture(scope="session")
def action() -> dict[str, Any]:
    """`action.yml`."""
    return yaml.safe_load((ACTION / "action.yml").read_text(encoding="utf-8"))
