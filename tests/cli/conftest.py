"""What the command's tests share: the command itself, small networks, and stores with results in them."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace

import pytest

from pytest_inferopt.cli import main
from pytest_inferopt.domain.environment import Environment
from pytest_inferopt.domain.measured import Latency
from pytest_inferopt.domain.request import OptimizationRequest
from pytest_inferopt.domain.result import Check, RunResult, VariantResult
from pytest_inferopt.engine.calibration.extra_work import make_network
from pytest_inferopt.engine.store.folder import Store, result_key

GIT = ("git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "init.defaultBranch=main")
HERE = Environment(cpu_model="Intel Xeon", cpu_count=2, isa_flags=(), python="3.11.9", system="linux", libraries={})


@pytest.fixture
def project(monkeypatch, tmp_path):
    """An empty folder, in which the command runs."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "200")
    return folder


@pytest.fixture
def command(capsys, project):
    """`command("baseline", "list")`: its exit code, stdout and stderr."""
    assert project.is_dir()

    def command(*arguments):
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return SimpleNamespace(code=code, out=out, err=err)

    return command


@pytest.fixture
def network(tmp_path):
    """`network(name, width)`: a file x (N, 32) → y (N, 4) whose work grows with its width."""

    def network(name, width=64, inputs=32):
        path = tmp_path / name
        make_network(path, inputs=inputs, width=width, outputs=4)
        return path

    return network


@pytest.fixture
def store(project):
    """The store of the folder in which the command runs."""
    return Store(project / ".inferopt")


def variant(store, network, name="int8", **changes):
    """A variant whose file is in the store."""
    path, digest = store.keep(network)
    fields = {
        "format": "onnx",
        "path": str(path),
        "sha256": digest,
        "size_bytes": path.stat().st_size,
        "artifact": {"signature": None, "lineage": [], "notes": []},
        "latency": {1: Latency(batch_size=1, iterations=50, iterations_requested=50, warmup_iterations=5, p50_ms=1.0)},
        "checks": (Check(kind="accuracy", variant=name, outcome="passed"),),
    }
    return VariantResult(name=name, **{**fields, **changes})


def result(*variants, test_id="test_a.py::test_churn", name="churn"):
    names = {found.name: ["onnx_conversion"] for found in variants}
    return RunResult(
        name=name,
        test_id=test_id,
        request=OptimizationRequest(name=name, variants=names, batch_sizes=(4,)),
        environment=HERE,
        original=VariantResult(name="original", role="original"),
        variants={found.name: found for found in variants},
    )


@pytest.fixture
def kept(store, network):
    """`kept(name=…)`: a result whose one variant is in the store, stored as a session stores it; its document."""

    def kept(*, width=64, test_id="test_a.py::test_churn", name="churn", **changes):
        made = result(variant(store, network(f"{name}-{width}.onnx", width), **changes), test_id=test_id, name=name)
        return store.put("results", result_key(made), made.to_dict())

    return kept


@pytest.fixture
def git(project):
    """`git("add", "--all")` in the folder in which the command runs, which has one commit."""

    def git(*arguments):
        ran = subprocess.run([*GIT, *arguments], cwd=project, check=True, capture_output=True, encoding="utf-8")
        return ran.stdout.strip()

    (project / "model.py").write_text("width = 64\n", encoding="utf-8")
    git("init", "--quiet")
    git("add", "--all")
    git("commit", "--quiet", "--message=first")
    return git
