"""What the tests of the Action share: a forge with a repository, jobs without a runner, and GitHub's API."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

HERE = Path(__file__).resolve()
# Test folders are no packages; the steps stand in the Action's own folder.
sys.path[:0] = [str(HERE.parent), str(HERE.parents[2] / "github_action")]

from played.api import Storage, api_server  # noqa: E402 - found by the path above
from played.forge import ACTION, INPUTS, REPOSITORY, ROOT, Forge, copied_action, new_forge  # noqa: E402
from played.job import Job  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session")
def root() -> Path:
    """This repository."""
    return ROOT


@pytest.fixture(scope="session")
def action() -> dict[str, Any]:
    """`action.yml`."""
    return yaml.safe_load((ACTION / "action.yml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def action_copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Action's repository, as a workflow finds it."""
    return copied_action(tmp_path_factory.mktemp("action"))


@pytest.fixture
def forge(tmp_path: Path, action_copy: Path) -> Forge:
    """A repository whose first commit holds a small network, a test for it and a workflow."""
    return new_forge(tmp_path, action_copy)


@pytest.fixture(scope="module")
def module_forge(tmp_path_factory: pytest.TempPathFactory, action_copy: Path) -> Forge:
    """A `forge` for all tests of a file."""
    return new_forge(tmp_path_factory.mktemp("forge"), action_copy)


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
    """GitHub's API on this machine: see `played.api`."""
    with api_server(storage) as server:
        yield server


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
